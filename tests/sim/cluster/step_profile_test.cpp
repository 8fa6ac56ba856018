// A scenario on a profile of whole steps (`v4cap fit STEPS.jsonl`): the log decides how long its steps
// take, and what is of another GPU or deployment is refused.
#include <doctest/doctest.h>
#include <fmt/format.h>

#include <string>
#include <vector>

#include "sim/cluster/run_scenario.h"
#include "sim/config/profile_file.h"
#include "sim/config/scenario_file.h"
#include "sim/core/parallel.h"
#include "sim/cost/step_fit_cost.h"
#include "sim/output/run_summary.h"
#include "tests/sim/app/program_run.h"
#include "tests/sim/cluster/same_run.h"
#include "tests/sim/random_scenario.h"
#include "tests/temp_dir.h"

namespace v4cap {
namespace {

// Writes a line of a log for each step of one rank that it is asked for.
class Logged final : public CostModel {
 public:
  Logged(const CostModel& model, std::string& log) : model_(model), log_(log) {}
  using CostModel::step_time;
  StepTime step_time(std::span<const StepPlan* const> ranks) const override {
    REQUIRE(ranks.size() == 1);
    const StepTime time = model_.step_time(ranks);
    std::string prefills, decodes;
    for (const StepPiece& piece : ranks[0]->pieces) {
      if (piece.kind == PieceKind::decode) {
        decodes += fmt::format("{}{}", decodes.empty() ? "" : ", ", piece.past.value + 1);
      } else {
        prefills += fmt::format("{}[{}, {}]", prefills.empty() ? "" : ", ", piece.tokens.value,
                                piece.past.value);
      }
    }
    log_ += fmt::format("{{\"ms\": {:.6f}, \"prefill\": [{}], \"decode_contexts\": [{}]}}\n",
                        1e3 * to_seconds(time.total), prefills, decodes);
    return time;
  }

 private:
  const CostModel& model_;
  std::string& log_;
};

std::string served(const std::string& profile, const std::string& arrivals,
                   const std::string& more = "deployment: {tensor_parallel: 8}\n") {
  return "model: deepseek-v4-pro\nhardware: hgx-b200\nprofile: " + profile +
         "\n"
         "engine: {max_running: 64, step_tokens: 8192, host: {overlapped: false}}\n"
         "kv_cache: {layout: sglang, memory: 60 GiB}\n"
         "workload:\n"
         "  synthetic:\n"
         "    sessions: 300\n"
         "    turns_min: 1\n"
         "    turns_max: 1\n"
         "    first_prompt: {kind: lognormal, mean: 6000, sigma: 1, min: 100, max: 40000}\n"
         "    output: {kind: lognormal, mean: 150, sigma: 0.7, min: 4, max: 1000}\n"
         "  arrivals: {" +
         arrivals + "}\n" + more;
}

constexpr const char* kBurst = "mode: burst";
constexpr const char* kOpen = "mode: poisson, rate_per_s: 2";

struct World {
  // Profiles are written in `text` as they are from the folder.
  Scenario scenario(std::string text) const {
    const std::string here = "profile: ./";
    if (const std::size_t at = text.find(here); at != std::string::npos) {
      text.replace(at, here.size(), "profile: " + dir.path() + '/');
    }
    return parse_scenario(text, dir / "scenario.yaml");
  }
  RunResult play(const Scenario& scenario, std::string* log = nullptr) const {
    const ScenarioCost cost = make_cost(scenario);
    const auto replica = make_replica(scenario);
    std::string unused;
    const Logged logged(*cost.model, log == nullptr ? unused : *log);
    const CostModel& model = log == nullptr ? *cost.model : static_cast<const CostModel&>(logged);
    return run_parts(scenario, load_workload(scenario), *replica, model, {});
  }
  ProgramRun fit(const std::string& name, const std::string& log,
                 std::vector<std::string> more = {}) const {
    std::vector<std::string> arguments = {"fit",      dir.write(name + ".jsonl", log),
                                          "--out",    dir.path(),
                                          "--name",   name,
                                          "--gpu",    "B200",
                                          "--engine", "sglang",
                                          "--model",  "deepseek-v4-pro"};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return run_v4cap(arguments);
  }
  // The message of what refuses a scenario.
  std::string refusal(const std::string& text) const {
    try {
      make_cost(scenario(text));
    } catch (const InputError& e) {
      const std::string message = e.what();
      const std::size_t at = message.find("scenario.yaml");
      return at == std::string::npos ? message : message.substr(at);
    }
    return "accepted";
  }
  TempDir dir;
};

struct Means {
  double ttft_s = 0, tpot_s = 0;
};
Means means(const RunResult& run) {
  Means out;
  double outputs = 0;
  for (const RequestRecord& r : run.records) {
    REQUIRE(r.end == RequestEnd::finished);
    out.ttft_s += to_seconds(r.first_token - r.arrival) / static_cast<double>(run.records.size());
    out.tpot_s += to_seconds(r.finished - r.first_token);
    outputs += static_cast<double>(r.output.value - 1);
  }
  out.tpot_s /= outputs;
  return out;
}

std::string ten_times(const std::string& log) {
  std::string out;
  for (std::size_t at = 0; at < log.size();) {
    const std::size_t end = log.find('\n', at) + 1;
    const std::size_t begin = log.find(": ", at) + 2, comma = log.find(',', begin);
    out += log.substr(at, begin - at);
    out += fmt::format("{:.6f}", 10 * std::stod(log.substr(begin, comma - begin)));
    out += log.substr(comma, end - comma);
    at = end;
  }
  return out;
}

TEST_CASE(
    "steps of a simulation, fitted and simulated again, give its times within a few percent") {
  const World world;
  for (const char* arrivals : {kBurst, kOpen}) {
    CAPTURE(std::string(arrivals));
    std::string log;
    const RunResult was = world.play(world.scenario(served("b200-sglang-0.5.14", arrivals)), &log);
    const std::string name = arrivals == kBurst ? "burst" : "open";
    REQUIRE(world.fit(name, log).code == ExitCode::done);
    const Scenario scenario = world.scenario(served("./" + name + ".yaml", arrivals));
    CHECK(dynamic_cast<const StepFitCost*>(make_cost(scenario).model.get()) != nullptr);
    const RunResult is = world.play(scenario);
    // doctest's Approx takes differences relative to 1 for what is below it: ratios are compared.
    CHECK(to_seconds(is.totals.busy) / to_seconds(was.totals.busy) ==
          doctest::Approx(1).epsilon(0.01));
    const Means before = means(was), after = means(is);
    CHECK(after.ttft_s / before.ttft_s == doctest::Approx(1).epsilon(0.03));
    CHECK(after.tpot_s / before.tpot_s == doctest::Approx(1).epsilon(0.01));
    const TimeShare& share = is.totals.share;
    const double busy_s = to_seconds(is.totals.busy);
    CHECK(share.interpolated_s > 0.95 * busy_s);
    CHECK(share.interpolated_s + share.extrapolated_s == doctest::Approx(busy_s));
    CHECK(share.measured_s + share.transferred_s + share.roofline_s + share.host_s == 0);
    CHECK(is.totals.clamped_steps == 0);
  }
}

TEST_CASE("a log with ten times the milliseconds makes TTFT and TPOT ten times as long") {
  const World world;
  std::string log;
  world.play(world.scenario(served("b200-sglang-0.5.14", kBurst)), &log);
  REQUIRE(world.fit("own", log).code == ExitCode::done);
  REQUIRE(world.fit("slow", ten_times(log)).code == ExitCode::done);
  const RunResult own = world.play(world.scenario(served("./own.yaml", kBurst)));
  const RunResult slow = world.play(world.scenario(served("./slow.yaml", kBurst)));
  const Means is = means(own), tenfold = means(slow);
  CHECK(tenfold.ttft_s / is.ttft_s == doctest::Approx(10).epsilon(0.002));
  CHECK(tenfold.tpot_s / is.tpot_s == doctest::Approx(10).epsilon(0.002));
  CHECK(slow.totals.steps == own.totals.steps);

  // As a person would have it, with a profile beside the scenario.
  const std::string file = world.dir.write("served.yaml", served("none", kBurst));
  const ProgramRun run =
      run_v4cap({"simulate", file, "--json", "--set", "profile=" + (world.dir / "slow.yaml")});
  REQUIRE(run.code == ExitCode::done);
  CHECK(run.out.find("\"roofline\": 0,") != std::string::npos);
  const std::string hash = hash_text(slow.totals.result_hash);
  CHECK(run.out.find(hash) != std::string::npos);
}

TEST_CASE("steps of another GPU or deployment than a scenario's are refused") {
  const World world;
  std::string log;
  for (int i = 1; i <= 30; ++i) {
    log += fmt::format("{{\"ms\": {}, \"decode_tokens\": {}, \"decode_context\": {}}}\n", 20 + i, i,
                       1000 * i);
  }
  const ProgramRun silent = world.fit("mine", log, {"--tp", "8", "--ep", "8"});
  CHECK(silent.err == "not stated, and so not compared with a scenario: --dp, --draft-tokens\n");
  CHECK(world.fit("all", log, {"--tp", "8", "--dp", "1", "--ep", "8", "--draft-tokens", "0"}).err ==
        "");
  const auto widths = [](const std::string& text) { return "deployment: {" + text + "}\n"; };
  const std::string fits = widths("tensor_parallel: 8, expert_parallel: 8");
  const auto refused = [&](const std::string& profile, const std::string& more) {
    return world.refusal(served(profile, kBurst, more));
  };
  CHECK(refused("./mine.yaml", fits) == "accepted");
  CHECK(refused("./all.yaml", fits) == "accepted");
  CHECK(refused("./mine.yaml", widths("tensor_parallel: 8")) ==
        "scenario.yaml: deployment.expert_parallel: expected 8, as the steps of mine, got 1");
  CHECK(refused("./mine.yaml", widths("tensor_parallel: 4, expert_parallel: 4")) ==
        "scenario.yaml:14:31: deployment.tensor_parallel: expected 8, as the steps of mine, got 4");
  std::string other = served("./mine.yaml", kBurst, fits);
  other.replace(other.find("-pro"), 4, "-flash");
  CHECK(world.refusal(other) ==
        "scenario.yaml:3:10: profile: expected steps of deepseek-v4-flash, those of mine are of "
        "deepseek-v4-pro");
  other = served("./mine.yaml", kBurst, fits);
  other.replace(other.find("hgx-b200"), 8, "hgx-h200");
  CHECK(world.refusal(other) ==
        "scenario.yaml:3:10: profile: expected one of H200, times of whole steps are not "
        "transferred between GPUs, mine is of B200");
  other = served("./all.yaml", kBurst, fits);
  other.replace(other.find("max_running"), 0, "draft_tokens: 1, acceptance_length: 1.5, ");
  CHECK(world.refusal(other).find("engine.draft_tokens: expected 0, as the steps of all, got 1") !=
        std::string::npos);
  CHECK(make_cost(world.scenario(served("./mine.yaml", kBurst, fits))).missing ==
        std::vector<std::string>{"prefill"});
  const ProgramRun transfer =
      run_v4cap({"fit", "--transfer", world.dir / "mine.yaml", "--to", "hgx-h200"});
  CHECK(transfer.code == ExitCode::bad_input);
  CHECK(transfer.err.find("expected a profile of modules, mine is of whole steps") !=
        std::string::npos);
}

TEST_CASE("random scenarios on whole steps: the same bytes as plainly") {
  class Plain final : public CostModel {
   public:
    explicit Plain(const CostModel& model) : model_(model) {}
    using CostModel::step_time;
    StepTime step_time(std::span<const StepPlan* const> ranks) const override {
      return model_.step_time(ranks);
    }

   private:
    const CostModel& model_;
  };
  const World world;
  std::string mixed, decodes;
  for (int i = 1; i <= 60; ++i) {
    const std::string decode =
        fmt::format("\"decode_tokens\": {}, \"decode_context\": {}", i, i * (500 + 37 * (i % 11)));
    decodes += fmt::format("{{\"ms\": {:.3f}, {}}}\n", 9 + 0.05 * i + 0.1 * (i % 7), decode);
    mixed += fmt::format("{{\"ms\": {:.3f}, {}}}\n", 9 + 0.05 * i + 0.1 * (i % 7), decode);
    mixed += fmt::format("{{\"ms\": {:.3f}, {}, \"prefill\": [[{}, {}]]}}\n", 15 + 0.9 * i, decode,
                         50 * i, 300 * (i % 13));
  }
  const auto fitted = [&](const std::string& name, const std::string& log) {
    std::vector<std::string> arguments = {"fit",    world.dir.write(name + ".jsonl", log),
                                          "--out",  world.dir.path(),
                                          "--name", name,
                                          "--gpu",  "B200"};
    REQUIRE(run_v4cap(arguments).code == ExitCode::done);
  };
  fitted("mixed", mixed);
  fitted("decodes", decodes);
  constexpr std::size_t kCount = 120;
  struct Seen {
    std::string difference;
    double fitted = 0, roofline = 0;
    std::int64_t finished = 0;
  };
  std::vector<Seen> all(kCount);
  parallel_for(
      kCount,
      [&](std::size_t i) {
        std::string text = random_scenario(7000 + i);
        const std::size_t at = text.find("profile: ") + 9;
        text.replace(at, text.find('\n', at) - at, i % 3 == 0 ? "./decodes.yaml" : "./mixed.yaml");
        const Scenario scenario = world.scenario(text);
        const Trace trace = load_workload(scenario);
        const ScenarioCost cost = make_cost(scenario);
        const auto play = [&](bool plain) {
          const auto replica = make_replica(scenario, plain);
          const Plain slowly(*cost.model);
          const CostModel& model = plain ? static_cast<const CostModel&>(slowly) : *cost.model;
          return run_parts(scenario, trace, *replica, model, {.skips_steady = !plain});
        };
        const RunResult fast = play(false), plain = play(true);
        const TimeShare& share = fast.totals.share;
        all[i] = {difference(fast, plain), share.interpolated_s + share.extrapolated_s,
                  share.roofline_s, fast.totals.finished};
      },
      2);
  std::size_t by_both = 0, finished = 0;
  for (std::size_t i = 0; i < kCount; ++i) {
    CAPTURE(7000 + i);
    CHECK(all[i].difference == "");
    if (all[i].finished > 0) CHECK(all[i].fitted > 0);
    by_both += all[i].fitted > 0 && all[i].roofline > 0 ? 1 : 0;
    finished += all[i].finished > 0 ? 1 : 0;
  }
  CHECK(by_both > kCount / 3);
  CHECK(finished > kCount * 9 / 10);
}

}  // namespace
}  // namespace v4cap
