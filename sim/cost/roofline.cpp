#include "sim/cost/roofline.h"

#include <algorithm>
#include <string>

#include "sim/core/error.h"
#include "sim/cost/plain_decode_run.h"

namespace v4cap {

std::string_view name_of(Bound bound) {
  switch (bound) {
    case Bound::memory:
      return "memory";
    case Bound::compute:
      return "compute";
    case Bound::link:
      return "link";
    case Bound::fixed:
      return "fixed";
  }
  V4CAP_CHECK(false, "a bound without a name");
}

RooflineCost::RooflineCost(const StepSetting& setting, const HardwareSpec& hardware)
    : operators_(setting),
      reached_(rates_of(hardware, hardware.efficiency)),
      peak_(rates_of(hardware, RooflineEfficiency{})),
      fixed_per_operator_s_(to_seconds(hardware.efficiency.fixed_per_operator)),
      fixed_per_step_s_(to_seconds(hardware.efficiency.fixed_per_step)),
      link_latency_s_(to_seconds(hardware.link_latency)) {
  V4CAP_CHECK(setting.gpus() == 1 || !setting.collectives || hardware.link_bytes_per_s_peak > 0,
              "an engine of several GPUs on " + hardware.name + ", which has no link between GPUs");
}

RooflineCost::Rates RooflineCost::rates_of(const HardwareSpec& hardware,
                                           const RooflineEfficiency& efficiency) {
  const GpuSpec& gpu = hardware.gpu;
  V4CAP_CHECK(gpu.memory_bytes_per_s_peak > 0 && gpu.flop_per_s_peak_bf16 > 0, gpu.name);
  // Arithmetic in a format that the GPU lacks runs in the next wider one.
  const double fp8 =
      gpu.flop_per_s_peak_fp8 > 0 ? gpu.flop_per_s_peak_fp8 : gpu.flop_per_s_peak_bf16;
  const double fp4 = gpu.flop_per_s_peak_fp4 > 0 ? gpu.flop_per_s_peak_fp4 : fp8;
  const double link = hardware.link_bytes_per_s_peak;
  return {.s_per_byte = 1 / (gpu.memory_bytes_per_s_peak * efficiency.memory),
          .s_per_link_byte = link > 0 ? 1 / (link * efficiency.link) : 0,
          .s_per_flop_bf16 = 1 / (gpu.flop_per_s_peak_bf16 * efficiency.compute),
          .s_per_flop_fp8 = 1 / (fp8 * efficiency.compute),
          .s_per_flop_fp4 = 1 / (fp4 * efficiency.compute)};
}

double RooflineCost::LaunchTime::longest() const {
  return std::max({memory, compute, link});
}

RooflineCost::LaunchTime RooflineCost::launch_time(const Operator& op, const Rates& rates) {
  const kernels::Work& w = op.work;
  return {.memory = w.bytes() * rates.s_per_byte,
          .compute = w.flops_bf16 * rates.s_per_flop_bf16 + w.flops_fp8 * rates.s_per_flop_fp8 +
                     w.flops_fp4 * rates.s_per_flop_fp4,
          .link = op.link_bytes * rates.s_per_link_byte};
}

// A collective's latency takes the place of a launch's fixed cost.
double RooflineCost::fixed_seconds(const Operator& op) const {
  return op.link_bytes > 0 ? link_latency_s_ : fixed_per_operator_s_;
}

RooflineCost::ListTime RooflineCost::time_of(const OperatorList& list, ListTime time) const {
  for (const Operator& op : list) {
    const double launches = op.launches();
    time.reached += launches * (fixed_seconds(op) + launch_time(op, reached_).longest());
    time.peak += launches * launch_time(op, peak_).longest();
  }
  return time;
}

double RooflineCost::floor_seconds(const OperatorList& list, double seconds) const {
  for (const Operator& op : list) seconds += op.launches() * launch_time(op, peak_).longest();
  return seconds;
}

OperatorList RooflineCost::own_list(const StepPlan& plan) const {
  return operators_.ranks() == 1 ? operators_.list(plan) : operators_.rank_list(plan);
}

RooflineCost::Slowest RooflineCost::slowest(std::span<const StepPlan* const> ranks) const {
  V4CAP_CHECK(static_cast<std::int64_t>(ranks.size()) == operators_.ranks(),
              std::to_string(ranks.size()) + " plans for " + std::to_string(operators_.ranks()) +
                  " attention ranks");
  Slowest out;
  for (const StepPlan* plan : ranks) {
    if (plan->empty()) continue;
    const ListTime time = time_of(own_list(*plan), {.reached = fixed_per_step_s_});
    if (out.plan == nullptr || time.reached > out.time.reached) out.plan = plan;
    out.time.reached = std::max(out.time.reached, time.reached);
    out.time.peak = std::max(out.time.peak, time.peak);
  }
  V4CAP_CHECK(out.plan != nullptr, "an empty plan takes no step");
  return out;
}

OperatorList RooflineCost::joint_list(std::span<const StepPlan* const> ranks) const {
  if (ranks.size() == 1) return {};
  std::vector<RankTokens> tokens;
  tokens.reserve(ranks.size());
  for (const StepPlan* plan : ranks) tokens.push_back(rank_tokens(*plan));
  return operators_.joint_list(tokens);
}

std::unique_ptr<DecodeRun> RooflineCost::decode_run(std::span<const StepPlan* const> ranks) const {
  return plain_decode_run(*this, ranks);
}

StepTime RooflineCost::step_time(std::span<const StepPlan* const> ranks) const {
  const ListTime time = time_of(joint_list(ranks), slowest(ranks).time);
  StepTime out;
  out.total = duration_from_seconds(time.reached);
  out.roofline_floor = duration_from_seconds(time.peak);
  out.gpu = out.total;
  out.share.roofline_s = to_seconds(out.total);
  V4CAP_CHECK(out.total >= out.roofline_floor,
              "step of " + std::to_string(out.total.count()) + " ns under its roofline of " +
                  std::to_string(out.roofline_floor.count()) + " ns");
  return out;
}

void RooflineCost::explain(std::span<const StepPlan* const> ranks, CostLedger& ledger) const {
  for (const OperatorTime& op : breakdown(ranks)) ledger.add(op.name, op.seconds);
}

std::vector<OperatorTime> RooflineCost::breakdown(std::span<const StepPlan* const> ranks) const {
  std::vector<OperatorTime> out;
  const auto add = [&](const Operator& op) {
    const double launches = op.launches();
    const LaunchTime launch = launch_time(op, reached_);
    const double fixed = fixed_seconds(op);
    OperatorTime t{.name = op.name,
                   .count = op.count,
                   .flops = launches * op.work.flops(),
                   .bytes = launches * op.work.bytes(),
                   .link_bytes = launches * op.link_bytes,
                   .seconds = launches * (fixed + launch.longest()),
                   .floor_seconds = launches * launch_time(op, peak_).longest()};
    t.bound = launch.compute > launch.memory ? Bound::compute : Bound::memory;
    if (launch.link > std::max(launch.memory, launch.compute)) t.bound = Bound::link;
    if (fixed > launch.longest()) t.bound = Bound::fixed;
    out.push_back(t);
  };
  for (const Operator& op : own_list(*slowest(ranks).plan)) add(op);
  for (const Operator& op : joint_list(ranks)) add(op);
  OperatorTime host{.name = "host", .count = 1};
  host.seconds = fixed_per_step_s_;
  host.bound = Bound::fixed;
  out.push_back(host);
  return out;
}

}  // namespace v4cap
