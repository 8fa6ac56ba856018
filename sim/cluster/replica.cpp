#include "sim/cluster/replica.h"

#include <algorithm>
#include <limits>
#include <string>
#include <utility>

namespace v4cap {

Replica::Replica(std::vector<std::unique_ptr<Engine>> ranks, std::unique_ptr<Router> router,
                 RankRules rules)
    : ranks_(std::move(ranks)), router_(std::move(router)), rules_(rules), plans_(ranks_.size()) {
  V4CAP_CHECK(!ranks_.empty(), "a deployment without an engine");
  V4CAP_CHECK(ranks_.size() == 1 || router_ != nullptr, "several ranks without a router");
  for (std::size_t i = 0; i < ranks_.size(); ++i) there_.push_back({i, ranks_[i].get()});
}

Replica::Replica(std::unique_ptr<Engine> only) {
  ranks_.push_back(std::move(only));
  there_.push_back({0, ranks_.front().get()});
  plans_.resize(1);
}

bool Replica::submit(RequestSpec spec, SimTime arrival, SimTime now, RequestRecord& refused) {
  std::size_t rank = 0;
  if (ranks_.size() > 1) {
    const std::size_t chosen = router_->choose(spec, there_);
    V4CAP_CHECK(chosen < there_.size(), "a router chose rank " + std::to_string(chosen));
    rank = there_[chosen].number;
  }
  return ranks_[rank]->submit(std::move(spec), arrival, now, refused);
}

bool Replica::has_rank(std::size_t rank) const {
  return std::ranges::find(there_, rank, &Candidate::number) != there_.end();
}

KindBytes Replica::lose_rank(std::size_t rank, std::vector<LostRequest>& lost) {
  V4CAP_CHECK(there_.size() > 1 && has_rank(rank), "a rank was lost that cannot be");
  there_.erase(std::ranges::find(there_, rank, &Candidate::number));
  return ranks_[rank]->lose(lost);
}

void Replica::rank_is_back(std::size_t rank) {
  V4CAP_CHECK(rank < ranks_.size() && !has_rank(rank), "a rank is back that was not lost");
  there_.insert(std::ranges::lower_bound(there_, rank, {}, &Candidate::number),
                {rank, ranks_[rank].get()});
}

KindBytes Replica::lose(std::vector<LostRequest>& lost) {
  KindBytes bytes;
  for (const auto& rank : ranks_) bytes += rank->lose(lost);
  return bytes;
}

Tokens Replica::prompt_tokens() const {
  Tokens sum;
  for (const auto& rank : ranks_) sum += rank->prompt_tokens();
  return sum;
}

Tokens Replica::would_hit(const RequestSpec& spec) const {
  Tokens longest;
  for (const Candidate& rank : there_) longest = std::max(longest, rank.target->would_hit(spec));
  return longest;
}

std::span<const StepPlan* const> Replica::plan_step(SimTime now) {
  if (ranks_.size() == 1 || (!rules_.prefill_alone && rules_.delay_steps == 0)) {
    for (std::size_t i = 0; i < ranks_.size(); ++i) plans_[i] = &ranks_[i]->plan_step(now);
    return plans_;
  }
  const auto wanting = std::ranges::count_if(
      ranks_, [](const std::unique_ptr<Engine>& rank) { return rank->wants_prefill(); });
  const bool delayed = wanting > 0 && static_cast<std::size_t>(wanting) < ranks_.size() &&
                       delayed_steps_ < rules_.delay_steps;
  delayed_steps_ = delayed ? delayed_steps_ + 1 : 0;
  if (delayed) {
    plan_ranks(now, false);
    if (std::ranges::any_of(plans_, [](const StepPlan* plan) { return !plan->empty(); })) {
      return plans_;
    }
    delayed_steps_ = 0;  // nobody decodes meanwhile: there is nothing to wait for
  }
  plan_ranks(now, true);
  return plans_;
}

void Replica::plan_ranks(SimTime now, bool admit) {
  // Those that want to prefill plan it first: whether they can is known only then. Whoever could not
  // decodes with the others, if they may.
  std::vector<bool> prefills(ranks_.size(), false);
  if (rules_.prefill_alone) {
    for (std::size_t i = 0; i < ranks_.size(); ++i) {
      if (!ranks_[i]->wants_prefill()) continue;
      plans_[i] = &ranks_[i]->plan_step(now, {.prefill = admit, .decode = false});
      prefills[i] = !plans_[i]->empty();
    }
  }
  const bool alone = std::ranges::find(prefills, true) != prefills.end();
  for (std::size_t i = 0; i < ranks_.size(); ++i) {
    if (!prefills[i]) plans_[i] = &ranks_[i]->plan_step(now, {.prefill = admit, .any = !alone});
  }
}

std::int64_t Replica::steady_steps() const {
  std::int64_t steps = std::numeric_limits<std::int64_t>::max();
  for (const auto& rank : ranks_) {
    // Who may prefill is agreed on anew before each step where somebody wants to.
    if (ranks_.size() > 1 && rank->waiting() > 0) return 1;
    steps = std::min(steps, rank->steady_steps());
    if (steps == 1) break;
  }
  return steps;
}

void Replica::skip_steps(std::int64_t steps, SimTime first_end) {
  for (const auto& rank : ranks_) rank->skip_steps(steps, first_end);
}

void Replica::stamp(SimTime seen) {
  for (const auto& rank : ranks_) rank->stamp(seen);
}

void Replica::finish_step(SimTime now, std::vector<RequestRecord>& ended) {
  for (std::size_t i = 0; i < ranks_.size(); ++i) {
    if (plans_[i]->empty()) continue;
    const std::size_t before = ended.size();
    ranks_[i]->finish_step(now, ended);
    for (std::size_t r = before; r < ended.size(); ++r) {
      ended[r].rank = static_cast<std::int32_t>(i);
    }
  }
}

std::size_t Replica::shared() const {
  std::size_t sum = 0;
  for (const auto& rank : ranks_) sum += rank->shared();
  return sum;
}

bool Replica::can_run(Tokens prompt, Tokens output, RequestPart part) const {
  return ranks_.front()->can_run(prompt, output, part);
}

bool Replica::sent(std::uint32_t request) {
  return std::ranges::any_of(ranks_, [&](const auto& rank) { return rank->sent(request); });
}

bool Replica::forget(std::uint32_t request) {
  return std::ranges::any_of(ranks_, [&](const auto& rank) { return rank->forget(request); });
}

bool Replica::runs(std::uint32_t request) const {
  return std::ranges::any_of(ranks_, [&](const auto& rank) { return rank->runs(request); });
}

bool Replica::has_work() const {
  return std::ranges::any_of(ranks_, [](const auto& rank) { return rank->has_work(); });
}

std::size_t Replica::running() const {
  std::size_t sum = 0;
  for (const auto& rank : ranks_) sum += rank->running();
  return sum;
}

std::size_t Replica::waiting() const {
  std::size_t sum = 0;
  for (const auto& rank : ranks_) sum += rank->waiting();
  return sum;
}

std::int64_t Replica::decode_steps() const {
  std::int64_t sum = 0;
  for (const auto& rank : ranks_) sum += rank->decode_steps();
  return sum;
}

Tokens Replica::decoded() const {
  Tokens sum;
  for (const auto& rank : ranks_) sum += rank->decoded();
  return sum;
}

std::size_t Replica::decoding() const {
  std::size_t sum = 0;
  for (const auto& rank : ranks_) sum += rank->decoding();
  return sum;
}

const Engine& Replica::rank_that_waits() const {
  for (const auto& rank : ranks_) {
    if (rank->wait_reason() != WaitReason::nothing_waits) return *rank;
  }
  return *ranks_.front();
}

WaitReason Replica::wait_reason() const {
  return rank_that_waits().wait_reason();
}

std::size_t Replica::short_pool_index() const {
  return rank_that_waits().cache().short_pool_index();
}

template <class Part>
KindBytes Replica::sum(Part part) const {
  KindBytes all = part(ranks_.front()->cache());
  for (std::size_t i = 1; i < ranks_.size(); ++i) all += part(ranks_[i]->cache());
  return all;
}

KindBytes Replica::in_use() const {
  return sum([](const KvCache& cache) { return cache.in_use(); });
}

KindBytes Replica::cached() const {
  return sum([](const KvCache& cache) { return cache.cached(); });
}

KindBytes Replica::resident() const {
  return sum([](const KvCache& cache) { return cache.resident(); });
}

KindBytes Replica::evicted() const {
  return sum([](const KvCache& cache) { return cache.evicted(); });
}

KindBytes Replica::written() const {
  return sum([](const KvCache& cache) { return cache.written(); });
}

KindBytes Replica::reused() const {
  return sum([](const KvCache& cache) { return cache.reused(); });
}

KindBytes Replica::rebuilt() const {
  return sum([](const KvCache& cache) { return cache.rebuilt(); });
}

KindBytes Replica::loaded() const {
  return sum([](const KvCache& cache) { return cache.loaded(); });
}

void Replica::check_drained() const {
  for (const auto& rank : ranks_) rank->check_drained();
}

}  // namespace v4cap
