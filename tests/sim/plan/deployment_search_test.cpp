// The answer of a plan on small spaces of the bundled sample, against running everything.
#include "sim/plan/deployment_search.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>

#include "sim/config/scenario_file.h"
#include "sim/plan/plan_report.h"
#include "sim/report/data_table.h"
#include "tests/temp_dir.h"

namespace v4cap {
namespace {

const std::string kBase = std::string(V4CAP_SOURCE_DIR) + "/scenarios/quickstart.yaml";

// Six deployments, one of which does not fit.
std::string small_plan(const std::string& more) {
  return "base: " + kBase +
         "\n"
         "axes:\n"
         "  workset: {keys: [profile, kv_cache.memory], rows: [[none, 4 GiB]]}\n"
         "  kv_cache.swa_policy: [full, recompute]\n"
         "  node:\n"
         "    keys: [hardware, deployment.tensor_parallel, kv_cache.memory_fraction]\n"
         "    rows: [[hgx-b200, 8, 0.9], [hgx-h200, 8, 0.9]]\n"
         "thresholds: [ttft_ms.p90 <= 2500, tpot_ms.p50 <= 40]\n"
         "seeds: [1, 2]\n"
         "sample: {rounds: 1}\n" +
         more;
}

PlanFile file_of(const TempDir& dir, const std::string& text) {
  return read_plan_file(dir.write("p.yaml", text), {}, std::nullopt, "");
}

TEST_CASE("plan: on a small space the answer is that of running every load of every deployment") {
  const TempDir dir;
  const PlanFile file =
      file_of(dir, small_plan("load: {from: 1, to: 14, asked: 20, tolerance: 0}\nlevers: []\n"
                              "prices: on-demand-2026\n"));
  const PlanAnswer answer = search_deployments(file, {"", 2}, {});
  REQUIRE(answer.deployments.size() == 4);
  CHECK(answer.skipped_share() == 0);

  TrialRunner runner(file.rules);
  std::size_t best = 0;
  double best_price = INFINITY, best_held = 0;
  bool different = false;
  for (std::size_t i = 0; i < answer.deployments.size(); ++i) {
    const DeploymentResult& d = answer.deployments[i];
    double held = INFINITY;
    for (std::size_t k = 0; k < file.seeds.size(); ++k) {
      double of_seed = 0;
      for (int load = 1; load <= 14; ++load) {
        const Trial t =
            runner.run(d.scenario, {.load = static_cast<double>(load), .seed = file.seeds[k]}, {});
        if (!t.met) break;
        of_seed = load;
      }
      CAPTURE(i);
      CAPTURE(k);
      // Further seeds only where they can make it the answer.
      if (k < d.by_seed.size()) CHECK(d.by_seed[k].held == of_seed);
      held = std::min(held, of_seed);
    }
    CHECK(d.held >= held);
    if (d.by_seed.size() == file.seeds.size()) CHECK(d.held == held);
    different |= held != answer.deployments.front().held;
    if (held == 0) continue;
    const double engines = std::ceil(20 / held);
    const double price =
        engines * 8 * file.prices->gpu_hour.at(d.scenario.hardware.gpu.name).per_hour;
    if (price < best_price || (price == best_price && held > best_held)) {
      best = i;
      best_price = price;
      best_held = held;
    }
  }
  CHECK(different);
  REQUIRE(answer.best.has_value());
  CHECK(*answer.best == best);
  CHECK(answer.deployments[best].price == doctest::Approx(best_price));
  CHECK(answer.money.hour == doctest::Approx(best_price));
  for (const Trial& t : answer.at_load) CHECK(t.met);
}

TEST_CASE("plan: without an asked load the cheapest task is looked for, not the largest load") {
  const TempDir dir;
  const PlanFile file = file_of(dir, small_plan("load: {from: 1, to: 14, tolerance: 0}\n"
                                                "levers: []\nprices: on-demand-2026\n"));
  const PlanAnswer answer = search_deployments(file, {"", 2}, {});
  REQUIRE(answer.best.has_value());
  for (const DeploymentResult& d : answer.deployments) {
    if (d.held <= 0) continue;
    const double gpu_hour = file.prices->gpu_hour.at(d.scenario.hardware.gpu.name).per_hour;
    double dearest = 0;
    for (std::size_t s = 0; s < d.by_seed.size(); ++s) {
      double least = INFINITY;
      for (const Trial& t : d.trials) {
        if (t.seed != file.seeds[s] || !t.met || t.load > d.by_seed[s].held) continue;
        least = std::min(least, task_cost(t, gpu_hour));
      }
      CHECK(d.cheapest[s].task_cost == least);
      dearest = std::max(dearest, least);
    }
    CHECK(d.price == dearest);
    CHECK(answer.deployments[*answer.best].price <= d.price);
  }
  const DeploymentResult& best = answer.deployments[*answer.best];
  CHECK(answer.replica_load <= best.held);
  for (const Trial& t : answer.at_load) CHECK(t.met);
  CHECK(plan_report_text(file, answer, {}).find(" USD a session at ") != std::string::npos);
}

// `full` holds few agents, so that its search alone runs few; `tail` holds many and serves few better
// all the same.
TEST_CASE("plan: no deployment of the space beats a point of the front under its load") {
  const TempDir dir;
  const PlanFile file = file_of(
      dir,
      "base: " + kBase +
          "\naxes:\n"
          "  engine_of: {keys: [kv_cache.layout, engine.scheduler, profile], rows: [[vllm, null, "
          "auto]]}\n"
          "  kv_cache.swa_policy: [tail, full]\n"
          "thresholds: [ttft_ms.p90 <= 3000]\nseeds: [1]\nsample: {rounds: 1}\nlevers: []\n"
          "load: {from: 1, to: 40}\n");
  const PlanAnswer answer = search_deployments(file, {"", 2}, {});
  REQUIRE(answer.best.has_value());
  CHECK(answer.deployments[0].held > 2 * answer.deployments[1].held);
  CHECK(answer.frontier.size() > 4);
  CHECK(answer.frontier.back().trial.load <= 2);
  TrialRunner runner(file.rules);
  for (const FrontierPoint& p : answer.frontier) {
    for (std::size_t i = 0; i < answer.deployments.size(); ++i) {
      if (i == p.deployment) continue;
      CAPTURE(i);
      CAPTURE(p.trial.load);
      const Trial rival = runner.run(answer.deployments[i].scenario, {.load = p.trial.load}, {});
      // A tie is left to the answer.
      const double more = p.deployment == *answer.best ? 1.0102 : 1;
      CHECK_FALSE((rival.interactivity > more * p.trial.interactivity &&
                   rival.tok_s_per_gpu > more * p.trial.tok_s_per_gpu));
    }
  }
  CHECK_FALSE(answer.deployments[0].for_front.empty());
  CHECK(plan_report_text(file, answer, {}).find("All 2 deployments at full length") !=
        std::string::npos);
}

TEST_CASE("plan: which runs may beat a point of the front") {
  const auto run = [](double load, double user, double gpu, const char* saturated = "false") {
    Trial t;
    t.load = load;
    t.interactivity = user;
    t.tok_s_per_gpu = gpu;
    t.figures = {{"saturated", saturated}};
    return t;
  };
  const Trial point = run(8, 50, 1000);
  CHECK(may_beat(point, 8, {}));
  CHECK(may_beat(point, 8, {run(4, 60, 600), run(16, 30, 1500)}));
  CHECK(may_beat(point, 8, {run(16, 30, 1500, "true")}));
  CHECK(may_beat(point, 8, {run(4, 49, 600), run(16, 30, 980)}));  // noise
  CHECK_FALSE(may_beat(point, 8, {run(8, 30, 900)}));              // it was run
  CHECK_FALSE(may_beat(point, 8, {run(4, 40, 600)}));              // slower already
  CHECK_FALSE(may_beat(point, 8, {run(16, 30, 900)}));             // fewer even then
  CHECK_FALSE(may_beat(point, 8, {run(4, 60, 600, "true")}));      // and no steady state
}

TEST_CASE("plan: runs.csv says of a run what the answer says binds") {
  const TempDir dir;
  const PlanFile file =
      file_of(dir, "base: " + kBase +
                       "\naxes: {profile: [none]}\nseeds: [1]\nthresholds: [ttft_ms.p90 <= 400]\n"
                       "load: {from: 1, to: 40, tolerance: 0}\nsample: {rounds: 1}\nlevers: []\n");
  const PlanAnswer answer = search_deployments(file, {"", 2}, {});
  REQUIRE(answer.beyond.has_value());
  std::string csv;
  for (const RunFile& out : plan_report_files(file, answer)) {
    if (out.name == "runs.csv") out.write([&](std::string_view text) { csv += text; });
  }
  const DataTable runs = read_data_table(dir.write("runs.csv", csv), 1000);
  const DataColumn* const load = runs.find("load");
  const DataColumn* const binds = runs.find("binding_constraint");
  const DataColumn* const share = runs.find("binding_share");
  REQUIRE((load != nullptr && binds != nullptr && share != nullptr));
  bool found = false;
  for (std::size_t row = 0; row < load->numbers.size(); ++row) {
    if (load->numbers[row] != answer.beyond->load) continue;
    found = true;
    CHECK(binds->texts[row] == answer.beyond->binding);
    CHECK(share->numbers[row] == answer.beyond->binding_share);
  }
  CHECK(found);
}

TEST_CASE("plan: the name of a lever says that experts are spread, too") {
  ScenarioOptions options;
  options.find_traces = false;
  const auto named = [](const Scenario& scenario) {
    for (const Lever& lever : usual_levers(scenario, {})) {
      if (lever.name.starts_with("half the tensor parallelism")) return lever.name;
    }
    return std::string();
  };
  CHECK(named(load_scenario(kBase, options)).ends_with("experts spread over all GPUs"));
  options.set = {"deployment.expert_parallel=8"};
  CHECK(named(load_scenario(kBase, options)).ends_with("twice the attention ranks"));
}

TEST_CASE("plan: equal bytes on one and three threads") {
  const TempDir dir;
  const PlanFile file = file_of(dir, small_plan("load: {from: 1, to: 10}\n"));
  const auto document = [&](unsigned threads) {
    return plan_report_json(file, search_deployments(file, {"", threads}, {}));
  };
  const std::string one = document(1);
  CHECK(one == document(3));
  CHECK(one.find("\"frontier\"") != std::string::npos);
}

TEST_CASE("plan: halving skips a part of the space and says how much") {
  const TempDir dir;
  const std::string space = "load: {from: 1, to: 10, tolerance: 0}\nlevers: []\n";
  const PlanFile whole = file_of(dir, small_plan(space));
  const PlanFile halved =
      file_of(dir, small_plan(space + "search: {exact_up_to: 2, first_size: 0.5}\n"));
  const PlanAnswer exact = search_deployments(whole, {"", 2}, {});
  const PlanAnswer quick = search_deployments(halved, {"", 2}, {});
  CHECK(quick.at_full_length == 1);
  CHECK(quick.skipped_share() == doctest::Approx(0.75));
  CHECK(quick.rounds >= 2);
  REQUIRE(quick.best.has_value());
  // On this space the short runs rank as the long ones do.
  CHECK(quick.best == exact.best);
  CHECK(quick.deployments[*quick.best].held == exact.deployments[*exact.best].held);
}

TEST_CASE("plan: what does not fit is infeasible with its reason, what misses the SLO says which") {
  const TempDir dir;
  const PlanFile file =
      file_of(dir, "base: " + kBase +
                       "\naxes:\n  profile: [none]\n  hardware: [hgx-b200, hgx-h100]\n"
                       "thresholds: [ttft_ms.p50 <= 0.001]\nload: {from: 1, to: 4}\nseeds: [1]\n"
                       "sample: {rounds: 1}\n");
  const PlanAnswer answer = search_deployments(file, {"", 2}, {});
  CHECK_FALSE(answer.best.has_value());
  CHECK(answer.deployments[0].reason.empty());
  CHECK(answer.deployments[1].reason.find("GiB") != std::string::npos);
  const std::string json = plan_report_json(file, answer);
  CHECK(json.find("\"best\": null") != std::string::npos);
  CHECK(json.find("ttft_ms.p50 <= 0.001") != std::string::npos);
  CHECK(plan_report_text(file, answer, {}).starts_with("Nothing carries this traffic"));
}

TEST_CASE("plan: a lever's gain is that of a run with it") {
  const TempDir dir;
  const PlanFile file =
      file_of(dir, "base: " + kBase +
                       "\naxes: {profile: [none], engine.max_running: [2]}\nseeds: [1]\n"
                       "thresholds: [ttft_ms.p90 <= 3000]\nload: {from: 1, to: 12, tolerance: 0}\n"
                       "sample: {rounds: 1}\n"
                       "levers: [{engine.max_running: 32}, {engine.max_running: 1}]\n");
  const PlanAnswer answer = search_deployments(file, {"", 2}, {});
  REQUIRE(answer.best.has_value());
  REQUIRE(answer.levers.size() == 2);
  const LeverGain& more = answer.levers.front();
  CHECK(more.lever.name == "engine.max_running: 32");
  CHECK(more.gain > 0);
  CHECK(answer.levers.back().gain == 0);
  TrialRunner runner(file.rules);
  const Scenario with = scenario_of_point(answer.plan, answer.plan.points[0], "", &more.lever);
  CHECK(with.engine.max_running == 32);
  CHECK(runner.run(with, {.load = more.held}, {}).met);
  CHECK(more.held_without == answer.deployments[0].by_seed.front().held);
  CHECK(more.held_without * (1 + more.gain) == doctest::Approx(more.held));
  CHECK(plan_report_text(file, answer, {}).find("seed 1 holds") != std::string::npos);
  // The roofline's error is not known, and nothing is made of it.
  CHECK_FALSE(answer.error.percent.has_value());
  CHECK_FALSE(answer.held_slow.has_value());
}

TEST_CASE(
    "plan: a profile's error comes from replays where there are some, else from left-out samples") {
  const TempDir dir;
  const auto error_of = [&](const std::string& set) {
    ScenarioOptions options;
    options.find_traces = false;
    options.set = {set};
    return model_error(load_scenario(kBase, options));
  };
  CHECK(error_of("profile=none").profile == "roofline");
  const ModelError held_out = error_of("profile=b200-sglang-0.5.14");
  REQUIRE(held_out.percent.has_value());
  CHECK(*held_out.percent > 0.5);
  CHECK(*held_out.percent < 50);
  CHECK(held_out.source.find("left-out samples") != std::string::npos);
  CHECK(held_out.origin.find("NVIDIA B200") != std::string::npos);

  // A profile whose steps were performed on its GPU.
  ScenarioOptions options;
  options.find_traces = false;
  options.set = {"profile=h100-v4exec-deepseek-v4-flash-tp4-ep4-quick"};
  const ModelError replayed = model_error(load_scenario(
      std::string(V4CAP_SOURCE_DIR) + "/scenarios/executor/flash_chat.yaml", options));
  REQUIRE(replayed.percent.has_value());
  CHECK(replayed.source.find("exec/measured/h100.json") != std::string::npos);
  CHECK(*replayed.percent > 1);
  CHECK(*replayed.percent < 50);
}

TEST_CASE("plan: a search that is stopped ends at once") {
  const TempDir dir;
  const PlanFile file = file_of(dir, small_plan("load: {from: 1, to: 10}\n"));
  CHECK_THROWS_AS(search_deployments(file, {"", 2}, {.go_on = [] { return false; }, .says = {}}),
                  Simulation::Interrupted);
}

}  // namespace
}  // namespace v4cap
