#include "sim/sweep/run_points.h"

#include <algorithm>
#include <atomic>
#include <map>
#include <numeric>

#include "sim/cluster/run_scenario.h"
#include "sim/core/parallel.h"
#include "sim/output/summary_json.h"

namespace v4cap {

namespace {

unsigned thread_count(const PointOptions& options) {
  return options.threads > 0 ? options.threads : std::max(1U, std::thread::hardware_concurrency());
}

// Points of one trace follow each other, so that few traces are held and each is read once.
void group_by_trace(std::vector<std::size_t>& points, const SweepPlan& plan,
                    const PlannedScenarios& scenarios, unsigned threads) {
  std::vector<std::string> keys(points.size());
  parallel_for(
      points.size(),
      [&](std::size_t i) { keys[i] = trace_key(scenarios.scenario(plan.points[points[i]])); },
      threads);
  std::map<std::string, std::size_t> first;
  for (std::size_t i = 0; i < keys.size(); ++i) first.emplace(keys[i], i);
  std::vector<std::size_t> order(points.size());
  std::iota(order.begin(), order.end(), 0);
  std::ranges::stable_sort(order, {}, [&](std::size_t i) { return first.at(keys[i]); });
  std::vector<std::size_t> sorted;
  for (const std::size_t i : order) sorted.push_back(points[i]);
  points = std::move(sorted);
}

}  // namespace

std::string trace_key(const Scenario& s) {
  const WorkloadConfig& w = s.workload;
  // Warm-ups of a client are requests of the trace, and a generated trace depends on many keys.
  if (w.trace.empty() || w.arrivals == ArrivalMode::client) return s.resolved_yaml;
  return w.trace + '\n' + w.format + '\n' + (w.spread_instants ? "spread" : "") + '\n' +
         std::to_string(w.max_requests) + '\n' + std::to_string(w.max_turns) + '\n' +
         std::to_string(w.clip_to.value) + '\n' + std::to_string(w.cycle_to) + '\n' +
         std::to_string(s.seed);
}

std::shared_ptr<SharedTraces::Entry> SharedTraces::entry_of(const std::string& key) {
  const std::lock_guard lock(mutex_);
  const auto it = std::ranges::find(entries_, key, [](const auto& e) { return e->key; });
  std::shared_ptr<Entry> entry;
  if (it != entries_.end()) {
    entry = *it;
    entries_.erase(it);
  } else {
    entry = std::make_shared<Entry>();
    entry->key = key;
    if (entries_.size() >= kept_ && !entries_.empty()) entries_.erase(entries_.begin());
  }
  entries_.push_back(entry);
  return entry;
}

std::shared_ptr<const Trace> SharedTraces::trace_of(const Scenario& scenario) {
  const std::shared_ptr<Entry> entry = entry_of(trace_key(scenario));
  const std::lock_guard lock(entry->reading);
  if (!entry->trace) entry->trace = std::make_shared<const Trace>(load_workload(scenario));
  return entry->trace;
}

PointResult run_point(const Scenario& scenario, const std::string& key, SharedTraces& traces,
                      const ProgressFunction& progress) {
  const std::shared_ptr<const Trace> trace = traces.trace_of(scenario);
  try {
    const RunResult result =
        run_scenario(scenario, *trace, progress, nullptr, {.most_kept = kMostKeptRecords});
    JsonWriter json;
    write_summary(json, summarise(result, identify(scenario)), WallTime::left_out);
    return {key, true, json.text()};
  } catch (const RunError& error) {
    return {key, false, error.what()};
  }
}

bool run_points(const SweepPlan& plan, std::vector<std::size_t> points, const PointOptions& options,
                const PointHooks& hooks) {
  const unsigned threads = thread_count(options);
  const PlannedScenarios scenarios(plan, options.trace_dir);
  group_by_trace(points, plan, scenarios, threads);
  SharedTraces traces(threads + 1);
  std::atomic<bool> stopped{false}, failed{false};
  const auto go_on = [&] {
    if (hooks.stop()) stopped = true;
    return !stopped && !failed;
  };
  parallel_for(
      points.size(),
      [&](std::size_t i) {
        if (!go_on()) return;
        const PlannedPoint& point = plan.points[points[i]];
        try {
          hooks.done(run_point(scenarios.scenario(point), point.key, traces,
                               [&](double) { return go_on(); }));
        } catch (const Simulation::Interrupted&) {
          return;  // stopped, or another point failed
        } catch (...) {
          failed = true;
          throw;
        }
      },
      threads);
  return !stopped;
}

}  // namespace v4cap
