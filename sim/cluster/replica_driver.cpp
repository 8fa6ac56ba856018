#include "sim/cluster/replica_driver.h"

#include <algorithm>
#include <string>
#include <utility>

namespace v4cap {

namespace {

void keep_peak(KindBytes& peak, const KindBytes& now) {
  for (std::size_t k = 0; k < kCacheKinds; ++k)
    peak.bytes[k] = std::max(peak.bytes[k], now.bytes[k]);
}

}  // namespace

ReplicaDriver::ReplicaDriver(Replica& replica, const CostModel& cost, const HostRules& host,
                             Samples samples, SimTime since)
    : replica_(replica), cost_(&cost), host_(host), occupancy_(samples.all) {
  if (replica.size() > 1) {
    rank_occupancy_.assign(replica.size(), OccupancyRecorder(samples.rank));
  }
  totals_.kv_caches = static_cast<std::int64_t>(replica.size());
  for (const PoolSpec& pool : replica.layout().pools()) {
    totals_.binding.memory_pools.emplace_back(pool.name, Duration{0});
    totals_.kv_capacity += pool.capacity * static_cast<std::int64_t>(replica.size());
  }
  if (!host_.tiers.tiers.empty()) {
    traffic_ = std::make_unique<TierTraffic>(replica, host_.tiers, since);
  }
}

// Nothing changes between two calls: what waits and runs did so since the last one.
void ReplicaDriver::pass(SimTime now) {
  const auto passed = static_cast<Int128>((now - last_event_).count());
  integrals_.waiting_ns += passed * static_cast<Int128>(replica_.waiting() + reading_.size());
  // Whose last token nobody has seen yet still runs for its client.
  integrals_.running_ns += passed * static_cast<Int128>(replica_.running() + unseen_ended_.size());
  integrals_.decoding_ns += passed * static_cast<Int128>(replica_.decoding());
  last_event_ = now;
}

// What was ordered until then is under way, and an event stands where the links change next. Orders
// of a step's end and of the step that is planned at the same instant go together: this comes after
// them, or before something else that happens at that instant.
void ReplicaDriver::carry_on(SimTime now) {
  if (traffic_ == nullptr) return;
  traffic_->collect(now);
  const auto next = traffic_->next_change();
  if (!next || *next >= transfer_at_) return;
  transfer_at_ = *next;
  transfer_events_.push(*next);
  ++events_;
}

void ReplicaDriver::push_step_end(SimTime at) {
  step_end_ = at;
  ++events_;
}

void ReplicaDriver::submit(RequestSpec spec, SimTime sent, SimTime now,
                           std::vector<RequestRecord>& ended) {
  settle(now);
  carry_on(last_event_);
  pass(now);
  // Another host has read the prompt of what goes on here.
  if (host_.prompt_token == Duration{0} || spec.part == RequestPart::rest) {
    return give(std::move(spec), sent, now, ended);
  }
  reader_free_ = std::max(reader_free_, now) + host_.prompt_token * spec.prompt.value;
  reading_tokens_ += spec.prompt;
  reading_.push_back({reader_free_, sent, std::move(spec)});
  ++events_;
}

void ReplicaDriver::give(RequestSpec spec, SimTime sent, SimTime now,
                         std::vector<RequestRecord>& ended) {
  RequestRecord refused;
  if (!replica_.submit(std::move(spec), sent, now, refused)) ended.push_back(refused);
}

void ReplicaDriver::handle(SimTime now, std::vector<RequestRecord>& ended) {
  const EarliestOf::Next coming = next();
  if (!ahead_.empty()) begin_ahead(now);
  carry_on(last_event_);
  pass(now);
  if (coming.rank == static_cast<std::uint8_t>(EventKind::step_end)) return step_ended(now, ended);
  if (coming.rank == static_cast<std::uint8_t>(EventKind::transfer)) {
    transfer_events_.pop();
    transfer_at_ = kNever;
    return traffic_->advance(now);
  }
  Reading reading = std::move(reading_.front());
  reading_.pop_front();
  reading_tokens_ -= reading.spec.prompt;
  give(std::move(reading.spec), reading.sent, now, ended);
}

void ReplicaDriver::received(std::size_t rank, std::uint32_t request, SimTime now) {
  carry_on(last_event_);
  pass(now);
  replica_.rank(rank).received(request, now);
}

void ReplicaDriver::sent(std::uint32_t request, SimTime now) {
  carry_on(last_event_);
  pass(now);
  const bool kept = replica_.sent(request);
  V4CAP_CHECK(kept, "request " + std::to_string(request) + " was sent from where it is not");
}

void ReplicaDriver::forget(std::uint32_t request, SimTime now) {
  carry_on(last_event_);
  pass(now);
  const bool waited = replica_.forget(request);
  V4CAP_CHECK(waited, "request " + std::to_string(request) + " is forgotten where it is not");
}

void ReplicaDriver::step_ended(SimTime now, std::vector<RequestRecord>& ended) {
  step_end_ = kNever;
  idle_since_ = now;
  if (!host_.overlapped) return replica_.finish_step(now, ended);
  // The step before the one that is open has ended on the GPU, and the open one is launched: the
  // tokens of the former are seen. What the open one will have done is taken for granted, so that
  // the next can be planned.
  if (unseen_) see_tokens(now, ended);
  if (!open_) return;
  replica_.finish_step(kNotSeenYet, unseen_ended_);
  gpu_end_of_unseen_ = gpu_free_;
  unseen_ = true;
  open_ = false;
}

void ReplicaDriver::see_tokens(SimTime now, std::vector<RequestRecord>& ended) {
  replica_.stamp(now);
  unseen_ = false;
  for (RequestRecord& record : unseen_ended_) {
    for (SimTime* time : {&record.first_token, &record.second_token, &record.finished}) {
      if (*time == kNotSeenYet) *time = now;
    }
    ended.push_back(record);
  }
  unseen_ended_.clear();
}

std::int64_t ReplicaDriver::start_step(SimTime now, SimTime horizon, bool ahead) {
  std::int64_t started = 0;
  if (!busy()) {
    if (replica_.has_work()) started = launch(now, horizon, ahead);
    // Nothing is launched behind it: its tokens are seen when the GPU is done.
    if (started == 0 && unseen_) push_step_end(std::max(now, gpu_end_of_unseen_));
  }
  carry_on(now);
  return started;
}

inline void ReplicaDriver::sample(SimTime now) {
  const bool due = occupancy_.due();
  if (due || !rank_occupancy_.empty()) sample_due(now, due);
}

void ReplicaDriver::sample_due(SimTime now, bool due) {
  if (due) {
    occupancy_.add({now, replica_.in_use(), replica_.cached(),
                    static_cast<std::int64_t>(replica_.running()),
                    static_cast<std::int64_t>(replica_.waiting())});
  }
  for (std::size_t rank = 0; rank < rank_occupancy_.size(); ++rank) {
    if (!rank_occupancy_[rank].due()) continue;
    const Engine& engine = replica_.rank(rank);
    rank_occupancy_[rank].add({now, engine.cache().in_use(), engine.cache().cached(),
                               static_cast<std::int64_t>(engine.running()),
                               static_cast<std::int64_t>(engine.waiting())});
  }
}

std::int64_t ReplicaDriver::skip(std::span<const StepPlan* const> ranks, SimTime now,
                                 SimTime horizon, bool ahead) {
  if (!host_.skips_steady || host_.overlapped || host_.explained != nullptr || host_.step_timed ||
      host_.idle_until || traffic_ != nullptr || !slow_.empty()) {
    return 0;
  }
  const SimTime read = reading_.empty() ? kNever : reading_.front().read;
  horizon = std::min(horizon, read);
  if (now >= (ahead ? read : horizon)) return 0;
  const std::int64_t steady = replica_.steady_steps();
  if (steady <= 1) return 0;
  const std::unique_ptr<DecodeRun> run = cost_->decode_run(ranks);
  if (run == nullptr) return 0;
  keep_peak(totals_.kv_peak, replica_.resident());
  const std::int64_t sequences = sequences_of(ranks);
  Duration& binding = binding_of(ranks);
  SimTime end = now, first_end = now;
  std::int64_t steps = 0, clamped = 0;
  TimeShare share = totals_.share;
  do {
    const StepTime time = run->next();
    V4CAP_CHECK(time.total > Duration{0}, "a step takes no time");
    share += time.share;
    clamped += time.clamped ? 1 : 0;
    sample(end);
    end += time.total;
    if (steps == 0) first_end = end;
  } while (++steps < steady && end < horizon);
  totals_.share = share;
  totals_.steps += steps;
  totals_.busy += end - now;
  totals_.clamped_steps += clamped;
  totals_.sequences += steps * sequences;
  binding += end - now;
  replica_.skip_steps(steps - 1, first_end);
  events_ += steps - 1;
  // So few that little is done for nothing where they are taken back.
  constexpr std::size_t kMostAhead = 32;
  ahead_begin_ = end;
  for (; ahead && steps < steady && end < read && ahead_.size() < kMostAhead; ++steps) {
    ahead_.push_back(run->next());
    end += ahead_.back().total;
  }
  ahead_sequences_ = sequences;
  ahead_binding_ = &binding;
  push_step_end(end);
  return steps;
}

SimTime ReplicaDriver::begin_ahead(SimTime now) {
  std::int64_t begun = 0;
  SimTime end = ahead_begin_;
  for (const StepTime& time : ahead_) {
    if (end >= now) break;
    V4CAP_CHECK(time.total > Duration{0}, "a step takes no time");
    add_step(time, ahead_sequences_, *ahead_binding_);
    sample(end);
    end += time.total;
    ++begun;
  }
  replica_.skip_steps(begun, ahead_begin_);  // the step that runs comes first
  events_ += begun;
  ahead_.clear();
  return end;
}

bool ReplicaDriver::settle(SimTime now) {
  if (ahead_.empty()) return false;
  pass(now);
  step_end_ = begin_ahead(now);
  if (step_end_ > now) return true;
  std::vector<RequestRecord> ended;
  step_ended(now, ended);
  V4CAP_CHECK(ended.empty(), "a request ended within steps that were taken together");
  return true;
}

// How much longer than its own time a step takes whose requests' prefixes are still being loaded. A
// layer is computed when its part has come and the layer before it is done: with layers alike, and
// parts that come at one rate, either no layer waits behind the first or the last one waits longest,
// and is computed after its part is there.
Duration ReplicaDriver::wait_for_loads(std::span<const StepPlan* const> ranks, const StepTime& time,
                                       SimTime now) {
  const SimTime there = traffic_->loads_end(ranks, now);
  if (there <= now) return {};
  const Duration layers = time.gpu > Duration{0} ? time.gpu : time.total;
  const SimTime end = host_.overlapped ? std::max(gpu_free_, now) + time.gpu : now + time.total;
  return std::max(there + layers / host_.tiers.layers - end, Duration{0});
}

std::int64_t ReplicaDriver::launch(SimTime now, SimTime horizon, bool ahead) {
  const auto ranks = replica_.plan_step(now);
  if (std::ranges::all_of(ranks, [](const StepPlan* plan) { return plan->empty(); })) return 0;
  totals_.binding.idle += now - idle_since_;
  if (const std::int64_t steps = skip(ranks, now, horizon, ahead); steps > 0) return steps;
  StepTime time = slow_.empty() ? cost_->quick_time(ranks) : time_of(ranks);
  V4CAP_CHECK(time.total >= time.roofline_floor && time.total > Duration{0},
              "a step of " + std::to_string(time.total.count()) +
                  " ns is faster than its roofline of " +
                  std::to_string(time.roofline_floor.count()) + " ns");
  if (traffic_ != nullptr) {
    const Duration wait = wait_for_loads(ranks, time, now);
    time.total += wait;
    time.gpu += wait;
    totals_.load_wait += wait;
  }
  add_step(time, sequences_of(ranks), binding_of(ranks));
  if (host_.step_timed) host_.step_timed(now, ranks, time);
  if (host_.explained != nullptr) explain(ranks, time);
  keep_peak(totals_.kv_peak, replica_.resident());
  sample(now);
  if (!host_.overlapped) {
    push_step_end(now + time.total);
    return 1;
  }
  V4CAP_CHECK(time.gpu > Duration{0}, "a launched step takes the GPU no time");
  const SimTime launched = now + time.host;
  const SimTime next_launch = std::max(launched, unseen_ ? gpu_end_of_unseen_ : now);
  gpu_free_ = std::max(std::max(gpu_free_, now) + time.gpu, launched);
  open_ = true;
  push_step_end(next_launch);
  return 1;
}

std::vector<std::vector<OccupancySample>> ReplicaDriver::take_rank_occupancy() {
  std::vector<std::vector<OccupancySample>> out;
  for (OccupancyRecorder& rank : rank_occupancy_) out.push_back(rank.take());
  return out;
}

StepTime ReplicaDriver::time_of(std::span<const StepPlan* const> ranks) const {
  StepTime time = cost_->step_time(ranks);
  const Duration plain = time.total;
  const StepPlan nothing;
  for (const SlowRank& slow : slow_) {
    if (slow.rank >= ranks.size() || ranks[slow.rank]->empty()) continue;
    std::vector<const StepPlan*> alone(ranks.size(), &nothing);
    alone[slow.rank] = ranks[slow.rank];
    const StepTime part = cost_->step_time(alone);
    const auto longer = [&](Duration of_part, Duration of_all) {
      return std::max(of_all, duration_from_seconds(to_seconds(of_part) * slow.factor));
    };
    if (time.gpu > Duration{0}) {
      const Duration gpu = longer(part.gpu, time.gpu);
      time.total += gpu - time.gpu;
      time.gpu = gpu;
    } else {
      time.total = longer(part.total, time.total);
    }
  }
  time.share *= to_seconds(time.total) / to_seconds(plain);
  return time;
}

void ReplicaDriver::set_slow_links(const std::vector<SlowLink>& slow, SimTime now) {
  carry_on(last_event_);
  pass(now);
  V4CAP_CHECK(traffic_ != nullptr || slow.empty(), "a fault on links of tiers that are not there");
  if (traffic_ != nullptr) traffic_->set_slow(slow, now);
}

std::size_t ReplicaDriver::lose_tier(const std::string& name, SimTime now) {
  carry_on(last_event_);
  pass(now);
  return traffic_->lose_tier(name, now);
}

KindBytes ReplicaDriver::lose(SimTime now, std::vector<LostRequest>& lost) {
  settle(now);
  pass(now);
  for (const Reading& r : reading_) lost.push_back({r.spec.id, r.sent, Tokens{0}});
  for (const RequestRecord& r : unseen_ended_) {
    if (r.end == RequestEnd::handed_over) continue;  // the engine still has it
    lost.push_back({r.id, r.arrival, r.computed + r.output});
  }
  reading_.clear();
  reading_tokens_ = {};
  unseen_ended_.clear();
  unseen_ = open_ = false;
  step_end_ = kNever;
  if (traffic_ != nullptr) traffic_->lose(now);
  transfer_events_ = {};
  return replica_.lose(lost);
}

KindBytes ReplicaDriver::lose_rank(std::size_t rank, SimTime now, std::vector<LostRequest>& lost) {
  settle(now);
  carry_on(last_event_);
  pass(now);
  if (traffic_ != nullptr) traffic_->lose_rank(rank, now);
  const KindBytes bytes = replica_.lose_rank(rank, lost);
  std::erase_if(unseen_ended_, [&](const RequestRecord& r) {
    return r.end == RequestEnd::handed_over &&
           std::ranges::find(lost, r.id, &LostRequest::id) != lost.end();
  });
  return bytes;
}

void ReplicaDriver::explain(std::span<const StepPlan* const> ranks, const StepTime& time) {
  StepLedgers& out = *host_.explained;
  bool prefills = false;
  for (const StepPlan* plan : ranks) {
    for (const StepPiece& piece : plan->pieces) prefills |= piece.kind != PieceKind::decode;
  }
  cost_->explain(ranks, prefills ? out.prefill : out.decode);
  (prefills ? out.prefill_steps : out.decode_steps) += 1;
  const double sequence_s = to_seconds(time.total) * static_cast<double>(replica_.decoding());
  out.decoding_s += sequence_s;
  if (prefills) out.decoding_beside_prefill_s += sequence_s;
}

std::int64_t ReplicaDriver::sequences_of(std::span<const StepPlan* const> ranks) {
  std::int64_t sequences = 0;
  for (const StepPlan* plan : ranks) sequences += static_cast<std::int64_t>(plan->pieces.size());
  return sequences;
}

void ReplicaDriver::add_step(const StepTime& time, std::int64_t sequences, Duration& binding) {
  ++totals_.steps;
  totals_.busy += time.total;
  totals_.share += time.share;
  totals_.clamped_steps += time.clamped ? 1 : 0;
  totals_.sequences += sequences;
  binding += time.total;
}

// Where the time of this step counts.
Duration& ReplicaDriver::binding_of(std::span<const StepPlan* const> ranks) {
  BindingTime& binding = totals_.binding;
  switch (replica_.wait_reason()) {
    case WaitReason::memory:
      return binding.memory_pools[replica_.short_pool_index()].second;
    case WaitReason::running_cap:
      return binding.running_cap;
    case WaitReason::step_tokens:
    case WaitReason::prefill_delayed:
      return binding.step_tokens;
    case WaitReason::nothing_waits:
      break;
  }
  std::int64_t decodes = 0, all = 0;
  for (const StepPlan* plan : ranks) {
    for (const StepPiece& piece : plan->pieces) {
      all += piece.tokens.value;
      decodes += piece.kind == PieceKind::decode ? piece.tokens.value : 0;
    }
  }
  const std::int64_t others = all - decodes;
  return others > decodes ? binding.nothing_waits_prefill : binding.nothing_waits_decode;
}

StepTotals ReplicaDriver::counted() const {
  StepTotals out;
  out.evicted = replica_.evicted();
  out.written = replica_.written();
  out.hit_bytes = replica_.reused();
  out.rebuilt_bytes = replica_.rebuilt();
  out.loaded = replica_.loaded();
  out.decode_steps = replica_.decode_steps();
  out.decoded = replica_.decoded();
  return out;
}

void ReplicaDriver::begin_measuring(StepLedgers* explained) {
  StepTotals fresh;
  fresh.kv_capacity = totals_.kv_capacity;
  fresh.kv_caches = totals_.kv_caches;
  fresh.binding.memory_pools = totals_.binding.memory_pools;
  for (auto& pool : fresh.binding.memory_pools) pool.second = Duration{0};
  totals_ = std::move(fresh);
  occupancy_.restart();
  for (OccupancyRecorder& rank : rank_occupancy_) rank.restart();
  integrals_ = {};
  events_ = 0;
  before_ = counted();
  if (traffic_ != nullptr) traffic_->reset();
  host_.explained = explained;
}

StepTotals ReplicaDriver::totals() const {
  StepTotals out = totals_;
  const StepTotals after = counted();
  out.evicted = after.evicted - before_.evicted;
  out.written = after.written - before_.written;
  out.hit_bytes = after.hit_bytes - before_.hit_bytes;
  out.rebuilt_bytes = after.rebuilt_bytes - before_.rebuilt_bytes;
  out.loaded = after.loaded - before_.loaded;
  if (traffic_ != nullptr) out.tiers = traffic_->totals();
  out.decode_steps = after.decode_steps - before_.decode_steps;
  out.decoded = after.decoded - before_.decoded;
  return out;
}

void ReplicaDriver::check_drained() const {
  replica_.check_drained();
  if (traffic_ != nullptr) traffic_->check_drained();
}

}  // namespace v4cap
