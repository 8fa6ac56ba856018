// One replica in simulated time: its steps, one after the other or launched ahead, what its host
// does beside them, and what they add up to. It has a cost model of its own and knows nothing of
// other replicas, of the workload or of what becomes of records: between two calls from outside it
// goes on alone.
//
//   driver.submit(spec, sent, now, ended);      // a request arrives
//   while (driver.next().at == now) driver.handle(now, ended);
//   driver.start_step(now);                     // once all that happens at this instant is known
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <queue>
#include <span>
#include <string>
#include <vector>

#include "sim/cluster/occupancy.h"
#include "sim/cluster/replica.h"
#include "sim/cluster/tier_traffic.h"
#include "sim/core/earliest_of.h"
#include "sim/core/event_queue.h"
#include "sim/cost/cost_model.h"
#include "sim/output/record.h"

namespace v4cap {

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
  bool skips_steady = true;                // false: every step is planned and finished by itself
  TierLinks tiers{};                       // of the tiers below GPU memory; none: there are none
};

// A rank whose GPUs run slower than they should.
struct SlowRank {
  std::size_t rank = 0;
  double factor = 1;  // of the time that it needs for its part of a step
};

class ReplicaDriver final : public RouteTarget {
 public:
  // All arguments must outlive the driver. `samples`: most of its time line that is kept, and of
  // each rank's. `since`: when the replica came up.
  struct Samples {
    std::size_t all = OccupancyRecorder::kLimit, rank = samples_of_each(1);
  };
  ReplicaDriver(Replica& replica, const CostModel& cost, const HostRules& host, Samples samples,
                SimTime since = kSimStart);

  // A request arrives that its client sent at `sent`; its host reads it first. The record of one
  // that can never run is appended to `ended`.
  void submit(RequestSpec spec, SimTime sent, SimTime now, std::vector<RequestRecord>& ended);
  // The next instant at which something of its own happens, kNever where nothing does.
  EarliestOf::Next next() const {
    EarliestOf::Next first{step_end_, static_cast<std::uint8_t>(EventKind::step_end)};
    if (!reading_.empty() && reading_.front().read < first.at) {
      first = {reading_.front().read, static_cast<std::uint8_t>(EventKind::read)};
    }
    if (!transfer_events_.empty() && transfer_events_.top() < first.at) {
      first = {transfer_events_.top(), static_cast<std::uint8_t>(EventKind::transfer)};
    }
    return first;
  }
  // What happens then. Records of requests that ended are appended.
  void handle(SimTime now, std::vector<RequestRecord>& ended);
  // Everything of this instant is known: the next step begins where none runs and some can. Returns
  // how many did: those that differ only in contexts are taken together, as long as they begin
  // before `horizon`. Until then nobody may ask anything of this replica. `ahead`: so are some that
  // begin later, which are taken back if anything comes from outside before they begin.
  std::int64_t start_step(SimTime now, SimTime horizon = kSimStart, bool ahead = false);
  // Something comes from outside: of steps that were taken ahead those that begin before `now` have
  // begun, and the last of them has ended if it does so by then; the others are forgotten. True:
  // there were some, and next() is another one.
  bool settle(SimTime now);
  bool busy() const { return step_end_ != kNever; }
  // No request is in it any more, nor on its way out. Copies to tiers may be.
  bool drained() const { return !busy() && !unseen_ && requests() == 0; }
  // Nothing is in it or under way, and the books of its memory balance.
  void check_drained() const;

  // What it has to do, with prompts that its host has not read yet.
  std::size_t requests() const override { return replica_.requests() + reading_.size(); }
  Tokens prompt_tokens() const override { return replica_.prompt_tokens() + reading_tokens_; }
  Tokens would_hit(const RequestSpec& spec) const override { return replica_.would_hit(spec); }
  std::size_t waiting() const { return replica_.waiting() + reading_.size(); }

  // Of requests that replicas share (RequestPart), all at `now`.
  bool can_run(Tokens prompt, Tokens output, RequestPart part) const {
    return replica_.can_run(prompt, output, part);
  }
  void take_fetches(std::size_t rank, std::vector<Fetch>& fetches) {
    replica_.rank(rank).take_fetches(fetches);
  }
  void received(std::size_t rank, std::uint32_t request, SimTime now);
  void sent(std::uint32_t request, SimTime now);
  void forget(std::uint32_t request, SimTime now);
  bool overlapped() const { return host_.overlapped; }

  // The model of its steps' times from now on, which says what the one before would say.
  void use(const CostModel& cost) { cost_ = &cost; }

  // From the next step on the time of a step is at least that of each slow rank's part of it, run
  // alone, times its factor: the others wait for it.
  void set_slow(std::vector<SlowRank> slow) {
    V4CAP_CHECK(ahead_.empty(), "a rank slows down under steps that were taken ahead");
    slow_ = std::move(slow);
  }
  // Links of its tiers, and tiers themselves, as in TierTraffic; of a replica that has tiers.
  void set_slow_links(const std::vector<SlowLink>& slow, SimTime now);
  std::size_t lose_tier(const std::string& name, SimTime now);
  void tier_is_back(const std::string& name) { traffic_->tier_is_back(name); }
  // The replica is lost with everything in it, its tiers included; this driver drives it no more.
  // What has ended on the GPU and was not seen is lost, too.
  KindBytes lose(SimTime now, std::vector<LostRequest>& lost);
  // As Replica::lose_rank(). The step that runs goes on without it.
  KindBytes lose_rank(std::size_t rank, SimTime now, std::vector<LostRequest>& lost);
  void rank_is_back(std::size_t rank) { replica_.rank_is_back(rank); }

  // Idle time counts from here: the first request is on its way.
  void begin(SimTime now) { idle_since_ = now; }
  // A warm-up is over and nothing is in the system: what was counted is forgotten, what is in the
  // caches stays. Steps are explained from now on.
  void begin_measuring(StepLedgers* explained);

  // Since begin_measuring(), or all.
  StepTotals totals() const;
  std::int64_t events() const { return events_; }
  // Integrals over time of requests that wait (their prompts being read included), run, and decode.
  struct Integrals {
    Int128 waiting_ns = 0, running_ns = 0, decoding_ns = 0;
  };
  const Integrals& integrals() const { return integrals_; }
  std::vector<OccupancySample> take_occupancy() { return occupancy_.take(); }
  // Of each rank; empty where there is only one.
  std::vector<std::vector<OccupancySample>> take_rank_occupancy();

  const Replica& replica() const { return replica_; }

 private:
  struct Reading {
    SimTime read, sent;
    RequestSpec spec;
  };
  void pass(SimTime now);
  void carry_on(SimTime now);
  StepTime time_of(std::span<const StepPlan* const> ranks) const;
  // 0: nothing can run before a load is there.
  std::int64_t launch(SimTime now, SimTime horizon, bool ahead);
  Duration wait_for_loads(std::span<const StepPlan* const> ranks, const StepTime& time,
                          SimTime now);
  // All but the last of the steps from this one on that are taken together have been performed;
  // returns how many there are, 0 if there is no other one.
  std::int64_t skip(std::span<const StepPlan* const> ranks, SimTime now, SimTime horizon,
                    bool ahead);
  // Steps that were taken ahead begin, as many as begin before `now`; returns the end of the last
  // one that has begun.
  SimTime begin_ahead(SimTime now);
  void push_step_end(SimTime at);
  void give(RequestSpec spec, SimTime sent, SimTime now, std::vector<RequestRecord>& ended);
  void step_ended(SimTime now, std::vector<RequestRecord>& ended);
  void see_tokens(SimTime now, std::vector<RequestRecord>& ended);
  void explain(std::span<const StepPlan* const> ranks, const StepTime& time);
  void sample(SimTime now);
  void sample_due(SimTime now, bool due);
  static std::int64_t sequences_of(std::span<const StepPlan* const> ranks);
  Duration& binding_of(std::span<const StepPlan* const> ranks);
  void add_step(const StepTime& time, std::int64_t sequences, Duration& binding);
  // What the replica has counted over all its life.
  StepTotals counted() const;

  Replica& replica_;
  const CostModel* cost_;
  HostRules host_;
  SimTime step_end_ = kNever;  // of the step that runs, or of the last that was taken ahead
  // Steps that were taken ahead of the one that runs, which ends at `ahead_begin_`.
  std::vector<StepTime> ahead_;
  SimTime ahead_begin_;
  std::int64_t ahead_sequences_ = 0;
  Duration* ahead_binding_ = nullptr;
  std::unique_ptr<TierTraffic> traffic_;  // null: there are no tiers
  // When the links may change; some of them were overtaken by others. The last one is in
  // `transfer_at_` until it happens.
  std::priority_queue<SimTime, std::vector<SimTime>, std::greater<>> transfer_events_;
  SimTime transfer_at_ = kNever;
  // Overlapped: the step that was launched last, and whose tokens nobody has seen yet.
  bool open_ = false, unseen_ = false;
  SimTime gpu_free_, gpu_end_of_unseen_;
  std::vector<RequestRecord> unseen_ended_;
  std::deque<Reading> reading_;  // prompts that the host has not read yet
  Tokens reading_tokens_;
  std::vector<SlowRank> slow_;
  SimTime reader_free_;
  SimTime last_event_, idle_since_;
  std::int64_t events_ = 0;
  Integrals integrals_;
  StepTotals totals_;
  StepTotals before_;  // counted when the warm-up was over
  OccupancyRecorder occupancy_;
  std::vector<OccupancyRecorder> rank_occupancy_;  // sampled together; none with a single rank
};

}  // namespace v4cap
