#include "sim/output/cluster_summary.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <deque>
#include <map>
#include <utility>

#include "sim/core/error.h"
#include "sim/core/quantile_sketch.h"
#include "sim/output/humanise.h"
#include "sim/output/metrics.h"
#include "sim/output/table.h"

namespace v4cap {

namespace {

constexpr std::size_t kWindowsAfter = 6;
constexpr std::size_t kReplicasShown = 12;
constexpr std::int64_t kMostWindows = 100'000;

// What figures of a cluster need of a record.
struct Seen {
  explicit Seen(const RequestRecord& r)
      : arrival(r.arrival),
        prompt(r.prompt),
        hit(r.hit),
        ttft_ms(time_to_first_token_ms(r)),
        replica(static_cast<std::size_t>(r.replica)),
        retried(r.retries > 0),
        end(r.end) {}
  SimTime arrival;
  Tokens prompt, hit;
  std::optional<double> ttft_ms;
  std::size_t replica = 0;
  bool retried = false;
  RequestEnd end{};
};

void add_to(std::vector<double>& times, double ms) {
  times.push_back(ms);
}
void add_to(QuantileSketch& times, double ms) {
  times.add(ms);
}
Distribution described(const std::vector<double>& times) {
  return describe(times);
}
Distribution described(const QuantileSketch& times) {
  return times.describe();
}

// Sums over requests while they are added, one after the other. `Times`: all, or a sketch of them.
template <class Times>
struct Sample {
  std::int64_t requests = 0, finished = 0, retried = 0;
  Tokens prompt, hit;
  Times ttft_ms;

  void add(const Seen& r) {
    if (r.end == RequestEnd::refused) return;
    ++requests;
    retried += r.retried ? 1 : 0;
    if (r.end != RequestEnd::finished) return;
    ++finished;
    prompt += r.prompt;
    hit += r.hit;
    if (r.ttft_ms) add_to(ttft_ms, *r.ttft_ms);
  }
  std::optional<double> hit_rate() const {
    if (prompt == Tokens{0}) return std::nullopt;
    return static_cast<double>(hit.value) / static_cast<double>(prompt.value);
  }
};
using WholeSample = Sample<std::vector<double>>;
using SketchedSample = Sample<QuantileSketch>;

template <class Times>
WindowSummary summary_of(const Sample<Times>& sample, Duration from, Duration to) {
  return {.from_s = exact_ms(from) / 1e3,
          .to_s = exact_ms(to) / 1e3,
          .requests = sample.requests,
          .retried = sample.retried,
          .hit_rate = sample.hit_rate(),
          .ttft_ms = described(sample.ttft_ms)};
}

template <class Times>
ReplicaSummary summary_of(const Sample<Times>& sample) {
  ReplicaSummary out;
  out.requests = sample.requests;
  out.finished = sample.finished;
  out.hit_rate = sample.hit_rate();
  out.ttft_ms = described(sample.ttft_ms);
  return out;
}

// Windows after a disturbance, and the one before it, which is the first.
template <class Times>
struct AfterSamples {
  std::array<Sample<Times>, kWindowsAfter + 1> all, struck;

  void summarise(Duration window, ClusterSummary& out) const {
    for (std::size_t i = 0; i < all.size(); ++i) {
      const Duration from = window * (static_cast<std::int64_t>(i) - 1);
      out.after.push_back(summary_of(all[i], from, from + window));
      out.after_on_struck.push_back(summary_of(struck[i], from, from + window));
    }
  }
};

std::int64_t windows_until(SimTime first, SimTime last_arrival, Duration window) {
  return std::min((last_arrival - first) / window + 1, kMostWindows);
}

double share(double part, double whole) {
  return whole > 0 ? part / whole : 0;
}

TransferSummary summary_of(const TransferResult& t) {
  return {
      .requests = t.requests,
      .sent = t.sent,
      .moved = t.moved,
      .dropped = t.dropped,
      .cached_share = share(static_cast<double>(t.had.value), static_cast<double>(t.prompt.value)),
      .memory_wait_ms = describe(t.memory_wait_ms),
      .after_prompt_ms = describe(t.after_prompt_ms),
      .out_utilisation = share(t.moved_out_bytes, t.offered_out_bytes),
      .in_utilisation = share(t.moved_in_bytes, t.offered_in_bytes)};
}

using ByArrival = std::vector<const RequestRecord*>;

ByArrival by_arrival(const std::vector<RequestRecord>& records) {
  ByArrival out;
  for (const RequestRecord& r : records) out.push_back(&r);
  std::ranges::stable_sort(out, {}, &RequestRecord::arrival);
  return out;
}

// Requests that arrived in [from, to).
std::pair<ByArrival::const_iterator, ByArrival::const_iterator> arrived(const ByArrival& requests,
                                                                        SimTime from, SimTime to) {
  return {std::ranges::lower_bound(requests, from, {}, &RequestRecord::arrival),
          std::ranges::lower_bound(requests, to, {}, &RequestRecord::arrival)};
}

void add_after(const ClusterResult& cluster, const ByArrival& requests, ClusterSummary& out) {
  AfterSamples<std::vector<double>> after;
  for (const ClusterEvent& event : cluster.events) {
    if (!event.disturbs) continue;
    ++out.disturbances;
    for (std::size_t i = 0; i < after.all.size(); ++i) {
      const SimTime from = event.at + cluster.window * (static_cast<std::int64_t>(i) - 1);
      const auto [begin, end] = arrived(requests, from, from + cluster.window);
      for (auto it = begin; it != end; ++it) {
        const Seen seen(**it);
        after.all[i].add(seen);
        if (seen.replica == event.replica) after.struck[i].add(seen);
      }
    }
  }
  if (out.disturbances > 0) after.summarise(cluster.window, out);
}

void add_windows(const RunResult& result, const ByArrival& requests, ClusterSummary& out) {
  const Duration window = result.cluster->window;
  const SimTime first = result.totals.first_arrival;
  const std::int64_t windows = windows_until(first, result.totals.last_arrival, window);
  for (std::int64_t i = 0; i < windows; ++i) {
    const auto [begin, end] = arrived(requests, first + window * i, first + window * (i + 1));
    WholeSample sample;
    for (auto it = begin; it != end; ++it) sample.add(Seen(**it));
    out.windows.push_back(summary_of(sample, window * i, window * (i + 1)));
  }
}

void add_records(const RunResult& result, ClusterSummary& out) {
  std::vector<WholeSample> samples(result.cluster->replicas.size());
  for (const RequestRecord& r : result.records) {
    const auto n = static_cast<std::size_t>(r.replica);
    V4CAP_CHECK(n < samples.size(), "a request ended on a replica that does not exist");
    samples[n].add(Seen(r));
    out.retried += r.retries > 0 ? 1 : 0;
    out.failed += r.end == RequestEnd::failed ? 1 : 0;
  }
  for (const WholeSample& sample : samples) out.replicas.push_back(summary_of(sample));
  const ByArrival requests = by_arrival(result.records);
  add_after(*result.cluster, requests, out);
  add_windows(result, requests, out);
}

void write_times(JsonWriter& json, const Distribution& ttft_ms) {
  const auto if_any = [&](double value) {
    return ttft_ms.count > 0 ? std::optional<double>{value} : std::nullopt;
  };
  json.member("ttft_p50_ms", if_any(ttft_ms.p50)).member("ttft_p99_ms", if_any(ttft_ms.p99));
}

void write_transfer(JsonWriter& json, const TransferSummary& t) {
  json.begin_object().member("requests", t.requests);
  json.key("sent_bytes").begin_object();
  for (std::size_t k = 0; k < kCacheKinds; ++k) {
    json.member(name_of(static_cast<CacheKind>(k)), t.sent.bytes[k]);
  }
  json.end_object();
  json.member("moved_bytes", t.moved.value).member("dropped_bytes", t.dropped.value);
  json.member("cached_share", t.cached_share);
  const auto times = [&](const char* name, const Distribution& d) {
    json.key(name).begin_object().member("mean", d.mean).member("p50", d.p50);
    json.member("p99", d.p99).end_object();
  };
  times("memory_wait_ms", t.memory_wait_ms);
  times("after_prompt_ms", t.after_prompt_ms);
  json.member("out_utilisation", t.out_utilisation).member("in_utilisation", t.in_utilisation);
  json.end_object();
}

std::string transfer_text(const TransferSummary& t) {
  std::string kinds;
  for (const CacheKind kind : all_cache_kinds()) {
    if (t.sent[kind] == 0) continue;
    kinds += fmt::format("{}{} {}", kinds.empty() ? "" : ", ", name_of(kind),
                         human(Bytes{t.sent[kind]}));
  }
  const std::string dropped =
      t.dropped > Bytes{0} ? fmt::format("; {} sent for nothing", human(t.dropped)) : "";
  return fmt::format(
      "{} of state handed over for {} requests ({} to each GPU; {:.1f} % of their tokens were "
      "there already{})\nto each GPU {}\nwaited for memory {:.2f} ms at the median, p99 {:.2f}\n"
      "after a prompt {:.2f} ms at the median, p99 {:.2f}; links {:.1f} % used out, {:.1f} % in\n",
      human(t.moved), grouped(t.requests), human(t.sent.total()), 100 * t.cached_share, dropped,
      kinds.empty() ? "nothing" : kinds, t.memory_wait_ms.p50, t.memory_wait_ms.p99,
      t.after_prompt_ms.p50, t.after_prompt_ms.p99, 100 * t.out_utilisation,
      100 * t.in_utilisation);
}

std::string share_text(const std::optional<double>& share) {
  return share ? fmt::format("{:.1f} %", 100 * *share) : "-";
}

std::string ms_text(const Distribution& d, double value) {
  return d.count > 0 ? grouped(value, 0) : "-";
}

// 12.345678900 exactly: nanoseconds are whole.
std::string seconds_text(SimTime at) {
  const std::int64_t ns = at.time_since_epoch().count();
  return fmt::format("{}.{:09}", ns / 1'000'000'000, ns % 1'000'000'000);
}

}  // namespace

struct ClusterDigest::Parts {
  struct Disturbance {
    SimTime at;
    std::size_t replica = 0;
  };

  explicit Parts(const Rules& r) : rules(r), replicas(r.replicas) {}

  WindowSummary window(std::int64_t i, const SketchedSample& sample) const {
    return summary_of(sample, rules.window * i, rules.window * (i + 1));
  }
  void add_to_window(const Seen& seen);
  void add_to_disturbances(const Seen& seen);

  Rules rules;
  SimTime first = kSimStart;
  std::vector<SketchedSample> replicas;
  std::int64_t retried = 0, failed = 0;
  std::vector<WindowSummary> closed;            // the first windows
  std::map<std::int64_t, SketchedSample> open;  // others in which something arrived
  // Requests that a disturbance may still come for, within a window of their arrival.
  std::deque<Seen> waiting;
  std::size_t events = 0;  // seen of all that happened
  std::vector<Disturbance> disturbances;
  AfterSamples<QuantileSketch> after;
};

ClusterDigest::ClusterDigest(const Rules& rules) : parts_(std::make_unique<Parts>(rules)) {}
ClusterDigest::~ClusterDigest() = default;

void ClusterDigest::begin(SimTime first_arrival) {
  parts_->first = first_arrival;
}

void ClusterDigest::add(const RequestRecord& record) {
  const Seen seen(record);
  Parts& p = *parts_;
  V4CAP_CHECK(seen.replica < p.replicas.size(), "a request ended on a replica that does not exist");
  p.replicas[seen.replica].add(seen);
  p.retried += seen.retried ? 1 : 0;
  p.failed += seen.end == RequestEnd::failed ? 1 : 0;
  p.add_to_window(seen);
  if (p.rules.disturbed) p.waiting.push_back(seen);
}

void ClusterDigest::Parts::add_to_window(const Seen& seen) {
  const std::int64_t i = (seen.arrival - first) / rules.window;
  if (i >= kMostWindows) return;
  while (rules.in_order && static_cast<std::int64_t>(closed.size()) < i) {
    const auto next = static_cast<std::int64_t>(closed.size());
    closed.push_back(window(next, open[next]));
    open.erase(next);
  }
  open[i].add(seen);
}

void ClusterDigest::pass(SimTime now, const std::vector<ClusterEvent>& events) {
  Parts& p = *parts_;
  if (!p.rules.disturbed) return;
  for (; p.events < events.size(); ++p.events) {
    const ClusterEvent& event = events[p.events];
    if (event.disturbs) p.disturbances.push_back({event.at, event.replica});
  }
  for (; !p.waiting.empty(); p.waiting.pop_front()) {
    const Seen& seen = p.waiting.front();
    if (now - seen.arrival <= p.rules.window) return;
    p.add_to_disturbances(seen);
  }
}

// It arrived in window i of a disturbance at T: T + (i - 1) x window <= arrival < T + i x window.
void ClusterDigest::Parts::add_to_disturbances(const Seen& seen) {
  const Duration span = rules.window * static_cast<std::int64_t>(after.all.size());
  const SimTime latest = seen.arrival + rules.window;
  const auto first_one =
      std::ranges::upper_bound(disturbances, latest - span, {}, &Disturbance::at);
  for (auto it = first_one; it != disturbances.end() && it->at <= latest; ++it) {
    const auto i = static_cast<std::size_t>((latest - it->at) / rules.window);
    after.all[i].add(seen);
    if (it->replica == seen.replica) after.struck[i].add(seen);
  }
}

void ClusterDigest::summarise(SimTime last_arrival, ClusterSummary& out) const {
  const Parts& p = *parts_;
  for (const SketchedSample& sample : p.replicas) out.replicas.push_back(summary_of(sample));
  out.retried = p.retried;
  out.failed = p.failed;
  out.disturbances = static_cast<std::int64_t>(p.disturbances.size());
  if (out.disturbances > 0) p.after.summarise(p.rules.window, out);
  const std::int64_t windows = windows_until(p.first, last_arrival, p.rules.window);
  for (std::int64_t i = 0; i < windows; ++i) {
    if (i < static_cast<std::int64_t>(p.closed.size())) {
      out.windows.push_back(p.closed[static_cast<std::size_t>(i)]);
      continue;
    }
    const auto open = p.open.find(i);
    out.windows.push_back(p.window(i, open == p.open.end() ? SketchedSample{} : open->second));
  }
}

ClusterSummary summarise_cluster(const RunResult& result) {
  V4CAP_CHECK(result.cluster.has_value(), "a run of one replica has no cluster");
  const ClusterResult& cluster = *result.cluster;
  ClusterSummary out;
  if (cluster.digest) {
    cluster.digest->summarise(result.totals.last_arrival, out);
  } else {
    add_records(result, out);
  }
  const double gpus =
      static_cast<double>(result.gpus) / static_cast<double>(cluster.replicas.size());
  if (cluster.transfer) out.transfer = summary_of(*cluster.transfer);
  for (std::size_t n = 0; n < cluster.replicas.size(); ++n) {
    const ReplicaResult& r = cluster.replicas[n];
    ReplicaSummary& summary = out.replicas[n];
    summary.reads_prompts = r.reads_prompts;
    summary.prompts_read = r.prompts_read;
    summary.steps = r.steps.steps;
    summary.lost_requests = r.lost_requests;
    summary.lost_tokens = r.lost_tokens;
    summary.busy_s = to_seconds(r.steps.busy);
    summary.up_s = to_seconds(r.up);
    summary.held_s = to_seconds(r.held);
    summary.lost = r.lost.total();
    out.lost_requests += r.lost_requests;
    out.lost_tokens += r.lost_tokens;
    out.gpu_hours +=
        to_seconds(r.held) / 3600 * (cluster.transfer ? static_cast<double>(r.gpus) : gpus);
  }
  return out;
}

void write_cluster(JsonWriter& json, const ClusterSummary& cluster) {
  json.begin_object();
  json.member("gpu_hours", cluster.gpu_hours);
  json.member("retried", cluster.retried).member("failed", cluster.failed);
  json.member("lost_requests", cluster.lost_requests);
  json.member("lost_tokens", cluster.lost_tokens.value);
  json.member("disturbances", cluster.disturbances);
  if (cluster.transfer) write_transfer(json.key("transfer"), *cluster.transfer);
  json.key("replicas").begin_array();
  for (const ReplicaSummary& r : cluster.replicas) {
    json.begin_object();
    if (cluster.transfer) {
      json.member("reads_prompts", r.reads_prompts).member("prompts_read", r.prompts_read);
    }
    json.member("requests", r.requests).member("finished", r.finished);
    json.member("hit_rate", r.hit_rate);
    write_times(json, r.ttft_ms);
    json.member("steps", r.steps).member("busy_s", r.busy_s).member("up_s", r.up_s);
    json.member("held_s", r.held_s).member("lost_requests", r.lost_requests);
    json.member("lost_tokens", r.lost_tokens.value);
    json.member("lost_kv_bytes", r.lost.value).end_object();
  }
  json.end_array();
  json.key("after_disturbance").begin_array();
  for (std::size_t i = 0; i < cluster.after.size(); ++i) {
    const WindowSummary& all = cluster.after[i];
    json.begin_object().member("from_s", all.from_s).member("to_s", all.to_s);
    json.member("requests", all.requests).member("retried", all.retried);
    json.member("hit_rate", all.hit_rate);
    write_times(json, all.ttft_ms);
    const WindowSummary& struck = cluster.after_on_struck[i];
    json.key("struck").begin_object().member("requests", struck.requests);
    json.member("hit_rate", struck.hit_rate);
    write_times(json, struck.ttft_ms);
    json.end_object().end_object();
  }
  json.end_array().end_object();
}

std::string cluster_report(const ClusterSummary& cluster, const TextStyle& style) {
  // Requests are those that ended on a replica, and their figures stand there.
  std::vector<std::string> titles = {"replica", "requests", "hit",  "TTFT p50 ms",
                                     "p99",     "up",       "busy", "lost"};
  if (cluster.transfer) titles.insert(titles.begin() + 1, "prompts read");
  Table replicas(std::move(titles));
  for (std::size_t n = 0; n < std::min(cluster.replicas.size(), kReplicasShown); ++n) {
    const ReplicaSummary& r = cluster.replicas[n];
    const std::string name = std::to_string(n) + (r.reads_prompts ? " (prompts)" : "");
    std::vector<std::string> cells = {name,
                                      grouped(r.requests),
                                      share_text(r.hit_rate),
                                      ms_text(r.ttft_ms, r.ttft_ms.p50),
                                      ms_text(r.ttft_ms, r.ttft_ms.p99),
                                      human(duration_from_seconds(r.up_s)),
                                      human(duration_from_seconds(r.busy_s)),
                                      grouped(r.lost_requests)};
    if (cluster.transfer) {
      cells.insert(cells.begin() + 1, r.reads_prompts ? grouped(r.prompts_read) : "-");
    }
    replicas.row(std::move(cells));
  }
  std::string out = replicas.text(style);
  if (cluster.replicas.size() > kReplicasShown) {
    out += fmt::format("and {} more\n", cluster.replicas.size() - kReplicasShown);
  }
  out +=
      fmt::format("{:.2f} GPU hours held; {} requests sent again, {} failed, {} tokens lost\n",
                  cluster.gpu_hours, cluster.retried, cluster.failed, human(cluster.lost_tokens));
  if (cluster.transfer) out += transfer_text(*cluster.transfer);
  if (cluster.after.empty()) return out;
  Table after({"after a disturbance", "requests", "sent again", "hit", "TTFT p50 ms", "p99",
               "hit where it struck"});
  for (std::size_t i = 0; i < cluster.after.size(); ++i) {
    const WindowSummary& w = cluster.after[i];
    after.row({fmt::format("{:g} to {:g} s", w.from_s, w.to_s), grouped(w.requests),
               grouped(w.retried), share_text(w.hit_rate), ms_text(w.ttft_ms, w.ttft_ms.p50),
               ms_text(w.ttft_ms, w.ttft_ms.p99), share_text(cluster.after_on_struck[i].hit_rate)});
  }
  return out + '\n' + after.text(style);
}

void write_windows(const ClusterSummary& cluster, const TextSink& sink) {
  sink("time_s,requests,retried,hit_rate,ttft_p50_ms,ttft_p99_ms\n");
  for (const WindowSummary& w : cluster.windows) {
    std::string line = fmt::format("{},{},{},", w.from_s, w.requests, w.retried);
    if (w.hit_rate) line += fmt::format("{}", *w.hit_rate);
    line += w.ttft_ms.count > 0 ? fmt::format(",{},{}\n", w.ttft_ms.p50, w.ttft_ms.p99) : ",,\n";
    sink(line);
  }
}

void write_cluster_events(const ClusterResult& cluster, const TextSink& sink) {
  sink("time_s,replica,what,lost_requests,disturbs\n");
  for (const ClusterEvent& event : cluster.events) {
    // What happened may have a comma in it.
    sink(fmt::format("{},{},\"{}\",{},{}\n", seconds_text(event.at), event.replica, event.what,
                     event.lost_requests, event.disturbs ? 1 : 0));
  }
}

}  // namespace v4cap
