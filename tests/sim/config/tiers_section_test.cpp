// Section kv_cache.tiers: defaults written out, mistakes refused with their place, and what a
// scenario with tiers is not for.
#include "sim/config/tiers_section.h"

#include <doctest/doctest.h>

#include <string>

#include "sim/cluster/run_scenario.h"
#include "sim/config/scenario_file.h"

namespace v4cap {
namespace {

const std::string kRates = "read_bandwidth: 50 GB/s, write_bandwidth: 40 GB/s";

Scenario parsed(const std::string& kv, const std::string& deployment = "tensor_parallel: 8") {
  ScenarioOptions options;
  options.find_traces = false;
  return parse_scenario(
      "model: deepseek-v4-flash\nhardware: hgx-b200\nworkload: {trace: t}\n"
      "deployment: {" +
          deployment + "}\nkv_cache: {" + kv + "}\n",
      "s.yaml", options);
}

std::string refusal(const std::string& kv) {
  try {
    parsed(kv);
  } catch (const InputError& e) {
    return e.what();
  }
  return "accepted";
}

TEST_CASE("tiers: without the section there are none, and nothing is said of them") {
  const Scenario s = parsed("memory: 8 GiB");
  CHECK(s.kv_cache.below.tiers.empty());
  CHECK(s.resolved_yaml.find("tiers") == std::string::npos);
  CHECK(tier_links(s).tiers.empty());
  CHECK(make_replica(s)->rank(0).cache().tiers() == nullptr);
}

TEST_CASE("tiers: defaults are written out, and reading them gives the same") {
  const Scenario s = parsed("memory: 8 GiB, tiers: {ssd: {" + kRates + ", write: selective=3, " +
                            "drive: 30.72 TB}, host: {" + kRates + "}}");
  REQUIRE(s.kv_cache.below.tiers.size() == 2);
  const TierConfig& host = s.kv_cache.below.tiers[0];
  CHECK(host.name == "host");
  CHECK_FALSE(host.shared);
  CHECK(host.write == "write_through");
  CHECK(s.kv_cache.below.tiers[1].shared);
  CHECK(s.kv_cache.below.tiers[1].write == "selective=3");
  CHECK(s.kv_cache.below.layered);
  for (const std::string text :
       {"times_gpu: 1", "capacity: auto", "scope: rank", "scope: shared", "holds: all",
        "blocks_live: forever", "points_live: forever", "drive: none", "load: layered"}) {
    CAPTURE(text);
    CHECK(s.resolved_yaml.find(text) != std::string::npos);
  }
  ScenarioOptions options;
  options.find_traces = false;
  CHECK(parse_scenario(s.resolved_yaml, "s.yaml", options).resolved_yaml == s.resolved_yaml);
}

TEST_CASE("tiers: mistakes are refused with what would do") {
  CHECK(refusal("tiers: {hots: {" + kRates + "}}").find("did you mean 'host'?") !=
        std::string::npos);
  CHECK(refusal("tiers: {host: {read_bandwidth: 50 GB/s}}").find("write_bandwidth") !=
        std::string::npos);
  CHECK(refusal("tiers: {host: {" + kRates + ", write: write_bakc}}")
            .ends_with("kv_cache.tiers.host.write: unknown write policy 'write_bakc'; did you mean "
                       "'write_back'?"));
  CHECK(refusal("tiers: {host: {" + kRates + ", holds: pionts}}").find("did you mean 'points'?") !=
        std::string::npos);
  CHECK(refusal("tiers: {host: {read_bandwidth: 1 KB/s, write_bandwidth: 1 GB/s}}")
            .find("kv_cache.tiers.host.read_bandwidth: expected") != std::string::npos);
  CHECK(refusal("tiers: {host: {read_bandwidth: 1 GB/s, write_bandwidth: 8001 TB/s}}")
            .find("kv_cache.tiers.host.write_bandwidth: expected") != std::string::npos);
  CHECK(parsed("tiers: {host: {read_bandwidth: 8000 TB/s, write_bandwidth: 1 MB/s}}")
            .kv_cache.below.tiers[0]
            .read_bytes_per_s == 8e15);
  // One of the two would be ignored.
  CHECK(refusal("tiers: {host: {" + kRates + ", capacity: 1 TB, times_gpu: 2}}")
            .find("times_gpu: expected either capacity or times_gpu") != std::string::npos);
}

TEST_CASE("tiers: points of a tier may be fewer and smaller than those on the GPU") {
  const std::string tier = "tiers: {remote: {" + kRates + ", capacity: 1 TiB";
  const Scenario all = parsed("layout: sglang, " + tier + "}}");
  CHECK(all.resolved_yaml.find("points_every: block") != std::string::npos);
  CHECK(all.resolved_yaml.find("point_size: auto") != std::string::npos);
  const Scenario s = parsed("layout: sglang, swa_policy: pool=0.1, " + tier +
                            ", points_every: 2048, point_size: 3 MB}}");
  const auto replica = make_replica(s);
  const Tier& remote = replica->rank(0).cache().tiers()->tier(0);
  CHECK(remote.spec().points_every == 8);
  CHECK(remote.bytes_of({StoredKind::point, 1, 7}).total() == Bytes{3'000'000});
  CHECK(remote.bytes_of({StoredKind::block, 1, 7}) ==
        replica->rank(0).cache().layout().blocks(7, 8, false));
  CHECK(remote.takes({StoredKind::point, 1, 7}));
  CHECK_FALSE(remote.takes({StoredKind::point, 1, 6}));
  CHECK(remote.takes({StoredKind::block, 1, 6}));
  const Scenario odd =
      parsed("layout: sglang, swa_policy: pool=0.1, " + tier + ", points_every: 2000}}");
  try {
    check_can_run(odd);
    FAIL("accepted");
  } catch (const InputError& e) {
    CHECK(std::string(e.what()).find("points_every: expected a multiple of the block of 256") !=
          std::string::npos);
  }
}

TEST_CASE("tiers: a multiple of GPU memory is of one rank's, or of all that share the tier") {
  const Scenario s =
      parsed("memory: 8 GiB, tiers: {host: {" + kRates + ", times_gpu: 2}, ssd: {" + kRates +
                 ", times_gpu: 10}, remote: {" + kRates + ", capacity: 1 TiB}}",
             "data_parallel: 8");
  const auto replica = make_replica(s);
  const TierStack& first = *replica->rank(0).cache().tiers();
  const TierStack& second = *replica->rank(1).cache().tiers();
  CHECK(first.tier(0).spec().capacity == Bytes{16 * kGiB});
  CHECK(first.tier(1).spec().capacity == Bytes{8 * 80 * kGiB});
  CHECK(first.tier(2).spec().capacity == Bytes{1024 * kGiB});
  CHECK(&first.tier(0) != &second.tier(0));
  CHECK(&first.tier(1) == &second.tier(1));
  const TierLinks links = tier_links(s);
  CHECK(links.layers == 43);
  CHECK(links.tiers[0].read_bytes_per_s == 50e9);
  CHECK(links.tiers[1].shared);
}

TEST_CASE("tiers: performed and recorded steps are refused") {
  const Scenario s = parsed("tiers: {host: {" + kRates + "}}");
  try {
    check_steps_one_by_one(s);
    CHECK(false);
  } catch (const InputError& e) {
    CHECK(std::string(e.what()).find("kv_cache.tiers: expected none") != std::string::npos);
  }
}

}  // namespace
}  // namespace v4cap
