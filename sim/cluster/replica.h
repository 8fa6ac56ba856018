// One deployment of a model: attention ranks that run in lockstep, each an engine with its own KV
// memory, prefix cache and scheduler, and the router that gives each request to one of them. Like
// an engine it has no clock and no device:
//
//   replica.submit(spec, now);
//   const auto plans = replica.plan_step(now);    // a plan for each rank, empty where it is idle
//   ... the step is performed; it ends when the slowest rank has done its part ...
//   replica.finish_step(now, ended);
//
// Amounts of memory are of one GPU of each rank, summed over the ranks: the GPUs of a rank hold the
// same.
#pragma once

#include <memory>
#include <span>
#include <utility>
#include <vector>

#include "sim/cluster/router.h"
#include "sim/engine/engine.h"

namespace v4cap {

// What ranks agree on before a step.
struct RankRules {
  // Ranks stand by while another one prefills (SGLang's DP attention with drafts: one step cannot
  // hold both).
  bool prefill_alone = false;
  // Prefill waits until every rank has some, for at most so many steps in a row; 0: it does not.
  std::int64_t delay_steps = 0;
};

class Replica {
 public:
  // At least one rank; all are alike in their limits and memory.
  Replica(std::vector<std::unique_ptr<Engine>> ranks, std::unique_ptr<Router> router,
          RankRules rules = {});
  // One rank, which takes every request.
  explicit Replica(std::unique_ptr<Engine> only);

  // As Engine::observe(), of one rank.
  void observe(std::size_t rank, CacheObserver* observer) { ranks_[rank]->observe(observer); }

  // A request arrives and is given to a rank for good. False: it can never run; its record is in
  // `refused`.
  // `arrival`: when its client sent it.
  bool submit(RequestSpec spec, SimTime arrival, SimTime now, RequestRecord& refused);
  bool submit(RequestSpec spec, SimTime now, RequestRecord& refused) {
    return submit(std::move(spec), now, now, refused);
  }

  // A rank is lost: its requests are taken away (Engine::lose) and it takes no more until it is
  // back, with an empty cache. Not the last one that is there. Returns what its cache held.
  KindBytes lose_rank(std::size_t rank, std::vector<LostRequest>& lost);
  void rank_is_back(std::size_t rank);
  bool has_rank(std::size_t rank) const;
  std::size_t ranks_there() const { return there_.size(); }
  // All is lost, for good: this replica takes no requests any more.
  KindBytes lose(std::vector<LostRequest>& lost);

  // The next step of every rank. Valid until finish_step(); all are empty when nothing can run.
  std::span<const StepPlan* const> plan_step(SimTime now);
  // As Engine::steady_steps() and skip_steps(), of all ranks together.
  std::int64_t steady_steps() const;
  void skip_steps(std::int64_t steps, SimTime first_end);
  // The last plans have been performed. Records of requests that ended are appended to `ended`, in
  // order of ranks.
  void finish_step(SimTime now, std::vector<RequestRecord>& ended);
  void stamp(SimTime seen);  // as Engine::stamp()

  // As Engine::can_run(), sent(), forget(), runs() and take_fetches() of whichever rank.
  bool can_run(Tokens prompt, Tokens output, RequestPart part) const;
  bool sent(std::uint32_t request);
  bool forget(std::uint32_t request);
  bool runs(std::uint32_t request) const;

  // The last plans: of the step that runs, until it is finished.
  std::span<const StepPlan* const> plans() const { return plans_; }

  bool has_work() const;
  std::size_t requests() const { return running() + waiting() + shared(); }
  std::size_t shared() const;  // as Engine::shared()
  Tokens prompt_tokens() const;
  // Where a request that arrived now could resume on the rank that is best for it.
  Tokens would_hit(const RequestSpec& spec) const;
  std::size_t running() const;
  std::size_t waiting() const;
  std::size_t decoding() const;  // of those that run

  // After the last plan: why requests wait on the first rank where some do, and the pool that is
  // short there.
  WaitReason wait_reason() const;
  std::size_t short_pool_index() const;

  std::size_t size() const { return ranks_.size(); }
  const Engine& rank(std::size_t i) const { return *ranks_[i]; }
  Engine& rank(std::size_t i) { return *ranks_[i]; }
  Tokens block() const { return ranks_.front()->cache().block(); }
  const Layout& layout() const { return ranks_.front()->cache().layout(); }

  std::int64_t decode_steps() const;
  Tokens decoded() const;

  KindBytes in_use() const;
  KindBytes cached() const;
  KindBytes resident() const;  // both
  KindBytes evicted() const;
  KindBytes written() const;
  KindBytes reused() const;
  KindBytes rebuilt() const;
  KindBytes loaded() const;

  // Everything ended on every rank: all memory is free or cached, and the books balance.
  void check_drained() const;

 private:
  // One step in which ranks admit requests only where `admit` says so.
  void plan_ranks(SimTime now, bool admit);
  const Engine& rank_that_waits() const;
  template <class Part>
  KindBytes sum(Part part) const;

  std::vector<std::unique_ptr<Engine>> ranks_;
  std::unique_ptr<Router> router_;  // null with one rank
  std::vector<Candidate> there_;    // ranks that are not lost
  RankRules rules_;
  std::int64_t delayed_steps_ = 0;
  std::vector<const StepPlan*> plans_;
};

}  // namespace v4cap
