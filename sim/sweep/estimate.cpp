#include "sim/sweep/estimate.h"

#include <algorithm>
#include <fstream>
#include <string>
#include <thread>

#include "sim/sweep/run_points.h"

namespace v4cap {

namespace {

constexpr std::size_t kSample = 12;
constexpr double kSecondsEach = 0.5;

// Resident memory of the process, now and at its highest. 0 where the kernel does not say.
struct Resident {
  Bytes now, peak;
};

Resident resident() {
  Resident out;
  std::ifstream status("/proc/self/status");
  for (std::string word; status >> word;) {
    std::int64_t kib = 0;
    if (word == "VmRSS:" && status >> kib) out.now = Bytes{kib * 1024};
    if (word == "VmHWM:" && status >> kib) out.peak = Bytes{kib * 1024};
  }
  return out;
}

double seconds_since(std::chrono::steady_clock::time_point start) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

}  // namespace

SweepEstimate estimate_sweep(const SweepPlan& plan, const std::vector<std::size_t>& points,
                             const PointOptions& options) {
  const unsigned threads =
      options.threads > 0 ? options.threads : std::max(1U, std::thread::hardware_concurrency());
  const Resident before = resident();
  const PlannedScenarios scenarios(plan, options.trace_dir);
  SharedTraces traces(1);
  SweepEstimate out;
  double total_s = 0;
  const std::size_t samples = std::min(kSample, points.size());
  for (std::size_t i = 0; i < samples; ++i) {
    // Spread over the plan, the middle of each of as many equal parts.
    const PlannedPoint& point = plan.points[points[(2 * i + 1) * points.size() / (2 * samples)]];
    const Scenario scenario = scenarios.scenario(point);
    traces.trace_of(scenario);  // read once for many points: not a part of each one's time
    const auto start = std::chrono::steady_clock::now();
    double fraction = 0;
    try {
      const PointResult result = run_point(scenario, point.key, traces, [&](double done) {
        fraction = done;
        return seconds_since(start) < kSecondsEach || done < 1e-3;
      });
      if (!result.feasible) ++out.infeasible;
      fraction = 1;
    } catch (const Simulation::Interrupted&) {
    }
    total_s += seconds_since(start) / std::max(fraction, 1e-3);
    ++out.sampled;
  }
  if (out.sampled > 0) out.point_s = total_s / static_cast<double>(out.sampled);
  const double waves = static_cast<double>(points.size()) / std::max(1U, threads);
  out.wall_s = points.empty() ? 0 : out.point_s * std::max(waves, 1.0);
  const std::int64_t each = std::max<std::int64_t>(resident().peak.value - before.now.value, 0);
  out.memory = Bytes{before.now.value + each * static_cast<std::int64_t>(threads)};
  return out;
}

}  // namespace v4cap
