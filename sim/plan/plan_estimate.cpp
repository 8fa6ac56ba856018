#include "sim/plan/plan_estimate.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <thread>

#include "sim/cluster/simulation.h"
#include "sim/plan/trial.h"

namespace v4cap {

namespace {

constexpr std::size_t kSample = 6;
constexpr double kSecondsEach = 0.5;

// Runs that the shipped plans take: to find what one deployment holds with one seed; to try the
// levers and the profile's error; for the front. Two deployments or three are searched with every
// seed.
constexpr double kRunsOfSearch = 9, kRunsOfLevers = 24, kRunsOfFront = 20, kOfEverySeed = 2.5;

double seconds_since(std::chrono::steady_clock::time_point start) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

// Runs at full length; shorter ones count as the part of it that they are.
double run_count(const PlanFile& file, std::size_t deployments, std::size_t plans) {
  const auto all = static_cast<double>(deployments);
  const auto exact = static_cast<double>(file.search.exact_up_to);
  const auto seeds = static_cast<double>(file.seeds.size());
  double searches = all;
  if (all > exact) {
    searches = std::max(1.0, std::floor(exact / 2));
    double left = all;
    for (double size = file.search.first_size; size < 1 && left > exact / 2; size *= 2) {
      searches += left * size;
      left = std::ceil(left / 2);
    }
  }
  searches += std::min(all, kOfEverySeed) * (seeds - 1);
  // Each profile under this traffic: with every seed, and the profile's error both ways.
  if (plans > 1) searches += static_cast<double>(plans) * (seeds + 2);
  return searches * kRunsOfSearch + seeds + kRunsOfFront +
         (file.levers && file.levers->empty() ? 0 : kRunsOfLevers);
}

}  // namespace

PlanEstimate estimate_plan(const PlanFile& file, const SweepPlan& plan, const PointOptions& options,
                           std::size_t plans) {
  const unsigned threads =
      options.threads > 0 ? options.threads : std::max(1U, std::thread::hardware_concurrency());
  TrialRunner runner(file.rules);
  TrialQuestion question{.load = std::sqrt(file.load.from * file.load.to),
                         .seed = file.seeds.front()};
  if (file.load.whole) question.load = std::ceil(question.load);
  PlanEstimate out;
  double total_s = 0;
  const std::size_t points = plan.points.size(), samples = std::min(kSample, points);
  for (std::size_t i = 0; i < samples; ++i) {
    // Spread over the plan, the middle of each of as many equal parts.
    const PlannedPoint& point = plan.points[(2 * i + 1) * points / (2 * samples)];
    const Scenario scenario = scenario_of_point(plan, point, options.trace_dir);
    const auto start = std::chrono::steady_clock::now();
    double fraction = 0;
    try {
      runner.run(scenario, question, [&](double done) {
        fraction = done;
        return seconds_since(start) < kSecondsEach || done < 1e-3;
      });
      fraction = 1;
    } catch (const Simulation::Interrupted&) {
    } catch (const RunError&) {
      continue;  // does not fit: no run of it takes any time
    }
    total_s += seconds_since(start) / std::max(fraction, 1e-3);
    ++out.sampled;
  }
  if (out.sampled > 0) out.run_s = total_s / static_cast<double>(out.sampled);
  const double runs = run_count(file, points, plans);
  out.runs = std::llround(runs);
  out.wall_s = runs * out.run_s / threads;
  return out;
}

}  // namespace v4cap
