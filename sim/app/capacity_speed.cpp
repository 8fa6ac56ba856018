#include "sim/app/capacity_speed.h"

#include <algorithm>
#include <utility>

#include "sim/cluster/run_scenario.h"

namespace v4cap {

namespace {

StepTime time_of_decode(const CostModel& cost, std::int64_t ranks, std::int64_t sequences,
                        Tokens context) {
  StepPlan plan;
  for (std::int64_t i = 0; i < sequences; ++i) {
    plan.pieces.push_back(
        {static_cast<RequestIndex>(i), PieceKind::decode, true, context - Tokens{1}, Tokens{1}});
  }
  const std::vector<const StepPlan*> plans(static_cast<std::size_t>(ranks), &plan);
  return cost.step_time(plans);
}

// The slower of two decodes first at the shortest context shown.
constexpr std::int64_t kShortest = 1024;

}  // namespace

DecodeSpeed decode_speed(const CapacityOption& option, const CostModel& cost, Tokens context) {
  const Scenario& s = option.scenario;
  DecodeSpeed out;
  out.model = s.model.name;
  out.context = context;
  out.sequences = std::min(option.capacity.running_sequences(context), s.engine.max_running);
  if (out.sequences == 0) return out;
  const StepTime time = time_of_decode(cost, s.deployment.data_parallel, out.sequences, context);
  out.step_s = to_seconds(time.total);
  out.share = time.share;
  out.tokens_s_per_gpu = static_cast<double>(out.sequences * s.deployment.data_parallel) /
                         out.step_s / static_cast<double>(s.deployment.gpus());
  return out;
}

SpeedOption speed_option(const CapacityOption& base, const ScenarioLoader& load,
                         const std::string& model) {
  const std::string& profile = base.scenario.profile;
  CapacityOption option(
      load({"model=" + model, "kv_cache.layout=ideal", "kv_cache.layout_version=null",
            "kv_cache.layout_options=null", "kv_cache.memory_rules=null",
            "kv_cache.swa_policy=full", "kv_cache.indexer=fp8",
            "profile=" + (profile.empty() ? "none" : profile), "engine.max_context_tokens=null"}));
  ScenarioCost cost = make_cost(option.scenario);
  return {std::move(option), std::move(cost)};
}

std::vector<DecodeSpeed> decode_speeds(const CapacityOption& base, const ScenarioLoader& load,
                                       const std::vector<std::string>& models) {
  const ScenarioCost cost = make_cost(base.scenario);
  std::vector<SpeedOption> others;
  for (const std::string& model : models) others.push_back(speed_option(base, load, model));
  std::vector<DecodeSpeed> out;
  for (const Tokens length : shown_lengths(base.scenario.engine.max_context)) {
    const DecodeSpeed own = decode_speed(base, *cost.model, length);
    out.push_back(own);
    for (const SpeedOption& other : others) {
      if (length > other.option.scenario.engine.max_context) continue;
      out.push_back(other.at(length));
      DecodeSpeed& row = out.back();
      if (row.sequences > 0 && own.sequences > 0) {
        row.over_other = own.tokens_s_per_gpu / row.tokens_s_per_gpu;
      }
    }
  }
  return out;
}

std::optional<Tokens> speed_breakeven(const CapacityOption& base, const ScenarioLoader& load,
                                      const std::string& model) {
  const SpeedOption other = speed_option(base, load, model);
  const ScenarioCost cost = make_cost(base.scenario);
  const auto faster = [&](std::int64_t context) {
    const DecodeSpeed own = decode_speed(base, *cost.model, Tokens{context});
    const DecodeSpeed its = other.at(Tokens{context});
    return own.tokens_s_per_gpu > its.tokens_s_per_gpu;
  };
  const std::int64_t longest =
      std::min(base.scenario.engine.max_context, other.option.scenario.engine.max_context).value;
  if (!faster(longest)) return std::nullopt;
  // From above in steps of a hundredth: the speeds are not smooth, the last change counts.
  std::int64_t context = longest;
  while (context > kShortest) {
    const std::int64_t next =
        std::max(kShortest, context - std::max<std::int64_t>(1, context / 100));
    if (!faster(next)) return Tokens{context};
    context = next;
  }
  return Tokens{1};
}

RebuildTime rebuild_time(const Scenario& scenario, Tokens tokens, Tokens position) {
  const ScenarioCost cost = make_cost(scenario);
  const StepPlan idle;
  RebuildTime out;
  CostLedger ledger;
  Tokens past = std::max(Tokens{0}, position - tokens);
  while (past < position) {
    StepPlan plan;
    const Tokens chunk = std::min(scenario.engine.step_tokens, position - past);
    plan.pieces.push_back({0, PieceKind::rebuild, false, past, chunk});
    past += chunk;
    std::vector<const StepPlan*> plans(static_cast<std::size_t>(scenario.deployment.data_parallel),
                                       &idle);
    plans.front() = &plan;
    out.total_s += to_seconds(cost.model->step_time(plans).total);
    cost.model->explain(plans, ledger);
  }
  for (const auto& [part, seconds] : ledger.seconds()) {
    if (part.starts_with("attention")) out.attention_s += seconds;
  }
  return out;
}

}  // namespace v4cap
