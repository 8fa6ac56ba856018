// The program's main job, run whole and in the process: the bundled sample under the three
// policies.
#include <doctest/doctest.h>

#include <algorithm>
#include <boost/json.hpp>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

#include "sim/app/scenario_options.h"
#include "tests/sim/app/program_run.h"
#include "tests/temp_dir.h"

namespace v4cap {

namespace {

const std::string kQuickstart = std::string(V4CAP_SOURCE_DIR) + "/scenarios/quickstart.yaml";

std::string text_of(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

struct Expected {
  std::string policy;
  std::string hash;
};

// The same on every compiler, optimisation level and machine. They change when the model, the
// cache, the engine or the sample changes on purpose; the failing check prints the new value.
const std::vector<Expected> kExpected = {
    {"full", "42d8a1ed973297ca"},
    {"checkpoint=2048", "8ee7d58e97886667"},
    {"recompute", "15c4618f3abb4c12"},
};

}  // namespace

TEST_CASE("simulate: the bundled sample gives the same result on every build") {
  const ProgramRun run = run_v4cap(
      {"simulate", kQuickstart, "--json", "--compare", "full", "checkpoint=2048", "recompute"});
  REQUIRE(run.code == ExitCode::done);
  const boost::json::value document = boost::json::parse(run.out);
  const auto& runs = document.at("runs").as_array();
  REQUIRE(runs.size() == kExpected.size());
  for (std::size_t i = 0; i < runs.size(); ++i) {
    CAPTURE(kExpected[i].policy);
    CHECK(std::string(runs[i].at("result_hash").as_string()) == kExpected[i].hash);
    CHECK(runs[i].at("requests").as_int64() == 829);
    CHECK(runs[i].at("finished").as_int64() == 829);
    CHECK(runs[i].at("hit_rate").as_double() < runs[i].at("ideal_hit_rate").as_double());
  }
}

TEST_CASE("simulate: two runs write the same bytes") {
  const TempDir dir;
  const auto run_into = [&](const std::string& name) {
    const ProgramRun run = run_v4cap({"simulate", kQuickstart, "--out", dir / name, "--set",
                                      "kv_cache.swa_policy=checkpoint=2048"});
    REQUIRE(run.code == ExitCode::done);
  };
  run_into("a");
  run_into("b");
  std::size_t files = 0;
  for (const auto& entry : std::filesystem::directory_iterator(dir / "a")) {
    CAPTURE(entry.path().filename().string());
    CHECK(text_of(entry.path()) ==
          text_of(std::filesystem::path(dir / "b") / entry.path().filename()));
    ++files;
  }
  CHECK(files == 5);
  CHECK(run_v4cap({"simulate", kQuickstart, "--out", dir / "a"}).code == ExitCode::bad_input);
}

TEST_CASE("simulate: a margin is what figures are when all steps take that much more or less") {
  const TempDir dir;
  const auto run_with = [&](std::vector<std::string> more) {
    std::vector<std::string> arguments{"simulate", kQuickstart, "--json", "--set",
                                       "kv_cache.swa_policy=recompute"};
    arguments.insert(arguments.end(), more.begin(), more.end());
    const ProgramRun run = run_v4cap(arguments);
    REQUIRE(run.code == ExitCode::done);
    return boost::json::parse(run.out);
  };
  const boost::json::value plain = run_with({});
  const boost::json::value one = run_with({"--margin", "4", "--out", dir / "out"});
  CHECK(one.at("result_hash") == plain.at("result_hash"));
  CHECK(one.at("margin").at("step_time_pct").to_number<double>() == 4);
  CHECK(one.at("margin").at("runs").as_int64() == 5);
  const auto& figures = one.at("margin").at("figures").as_object();
  for (const auto& [group, part] :
       {std::pair{"ttft_ms", "p50"}, std::pair{"tpot_ms", "p90"}, std::pair{"e2el_ms", "p99"}}) {
    const std::string name = std::string(group) + '.' + part;
    CAPTURE(name);
    double low = plain.at(group).at(part).to_number<double>(), high = low;
    CHECK(figures.at(name).at("here").to_number<double>() == low);
    for (const char* factor : {"0.96", "0.98", "1.02", "1.04"}) {
      const double moved = run_with({"--set", std::string("step_time_factor=") + factor})
                               .at(group)
                               .at(part)
                               .to_number<double>();
      low = std::min(low, moved);
      high = std::max(high, moved);
    }
    CHECK(low < high);
    CHECK(figures.at(name).at("low").to_number<double>() == low);
    CHECK(figures.at(name).at("high").to_number<double>() == high);
  }
  CHECK(run_with({"--margin", "4", "--threads", "3"}).at("margin") == one.at("margin"));
  CHECK(boost::json::parse(text_of(dir / "out/margin.json")).at("margin") == one.at("margin"));
  // Of an earlier run: it does not stay beside another's figures.
  run_with({"--out", dir / "out", "--overwrite"});
  CHECK_FALSE(std::filesystem::exists(dir / "out/margin.json"));

  const boost::json::value longer = run_with({"--set", "step_time_factor=1.04"});
  CHECK(std::string(longer.at("times").as_string()).find("all steps 1.04 times as long") !=
        std::string::npos);
}

TEST_CASE("simulate: a margin beyond what a step can take, or of several runs, is refused") {
  for (const char* percent : {"0", "-2", "51", "two"}) {
    CAPTURE(percent);
    CHECK(run_v4cap({"simulate", kQuickstart, "--margin", percent}).code == ExitCode::bad_input);
  }
  const ProgramRun compared =
      run_v4cap({"simulate", kQuickstart, "--margin", "2", "--compare", "full", "tail"});
  CHECK(compared.code == ExitCode::bad_input);
  CHECK(compared.err.find("--margin: expected one run") != std::string::npos);
  const ProgramRun factor = run_v4cap({"simulate", kQuickstart, "--set", "step_time_factor=0"});
  CHECK(factor.code == ExitCode::bad_input);
  CHECK(factor.err.find("step_time_factor: expected") != std::string::npos);
}

TEST_CASE(
    "simulate: a run of more requests than are kept writes each and says what its quantiles are") {
  const TempDir dir;
  std::ofstream(dir / "lengths.csv") << "TIMESTAMP,ContextTokens,GeneratedTokens\n"
                                        "2023-11-16 18:15:46.6805900,3000,2\n"
                                        "2023-11-16 18:15:50.9951690,20,1\n";
  std::ofstream(dir / "long.yaml")
      << "model: deepseek-v4-flash\nhardware: hgx-b200\nkv_cache: {swa_policy: recompute}\n"
         "workload: {trace: lengths.csv, clip_to_tokens: 40, arrivals: {mode: closed_loop, "
         "sessions_at_a_time: 200}}\n";
  const auto run_of = [&](const std::string& requests) {
    const std::string out = dir / requests;
    const ProgramRun run = run_v4cap({"simulate", dir / "long.yaml", "--out", out, "--json",
                                      "--set", "workload.cycle_to_requests=" + requests});
    REQUIRE(run.code == ExitCode::done);
    return out;
  };
  const std::string kept = run_of("100000"), streamed = run_of("100002");
  CHECK(text_of(kept + "/summary.json").find("quantile_relative_error") == std::string::npos);
  CHECK(text_of(streamed + "/summary.json").find("\"quantile_relative_error\": 0.0009765625") !=
        std::string::npos);
  CHECK(text_of(streamed + "/profile_export_aiperf.json").find("quantile_relative_error") !=
        std::string::npos);
  CHECK_FALSE(std::filesystem::exists(streamed + "/profile_export.jsonl.partial"));
  std::ifstream lines(streamed + "/profile_export.jsonl");
  std::string line;
  std::int64_t count = 0;
  for (; std::getline(lines, line); ++count) {
    REQUIRE(line.find("\"x_request_id\":\"request-" + std::to_string(count) + '"') !=
            std::string::npos);
  }
  CHECK(count == 100'002);
}

TEST_CASE("simulate: a comparison writes a folder for each policy") {
  const TempDir dir;
  const ProgramRun run = run_v4cap({"simulate", kQuickstart, "--compare", "full", "recompute",
                                    "--out", dir / "out", "--set", "workload.max_requests=40"});
  REQUIRE(run.code == ExitCode::done);
  const std::string full = text_of(dir / "out/full/summary.json");
  const std::string recompute = text_of(dir / "out/recompute/summary.json");
  CHECK(full.find("\"policy\": \"full\"") != std::string::npos);
  CHECK(recompute.find("\"policy\": \"recompute\"") != std::string::npos);
}

TEST_CASE("simulate: a client's warm-up is not taken for requests that a recorded run lacks") {
  const TempDir dir;
  const std::string scenario =
      dir.write("client.yaml",
                "model: deepseek-v4-pro\nhardware: hgx-b200\ndeployment: {tensor_parallel: 8}\n"
                "workload:\n"
                "  synthetic: {sessions: 6, first_prompt: {kind: constant, mean: 300}, output: "
                "{kind: constant, "
                "mean: 5}}\n"
                "  arrivals: {mode: client, concurrency: 2, warmup_requests: 2}\n");
  const ProgramRun recorded = run_v4cap({"simulate", scenario, "--quiet", "--out", dir / "run"});
  CAPTURE(recorded.err);
  REQUIRE(recorded.code == ExitCode::done);
  const std::string golden = text_of(V4CAP_SOURCE_DIR "/tests/golden/replay/steps.csv");
  dir.write("run/steps.csv", golden.substr(0, golden.find('\n') + 1));
  const ProgramRun run = run_v4cap({"simulate", scenario, "--steps", dir / "run"});
  CAPTURE(run.err);
  CHECK(run.code == ExitCode::failed);
  CHECK(run.err.find("the recorded run has") == std::string::npos);
  const ProgramRun more = run_v4cap(
      {"simulate", scenario, "--steps", dir / "run", "--set", "workload.synthetic.sessions=7"});
  CAPTURE(more.err);
  CHECK(more.err.find("; the recorded run has requests 6 and not 7") != std::string::npos);
}

TEST_CASE("simulate: one run and the runs of a comparison do not share a folder") {
  const TempDir dir;
  const auto run = [&](const std::string& folder, std::vector<std::string> more) {
    std::vector<std::string> all = {"simulate", kQuickstart, "--set", "workload.max_requests=5",
                                    "--quiet",  "--out",     folder,  "--overwrite"};
    all.insert(all.end(), more.begin(), more.end());
    return run_v4cap(all);
  };
  REQUIRE(run(dir / "one", {}).code == ExitCode::done);
  REQUIRE(run(dir / "more", {"--compare", "full", "recompute"}).code == ExitCode::done);
  const std::string kept = text_of(dir / "one/summary.json");
  const ProgramRun comparison = run(dir / "one", {"--compare", "full", "recompute"});
  CHECK(comparison.code == ExitCode::bad_input);
  CHECK(comparison.err.find("found summary.json") != std::string::npos);
  CHECK_FALSE(std::filesystem::exists(dir / "one/full"));
  const ProgramRun one = run(dir / "more", {});
  CHECK(one.code == ExitCode::bad_input);
  CHECK(one.err.find("/summary.json") != std::string::npos);
  CHECK_FALSE(std::filesystem::exists(dir / "more/summary.json"));
  CHECK(run(dir / "one", {}).code == ExitCode::done);
  CHECK(run(dir / "more", {"--compare", "full", "recompute"}).code == ExitCode::done);
  CHECK(text_of(dir / "one/summary.json").size() > 0);
  CHECK(kept.find("full") != std::string::npos);
}

TEST_CASE(
    "simulate: a path that is typed is seen from the current folder, else from the scenario's") {
  namespace fs = std::filesystem;
  const TempDir dir;
  const std::string file = dir.write("some/profile.yaml", "");
  const std::string typed = fs::relative(file, fs::current_path()).string();
  const std::string whole = fs::absolute(typed).lexically_normal().string();
  CHECK(override_as_typed("profile=" + typed) == "profile=" + whole);
  CHECK(override_as_typed("workload.trace=" + typed) == "workload.trace=" + whole);
  const std::vector<std::string> same = {
      "profile=" + file, "profile=b200-sglang-0.5.14", "profile=nowhere/here.yaml", "profile=",
      "profile",         "kv_cache.layout=" + typed};
  for (const std::string& text : same) CHECK(override_as_typed(text) == text);
  const ProgramRun run = run_v4cap({"check", kQuickstart, "--set", "profile=" + typed});
  CHECK(run.code == ExitCode::bad_input);
  CHECK(run.err.find(whole) != std::string::npos);
}

TEST_CASE("simulate: the resolved copy of a run gives the same result") {
  const TempDir dir;
  const std::string out = dir / "run";
  REQUIRE(
      run_v4cap({"simulate", kQuickstart, "--out", out, "--set", "engine.max_running=4"}).code ==
      ExitCode::done);
  const ProgramRun again =
      run_v4cap({"simulate", out + "/scenario.resolved.yaml", "--out", out + "2"});
  REQUIRE(again.code == ExitCode::done);
  CHECK(text_of(out + "/profile_export.jsonl") == text_of(out + "2/profile_export.jsonl"));
}

TEST_CASE("simulate: wrong use is refused before anything runs") {
  struct Row {
    std::string name;
    std::vector<std::string> arguments;
    std::string message;
  };
  const std::vector<Row> rows = {
      {"no scenario", {"simulate"}, "SCENARIO"},
      {"missing file", {"simulate", "nowhere.yaml"}, "nowhere.yaml"},
      {"unknown policy", {"simulate", kQuickstart, "--compare", "ful"}, "did you mean 'full'?"},
      {"policy without its argument",
       {"simulate", kQuickstart, "--compare", "full", "checkpoint"},
       "checkpoint"},
      {"a policy twice",
       {"simulate", kQuickstart, "--compare", "full", "full"},
       "each policy once"},
      {"interval that no block ends at",
       {"simulate", kQuickstart, "--set", "kv_cache.swa_policy=checkpoint=1000"},
       "multiple of the block of 256 tokens"},
      {"interval beyond any context",
       {"simulate", kQuickstart, "--set", "kv_cache.swa_policy=checkpoint=9223372036854775552"},
       "K from 1 to 16777216 tokens"},
      {"threshold below what is rebuilt",
       {"simulate", kQuickstart, "--set", "kv_cache.swa_policy=recompute", "--set",
        "kv_cache.recompute_threshold_tokens=1000"},
       "at least the 7808 tokens"},
      {"unknown layout",
       {"simulate", kQuickstart, "--set", "kv_cache.layout=idael"},
       "did you mean 'ideal'?"},
      {"unknown scheduler", {"simulate", kQuickstart, "--set", "engine.scheduler=lifo"}, "fcfs"},
      {"a client of turns that wait for each other",
       {"simulate", kQuickstart, "--set", "workload.arrivals={mode: client, concurrency: 4}"},
       "concurrency: 4}: workload.arrivals.mode: "},
      {"a host that takes years for a token",
       {"simulate", kQuickstart, "--set", "engine.host.prompt_token=2562047 h"},
       "such as 2 s or 50 us, from 0 ns to 1 s, got"},
      {"blocks that do not nest",
       {"simulate", kQuickstart, "--set", "kv_cache.block_tokens=96", "--set",
        "kv_cache.tails=stored"},
       "64-token blocks"},
      {"a policy for a model without windows",
       {"simulate", kQuickstart, "--set", "model=deepseek-v3", "--compare", "recompute"},
       "full"},
  };
  for (const Row& row : rows) {
    CAPTURE(row.name);
    const ProgramRun run = run_v4cap(row.arguments);
    CAPTURE(run.err);
    CHECK(run.code == ExitCode::bad_input);
    CHECK(run.out.empty());
    CHECK(run.err.find(row.message) != std::string::npos);
  }
}

TEST_CASE("simulate: a model that does not fit its node is told so, and by how much") {
  const ProgramRun run = run_v4cap({"simulate", kQuickstart, "--set", "hardware=hgx-h100"});
  CHECK(run.code == ExitCode::failed);
  CHECK(run.err.find("GiB") != std::string::npos);
}

TEST_CASE("simulate: a missed SLO ends with 99") {
  const ProgramRun run = run_v4cap({"simulate", kQuickstart, "--set", "slo.ttft_p99=1 ms"});
  CHECK(run.code == ExitCode::slo_missed);
  CHECK(run.err.find("SLO missed: p99 TTFT") != std::string::npos);
}

TEST_CASE("simulate: every model runs") {
  for (const std::string model :
       {"deepseek-v4-pro", "deepseek-v4-flash", "deepseek-v3.2", "deepseek-v3", "gqa-70b"}) {
    CAPTURE(model);
    const ProgramRun run =
        run_v4cap({"simulate", kQuickstart, "--json", "--set", "model=" + model});
    CAPTURE(run.err);
    REQUIRE(run.code == ExitCode::done);
    const boost::json::value summary = boost::json::parse(run.out);
    CHECK(summary.at("finished").as_int64() + summary.at("refused").as_int64() == 829);
    CHECK(summary.at("finished").as_int64() > 0);
  }
}

}  // namespace v4cap
