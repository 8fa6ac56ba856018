#include "sim/cost/roofline.h"

#include <algorithm>
#include <string>

#include "sim/core/error.h"

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
  V4CAP_CHECK(setting.tensor_parallel == 1 || hardware.link_bytes_per_s_peak > 0,
              "tensor parallelism on " + hardware.name + ", which has no link between GPUs");
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

StepTime RooflineCost::step_time(std::span<const StepPlan* const> ranks) const {
  V4CAP_CHECK(ranks.size() == 1, "a roofline of one attention rank was asked for several");
  const StepPlan& plan = *ranks.front();
  V4CAP_CHECK(!plan.empty(), "an empty plan takes no step");
  double seconds = fixed_per_step_s_;
  double floor_seconds = 0;
  for (const Operator& op : operators_.list(plan)) {
    const double count = kernels::real(op.count);
    seconds += count * (fixed_seconds(op) + launch_time(op, reached_).longest());
    floor_seconds += count * launch_time(op, peak_).longest();
  }
  StepTime out;
  out.total = duration_from_seconds(seconds);
  out.roofline_floor = duration_from_seconds(floor_seconds);
  out.share.roofline_s = to_seconds(out.total);
  V4CAP_CHECK(out.total >= out.roofline_floor,
              "step of " + std::to_string(out.total.count()) + " ns under its roofline of " +
                  std::to_string(out.roofline_floor.count()) + " ns");
  return out;
}

std::vector<OperatorTime> RooflineCost::breakdown(const StepPlan& plan) const {
  std::vector<OperatorTime> out;
  for (const Operator& op : operators_.list(plan)) {
    const double count = kernels::real(op.count);
    const LaunchTime launch = launch_time(op, reached_);
    const double fixed = fixed_seconds(op);
    OperatorTime t{.name = op.name,
                   .count = op.count,
                   .flops = count * op.work.flops(),
                   .bytes = count * op.work.bytes(),
                   .link_bytes = count * op.link_bytes,
                   .seconds = count * (fixed + launch.longest()),
                   .floor_seconds = count * launch_time(op, peak_).longest()};
    t.bound = launch.compute > launch.memory ? Bound::compute : Bound::memory;
    if (launch.link > std::max(launch.memory, launch.compute)) t.bound = Bound::link;
    if (fixed > launch.longest()) t.bound = Bound::fixed;
    out.push_back(t);
  }
  OperatorTime host{.name = "host", .count = 1};
  host.seconds = fixed_per_step_s_;
  host.bound = Bound::fixed;
  out.push_back(host);
  return out;
}

}  // namespace v4cap
