// `replay` and `simulate --steps` as a person types them, on a device that only takes time.
#include <doctest/doctest.h>
#include <stdlib.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <boost/json.hpp>
#include <filesystem>
#include <string>
#include <vector>

#include "exec/replay_command.h"
#include "sim/output/steps_file.h"
#include "tests/golden.h"
#include "tests/sim/app/program_run.h"
#include "tests/temp_dir.h"

namespace v4cap {
namespace {

const std::string kQuickstart = std::string(V4CAP_SOURCE_DIR) + "/scenarios/quickstart.yaml";

// What the fake device throws, as v4exec explains what CUDA throws.
std::optional<RunError> explain_fake(const std::exception& error) {
  if (error.what() != std::string("fake code 214")) return {};
  return RunError("the GPU is lost: fake", "device_lost");
}

// The command by itself, as a program would run it.
ProgramRun run_replay(std::vector<std::string> arguments, std::vector<std::string> set = {},
                      bool json = false, bool dry_run = false) {
  GlobalOptions options;
  options.set = std::move(set);
  options.json = json;
  options.dry_run = dry_run;
  const auto command = exec::make_replay_command(explain_fake);
  CLI::App app;
  command->add_options(app);
  std::ranges::reverse(arguments);
  std::ostringstream out, err;
  CommandContext context{out, err, std::move(options)};
  ExitCode code = ExitCode::failed;
  try {
    app.parse(arguments);
    code = command->run(context);
  } catch (const CLI::ParseError& error) {
    err << error.what();
    code = ExitCode::bad_input;
  } catch (const InputError& error) {
    err << error.what();
    code = ExitCode::bad_input;
  } catch (const RunError& error) {
    err << error.kind() << ": " << error.what();
  }
  return {code, out.str(), err.str()};
}

std::vector<std::string> files_of(const std::string& directory) {
  std::vector<std::string> names;
  for (const auto& entry : std::filesystem::directory_iterator(directory)) {
    names.push_back(entry.path().filename().string());
  }
  std::ranges::sort(names);
  return names;
}

const std::vector<std::string> kRunFiles = {"decisions.csv",
                                            "profile_export.jsonl",
                                            "profile_export_aiperf.json",
                                            "replay.json",
                                            "scenario.resolved.yaml",
                                            "steps.csv",
                                            "summary.json",
                                            "timeline.csv"};

TEST_CASE("replay: the simulator makes the same files from the steps of a run") {
  for (const std::string policy : {"full", "checkpoint=2048", "recompute"}) {
    CAPTURE(policy);
    const TempDir dir;
    const std::vector<std::string> set = {"kv_cache.swa_policy=" + policy, "kv_cache.memory=3 GiB"};
    const ProgramRun run = run_replay(
        {kQuickstart, "--out", dir / "real", "--as-fast-as-possible", "--limit-requests", "120"},
        set, true);
    REQUIRE_MESSAGE(run.code == ExitCode::done, run.err);
    CHECK(files_of(dir / "real") == kRunFiles);
    const boost::json::value summary = boost::json::parse(run.out);
    CHECK(summary.at("requests").as_int64() == 120);
    CHECK(summary.at("times").as_string() == "measured steps");
    CHECK(summary.at("time_share").at("measured").to_number<double>() == 1);
    if (policy == "full")
      CHECK(file_text(dir / "real/decisions.csv").find(",evict,") != std::string::npos);

    std::vector<std::string> simulated = {"simulate",    kQuickstart, "--out",
                                          dir / "again", "--steps",   dir / "real",
                                          "--json",      "--set",     "workload.max_requests=120"};
    for (const std::string& value : set) simulated.insert(simulated.end(), {"--set", value});
    const ProgramRun again = run_v4cap(simulated);
    REQUIRE_MESSAGE(again.code == ExitCode::done, again.err);
    CHECK(boost::json::parse(again.out).at("result_hash") == summary.at("result_hash"));
    for (const std::string& name : kRunFiles) {
      if (name == "replay.json") continue;
      CAPTURE(name);
      const std::string first = file_text(dir / ("real/" + name));
      const std::string second = file_text(dir / ("again/" + name));
      CHECK(first == second);
      CHECK_FALSE(first.empty());
    }
    const boost::json::value replayed = boost::json::parse(file_text(dir / "real/replay.json"));
    CHECK(replayed.at("device").at("name").as_string() == "fake GPU");
    CHECK(replayed.at("device").at("driver").as_string() == "1.2.3");
    CHECK(replayed.at("clocks_before").at("sm_mhz").to_number<double>() == 1980);
    CHECK(replayed.at("pace").as_string() == "as_fast_as_possible");
    CHECK(replayed.at("late_ms").at("waits").as_int64() == 0);
    CHECK(replayed.at("result_hash") == summary.at("result_hash"));
    CHECK(replayed.at("date").as_string().size() == 20);
  }
}

TEST_CASE("replay: a simulation that is not of the recorded run says what it has otherwise") {
  const TempDir dir;
  const ProgramRun run = run_replay(
      {kQuickstart, "--out", dir / "real", "--as-fast-as-possible", "--limit-requests", "20"});
  REQUIRE_MESSAGE(run.code == ExitCode::done, run.err);
  const auto simulated = [&](std::vector<std::string> more) {
    std::vector<std::string> arguments = {"simulate", kQuickstart, "--steps", dir / "real"};
    arguments.insert(arguments.end(), more.begin(), more.end());
    const ProgramRun again = run_v4cap(arguments);
    CHECK(again.code == ExitCode::failed);
    return again.err;
  };
  const std::string fewer = simulated({"--set", "workload.max_requests=12"});
  CAPTURE(fewer);
  CHECK(fewer.find("; the recorded run has requests 20 and not 12\n") != std::string::npos);
  const std::string more = simulated(
      {"--set", "workload.max_requests=12", "--set", "engine.scheduler=vllm", "--set", "seed=7"});
  CAPTURE(more);
  CHECK(more.find("; the recorded run has scheduler fcfs and not vllm, seed 1 and not 7, requests "
                  "20 and not 12\n") != std::string::npos);
  std::filesystem::remove(dir / "real/summary.json");
  const std::string without = simulated({"--set", "workload.max_requests=12"});
  CHECK(without.find("the run is not the recorded one from step ") != std::string::npos);
  CHECK(without.find("; the recorded run has") == std::string::npos);
}

TEST_CASE("replay: a run in real time waits for its arrivals") {
  const TempDir dir;
  const ProgramRun run =
      run_replay({kQuickstart, "--out", dir / "real", "--limit-requests", "4"},
                 {"workload.arrivals.mode=poisson", "workload.arrivals.sessions_at_a_time=null",
                  "workload.arrivals.rate_per_s=40"});
  REQUIRE_MESSAGE(run.code == ExitCode::done, run.err);
  const boost::json::value replayed = boost::json::parse(file_text(dir / "real/replay.json"));
  CHECK(replayed.at("pace").as_string() == "real_time");
  CHECK(run.out.find(" waits for arrivals ended late by ") != std::string::npos);
  CHECK(replayed.at("late_ms").at("waits").as_int64() > 0);
  CHECK(replayed.at("wall_s").to_number<double>() > replayed.at("busy_s").to_number<double>());
}

TEST_CASE("replay: what only the program can explain ends it like any other fault") {
  const TempDir dir;
  setenv("V4CAP_FAKE_THROWS_AT", "3", 1);
  const ProgramRun run = run_replay(
      {kQuickstart, "--out", dir / "lost", "--as-fast-as-possible", "--limit-requests", "8"});
  unsetenv("V4CAP_FAKE_THROWS_AT");
  CHECK(run.code == ExitCode::failed);
  CHECK(run.err.starts_with("device_lost: the GPU is lost: fake; kept: " +
                            (dir / "lost/steps.csv.partial")));
}

TEST_CASE("replay: a run that stops keeps its steps and says where") {
  const TempDir dir;
  setenv("V4CAP_FAKE_FAILS_AT", "5", 1);
  const ProgramRun run = run_replay(
      {kQuickstart, "--out", dir / "lost", "--as-fast-as-possible", "--limit-requests", "8"});
  unsetenv("V4CAP_FAKE_FAILS_AT");
  CHECK(run.code == ExitCode::failed);
  CHECK(run.err.find("device_lost: the GPU is lost: step") != std::string::npos);
  CHECK(run.err.find("; kept: " + (dir / "lost/steps.csv.partial")) != std::string::npos);
  CHECK(files_of(dir / "lost") ==
        std::vector<std::string>{"decisions.csv.partial", "steps.csv.partial"});
  StepsReader reader(dir / "lost/steps.csv.partial");
  for (int step = 0; step < 5; ++step) CHECK(reader.next() != nullptr);
  CHECK(reader.next() == nullptr);

  const ProgramRun again = run_v4cap({"simulate", kQuickstart, "--steps", dir / "lost"});
  CHECK(again.code == ExitCode::bad_input);
  CHECK(again.err.find("steps.csv.partial is what it had performed") != std::string::npos);
}

TEST_CASE(
    "replay: on a GPU where somebody else computes nothing counts, before the run or behind it") {
  for (const char* at : {"1", "2"}) {
    CAPTURE(at);
    const TempDir dir;
    setenv("V4CAP_FAKE_SHARED_AT", at, 1);
    const ProgramRun run = run_replay(
        {kQuickstart, "--out", dir / "shared", "--as-fast-as-possible", "--limit-requests", "8"});
    unsetenv("V4CAP_FAKE_SHARED_AT");
    CHECK(run.code == ExitCode::failed);
    CHECK(run.err.find("busy_gpu: replay: ") != std::string::npos);
    CHECK(run.err.find("process 4711 with 3.000 GiB") != std::string::npos);
    const bool performed = std::string(at) == "2";
    CHECK((run.err.find("kept: ") != std::string::npos) == performed);
    CHECK(std::filesystem::exists(dir / "shared/steps.csv.partial") == performed);
  }
}

TEST_CASE("replay: a profile of another GPU ends it before the first step") {
  const std::string profile = "h100-v4exec-deepseek-v4-flash-tp4-ep4-quick";
  const auto run = [](const TempDir& dir, const std::string& name) {
    return run_replay(
        {kQuickstart, "--out", dir / "run", "--as-fast-as-possible", "--limit-requests", "8"},
        {"profile=" + name});
  };
  const TempDir dir;
  const ProgramRun other = run(dir, profile);
  CHECK(other.code == ExitCode::failed);
  CHECK(other.err ==
        "wrong_profile: " + profile +
            ": expected a profile of fake GPU, found one of NVIDIA H100 80GB HBM3; calibrate this "
            "GPU, or name a profile of it or none");
  CHECK_FALSE(std::filesystem::exists(dir / "run/steps.csv.partial"));

  const TempDir own;
  setenv("V4CAP_FAKE_NAME", "NVIDIA H100 80GB HBM3", 1);
  CHECK(run(own, profile).code == ExitCode::done);
  setenv("V4CAP_FAKE_NAME", "NVIDIA H100 PCIe", 1);
  CHECK(run(dir, profile).err.starts_with("wrong_profile: "));
  unsetenv("V4CAP_FAKE_NAME");
  // Times of engines are transferred between GPUs.
  const TempDir engines;
  CHECK(run(engines, "h200-sglang-0.5.14").code == ExitCode::done);
}

TEST_CASE("replay: heat is refused before the run, and said when it comes in it") {
  const TempDir dir;
  const auto run = [&](const char* slowed_at, const char* name, bool json) {
    setenv("V4CAP_FAKE_SLOWED_AT", slowed_at, 1);
    setenv("V4CAP_FAKE_STEP_US", "5000", 1);
    const ProgramRun r = run_replay(
        {kQuickstart, "--out", dir / name, "--as-fast-as-possible", "--limit-requests", "2"}, {},
        json);
    unsetenv("V4CAP_FAKE_SLOWED_AT");
    unsetenv("V4CAP_FAKE_STEP_US");
    return r;
  };
  const ProgramRun before = run("1", "hot", false);
  CHECK(before.code == ExitCode::failed);
  CHECK(before.err.starts_with("clocks_dropped: replay: the GPU is slowed down: thermal slowdown"));
  CHECK_FALSE(std::filesystem::exists(dir / "hot/steps.csv.partial"));

  // One reading is made before the run and one behind it, the others while steps run.
  const ProgramRun in_it = run("3", "warm", true);
  REQUIRE_MESSAGE(in_it.code == ExitCode::done, in_it.err);
  const boost::json::value file = boost::json::parse(file_text(dir / "warm/replay.json"));
  const boost::json::value& during = file.at("during");
  const auto samples = during.at("samples").to_number<double>();
  CHECK(samples >= 3);
  CHECK(during.at("slowed_share").to_number<double>() == doctest::Approx(1 - 1 / samples));
  CHECK(during.at("power_capped_share").to_number<double>() == 0);
  CHECK(during.at("sm_mhz").at("p50").to_number<double>() == 1200);
  CHECK(during.at("power_w").at("max").to_number<double>() == 500);
  CHECK(boost::json::parse(in_it.out).at("during") == during);
  CHECK(in_it.err.find("heat or the hardware slowed the GPU in ") != std::string::npos);
}

TEST_CASE("replay: wrong use") {
  const TempDir dir;
  CHECK(run_replay({kQuickstart}).code == ExitCode::bad_input);
  const ProgramRun drafts =
      run_replay({kQuickstart, "--out", dir / "a"}, {"engine.draft_tokens=1"});
  CHECK(drafts.code == ExitCode::bad_input);
  CHECK(drafts.err.find("engine.draft_tokens: expected 0") != std::string::npos);
  const ProgramRun dry = run_replay({kQuickstart, "--out", dir / "a"}, {}, false, true);
  CHECK(dry.code == ExitCode::done);
  CHECK(dry.err == "a run of 829 requests would be performed\n");
  CHECK_FALSE(std::filesystem::exists(dir / "a"));
  CHECK(run_v4cap({"simulate", kQuickstart, "--steps", dir / "nowhere"}).code ==
        ExitCode::bad_input);
  CHECK(run_v4cap({"simulate", kQuickstart, "--steps", dir.path(), "--compare", "full"}).code ==
        ExitCode::bad_input);
}

// Recorded once by `replay`; what is decided under these times must not change unnoticed. Where it
// changes on purpose, the log is recorded anew.
TEST_CASE("replay: a recorded log gives the records that were committed with it") {
  const TempDir dir;
  const std::string golden = std::string(V4CAP_SOURCE_DIR) + "/tests/golden/replay";
  const ProgramRun run =
      run_v4cap({"simulate", golden + "/scenario.yaml", "--steps", golden, "--out", dir / "again"});
  REQUIRE_MESSAGE(run.code == ExitCode::done, run.err);
  for (const std::string name : {"steps.csv", "decisions.csv", "profile_export.jsonl"}) {
    check_golden("replay/" + name, file_text(dir / ("again/" + name)));
  }
}

}  // namespace
}  // namespace v4cap
