// The simulated world around a replica or a cluster of them: arrivals, the clock, and what becomes
// of every request. Replicas decide and their drivers perform, this feeds them; the conservation
// laws are asserted here in every run.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

#include "sim/cluster/cluster.h"
#include "sim/cluster/workload.h"
#include "sim/core/event_queue.h"
#include "sim/output/record.h"
#include "traces/trace.h"

namespace v4cap {

// Called now and then during a run with the share of requests that ended; false stops the run.
using ProgressFunction = std::function<bool(double fraction_done)>;

class Simulation {
 public:
  // All arguments must outlive the simulation.
  Simulation(const Trace& trace, Workload& workload, Replica& replica, const CostModel& cost,
             HostRules host = {});
  Simulation(const Trace& trace, Workload& workload, ClusterParts parts, HostRules host = {});

  // Plays the whole workload. Throws Interrupted when `progress` asks to stop.
  RunResult run(const ProgressFunction& progress = {});

  struct Interrupted {};

 private:
  // Of the events of world and cluster the one that comes first; kNever where none comes.
  EarliestOf::Next next() const;
  void handle(const EarliestOf::Next& coming);
  void arrive(std::uint32_t request, SimTime now);
  void note_ended(const RequestRecord& record, SimTime now);
  void begin_measuring();
  void finish(RunResult& result);

  Simulation(const Trace& trace, Workload& workload, HostRules host,
             const std::function<std::unique_ptr<Cluster>(const HostRules&)>& make_cluster);

  const Trace& trace_;
  Workload& workload_;
  HostRules host_;
  std::unique_ptr<Cluster> cluster_;
  bool many_ = false;  // a cluster that was asked for as such
  EventQueue queue_;
  RunResult result_;
  std::vector<bool> answered_;  // each request
  std::int64_t steps_ = 0;      // since the warm-up
  std::int64_t ended_ = 0, arrived_ = 0;
  Int128 in_system_ns_ = 0;  // integral of requests in the system over time
  SimTime last_change_;
  std::uint64_t events_before_ = 0;  // scheduled when the warm-up was over
  std::vector<RequestRecord> just_ended_;
  std::vector<Arrival> released_;
  std::vector<IdRun> id_scratch_;
};

}  // namespace v4cap
