#include "sim/cluster/simulation.h"

#include <algorithm>
#include <chrono>
#include <string>
#include <utility>

#include "sim/cache/block_keys.h"
#include "sim/core/hash.h"

namespace v4cap {

namespace {

void add_to(ContentHash& hash, const RequestRecord& r) {
  const auto time = [&](SimTime t) { hash.add(t.time_since_epoch().count()); };
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

// Of a cluster's record, beside what every record has.
void add_place_to(ContentHash& hash, const RequestRecord& r, bool transfers) {
  hash.add(std::int64_t{r.replica});
  hash.add(std::int64_t{r.retries});
  if (!transfers) return;
  hash.add(std::int64_t{r.prefill_replica});
  hash.add(r.prompt_read.time_since_epoch().count());
}

// `hash` has the records already, `places` what a cluster's records have beside it.
std::uint64_t hash_of(ContentHash hash, const ContentHash& places, const RunResult& result) {
  for (const std::int64_t bytes : result.totals.evicted.bytes) hash.add(bytes);
  for (const std::int64_t bytes : result.totals.written.bytes) hash.add(bytes);
  for (const TierTotals& tier : result.totals.tiers) {
    for (const std::int64_t bytes : tier.written.bytes) hash.add(bytes);
    for (const std::int64_t bytes : tier.read.bytes) hash.add(bytes);
  }
  hash.add(result.totals.steps);
  hash.add(result.totals.events);
  if (!result.cluster) return hash.value();
  hash.add(places.value());
  for (const ClusterEvent& event : result.cluster->events) {
    hash.add(event.at.time_since_epoch().count());
    hash.add(event.what);
  }
  return hash.value();
}

std::int64_t& count_of(RunTotals& totals, RequestEnd end) {
  return end == RequestEnd::finished  ? totals.finished
         : end == RequestEnd::refused ? totals.refused
                                      : totals.failed;
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

RequestSpec spec_without_keys(const Trace& trace, std::uint32_t request) {
  const TraceRequest& wanted = trace.played(request);
  return {request, wanted.prompt, wanted.output, {}, wanted.session};
}

bool backlog_grows(const std::vector<RequestRecord>& records, SimTime first, SimTime last) {
  const auto s = BacklogStretches::of(first, last);
  return BacklogStretches::grows(mean_in_system(records, s.middle_begin, s.middle_end),
                                 mean_in_system(records, s.end_begin, s.end_end));
}

}  // namespace

// While a warm-up lasts no step is explained.
Simulation::Simulation(
    const Trace& trace, Workload& workload, HostRules host, RecordRules records,
    const std::function<std::unique_ptr<Cluster>(const HostRules&)>& make_cluster)
    : trace_(trace), workload_(workload), host_(std::move(host)), records_(std::move(records)) {
  HostRules begins = host_;
  if (workload.warmups() > 0) begins.explained = nullptr;
  cluster_ = make_cluster(begins);
  cluster_->set_requests([this](std::uint32_t request, Tokens block, std::vector<IdRun>& ids) {
    RequestSpec spec = spec_without_keys(trace_, request);
    sequence_keys(trace_, request, block, ids, spec.keys);
    return spec;
  });
  answered_.resize(workload.requests());
  const bool is_long = static_cast<std::int64_t>(workload.measured()) > records_.most_kept;
  if (is_long && workload.warmups() == 0 && !cluster_->hands_over()) {
    last_arrival_ = workload.last_arrival();
    if (last_arrival_ || !workload.open_loop()) digest_ = std::make_shared<MetricsDigest>();
  }
  if (digest_) cluster_digest_ = cluster_->make_digest(workload.arrives_in_order());
  if (!digest_) result_.records.resize(workload.measured());
  initial_ = workload.next_initial();
}

Simulation::Simulation(const Trace& trace, Workload& workload, Replica& replica,
                       const CostModel& cost, HostRules host, RecordRules records)
    : Simulation(trace, workload, std::move(host), std::move(records), [&](const HostRules& rules) {
        return std::make_unique<Cluster>(replica, cost, rules);
      }) {}

Simulation::Simulation(const Trace& trace, Workload& workload, ClusterParts parts, HostRules host,
                       RecordRules records)
    : Simulation(trace, workload, std::move(host), std::move(records), [&](const HostRules& rules) {
        return std::make_unique<Cluster>(std::move(parts), rules);
      }) {
  many_ = true;
}

RunResult Simulation::run(const ProgressFunction& progress) {
  const auto wall_start = std::chrono::steady_clock::now();
  const auto requests = static_cast<double>(workload_.measured());
  std::int64_t next_progress = host_.steps_per_progress;
  // Faults and decisions about replicas go on for ever; the run does not.
  while (initial_ || !queue_.empty() || cluster_->has_work()) {
    if (go_apart()) {
      if (progress && !progress(static_cast<double>(ended_) / requests)) throw Interrupted{};
      continue;
    }
    count_pending();
    EarliestOf::Next coming = next();
    const SimTime now = coming.at;
    V4CAP_CHECK(now != kNever, "requests wait for what never comes");
    if (host_.idle_until && !cluster_->busy()) host_.idle_until(now);
    // Everything that happens at this instant is known before the next step is planned.
    do {
      handle(coming);
      coming = next();
    } while (coming.at == now);
    const std::int64_t started = cluster_->start_steps(now, next_arrival());
    steps_ += started;
    if (started > 0 && progress && steps_ >= next_progress) {
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

SimTime Simulation::next_arrival() const {
  const SimTime waited = queue_.empty() ? kNever : queue_.top().at;
  return initial_ ? std::min(waited, initial_->at) : waited;
}

EarliestOf::Next Simulation::next() const {
  const EarliestOf::Next own = cluster_->next();
  const SimTime arrival = next_arrival();
  if (arrival == kNever) return own;
  const EarliestOf::Next outside{arrival, static_cast<std::uint8_t>(EventKind::arrival)};
  return EarliestOf::comes_before(own, outside) ? own : outside;
}

void Simulation::handle(const EarliestOf::Next& coming) {
  if (coming.rank == static_cast<std::uint8_t>(EventKind::arrival)) {
    arrive(take_arrival().request, coming.at);
  } else {
    cluster_->handle(coming, just_ended_);
  }
  for (const RequestRecord& record : just_ended_) note_ended(record, coming.at);
  just_ended_.clear();
}

// At one instant what waits for nothing comes before what waited.
Arrival Simulation::take_arrival() {
  if (!initial_ || (!queue_.empty() && queue_.top().at < initial_->at)) {
    const Event waited = queue_.pop();
    return {waited.at, waited.target};
  }
  const Arrival arrival = *initial_;
  ++initial_taken_;
  initial_ = workload_.next_initial();
  return arrival;
}

// Up to now the number of requests in the system was what it is.
void Simulation::pass(SimTime now) {
  const std::int64_t in_system = arrived_ - ended_;
  if (backlog_) backlog_->pass(last_change_, now, in_system, in_system_ns_);
  if (cluster_digest_) cluster_digest_->pass(now, cluster_->happened());
  in_system_ns_ += static_cast<Int128>(in_system) * (now - last_change_).count();
  last_change_ = now;
}

void Simulation::arrive(std::uint32_t request, SimTime now) {
  RunTotals& totals = result_.totals;
  pass(now);
  if (arrived_++ == 0) {
    totals.first_arrival = now;
    if (digest_ && last_arrival_) backlog_.emplace(now, *last_arrival_);
    if (cluster_digest_) cluster_digest_->begin(now);
    cluster_->begin(now);
  }
  totals.last_arrival = now;
  cluster_->submit(request, now, just_ended_);
}

// Replicas that nothing connects for a while go on by themselves. What became of their requests is
// counted while they go on the next time, or before anything else happens.
bool Simulation::go_apart() {
  if (!workload_.independent()) return false;
  SimTime until = cluster_->apart_until();
  if (until == kSimStart) return false;
  if (backlog_) until = std::min(until, backlog_->next(pending_ ? pending_->until : kSimStart));
  if (next().at >= until) return false;
  const std::int64_t before = arrived_;
  Apart apart{.since = last_change_};
  SimTime last = apart.since;
  while (initial_ && initial_->at < until &&
         (arrived_ - before < cluster_->most_dealt() || initial_->at == last)) {
    const Arrival arrival = take_arrival();
    last = arrival.at;
    ++arrived_;
    apart.arrivals_ns += (last - apart.since).count();
    cluster_->deal(spec_without_keys(trace_, arrival.request), last);
  }
  if (arrived_ > before) result_.totals.last_arrival = last;
  if (initial_) until = std::min(until, initial_->at);
  last_change_ = apart.until = until;
  apart.arrived = arrived_;
  cluster_->advance(
      until, initial_.has_value(), [&] { count_pending(); }, apart.ended);
  pending_ = std::move(apart);
  return true;
}

void Simulation::count_pending() {
  if (pending_) count(*pending_);
  pending_.reset();
}

void Simulation::count(const Apart& apart) {
  const std::int64_t ended_before = ended_;
  Int128 ends_ns = 0;  // sum of times since apart.since
  for (const std::vector<RequestRecord>& part : apart.ended) {
    for (const RequestRecord& record : part) {
      ++ended_;
      ends_ns += (record.finished - apart.since).count();
      keep(answer(record));
    }
  }
  const auto span = static_cast<Int128>((apart.until - apart.since).count());
  in_system_ns_ += span * (apart.arrived - ended_before) - apart.arrivals_ns -
                   (span * (ended_ - ended_before) - ends_ns);
  if (backlog_) backlog_->pass(apart.until, apart.until, apart.arrived - ended_, in_system_ns_);
  if (cluster_digest_) cluster_digest_->pass(apart.until, cluster_->happened());
}

RequestRecord Simulation::answer(const RequestRecord& record) {
  V4CAP_CHECK(!answered_[record.id], "request " + std::to_string(record.id) + " ended twice");
  answered_[record.id] = true;
  const TraceRequest& asked = trace_.played(record.id);
  RequestRecord whole = record;
  whole.id = workload_.record_id(record.id);
  whole.session = asked.session;
  whole.turn = asked.turn;
  whole.prompt = asked.prompt;
  whole.output = asked.output;
  return whole;
}

void Simulation::note_ended(const RequestRecord& record, SimTime now) {
  pass(now);
  ++ended_;
  const RequestRecord whole = answer(record);
  if (workload_.is_warmup(record.id)) {
    result_.warmup.push_back(whole);
    if (result_.warmup.size() == workload_.warmups()) begin_measuring();
  } else {
    keep(whole);
  }
  released_.clear();
  workload_.ended(record.id, now, released_);
  for (const Arrival& a : released_) queue_.push(a.at, EventKind::arrival, a.request);
}

void Simulation::keep(const RequestRecord& r) {
  RunTotals& totals = result_.totals;
  count_of(totals, r.end) += 1;
  times_ns_ += (r.finished - r.arrival).count();
  totals.last_finish = std::max(totals.last_finish, r.finished);
  totals.preemptions += r.preemptions;
  if (r.end == RequestEnd::finished) {
    totals.prompt_tokens += r.prompt;
    totals.hit_tokens += r.hit;
    totals.computed_tokens += r.computed;
    totals.rebuilt_tokens += r.rebuilt;
    totals.recomputed_after_preemption += r.recomputed_after_preemption;
    totals.output_tokens += r.output;
  }
  if (!digest_) {
    result_.records[r.id] = r;
    return;
  }
  window_.add(r, [&](const RequestRecord& next) {
    add_to(records_hash_, next);
    digest_->add(next);
    if (cluster_digest_) {
      add_place_to(places_hash_, next, false);
      cluster_digest_->add(next);
    }
    if (records_.not_kept) records_.not_kept(next);
  });
}

// The warm-up is over, nothing is in the system: what it counted is forgotten, what it left in the
// caches stays.
void Simulation::begin_measuring() {
  Int128 times_ns = 0;
  for (const RequestRecord& r : result_.warmup) times_ns += (r.finished - r.arrival).count();
  const ReplicaDriver::Integrals passed = cluster_->integrals();
  V4CAP_CHECK(arrived_ == ended_ && in_system_ns_ == times_ns &&
                  passed.waiting_ns + passed.running_ns == times_ns,
              "Little's law does not hold in the warm-up");
  cluster_->begin_measuring(host_.explained);
  result_.totals = {};
  arrived_ = ended_ = steps_ = 0;
  in_system_ns_ = 0;
  events_before_ = arrivals_scheduled();
}

void Simulation::finish(RunResult& result) {
  RunTotals& totals = result.totals;
  cluster_->check_drained([&] { count_pending(); });
  static_cast<StepTotals&>(totals) = cluster_->totals();
  totals.requests = static_cast<std::int64_t>(workload_.measured());
  totals.events =
      static_cast<std::int64_t>(arrivals_scheduled() - events_before_) + cluster_->events();
  totals.open_loop = workload_.open_loop();
  V4CAP_CHECK(ended_ == arrived_ && arrived_ == totals.requests &&
                  totals.finished + totals.refused + totals.failed == totals.requests,
              "requests in differ from finished + refused + failed: a request was lost");
  V4CAP_CHECK(totals.prompt_tokens == totals.hit_tokens + totals.computed_tokens,
              "prompted != hit + computed");
  const ReplicaDriver::Integrals passed = cluster_->integrals();
  V4CAP_CHECK(in_system_ns_ == times_ns_ && passed.waiting_ns + passed.running_ns == times_ns_,
              "Little's law does not hold");
  const Duration span = totals.last_finish - totals.first_arrival;
  if (span > Duration{0}) {
    const auto mean = [&](Int128 integral_ns) {
      return static_cast<double>(integral_ns) / static_cast<double>(span.count());
    };
    totals.mean_in_system = mean(in_system_ns_);
    totals.waiting_mean = mean(passed.waiting_ns);
    totals.running_mean = mean(passed.running_ns);
    totals.decoding_mean = mean(passed.decoding_ns);
  }
  if (totals.steps > 0) {
    totals.mean_batch = static_cast<double>(totals.sequences) / static_cast<double>(totals.steps);
  }
  totals.saturated =
      totals.open_loop &&
      (backlog_ ? backlog_->grows()
                : backlog_grows(result.records, totals.first_arrival, totals.last_arrival));
  result.occupancy = cluster_->take_occupancy();
  result.ranks = cluster_->take_rank_occupancy();
  V4CAP_CHECK(window_.empty(), "records wait for one that never came");
  for (const RequestRecord& r : result.records) add_to(records_hash_, r);
  result.digest = digest_;
  if (many_) {
    if (cluster_digest_) cluster_digest_->pass(kNever, cluster_->happened());
    result.cluster = cluster_->take_result(totals.last_finish);
    result.cluster->digest = cluster_digest_;
    const bool transfers = result.cluster->transfer.has_value();
    for (const RequestRecord& r : result.records) add_place_to(places_hash_, r, transfers);
  }
  totals.result_hash = hash_of(records_hash_, places_hash_, result);
}

}  // namespace v4cap
