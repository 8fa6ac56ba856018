// Tiers below GPU memory, as a person would ask for them: what a summary, a table and a sweep say.
#include <doctest/doctest.h>

#include <boost/json.hpp>
#include <fstream>
#include <string>
#include <vector>

#include "tests/data.h"
#include "tests/sim/app/program_run.h"
#include "tests/temp_dir.h"

namespace v4cap {
namespace {

const std::string kSource = V4CAP_SOURCE_DIR;

// The bundled sessions on GPUs with room for a few of them, over host memory and an SSD.
std::vector<std::string> asked(const std::vector<std::string>& more) {
  std::vector<std::string> arguments = {"simulate", kSource + "/scenarios/quickstart.yaml",
                                        "--quiet"};
  std::vector<std::string> sets = {"profile=none", "kv_cache.memory=8 GiB"};
  for (const std::string tier : {"host", "ssd"}) {
    sets.push_back("kv_cache.tiers." + tier + ".read_bandwidth=50 GB/s");
    sets.push_back("kv_cache.tiers." + tier + ".write_bandwidth=50 GB/s");
  }
  sets.emplace_back("kv_cache.tiers.ssd.drive=10 TB");
  sets.insert(sets.end(), more.begin(), more.end());
  for (const std::string& set : sets) {
    arguments.emplace_back("--set");
    arguments.push_back(set);
  }
  return arguments;
}

boost::json::value summary_of(const std::vector<std::string>& more) {
  std::vector<std::string> arguments = asked(more);
  arguments.emplace_back("--json");
  const ProgramRun run = run_v4cap(arguments);
  CAPTURE(run.err);
  REQUIRE(run.code == ExitCode::done);
  return boost::json::parse(run.out);
}

std::int64_t sum_of(const boost::json::value& kinds) {
  std::int64_t sum = 0;
  for (const auto& kind : kinds.as_object()) sum += kind.value().as_int64();
  return sum;
}

TEST_CASE("tiers: a summary says what was lost with a tier") {
  const std::string fault =
      "cluster.faults=[{kind: lost_tier, tier: host, at: 10 s, for: 5 s, replica: 0}]";
  const boost::json::value s = summary_of({fault});
  const boost::json::value& host = s.at("tiers").at("host");
  CHECK(host.at("lost_gib").as_double() > 0.1);
  CHECK(host.at("lost_gib").as_double() ==
        doctest::Approx(static_cast<double>(sum_of(host.at("lost_bytes"))) / (1 << 30)));
  CHECK(summary_of({}).at("tiers").at("host").at("lost_gib").to_number<double>() == 0);
}

TEST_CASE("tiers: a summary says what each had hit, read and written, and a table does") {
  const boost::json::value s = summary_of({});
  const auto& tiers = s.at("tiers");
  CHECK(tiers.at("gpu_hit_tokens").as_int64() + tiers.at("host").at("hit_tokens").as_int64() +
            tiers.at("ssd").at("hit_tokens").as_int64() ==
        s.at("hit_tokens").as_int64());
  CHECK(tiers.at("host").at("hit_tokens").as_int64() > 0);
  for (const std::string name : {"host", "ssd"}) {
    const auto& tier = tiers.at(name);
    const std::int64_t written = sum_of(tier.at("written_bytes"));
    CHECK(written > 0);
    CHECK(tier.at("written_bytes_per_output_token").as_double() ==
          doctest::Approx(static_cast<double>(written) /
                          static_cast<double>(s.at("output_tokens").as_int64())));
    CHECK(tier.at("read_utilisation").as_double() <= 1);
    CHECK(tier.at("write_utilisation").as_double() > 0);
  }
  CHECK(tiers.at("host").at("drive_writes_per_day").is_null());
  const auto& ssd = tiers.at("ssd");
  CHECK(ssd.at("drive_writes_per_day").as_double() ==
        doctest::Approx(static_cast<double>(sum_of(ssd.at("written_bytes"))) /
                        s.at("duration_s").as_double() * 86400 / 10e12));

  const ProgramRun text = run_v4cap(asked({}));
  CHECK(text.out.find("Tier host, 8.00 GiB, write_through") != std::string::npos);
  CHECK(text.out.find("drive writes per day") != std::string::npos);
}

TEST_CASE("tiers: full store writes several times the bytes of the other policies") {
  const auto written = [](const std::string& policy) {
    return sum_of(summary_of({"kv_cache.swa_policy=" + policy, "kv_cache.tiers.host.times_gpu=50"})
                      .at("tiers")
                      .at("host")
                      .at("written_bytes"));
  };
  const auto compressed = static_cast<double>(written("recompute"));
  // 35,624 B of windows a token beside 5,511 B of entries.
  CHECK(static_cast<double>(written("full")) / compressed == doctest::Approx(7.46).epsilon(0.05));
  CHECK(static_cast<double>(written("checkpoint=2048")) / compressed < 2);
}

// Claim 10, as the table of the README has it: host memory and SSD of 100 times the GPU's. All of
// scenarios/sweep_tiers.yaml takes a minute.
DATA_TEST_CASE("claim 10: below the GPU full store writes 7.5 times the compressed entries") {
  const auto run = [](const std::string& policy) {
    const ProgramRun out = run_v4cap(
        {"simulate", kSource + "/scenarios/agents_tiers.yaml", "--json", "--quiet", "--traces",
         (data_dir() / "traces").string(), "--set", "kv_cache.swa_policy=" + policy, "--set",
         "kv_cache.tiers.host.times_gpu=10", "--set", "kv_cache.tiers.ssd.times_gpu=90"});
    CAPTURE(out.err);
    REQUIRE((out.code == ExitCode::done || out.code == ExitCode::slo_missed));
    return boost::json::parse(out.out);
  };
  const auto number = [](const boost::json::value& at) { return at.to_number<double>(); };
  const auto written = [&](const boost::json::value& s, const char* tier) {
    return number(s.at("tiers").at(tier).at("written_bytes_per_output_token")) / 1e3;
  };
  const boost::json::value full = run("full"), sparse = run("checkpoint=2048"),
                           none = run("recompute");
  CHECK(written(full, "ssd") / written(none, "ssd") == doctest::Approx(7.46).epsilon(0.01));
  CHECK(written(full, "host") + written(full, "ssd") == doctest::Approx(1566).epsilon(0.02));
  CHECK(written(sparse, "host") + written(sparse, "ssd") == doctest::Approx(310).epsilon(0.02));
  CHECK(written(none, "host") + written(none, "ssd") == doctest::Approx(191).epsilon(0.02));
  CHECK(number(full.at("hit_rate")) == doctest::Approx(0.951).epsilon(0.002));
  CHECK(number(sparse.at("hit_rate")) == doctest::Approx(0.946).epsilon(0.002));
  CHECK(number(none.at("rebuilt_tokens")) == doctest::Approx(44.7e6).epsilon(0.02));
  CHECK(number(none.at("ttft_ms").at("p50")) > 2 * number(full.at("ttft_ms").at("p50")));
}

TEST_CASE("tiers: without any a run is what it was, and says nothing of them") {
  const ProgramRun run = run_v4cap({"simulate", kSource + "/scenarios/quickstart.yaml", "--json",
                                    "--set", "workload.max_requests=20"});
  CHECK(run.out.find("tiers") == std::string::npos);
}

TEST_CASE("tiers: a run with them is the same on every build") {
  CHECK(
      std::string(
          summary_of({"kv_cache.swa_policy=checkpoint=2048+ends"}).at("result_hash").as_string()) ==
      "3e6629f3ed99e062");
}

}  // namespace
}  // namespace v4cap
