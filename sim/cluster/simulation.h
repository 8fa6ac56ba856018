// The simulated world around a replica or a cluster of them: arrivals, the clock, and what becomes
// of every request. Replicas decide and their drivers perform, this feeds them; the conservation
// laws are asserted here in every run.
#pragma once

#include <cstdint>
#include <functional>
#include <limits>
#include <memory>
#include <optional>
#include <vector>

#include "sim/cluster/backlog.h"
#include "sim/cluster/cluster.h"
#include "sim/cluster/record_window.h"
#include "sim/cluster/workload.h"
#include "sim/core/event_queue.h"
#include "sim/core/hash.h"
#include "sim/output/cluster_summary.h"
#include "sim/output/metrics.h"
#include "sim/output/record.h"
#include "traces/trace.h"

namespace v4cap {

// Called now and then during a run with the share of requests that ended; false stops the run.
using ProgressFunction = std::function<bool(double fraction_done)>;

// What becomes of the records of requests. A long run keeps none of them: RunResult::records stays
// empty and RunResult::digest is there in its place, of a cluster ClusterResult::digest beside it; all
// but quantiles is as if they were kept. Runs whose figures need every record keep all: those with
// replicas that read prompts for others, of a client with a warm-up, and of an open loop whose
// requests wait for others.
struct RecordRules {
  // Of runs of more requests than this none is kept.
  std::int64_t most_kept = std::numeric_limits<std::int64_t>::max();
  // Called with each that is not kept, in order of their ids, one at a time, on any of the threads.
  std::function<void(const RequestRecord&)> not_kept{};
};

// Of `v4cap simulate` and sweeps: some 20 MB.
inline constexpr std::int64_t kMostKeptRecords = 100'000;

class Simulation {
 public:
  // All arguments must outlive the simulation.
  Simulation(const Trace& trace, Workload& workload, Replica& replica, const CostModel& cost,
             HostRules host = {}, RecordRules records = {});
  Simulation(const Trace& trace, Workload& workload, ClusterParts parts, HostRules host = {},
             RecordRules records = {});

  // Plays the whole workload. Throws Interrupted when `progress` asks to stop.
  RunResult run(const ProgressFunction& progress = {});

  struct Interrupted {};

 private:
  // Of the events of world and cluster the one that comes first; kNever where none comes.
  SimTime next_arrival() const;  // kNever: none is known of yet
  EarliestOf::Next next() const;
  void handle(const EarliestOf::Next& coming);
  Arrival take_arrival();
  void arrive(std::uint32_t request, SimTime now);
  void pass(SimTime now);
  void note_ended(const RequestRecord& record, SimTime now);
  // The record with what the workload knows of its request, which is answered with it.
  RequestRecord answer(const RequestRecord& record);
  // Replicas have gone on apart from `since` to `until`; what became of their requests is not
  // counted yet.
  struct Apart {
    SimTime since{}, until{};
    std::int64_t arrived = 0;  // up to `until`
    Int128 arrivals_ns = 0;    // sum of the times of those that arrived since `since`, from it on
    std::vector<std::vector<RequestRecord>> ended{};  // one part of each thread
  };
  bool go_apart();
  void count(const Apart& apart);
  void count_pending();
  void keep(const RequestRecord& record);
  void begin_measuring();
  void finish(RunResult& result);

  std::uint64_t arrivals_scheduled() const { return initial_taken_ + queue_.scheduled(); }

  Simulation(const Trace& trace, Workload& workload, HostRules host, RecordRules records,
             const std::function<std::unique_ptr<Cluster>(const HostRules&)>& make_cluster);

  const Trace& trace_;
  Workload& workload_;
  HostRules host_;
  std::unique_ptr<Cluster> cluster_;
  bool many_ = false;               // a cluster that was asked for as such
  std::optional<Arrival> initial_;  // the next that waits for nothing
  std::uint64_t initial_taken_ = 0;
  EventQueue queue_;  // of arrivals that waited
  RunResult result_;
  std::vector<bool> answered_;  // each request
  // Of a run that keeps no records.
  RecordRules records_;
  std::shared_ptr<MetricsDigest> digest_;          // null: all are kept
  std::shared_ptr<ClusterDigest> cluster_digest_;  // beside it, of a cluster
  RecordWindow window_;
  ContentHash records_hash_, places_hash_;
  std::optional<SimTime> last_arrival_;  // of an open loop
  std::optional<Backlog> backlog_;
  std::optional<Apart> pending_;
  std::int64_t steps_ = 0;  // since the warm-up
  std::int64_t ended_ = 0, arrived_ = 0;
  Int128 in_system_ns_ = 0;  // integral of requests in the system over time
  Int128 times_ns_ = 0;      // sum of the requests' times in the system
  SimTime last_change_;
  std::uint64_t events_before_ = 0;  // scheduled when the warm-up was over
  std::vector<RequestRecord> just_ended_;
  std::vector<Arrival> released_;
};

}  // namespace v4cap
