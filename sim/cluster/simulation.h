// The simulated world around one deployment: arrivals, the clock, and a cost model that says how
// long a step takes. Its engines decide, this drives, the conservation laws are asserted here in
// every run.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <vector>

#include "sim/cluster/occupancy.h"
#include "sim/cluster/replica.h"
#include "sim/cluster/workload.h"
#include "sim/core/event_queue.h"
#include "sim/cost/cost_model.h"
#include "sim/output/record.h"
#include "traces/trace.h"

namespace v4cap {

// Called now and then during a run with the share of requests that ended; false stops the run.
using ProgressFunction = std::function<bool(double fraction_done)>;

// The time of a run's steps by what takes it.
struct StepLedgers {
  CostLedger decode, prefill;  // of steps without and with prompt tokens
  std::int64_t decode_steps = 0, prefill_steps = 0;
  // Sequence-seconds of decoding requests: in all steps, and in those with prompt tokens, whether
  // they got a token there or stood by.
  double decoding_s = 0, decoding_beside_prefill_s = 0;
};

// What of the engine's host the simulated world has to know beside the time of a step.
struct HostRules {
  // Steps are launched while the one before runs. With L the launch of step n, C the end of its
  // launch, G its end on the GPU:
  //   C = L + host time, G = max(max(G of n - 1, L) + GPU time, C), next L = max(C, G of n - 1);
  // tokens of step n are seen when step n + 1 is launched and n has ended on the GPU. Where nothing
  // is left to launch the host waits for G, whoever comes meanwhile.
  bool overlapped = false;
  Duration prompt_token{};  // to read one token of a prompt; one request after the other
  StepLedgers* explained = nullptr;
  // Called when nothing runs, with the instant of what comes next, before it is handled: where
  // steps are performed in real time, this waits for it. First of all for the first arrival.
  std::function<void(SimTime)> idle_until{};
  // Called with every step, its begin and its time, before it ends.
  std::function<void(SimTime, std::span<const StepPlan* const>, const StepTime&)> step_timed{};
  std::int64_t steps_per_progress = 4096;  // between two calls of the progress function
};

class Simulation {
 public:
  // All arguments must outlive the simulation.
  Simulation(const Trace& trace, Workload& workload, Replica& replica, const CostModel& cost,
             HostRules host = {});

  // Plays the whole workload. Throws Interrupted when `progress` asks to stop.
  RunResult run(const ProgressFunction& progress = {});

  struct Interrupted {};

 private:
  void arrive(std::uint32_t request, SimTime now);
  void submit(std::uint32_t request, SimTime arrival, SimTime now);
  void step_ended(SimTime now);
  void see_tokens(SimTime now);
  void explain(std::span<const StepPlan* const> ranks, const StepTime& time);
  void note_ended(const RequestRecord& record, SimTime now);
  void start_step(SimTime now);
  void account_step(std::span<const StepPlan* const> ranks, const StepTime& time);
  void begin_measuring();
  void finish(RunResult& result);

  const Trace& trace_;
  Workload& workload_;
  Replica& replica_;
  const CostModel& cost_;
  EventQueue queue_;
  OccupancyRecorder occupancy_;
  RunResult result_;
  HostRules host_;
  bool busy_ = false;
  bool idle_ = true;  // neither busy nor with anything to do until the next event
  // Overlapped: the step that was launched last, and whose tokens nobody has seen yet.
  bool open_ = false, unseen_ = false;
  SimTime gpu_free_, gpu_end_of_unseen_;
  std::vector<RequestRecord> unseen_ended_;
  std::size_t reading_ = 0;  // requests that the host has not read yet
  SimTime reader_free_;
  std::vector<SimTime> sent_;  // when each of them was sent, by request
  std::int64_t ended_ = 0, arrived_ = 0;
  Int128 in_system_ns_ = 0;  // integral of requests in the system over time
  SimTime last_change_, idle_since_, last_event_;
  Int128 waiting_ns_ = 0, running_ns_ = 0, decoding_ns_ = 0;  // its parts
  // What engines and queue had counted when the warm-up was over.
  struct Counters {
    KindBytes evicted, written, reused, rebuilt;
    std::int64_t decode_steps = 0, events = 0;
    Tokens decoded;
  };
  Counters counters() const;
  Counters before_;
  std::int64_t sequences_in_steps_ = 0;
  std::vector<RequestRecord> just_ended_;
  std::vector<Arrival> released_;
  std::vector<IdRun> id_scratch_;
};

}  // namespace v4cap
