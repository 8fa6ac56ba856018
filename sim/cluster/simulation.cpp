#include "sim/cluster/simulation.h"

#include <algorithm>
#include <chrono>
#include <string>
#include <utility>

#include "sim/cache/block_keys.h"
#include "sim/core/hash.h"

namespace v4cap {

namespace {

std::uint64_t hash_of(const RunResult& result) {
  ContentHash hash;
  const auto time = [&](SimTime t) { hash.add(t.time_since_epoch().count()); };
  for (const RequestRecord& r : result.records) {
    hash.add(std::uint64_t{r.id});
    hash.add(static_cast<std::uint64_t>(r.end));
    time(r.arrival);
    time(r.admitted);
    time(r.first_token);
    time(r.finished);
    hash.add(r.hit.value);
    hash.add(r.computed.value);
    hash.add(r.rebuilt.value);
    hash.add(r.recomputed_after_preemption.value);
    hash.add(std::int64_t{r.preemptions});
  }
  for (const std::int64_t bytes : result.totals.evicted.bytes) hash.add(bytes);
  for (const std::int64_t bytes : result.totals.written.bytes) hash.add(bytes);
  hash.add(result.totals.steps);
  hash.add(result.totals.events);
  return hash.value();
}

void keep_peak(KindBytes& peak, const KindBytes& now) {
  for (std::size_t k = 0; k < kCacheKinds; ++k)
    peak.bytes[k] = std::max(peak.bytes[k], now.bytes[k]);
}

// Mean number of requests in the system over [from, to), from the records.
double mean_in_system(const std::vector<RequestRecord>& records, SimTime from, SimTime to) {
  if (to <= from) return 0;
  double inside_s = 0;
  for (const RequestRecord& r : records) {
    const Duration overlap = std::min(r.finished, to) - std::max(r.arrival, from);
    if (overlap > Duration{0}) inside_s += to_seconds(overlap);
  }
  return inside_s / to_seconds(to - from);
}

// An open-loop run is saturated when the number of requests in the system grew as long as requests
// came: it is half again as high in the last tenth of the arrivals as around their middle, and by
// more than the eight requests that chance alone moves a small system.
bool backlog_grows(const std::vector<RequestRecord>& records, SimTime first, SimTime last) {
  const Duration span = last - first;
  const double middle = mean_in_system(records, first + span * 2 / 5, first + span * 3 / 5);
  const double end = mean_in_system(records, first + span * 9 / 10, last);
  return end > 1.5 * middle && end > middle + 8;
}

}  // namespace

Simulation::Simulation(const Trace& trace, Workload& workload, Replica& replica,
                       const CostModel& cost, HostRules host)
    : trace_(trace), workload_(workload), replica_(replica), cost_(cost), host_(std::move(host)) {
  result_.records.resize(workload.measured());
  if (host_.prompt_token > Duration{0}) sent_.resize(trace.requests.size());
  for (const PoolSpec& pool : replica.layout().pools()) {
    result_.totals.binding.memory_pools.emplace_back(pool.name, Duration{0});
    result_.totals.kv_capacity += pool.capacity * static_cast<std::int64_t>(replica.size());
  }
  for (const Arrival& a : workload.initial()) queue_.push(a.at, EventKind::arrival, a.request);
}

RunResult Simulation::run(const ProgressFunction& progress) {
  const auto wall_start = std::chrono::steady_clock::now();
  const auto requests = static_cast<double>(result_.records.size());
  std::int64_t next_progress = host_.steps_per_progress;
  while (!queue_.empty()) {
    const Event event = queue_.pop();
    const SimTime now = event.at;
    if (idle_ && host_.idle_until) host_.idle_until(now);
    idle_ = false;
    const auto passed = static_cast<Int128>((now - last_event_).count());
    waiting_ns_ += passed * static_cast<Int128>(replica_.waiting() + reading_);
    // Whose last token nobody has seen yet still runs for its client.
    running_ns_ += passed * static_cast<Int128>(replica_.running() + unseen_ended_.size());
    decoding_ns_ += passed * static_cast<Int128>(replica_.decoding());
    last_event_ = now;
    if (event.kind == EventKind::step_end) {
      step_ended(now);
    } else if (event.kind == EventKind::read) {
      --reading_;
      submit(event.target, sent_[event.target], now);
    } else {
      arrive(event.target, now);
    }
    // Everything that happens at this instant is known before the next step is planned.
    if (busy_ || (!queue_.empty() && queue_.top().at == now)) continue;
    if (!replica_.has_work()) {
      // Nothing is launched behind it: its tokens are seen when the GPU is done.
      if (unseen_) {
        queue_.push(std::max(now, gpu_end_of_unseen_), EventKind::step_end, 0);
        busy_ = true;
      }
      idle_ = !busy_;
      continue;
    }
    result_.totals.binding.idle += now - idle_since_;
    start_step(now);
    if (progress && result_.totals.steps >= next_progress) {
      next_progress += host_.steps_per_progress;
      const bool warming = result_.warmup.size() < workload_.warmups();
      const double done = warming ? 0.0 : static_cast<double>(ended_) / requests;
      if (!progress(done)) throw Interrupted{};
    }
  }
  finish(result_);
  const std::chrono::duration<double> wall = std::chrono::steady_clock::now() - wall_start;
  result_.totals.wall_s = wall.count();
  return std::move(result_);
}

void Simulation::arrive(std::uint32_t request, SimTime now) {
  RunTotals& totals = result_.totals;
  in_system_ns_ += static_cast<Int128>(arrived_ - ended_) * (now - last_change_).count();
  last_change_ = now;
  if (arrived_++ == 0) totals.first_arrival = idle_since_ = now;
  totals.last_arrival = now;

  if (host_.prompt_token == Duration{0}) return submit(request, now, now);
  reader_free_ =
      std::max(reader_free_, now) + host_.prompt_token * trace_.requests[request].prompt.value;
  sent_[request] = now;
  ++reading_;
  queue_.push(reader_free_, EventKind::read, request);
}

void Simulation::submit(std::uint32_t request, SimTime arrival, SimTime now) {
  const TraceRequest& wanted = trace_.requests[request];
  RequestSpec spec{request, wanted.prompt, wanted.output, {}};
  sequence_keys(trace_, request, replica_.block(), id_scratch_, spec.keys);
  RequestRecord refused;
  if (!replica_.submit(std::move(spec), arrival, now, refused)) note_ended(refused, now);
}

void Simulation::step_ended(SimTime now) {
  busy_ = false;
  idle_since_ = now;
  if (!host_.overlapped) {
    replica_.finish_step(now, just_ended_);
    for (const RequestRecord& record : just_ended_) note_ended(record, now);
    just_ended_.clear();
    return;
  }
  // The step before the one that is open has ended on the GPU, and the open one is launched: the
  // tokens of the former are seen. What the open one will have done is taken for granted, so that
  // the next can be planned.
  if (unseen_) see_tokens(now);
  if (!open_) return;
  replica_.finish_step(kNotSeenYet, unseen_ended_);
  gpu_end_of_unseen_ = gpu_free_;
  unseen_ = true;
  open_ = false;
}

void Simulation::see_tokens(SimTime now) {
  replica_.stamp(now);
  unseen_ = false;
  just_ended_.swap(unseen_ended_);
  for (RequestRecord& record : just_ended_) {
    for (SimTime* time : {&record.first_token, &record.second_token, &record.finished}) {
      if (*time == kNotSeenYet) *time = now;
    }
    note_ended(record, now);
  }
  just_ended_.clear();
}

void Simulation::note_ended(const RequestRecord& record, SimTime now) {
  in_system_ns_ += static_cast<Int128>(arrived_ - ended_) * (now - last_change_).count();
  last_change_ = now;
  ++ended_;
  const bool warmup = workload_.is_warmup(record.id);
  const std::uint32_t id = workload_.record_id(record.id);
  RequestRecord& kept = warmup ? result_.warmup.emplace_back() : result_.records[id];
  kept = record;
  kept.id = id;
  kept.session = trace_.requests[record.id].session;
  kept.turn = trace_.requests[record.id].turn;
  if (warmup && result_.warmup.size() == workload_.warmups()) begin_measuring();
  released_.clear();
  workload_.ended(record.id, now, released_);
  for (const Arrival& a : released_) queue_.push(a.at, EventKind::arrival, a.request);
}

Simulation::Counters Simulation::counters() const {
  return {.evicted = replica_.evicted(),
          .written = replica_.written(),
          .reused = replica_.reused(),
          .rebuilt = replica_.rebuilt(),
          .decode_steps = replica_.decode_steps(),
          .events = static_cast<std::int64_t>(queue_.scheduled()),
          .decoded = replica_.decoded()};
}

// The warm-up is over, nothing is in the system: what it counted is forgotten, what it left in the
// caches stays.
void Simulation::begin_measuring() {
  Int128 times_ns = 0;
  for (const RequestRecord& r : result_.warmup) times_ns += (r.finished - r.arrival).count();
  V4CAP_CHECK(
      arrived_ == ended_ && in_system_ns_ == times_ns && waiting_ns_ + running_ns_ == times_ns,
      "Little's law does not hold in the warm-up");
  RunTotals fresh;
  fresh.kv_capacity = result_.totals.kv_capacity;
  fresh.binding.memory_pools = result_.totals.binding.memory_pools;
  for (auto& pool : fresh.binding.memory_pools) pool.second = Duration{0};
  result_.totals = std::move(fresh);
  occupancy_ = OccupancyRecorder{};
  arrived_ = ended_ = sequences_in_steps_ = 0;
  in_system_ns_ = waiting_ns_ = running_ns_ = decoding_ns_ = 0;
  before_ = counters();
}

void Simulation::start_step(SimTime now) {
  const auto ranks = replica_.plan_step(now);
  const StepTime time = cost_.step_time(ranks);
  V4CAP_CHECK(time.total >= time.roofline_floor && time.total > Duration{0},
              "a step of " + std::to_string(time.total.count()) +
                  " ns is faster than its roofline of " +
                  std::to_string(time.roofline_floor.count()) + " ns");
  account_step(ranks, time);
  if (host_.step_timed) host_.step_timed(now, ranks, time);
  if (host_.explained != nullptr) explain(ranks, time);
  const KindBytes in_use = replica_.in_use(), cached = replica_.cached();
  keep_peak(result_.totals.kv_peak, in_use + cached);
  if (occupancy_.due()) {
    occupancy_.add({now, in_use, cached, static_cast<std::int64_t>(replica_.running()),
                    static_cast<std::int64_t>(replica_.waiting())});
  }
  busy_ = true;
  if (!host_.overlapped) {
    queue_.push(now + time.total, EventKind::step_end, 0);
    return;
  }
  V4CAP_CHECK(time.gpu > Duration{0}, "a launched step takes the GPU no time");
  const SimTime launched = now + time.host;
  const SimTime next_launch = std::max(launched, unseen_ ? gpu_end_of_unseen_ : now);
  gpu_free_ = std::max(std::max(gpu_free_, now) + time.gpu, launched);
  open_ = true;
  queue_.push(next_launch, EventKind::step_end, 0);
}

void Simulation::explain(std::span<const StepPlan* const> ranks, const StepTime& time) {
  StepLedgers& out = *host_.explained;
  if (result_.warmup.size() < workload_.warmups()) return;
  bool prefills = false;
  for (const StepPlan* plan : ranks) {
    for (const StepPiece& piece : plan->pieces) prefills |= piece.kind != PieceKind::decode;
  }
  cost_.explain(ranks, prefills ? out.prefill : out.decode);
  (prefills ? out.prefill_steps : out.decode_steps) += 1;
  const double sequence_s = to_seconds(time.total) * static_cast<double>(replica_.decoding());
  out.decoding_s += sequence_s;
  if (prefills) out.decoding_beside_prefill_s += sequence_s;
}

void Simulation::account_step(std::span<const StepPlan* const> ranks, const StepTime& time) {
  RunTotals& totals = result_.totals;
  ++totals.steps;
  totals.busy += time.total;
  totals.share.measured_s += time.share.measured_s;
  totals.share.interpolated_s += time.share.interpolated_s;
  totals.share.extrapolated_s += time.share.extrapolated_s;
  totals.share.transferred_s += time.share.transferred_s;
  totals.share.roofline_s += time.share.roofline_s;
  totals.share.host_s += time.share.host_s;
  totals.clamped_steps += time.clamped ? 1 : 0;
  for (const StepPlan* plan : ranks) {
    sequences_in_steps_ += static_cast<std::int64_t>(plan->pieces.size());
  }

  BindingTime& binding = totals.binding;
  switch (replica_.wait_reason()) {
    case WaitReason::memory:
      binding.memory_pools[replica_.short_pool_index()].second += time.total;
      return;
    case WaitReason::running_cap:
      binding.running_cap += time.total;
      return;
    case WaitReason::step_tokens:
    case WaitReason::prefill_delayed:
      binding.step_tokens += time.total;
      return;
    case WaitReason::nothing_waits:
      break;
  }
  std::int64_t decodes = 0, others = 0;
  for (const StepPlan* plan : ranks) {
    for (const StepPiece& piece : plan->pieces) {
      (piece.kind == PieceKind::decode ? decodes : others) += piece.tokens.value;
    }
  }
  (others > decodes ? binding.nothing_waits_prefill : binding.nothing_waits_decode) += time.total;
}

void Simulation::finish(RunResult& result) {
  RunTotals& totals = result.totals;
  replica_.check_drained();
  totals.requests = static_cast<std::int64_t>(result.records.size());
  const Counters after = counters();
  totals.events = after.events - before_.events;
  totals.open_loop = workload_.open_loop();
  Int128 times_ns = 0;
  for (const RequestRecord& r : result.records) {
    (r.end == RequestEnd::finished ? totals.finished : totals.refused) += 1;
    times_ns += (r.finished - r.arrival).count();
    totals.last_finish = std::max(totals.last_finish, r.finished);
    totals.preemptions += r.preemptions;
    if (r.end == RequestEnd::refused) continue;
    totals.prompt_tokens += r.prompt;
    totals.hit_tokens += r.hit;
    totals.computed_tokens += r.computed;
    totals.rebuilt_tokens += r.rebuilt;
    totals.recomputed_after_preemption += r.recomputed_after_preemption;
    totals.output_tokens += r.output;
  }
  V4CAP_CHECK(ended_ == arrived_ && arrived_ == totals.requests &&
                  totals.finished + totals.refused == totals.requests,
              "requests in differ from finished + refused: a request was lost");
  V4CAP_CHECK(totals.prompt_tokens == totals.hit_tokens + totals.computed_tokens,
              "prompted != hit + computed");
  V4CAP_CHECK(in_system_ns_ == times_ns && waiting_ns_ + running_ns_ == times_ns,
              "Little's law does not hold");
  const Duration span = totals.last_finish - totals.first_arrival;
  if (span > Duration{0}) {
    const auto mean = [&](Int128 integral_ns) {
      return static_cast<double>(integral_ns) / static_cast<double>(span.count());
    };
    totals.mean_in_system = mean(in_system_ns_);
    totals.waiting_mean = mean(waiting_ns_);
    totals.running_mean = mean(running_ns_);
    totals.decoding_mean = mean(decoding_ns_);
  }
  if (totals.steps > 0) {
    totals.mean_batch =
        static_cast<double>(sequences_in_steps_) / static_cast<double>(totals.steps);
  }
  totals.decode_steps = after.decode_steps - before_.decode_steps;
  totals.decoded = after.decoded - before_.decoded;
  totals.evicted = after.evicted - before_.evicted;
  totals.written = after.written - before_.written;
  totals.hit_bytes = after.reused - before_.reused;
  totals.rebuilt_bytes = after.rebuilt - before_.rebuilt;
  totals.saturated =
      totals.open_loop && backlog_grows(result.records, totals.first_arrival, totals.last_arrival);
  result.occupancy = occupancy_.take();
  totals.result_hash = hash_of(result);
}

}  // namespace v4cap
