#include "sim/config/cluster_section.h"

#include <doctest/doctest.h>

#include <string>

#include "sim/cluster/run_scenario.h"
#include "sim/config/scenario_file.h"

namespace v4cap {
namespace {

std::string scenario_with(const std::string& cluster) {
  return "model: deepseek-v4-flash\n"
         "hardware: hgx-b200\n"
         "profile: none\n"
         "deployment: {tensor_parallel: 2, data_parallel: 2}\n"
         "workload:\n"
         "  synthetic:\n"
         "    sessions: 3\n"
         "    first_prompt: {kind: constant, mean: 100}\n"
         "    output: {kind: constant, mean: 4}\n" +
         cluster;
}

Scenario read(const std::string& cluster) {
  return parse_scenario(scenario_with(cluster), "s.yaml");
}

TEST_CASE("cluster section: left out, there is one replica and nothing of it is written out") {
  const Scenario s = read("");
  CHECK_FALSE(s.cluster.asked());
  CHECK(s.cluster.most_replicas() == 1);
  CHECK(s.resolved_yaml.find("cluster") == std::string::npos);
  CHECK_FALSE(read("cluster: {router: session}\n").cluster.asked());
}

TEST_CASE("cluster section: everything is read, and written out with its defaults") {
  const Scenario s = read(
      "cluster:\n"
      "  replicas: 3\n"
      "  router: weighted=2,1\n"
      "  retry: {limit: 1, delay: 2 s, where: on_return}\n"
      "  window: 30 s\n"
      "  autoscale: {policy: \"queue=3,5\", min: 2, max: 6, start_up: 90 s, interval: 5 s, hold: 1 "
      "min}\n"
      "  faults:\n"
      "    - {kind: slow_rank, at: 10 s, for: 5 s, replica: 5, rank: 1, factor: 1.5}\n"
      "    - {kind: replica_lost, mtbf: 2 h, for: 5 min}\n");
  const ClusterConfig& c = s.cluster;
  CHECK(c.asked());
  CHECK(c.replicas == 3);
  CHECK(c.most_replicas() == 6);
  CHECK(c.router == "weighted=2,1");
  CHECK(c.retry_limit == 1);
  CHECK(c.retry_delay == std::chrono::seconds(2));
  CHECK(c.retry_on_return);
  CHECK(c.window == std::chrono::seconds(30));
  REQUIRE(c.autoscale);
  CHECK(c.autoscale->policy == "queue=3,5");
  CHECK(c.autoscale->min == 2);
  CHECK(c.autoscale->hold == std::chrono::minutes(1));
  REQUIRE(c.faults.size() == 2);
  CHECK(c.faults[0].at == Duration(std::chrono::seconds(10)));
  CHECK(c.faults[0].replica == 5);
  CHECK(c.faults[0].rank == 1);
  CHECK(c.faults[0].factor == 1.5);
  CHECK_FALSE(c.faults[1].at);
  CHECK(c.faults[1].mtbf == std::chrono::hours(2));
  check_router(s);

  const Scenario again = parse_scenario(s.resolved_yaml, "again.yaml");
  CHECK(again.resolved_yaml == s.resolved_yaml);
  CHECK(again.cluster.faults.size() == 2);
  const std::string defaults = read("cluster: {replicas: 2}\n").resolved_yaml;
  for (const std::string line :
       {"router: round_robin", "limit: 3", "where: elsewhere", "window:"}) {
    CAPTURE(line);
    CHECK(defaults.find(line) != std::string::npos);
  }
  CHECK(read("cluster: {autoscale: {max: 4, min: 2}}\n").cluster.replicas == 2);
}

std::string refusal(const std::string& cluster) {
  try {
    const Scenario s = read(cluster);
    check_router(s);
    check_one_replica(s, "this is a test");
  } catch (const InputError& error) {
    return error.what();
  }
  return "";
}

TEST_CASE("cluster section: what cannot be is refused where it stands") {
  struct Row {
    std::string cluster, message;
  };
  const std::string lost = "cluster: {replicas: 2, faults: [{kind: replica_lost, ";
  for (const Row& row : {
           Row{"cluster: {replicas: 0}\n", "s.yaml:10:21"},
           Row{"cluster: {replica: 2}\n", "did you mean 'replicas'"},
           Row{"cluster: {router: sesion}\n", "did you mean 'session'"},
           Row{"cluster: {autoscale: {max: 2, policy: request=3}}\n", "did you mean 'requests'"},
           Row{"cluster: {autoscale: {min: 2}}\n", "max"},
           Row{"cluster: {autoscale: {min: 3, max: 2}}\n", "at least min (3)"},
           Row{"cluster: {replicas: 5, autoscale: {max: 2}}\n", "cluster.replicas"},
           Row{"cluster: {faults: [{kind: replica_loss, at: 1 s, for: 1 s}]}\n",
               "did you mean 'replica_lost'"},
           Row{lost + "at: 1 s}]}\n", "for"},
           Row{lost + "for: 1 s}]}\n", "either at"},
           Row{lost + "for: 1 s, at: 1 s, mtbf: 1 h}]}\n", "either at"},
           Row{lost + "for: 1 s, at: 1 s, replica: 2}]}\n", "replica"},
           Row{lost + "for: 1 s, at: 1 s, factor: 2}]}\n",
               "unknown key 'factor' in 'cluster.faults[0]' as the rest of it stands; one of: "
               "kind, for, at, replica"},
           Row{lost + "for: 1 s, att: 1 s}]}\n",
               "unknown key 'att' in 'cluster.faults[0]'; did you mean 'at'?"},
           Row{lost + "fro: 1 s, at: 1 s, replcia: 1}]}\n", "did you mean 'replica'?"},
           Row{lost + "for: 1 s, mtbf: 1 h, replica: 1}]}\n", "replica: expected none beside mtbf"},
           Row{"cluster: {faults: [{kind: rank_lost, at: 1 s, for: 1 s, rank: 2}]}\n", "rank"},
           Row{"cluster: {faults: [{kind: slow_rank, at: 1 s, for: 1 s}]}\n", "factor"},
           Row{"cluster: {faults: 3}\n", "list of faults"},
           Row{"cluster: {router: 'weighted=nan,1'}\n", "expected weighted=HIT,LOAD"},
           Row{"cluster: {router: 'weighted=1,inf'}\n", "expected weighted=HIT,LOAD"},
           Row{"cluster: {autoscale: {max: 2, policy: requests=inf}}\n", "expected requests=N"},
           Row{"cluster: {replicas: 2}\n", "expected one replica"},
       }) {
    CAPTURE(row.cluster);
    const std::string message = refusal(row.cluster);
    CAPTURE(message);
    CHECK(message.find(row.message) != std::string::npos);
  }
}

TEST_CASE("cluster section: a kind that does not exist is all that is said of such a fault") {
  const std::string message =
      refusal("cluster: {faults: [{kind: replica_los, at: 1 s, for: 1 s, replica: 0}]}\n");
  CAPTURE(message);
  CHECK(message.find("did you mean 'replica_lost'") != std::string::npos);
  CHECK(message.find("tier") == std::string::npos);
}

const std::string kTiers =
    "kv_cache: {tiers: {host: {read_bandwidth: 50 GB/s, write_bandwidth: 40 GB/s}, "
    "remote: {read_bandwidth: 2 MB/s, write_bandwidth: 2 GB/s}}}\n";

TEST_CASE("cluster section: faults of tiers and links name those of the scenario") {
  const Scenario s =
      read(kTiers +
           "cluster:\n"
           "  replicas: 2\n"
           "  faults:\n"
           "    - {kind: lost_tier, at: 10 s, for: 5 s, replica: all, tier: remote}\n"
           "    - {kind: slow_link, mtbf: 1 h, for: 5 min, link: host write, share: 0.25}\n");
  const auto& faults = s.cluster.faults;
  REQUIRE(faults.size() == 2);
  CHECK_FALSE(faults[0].replica);
  CHECK(faults[0].place == "remote");
  CHECK(faults[1].place == "host write");
  CHECK(faults[1].share == 0.25);
  CHECK(parse_scenario(s.resolved_yaml, "again.yaml").resolved_yaml == s.resolved_yaml);
  struct Row {
    std::string fault, message;
  };
  for (const Row& row : {
           Row{"kind: lost_tier, tier: remot",
               "s.yaml:11:76: cluster.faults[0].tier: expected a tier of kv_cache.tiers (host, "
               "remote), got "
               "\"remot\"; "
               "did you mean 'remote'"},
           Row{"kind: lost_tier, tier: ssd", "expected a tier of kv_cache.tiers (host, remote)"},
           Row{"kind: lost_tier", "tier"},
           Row{"kind: lost_tier, tier: host, share: 0.5", "share"},
           Row{"kind: slow_link, share: 0.5, link: host raed", "did you mean 'host read'"},
           Row{"kind: slow_link, link: host", "share"},
           Row{"kind: slow_link, link: host, share: 0", "share"},
           Row{"kind: slow_link, link: host, share: 1.5", "share"},
           Row{"kind: slow_link, link: remote, share: 0.4",
               "expected a share that leaves at least 1 MB/s of the links of remote, got 0.4"},
       }) {
    const std::string message = refusal(
        kTiers + "cluster: {replicas: 2, faults: [{at: 1 s, for: 1 s, " + row.fault + "}]}\n");
    CAPTURE(message);
    CHECK(message.find(row.message) != std::string::npos);
  }
  const std::string none =
      refusal("cluster: {faults: [{at: 1 s, for: 1 s, kind: lost_tier, tier: host}]}\n");
  CAPTURE(none);
  CHECK(none.find("expected none, the scenario has no kv_cache.tiers") != std::string::npos);
}

TEST_CASE("cluster section: a scenario with one runs as a cluster, one without as a replica") {
  const Scenario many = read("cluster: {replicas: 2}\n");
  const RunResult result = run_scenario(many, load_workload(many));
  REQUIRE(result.cluster);
  CHECK(result.cluster->replicas.size() == 2);
  CHECK(result.gpus == 8);
  const Scenario one = read("");
  CHECK_FALSE(run_scenario(one, load_workload(one)).cluster);
}

}  // namespace
}  // namespace v4cap
