// One rank on one GPU that stands for a deployment, with collectives skipped: which deployments may,
// and what is said and timed of them.
#include <doctest/doctest.h>

#include <string>

#include "sim/cluster/run_scenario.h"
#include "sim/config/scenario_file.h"
#include "sim/cost/roofline.h"
#include "sim/output/run_summary.h"
#include "tests/models.h"

namespace v4cap {
namespace {

Scenario parsed(const std::string& deployment, const std::string& hardware = "hgx-h100") {
  ScenarioOptions options;
  options.find_traces = false;
  return parse_scenario("model: deepseek-v4-pro\nhardware: " + hardware +
                            "\nworkload: {trace: none}\ndeployment: {" + deployment + "}\n",
                        "s.yaml", options);
}

std::string refusal(const std::string& deployment) {
  try {
    parsed(deployment);
  } catch (const InputError& e) {
    return e.what();
  }
  return "accepted";
}

// Three sequences that decode beside a chunk.
StepPlan mixed_plan() {
  StepPlan plan;
  plan.pieces.assign(
      3,
      {.kind = PieceKind::decode, .emits_token = true, .past = Tokens{2'000}, .tokens = Tokens{1}});
  plan.pieces.push_back({.kind = PieceKind::prefill, .past = Tokens{0}, .tokens = Tokens{512}});
  return plan;
}

TEST_CASE("collectives are included unless a scenario skips them, and its copy says which") {
  CHECK(parsed("tensor_parallel: 8").deployment.collectives);
  CHECK(parsed("tensor_parallel: 8").resolved_yaml.find("collectives: included") !=
        std::string::npos);
  const Scenario s = parsed("tensor_parallel: 8, expert_parallel: 8, collectives: skipped");
  CHECK_FALSE(s.deployment.collectives);
  CHECK_FALSE(step_setting(s).collectives);
  CHECK(s.resolved_yaml.find("collectives: skipped") != std::string::npos);
  CHECK(identify(s).times.ends_with("collectives skipped: one rank of TP8 EP8"));
  CHECK(identify(parsed("tensor_parallel: 8")).times.find("collectives") == std::string::npos);
}

TEST_CASE("one rank may stand for a deployment that is wider than the node") {
  const std::string wide = "tensor_parallel: 16, expert_parallel: 16";
  for (const std::string hardware : {"{base: hgx-h100, gpus_per_node: 1}", "hgx-h100"}) {
    CAPTURE(hardware);
    const Scenario s = parsed(wide + ", collectives: skipped", hardware);
    CHECK_NOTHROW(check_can_run(s));
    CHECK(s.deployment.gpus() == 16);
    CHECK(make_cost(s).model->step_time(mixed_plan()).total > Duration{});
  }
  CHECK_THROWS_AS(check_can_run(parsed(wide)), InputError);
}

TEST_CASE("a deployment that cannot be one rank is refused with its place") {
  CHECK(refusal("tensor_parallel: 4, data_parallel: 2, collectives: skipped") ==
        "s.yaml:4:49: deployment.data_parallel: expected 1, as collectives are skipped: one rank "
        "stands for all, got 2");
  CHECK(refusal("collectives: skiped") ==
        "s.yaml:4:27: deployment.collectives: expected one of its names, got \"skiped\"; did you "
        "mean 'skipped'?");
  CHECK(refusal("tensor_parallel: 4, expert_parallel: 3, collectives: skipped") ==
        "s.yaml:4:51: deployment.expert_parallel: expected a divisor of the engine's GPUs (4), got "
        "3");
  CHECK(refusal("tensor_parallel: 256, collectives: skipped") ==
        "s.yaml:4:31: deployment.tensor_parallel: expected a divisor of the model's heads (128), "
        "got 256");
  CHECK(refusal("tensor_parallel: 4, data_parallel: 2, collectives: included") == "accepted");
}

TEST_CASE("without collectives no operator moves bytes between GPUs, and no link is needed") {
  StepSetting alone = known_setting("deepseek-v4-pro", 8), joined = alone;
  alone.expert_parallel = joined.expert_parallel = 8;
  alone.collectives = false;
  const StepPlan plan = mixed_plan();
  OperatorList others;
  for (const Operator& op : StepOperators(joined).list(plan)) {
    if (op.part != OperatorPart::collectives) others.push_back(op);
  }
  const OperatorList list = StepOperators(alone).list(plan);
  REQUIRE(list.size() == others.size());
  for (std::size_t i = 0; i < list.size(); ++i) {
    CHECK(list[i].name == others[i].name);
    CHECK(list[i].link_bytes == 0);
    CHECK(list[i].work.bytes() == others[i].work.bytes());
  }
  HardwareSpec hardware = known_hardware("hgx-h100");
  const Duration time = RooflineCost(alone, hardware).step_time(plan).total;
  CHECK(time < RooflineCost(joined, hardware).step_time(plan).total);
  hardware.gpus_per_node = 1;
  hardware.link_bytes_per_s_peak = 0;
  CHECK(RooflineCost(alone, hardware).step_time(plan).total == time);
}

}  // namespace
}  // namespace v4cap
