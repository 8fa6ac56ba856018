// Which measured times a scenario's steps take: its own GPU's, those of another one rescaled, none.
#include <doctest/doctest.h>

#include <string>

#include "sim/cluster/run_scenario.h"
#include "sim/config/scenario_file.h"

namespace v4cap {
namespace {

Scenario scenario_on(const std::string& hardware, const std::string& profile = "",
                     const std::string& layout = "sglang") {
  ScenarioOptions options;
  options.find_traces = false;
  return parse_scenario("model: deepseek-v4-pro\nhardware: " + hardware +
                            "\nworkload: {trace: none}\ndeployment: {tensor_parallel: 4}\n" +
                            "kv_cache: {layout: " + layout + "}\n" +
                            (profile.empty() ? "" : "profile: " + profile + "\n"),
                        "s.yaml", options);
}

// 32 requests that decode.
StepTime decode_step(const CostModel& model) {
  StepPlan plan;
  plan.pieces.assign(32, {.kind = PieceKind::decode, .past = Tokens{20'000}, .tokens = Tokens{1}});
  return model.step_time(plan);
}

TEST_CASE("a GPU without a profile takes those of the GPUs that its hardware file names") {
  const Scenario b300 = scenario_on("hgx-b300");
  CHECK(b300.profile == "b200-sglang-0.5.14");
  CHECK(b300.profile_donors.empty());
  const Scenario h20 = scenario_on("hgx-h20-96gb", "auto");
  CHECK(h20.profile == "h200-sglang-0.5.14");
  CHECK(h20.profile_donors == std::vector<std::string>{"h100-sglang-0.5.14"});
  // The resolved copy chooses the same.
  CHECK(h20.resolved_yaml.find("profile: auto") != std::string::npos);
  CHECK(b300.resolved_yaml.find("profile: auto") != std::string::npos);

  CHECK(scenario_on("mi300x").profile == "");
  CHECK(scenario_on("mi300x", "auto").profile == "");
  CHECK(scenario_on("hgx-b300", "none").profile == "");
  CHECK(scenario_on("hgx-b300", "", "ideal").profile == "");
  const Scenario b200 = scenario_on("hgx-b200", "auto");
  CHECK(b200.profile == "b200-sglang-0.5.14");
  CHECK(b200.profile_donors.empty());
}

TEST_CASE("steps of a transferred profile are counted as transferred and near the donor's") {
  const ScenarioCost own = make_cost(scenario_on("hgx-b200"));
  const ScenarioCost other = make_cost(scenario_on("hgx-b300"));
  CHECK(own.profile->find("attention_csa_decode")->marks ==
        std::vector<std::string>{"warm_l2", "topk_corrected"});
  CHECK(other.profile->find("attention_csa_decode")->has_mark("transferred"));
  CHECK(other.profile->gpu == "B300");
  CHECK(other.profile->source.find("b200-sglang-0.5.14") != std::string::npos);
  const StepTime on_b200 = decode_step(*own.model), on_b300 = decode_step(*other.model);
  CHECK(on_b200.share.transferred_s == 0);
  CHECK(on_b300.share.measured_s + on_b300.share.interpolated_s == 0);
  CHECK(on_b300.share.transferred_s > 0.5 * to_seconds(on_b300.total));
  // Memory 8 / 7.7 as fast, all else the same.
  CHECK(on_b300.total < on_b200.total);
  CHECK(to_seconds(on_b300.total) > 7.7 / 8 * to_seconds(on_b200.total));
}

TEST_CASE("a named profile of another GPU is transferred if it is of the layout's engine") {
  const Scenario named = scenario_on("hgx-h100", "b200-sglang-0.5.14");
  const ScenarioCost cost = make_cost(named);
  CHECK(cost.profile->gpu == "H100");
  CHECK(decode_step(*cost.model).share.transferred_s > 0);
  // A layout that is no engine's takes any.
  CHECK(make_cost(scenario_on("hgx-h100", "b200-sglang-0.5.14", "ideal")).profile->gpu == "H100");
  CHECK_THROWS_WITH_AS(
      make_cost(scenario_on("hgx-b300", "b200-vllm-0.24.0")),
      "s.yaml:6:10: profile: expected one of sglang to transfer from B200 to B300, "
      "b200-vllm-0.24.0 is of vllm",
      InputError);
}

}  // namespace
}  // namespace v4cap
