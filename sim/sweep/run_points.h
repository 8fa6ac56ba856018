// Runs points of a plan on several threads: one engine, cache and cost model a thread, traces read
// once and shared. A point's result depends on the point alone.
#pragma once

#include <cstddef>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "sim/cluster/simulation.h"
#include "sim/sweep/plan.h"
#include "sim/sweep/point_result.h"

namespace v4cap {

// Traces that points have in common. Keeps the `kept` that were used last; safe on several threads.
class SharedTraces {
 public:
  explicit SharedTraces(std::size_t kept) : kept_(kept) {}
  // Throws InputError.
  std::shared_ptr<const Trace> trace_of(const Scenario& scenario);

 private:
  struct Entry {
    std::string key;
    std::mutex reading;
    std::shared_ptr<const Trace> trace;
  };
  std::shared_ptr<Entry> entry_of(const std::string& key);

  std::size_t kept_;
  std::mutex mutex_;
  std::vector<std::shared_ptr<Entry>> entries_;  // used last comes last
};

// Equal for scenarios whose workload is the same trace, whatever becomes of it in the run.
std::string trace_key(const Scenario& scenario);

// One point. Throws Simulation::Interrupted when `progress` asks to stop, InputError for a trace or
// profile that cannot be read.
PointResult run_point(const Scenario& scenario, const std::string& key, SharedTraces& traces,
                      const ProgressFunction& progress);

struct PointHooks {
  std::function<void(PointResult)> done;  // called by the thread that ran the point
  std::function<bool()> stop;             // asked often, by every thread
};

// Every point of `points`. Returns false when it was stopped before the last one. The first failure
// stops the others and is thrown.
bool run_points(const SweepPlan& plan, std::vector<std::size_t> points, const PointOptions& options,
                const PointHooks& hooks);

}  // namespace v4cap
