// Replicas of one deployment behind a router, in simulated time: who takes a request, when replicas
// are started and shut down, what faults do to them, and what becomes of requests that a lost one
// had. Each replica goes on alone between two things that concern it from outside: where the router
// looks at none of them, requests are dealt ahead and replicas go on apart, on several threads
// (cluster_apart.cpp). Nothing that comes out depends on it.
//
// States of a replica:
//
//   stopped --> starting --> up --> draining --> stopped          by autoscaling
//                            up --> draining --> down --> up      a planned restart
//   starting, up, draining --> down --> up                        lost, with all that was in it
//
// Whoever comes up has an empty cache and empty tiers below it: both are of one replica, and lost
// with it, whatever they are made of. What a tier held then counts as lost. Requests of a
// replica that is lost are sent again, whole: tokens that their client had seen are computed once
// more, and their record is of the last time.
#pragma once

#include <cstdint>
#include <functional>
#include <limits>
#include <memory>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "sim/cluster/fault.h"
#include "sim/cluster/handover.h"
#include "sim/cluster/replica_driver.h"
#include "sim/cluster/router.h"
#include "sim/cluster/scaling.h"
#include "sim/config/cluster_config.h"
#include "sim/core/earliest_of.h"
#include "sim/core/event_queue.h"
#include "sim/core/random.h"
#include "sim/output/cluster_summary.h"
#include "sim/output/record.h"
#include "traces/trace.h"

namespace v4cap {

struct ClusterParts {
  std::function<std::unique_ptr<Replica>()> make_replica;  // all are alike
  const CostModel* cost = nullptr;                         // of all
  ClusterConfig config;
  std::uint64_t seed = 1;                 // of random faults
  std::optional<PrefillParts> prefill{};  // beside `config.prefill`
  // How replicas that go on apart are advanced. A model of times is for one thread: each further
  // one gets its own, which says the same; without `make_cost` there is one thread.
  unsigned threads = 1;
  std::function<std::unique_ptr<CostModel>()> make_cost{};
  bool apart = true;  // false: all that happens in any of them is handled in order of time
  std::int64_t most_dealt = 131'072;  // requests at a time, and so records before they are counted
};

class Cluster final : private FaultTarget {
 public:
  // One replica of the caller's that is always there. What is given must outlive the cluster.
  Cluster(Replica& only, const CostModel& cost, const HostRules& host);
  // Throws InputError (without a place) for a router or scaling policy that does not exist.
  Cluster(ClusterParts parts, const HostRules& host);

  // What a request asks for, its keys by blocks of so many tokens; `ids` is scratch, for calls from
  // several threads. To be set before the first.
  using SpecOf =
      std::function<RequestSpec(std::uint32_t request, Tokens block, std::vector<IdRun>& ids)>;
  void set_requests(SpecOf spec_of) { spec_of_ = std::move(spec_of); }

  // The first request of the run is on its way: idle time counts, and faults and autoscaling begin.
  void begin(SimTime now);
  // A request arrives. Records of what ended are appended, here and below.
  void submit(std::uint32_t request, SimTime now, std::vector<RequestRecord>& ended);
  // The next instant at which something happens, kNever where nothing does.
  EarliestOf::Next next() const {
    EarliestOf::Next own = drivers_.next();
    if (handover_) {
      const EarliestOf::Next sent{handover_->next(),
                                  static_cast<std::uint8_t>(EventKind::handover)};
      if (EarliestOf::comes_before(sent, own)) own = sent;
    }
    if (queue_.empty()) return own;
    const EarliestOf::Next control{queue_.top().at, static_cast<std::uint8_t>(EventKind::control)};
    return EarliestOf::comes_before(own, control) ? own : control;
  }
  // `coming` is what next() said.
  void handle(const EarliestOf::Next& coming, std::vector<RequestRecord>& ended);
  // Everything of this instant is known: steps begin where they can. Returns how many did. Nothing
  // comes from outside before `horizon`.
  std::int64_t start_steps(SimTime now, SimTime horizon = kSimStart);
  // Before this instant no replica depends on another one or on anything but arrivals, and the
  // router may be asked ahead; kSimStart: it is not so.
  SimTime apart_until() const;
  std::int64_t most_dealt() const { return parts_.most_dealt; }
  // Arrivals until then, in their order; what they ask for may lack its keys.
  void deal(const RequestSpec& request, SimTime at);
  // All that happens before `until`, which is at most apart_until(). Arrivals are dealt, and no
  // other one comes. Records of requests that ended take the place of what `ended` holds, in no
  // order, each in one of its parts. Calls `meanwhile` once, on any of the threads, while others go on: it must not touch
  // the cluster.
  void advance(SimTime until, bool more_comes, const std::function<void()>& meanwhile,
               std::vector<std::vector<RequestRecord>>& ended);
  // Requests are in it: what happens next may end one.
  bool has_work() const { return held_ > 0 || drivers_.next().at != kNever; }  // journeys are held
  // Some replica runs a step.
  bool busy() const;

  void begin_measuring(StepLedgers* explained);
  StepTotals totals() const;
  std::int64_t events() const;
  ReplicaDriver::Integrals integrals() const;
  std::vector<OccupancySample> take_occupancy();
  // Of the ranks of a single replica; empty where it has one or there are several replicas.
  std::vector<std::vector<OccupancySample>> take_rank_occupancy();
  // Of several replicas; nothing is in them. Up to `end`, the end of the run.
  ClusterResult take_result(SimTime end);
  // What happened to replicas so far, in order.
  const std::vector<ClusterEvent>& happened() const { return result_.events; }
  // Prompts are read by replicas of their own.
  bool hands_over() const { return handover_ != nullptr; }
  // What takes the place of records, of several replicas; null: there is one of the caller's.
  // `in_order`: arrivals of requests with greater ids are no earlier.
  std::shared_ptr<ClusterDigest> make_digest(bool in_order) const;
  // Nothing is in any replica, and the books of their memory balance. `meanwhile` as above.
  void check_drained(const std::function<void()>& meanwhile);

 private:
  enum class State : std::uint8_t { stopped, starting, up, draining, down };
  // A request that no replica has.
  struct Held {
    std::uint32_t request = 0;
    SimTime sent;
  };
  struct Unit {
    State state = State::stopped;
    bool reads = false;     // prompts, for those that generate
    bool restarts = false;  // when it has drained, it is down for `down_for` and comes back
    Duration down_for{};
    SimTime back;                  // starting, down: when it is up
    std::uint32_t epoch = 0;       // of `back`: what was scheduled for an earlier one is void
    std::unique_ptr<Replica> own;  // null: none, or the caller's
    std::unique_ptr<ReplicaDriver> driver;  // null: none runs
    std::vector<SimTime> rank_back;         // of each rank that is lost; kSimStart: it is there
    std::vector<std::pair<std::uint64_t, SlowRank>> slow;           // by the number of the fault
    std::vector<std::pair<std::uint64_t, SlowLink>> slow_links;     // likewise, or kTransferLinks
    std::vector<std::pair<std::uint64_t, std::string>> lost_tiers;  // likewise
    std::vector<Held> pinned;  // requests that wait for its return
    std::vector<Held> dealt;   // requests that come before cluster and replicas meet again
    bool touched = false;
    // Of its earlier lives.
    StepTotals totals;
    ReplicaDriver::Integrals integrals;
    std::int64_t events = 0;
    ReplicaResult result;
    SimTime up_since, held_since;
  };
  enum class Order : std::uint8_t {
    up,
    rank_back,
    slow_ends,
    slow_link_ends,
    tier_back,
    scale,
    fault,
    random_fault,
    send_again
  };
  struct Control {
    Order order{};
    std::size_t replica = 0;
    std::uint64_t detail = 0;  // epoch, rank, number or position of a fault
    Held held;
  };
  // Faults at random of one entry of the scenario, on one replica.
  struct RandomFault {
    std::size_t entry = 0, replica = 0;
    RandomEngine random;
    bool struck = false;
  };

  void lose_replica(std::size_t n, SimTime back, SimTime now) override;
  void lose_rank(std::size_t n, std::size_t rank, SimTime back, SimTime now) override;
  void slow_rank(std::size_t n, std::size_t rank, double factor, SimTime until,
                 SimTime now) override;
  void slow_link(std::size_t n, const std::string& link, double share, SimTime until,
                 SimTime now) override;
  void lose_tier(std::size_t n, const std::string& tier, SimTime back, SimTime now) override;
  void restart(std::size_t n, Duration down, SimTime now) override;

  void pass(SimTime now);
  void schedule(SimTime at, Control control);
  void obey(const Control& control, SimTime now);
  void place(const Held& held, SimTime now);
  void park(const Held& held, SimTime now);
  void give(std::size_t n, RequestSpec spec, SimTime sent, SimTime now);
  void tag(std::size_t n, std::size_t first);
  void send_again(std::size_t n, const std::vector<LostRequest>& lost, SimTime now);
  void send_now(std::size_t n, const Held& held, SimTime now);
  void set_state(std::size_t n, State state, SimTime now);
  void start(std::size_t n, SimTime now);
  void come_back(std::size_t n, State meanwhile, SimTime back, SimTime now);
  void come_up(std::size_t n, SimTime now);
  void drained(std::size_t n, SimTime now);
  // The driver and its replica are gone; what they counted is kept.
  void retire(std::size_t n, SimTime now, std::vector<LostRequest>& lost);
  void touch(std::size_t n);
  // Something comes to it from outside.
  void settle(std::size_t n, SimTime now);
  ReplicaDriver::Samples samples(const Replica& replica) const;
  void keep_life(Unit& unit);
  void take_life(Unit& unit);
  void sample_until(SimTime now);
  std::vector<SlowRank> slow_ranks(std::size_t n) const;
  void set_slow_links(std::size_t n, SimTime now);
  void end_lost_tier(std::size_t n, std::uint64_t fault, SimTime now);
  void strike(std::size_t entry, std::size_t replica, SimTime now);
  void draw_fault(std::size_t i, SimTime now);
  void scale(SimTime now);
  void add_replicas(std::size_t more, SimTime now);
  void drop_replicas(std::size_t fewer, SimTime now);
  std::size_t count(State state) const;
  StepTotals totals_of(const Unit& unit) const;
  void note(SimTime now, std::size_t n, std::string what, bool disturbs = false,
            std::int64_t lost = 0);

  // What one thread needs while replicas go on apart: cluster_apart.cpp.
  struct alignas(64) Lane {
    std::unique_ptr<CostModel> cost;  // null: `parts_.cost`
    std::vector<IdRun> ids;           // scratch
    std::vector<RequestRecord> ended;
    std::vector<OccupancySample> samples;  // sums over its replicas
    SimTime last;                          // what happened last
  };
  // Calls `work` with each replica that runs, on every lane that there is, and `meanwhile`.
  void on_lanes(const std::function<void()>& meanwhile,
                const std::function<void(std::size_t n, Lane& lane)>& work);
  void advance(std::size_t n, SimTime until, Lane& lane) const;
  void tag_ended(std::size_t n, std::vector<RequestRecord>& ended, std::size_t first) const;

  // Of requests that are handed over: cluster_handover.cpp.
  void hold(Handover::Journey& journey, SimTime now);
  void let_go(Handover::Journey& journey, SimTime now);
  void place_shared(const Held& held, SimTime now);
  void refuse(std::uint32_t request, SimTime sent, std::size_t n, SimTime now);
  void read_prompt(Handover::Journey& journey, SimTime now);
  void choose_receiver(Handover::Journey& journey, SimTime now);
  RequestSpec rest_of(const Handover::Journey& journey);
  void queue_up(Handover::Journey& journey, std::size_t n, RequestSpec spec, SimTime now);
  std::vector<std::uint32_t> step_aside(std::size_t n, SimTime now);
  void wait_without_memory(SimTime now);
  void collect_fetches(std::size_t n, SimTime now);
  void prompt_read(const RequestRecord& record, SimTime now);
  void end_journeys(SimTime now);
  std::vector<RequestRecord> join_records(std::size_t n, std::size_t first);
  void send_computed(std::size_t n, bool ended, SimTime now);
  std::vector<std::pair<std::uint32_t, Tokens>> launched_prompts(std::size_t n);
  std::vector<std::uint32_t> keep_read(std::size_t n, std::vector<LostRequest>& lost, SimTime now);
  void go_on(std::vector<std::uint32_t> requests, SimTime now);

  ClusterParts parts_;
  HostRules host_;
  bool one_ = false;                // the caller's
  std::unique_ptr<Router> router_;  // null then
  std::unique_ptr<ScalingPolicy> scaling_;
  SpecOf spec_of_;
  std::vector<Unit> units_;
  EarliestOf drivers_;
  std::vector<std::size_t> touched_;    // replicas whose next step may begin at this instant
  std::vector<Candidate> up_;           // that generate, or do all
  std::size_t draining_ = 0;            // replicas
  std::size_t decoders_ = 1;            // of units_, the first of them
  std::unique_ptr<Handover> handover_;  // null: each replica reads the prompts of its requests
  std::unique_ptr<Router> prefill_router_;
  std::vector<Candidate> prefill_up_;
  std::unordered_map<std::uint32_t, RequestRecord> prompts_;  // of requests that generate
  std::vector<Fetch> fetches_;                                // scratch
  EventQueue queue_;                                          // of controls_, by position
  std::vector<Control> controls_;
  std::vector<RandomFault> random_faults_;
  std::uint64_t faults_ = 0;                     // that end by their number, so far
  std::vector<RequestRecord>* ended_ = nullptr;  // where records go, while something is handled
  std::vector<Held> parked_;                     // nobody is up
  std::int64_t held_ = 0;  // requests that no replica has: parked, pinned, or sent again later
  std::unordered_map<std::uint32_t, std::int32_t> retries_;
  SimTime last_change_;
  Int128 held_ns_ = 0;  // integral of held_
  std::int64_t events_before_ = 0;
  bool begun_ = false;
  // Fewer replicas were wanted since then, and at most so many.
  SimTime fewer_since_ = kNever;
  std::size_t most_wanted_ = 0;
  OccupancyGrid occupancy_;
  std::vector<Lane> lanes_;
  std::vector<IdRun> ids_;  // scratch
  ClusterResult result_;
};

}  // namespace v4cap
