#include "sim/config/prefill_section.h"

#include <doctest/doctest.h>

#include <string>

#include "sim/cluster/run_scenario.h"
#include "sim/config/scenario_file.h"

namespace v4cap {
namespace {

std::string scenario_with(const std::string& rest) {
  return "model: deepseek-v4-flash\n"
         "hardware: hgx-b200\n"
         "deployment: {tensor_parallel: 2, data_parallel: 2}\n"
         "kv_cache: {swa_policy: checkpoint=2048}\n"
         "workload:\n"
         "  synthetic:\n"
         "    sessions: 3\n"
         "    first_prompt: {kind: constant, mean: 100}\n"
         "    output: {kind: constant, mean: 4}\n" +
         rest;
}

Scenario read(const std::string& rest) {
  return parse_scenario(scenario_with(rest), "s.yaml");
}

TEST_CASE("prefill section: what is left out is as where tokens are generated") {
  const Scenario s = read("prefill: {transfer: {bandwidth: 50 GB/s}}\n");
  REQUIRE(s.cluster.prefill);
  CHECK(s.cluster.asked());
  CHECK(s.cluster.prefill->replicas == 1);
  CHECK(s.cluster.most_replicas() == 2);
  CHECK(s.cluster.most_decode_replicas() == 1);
  CHECK(s.cluster.window == std::chrono::seconds(60));
  const TransferConfig& t = s.cluster.prefill->transfer;
  CHECK(t.bytes_per_s == 50e9);
  CHECK(t.overlap == TransferOverlap::none);
  CHECK(t.reuse);
  CHECK(t.room == Tokens{512});
  REQUIRE(s.prefill);
  CHECK(s.prefill->deployment.data_parallel == 2);
  CHECK(s.prefill->kv_cache.swa_policy == "checkpoint=2048");
  CHECK(s.prefill->profile == s.profile);
  CHECK_FALSE(s.prefill->prefill);
  CHECK_FALSE(s.prefill->cluster.asked());
  CHECK_FALSE(read("").prefill);
}

TEST_CASE("prefill section: sections of its own stand in place of the scenario's, whole") {
  const Scenario s = read(
      "prefill:\n"
      "  replicas: 3\n"
      "  router: prefix_affinity=0.5\n"
      "  hardware: hgx-h200\n"
      "  deployment: {tensor_parallel: 8}\n"
      "  engine: {step_tokens: 16384}\n"
      "  kv_cache: {layout: sglang, swa_policy: recompute}\n"
      "  transfer: {bandwidth: 25 GB/s, latency: 30 us, overlap: layers, reuse: false, "
      "room_tokens: "
      "64}\n");
  CHECK(s.cluster.prefill->router == "prefix_affinity=0.5");
  CHECK(s.cluster.prefill->transfer.overlap == TransferOverlap::layers);
  CHECK(s.cluster.prefill->transfer.latency == std::chrono::microseconds(30));
  CHECK_FALSE(s.cluster.prefill->transfer.reuse);
  const Scenario& p = *s.prefill;
  CHECK(p.hardware.gpu.name == "H200");
  CHECK(p.deployment.tensor_parallel == 8);
  CHECK(p.deployment.data_parallel == 1);
  CHECK(p.engine.step_tokens == Tokens{16384});
  CHECK(p.kv_cache.layout == "sglang");
  CHECK(p.kv_cache.swa_policy == "recompute");
  // Measured times of the scenario's GPU are not taken along.
  CHECK(p.profile != s.profile);
  CHECK(s.hardware.gpu.name == "B200");
  CHECK(s.kv_cache.layout == "ideal");

  // What is written out reads back to the same, and writes the same.
  const Scenario again = parse_scenario(s.resolved_yaml, "again.yaml");
  CHECK(again.resolved_yaml == s.resolved_yaml);
  REQUIRE(again.prefill);
  CHECK(again.prefill->resolved_yaml == p.resolved_yaml);
  CHECK(again.prefill->kv_cache.layout_options == p.kv_cache.layout_options);
}

std::string refusal(const std::string& rest) {
  try {
    const Scenario s = read(rest);
    check_can_run(s);
  } catch (const InputError& error) {
    return error.what();
  }
  return "";
}

TEST_CASE("prefill section: what is wrong is refused where it stands") {
  const auto says = [](const std::string& rest, const std::string& expected) {
    CAPTURE(rest);
    const std::string found = refusal(rest);
    CAPTURE(found);
    CHECK(found.find(expected) != std::string::npos);
  };
  const std::string whole =
      "prefill.transfer: expected a map with 'bandwidth' (bytes per second with their unit, such "
      "as "
      "7.7 TB/s), the key is missing";
  says("prefill: {replicas: 2}\n", "s.yaml:10:10: " + whole);
  says("prefill: {}\n", whole);
  says("prefill: {transfer: {latency: 1 us}}\n", "prefill.transfer.bandwidth: expected a value");
  says("prefill: {transfer: {bandwidth: 1 B/s}}\n", "prefill.transfer.bandwidth: expected");
  says("prefill: {transfer: {bandwidth: 8 TB/s}}\n", "prefill.transfer.bandwidth: expected");
  CHECK(refusal("prefill: {transfer: {bandwidth: 7.8 TB/s}}\n").empty());
  says("prefill: {transfer: {bandwidth: 1 GB/s, overlap: layer}}\n", "did you mean 'layers'?");
  says("prefill: {transfer: {bandwidth: 1 GB/s}, replica: 2}\n", "did you mean 'replicas'?");
  says("prefill: {transfer: {bandwidth: 1 GB/s}, workload: {}}\n", "unknown key 'workload'");
  says("prefill: {transfer: {bandwidth: 1 GB/s}, engine: {step_tokens: -1}}\n",
       "s.yaml:10:64: engine.step_tokens: expected");
  says("prefill: {transfer: {bandwidth: 1 GB/s}}\ncluster: {retry: {where: on_return}}\n",
       "s.yaml:11:26: cluster.retry.where: expected elsewhere");
  says(
      "prefill: {transfer: {bandwidth: 1 GB/s}, deployment: {tensor_parallel: 2}}\n"
      "cluster: {faults: [{kind: rank_lost, at: 1 s, for: 1 s, rank: 1}]}\n",
      "s.yaml:11:20: cluster.faults[0]: expected a rank below 1");
  says("prefill: {transfer: {bandwidth: 1 GB/s, latency: 2562047 h}}\n",
       "us, from 0 ns to 1 h, got");
  says("prefill: {transfer: {bandwidth: 1 GB/s, room_tokens: 9000000000000000000}}\n",
       "prefill.transfer.room_tokens: expected");
  CHECK(refusal("prefill: {replicas: 2, transfer: {bandwidth: 1 GB/s}}\n"
                "cluster: {faults: [{kind: replica_lost, at: 1 s, for: 1 s, replica: 2}]}\n")
            .empty());
  // Links between replicas, of which either side may have tiers of its own.
  const std::string slow = "cluster: {faults: [{kind: slow_link, at: 1 s, for: 1 s, ";
  CHECK(
      refusal("prefill: {transfer: {bandwidth: 1 GB/s}, kv_cache: {tiers: {host: {read_bandwidth: "
              "50 GB/s, write_bandwidth: 50 GB/s}}}}\n" +
              slow + "replica: 1, link: transfer, share: 0.5}]}\n")
          .empty());
  says(slow + "link: transfer, share: 0.5}]}\n",
       "expected none, the scenario has no kv_cache.tiers and no section prefill");
  says("prefill: {transfer: {bandwidth: 1 GB/s}}\n" + slow + "link: transfers, share: 0.5}]}\n",
       "did you mean 'transfer'");
  says("prefill: {transfer: {bandwidth: 2 MB/s}}\n" + slow + "link: transfer, share: 0.4}]}\n",
       "leaves at least 1 MB/s of prefill.transfer.bandwidth, got 0.4");
  says(
      "prefill: {replicas: 2, transfer: {bandwidth: 1 GB/s}}\n"
      "cluster: {faults: [{kind: replica_lost, at: 1 s, for: 1 s, replica: 3}]}\n",
      "expected");
}

}  // namespace
}  // namespace v4cap
