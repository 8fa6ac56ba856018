#include "sim/report/perfetto.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <optional>
#include <string_view>

#include "sim/config/value.h"
#include "sim/core/error.h"
#include "sim/output/json_writer.h"

namespace v4cap {

namespace {

constexpr int kProcess = 1, kStepTrack = 1;

// Microseconds as the viewers count them, whole nanoseconds: parts of one that are left over would
// make a slice reach into the one after it.
double whole_ns_us(double at_s) {
  return std::round(1e9 * at_s) / 1e3;
}

std::optional<double> seconds_of(std::string_view text) {
  while (text.starts_with(' ')) text.remove_prefix(1);
  while (text.ends_with(' ')) text.remove_suffix(1);
  double seconds = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), seconds);
  if (error == std::errc{} && end == text.data() + text.size() && std::isfinite(seconds)) {
    return seconds;
  }
  std::string hint;
  const auto time = parse_value<Duration>(text, hint);
  return time ? std::optional<double>{to_seconds(*time)} : std::nullopt;
}

class TraceWriter {
 public:
  explicit TraceWriter(const TraceWindow& window) : window_(window) {
    json_.begin_object().member("displayTimeUnit", "ms").key("traceEvents").begin_array();
  }

  bool overlaps(double from_s, double to_s) const {
    return to_s >= window_.from_s && from_s <= window_.to_s;
  }

  // Of the process (track 0) or of a track.
  void name(const char* what, std::int64_t track, std::string_view name) {
    json_.begin_object().member("ph", "M").member("pid", kProcess).member("tid", track);
    json_.member("ts", 0)
        .member("name", what)
        .key("args")
        .begin_object()
        .member("name", name)
        .end_object();
    json_.end_object();
  }
  void counter(std::string_view name, double at_s, double value) {
    begin("C", name, at_s).key("args").begin_object().member("value", value).end_object();
    json_.end_object();
  }
  // Where a slice of a request begins (b) or ends (e); equal `id`s are one track. Of events at one
  // time the order counts: what began last ends first.
  void edge(const char* phase, std::string_view name, std::int64_t id, double at_s) {
    begin(phase, name, at_s).member("cat", "request").member("id", id).end_object();
  }
  void part(std::string_view name, std::int64_t id, double from_s, double to_s) {
    if (!(to_s > from_s) || !overlaps(from_s, to_s)) return;
    edge("b", name, id, from_s);
    edge("e", name, id, to_s);
  }
  void step(std::string_view name, std::int64_t track, double from_s, double to_s, double decode,
            double prefill, double rebuild) {
    const double ns = std::round(1e9 * to_s) - std::round(1e9 * from_s);
    begin("X", name, from_s, track).member("dur", ns / 1e3).key("args").begin_object();
    json_.member("decode_tokens", decode).member("prefill_tokens", prefill);
    json_.member("rebuild_tokens", rebuild).end_object().end_object();
  }

  std::int64_t events() const { return events_; }
  std::string finish() {
    json_.end_array().end_object();
    return json_.text() + '\n';
  }

 private:
  JsonWriter& begin(const char* phase, std::string_view name, double at_s, std::int64_t track = 0) {
    ++events_;
    json_.begin_object().member("ph", phase).member("pid", kProcess).member("tid", track);
    return json_.member("name", name).member("ts", whole_ns_us(at_s));
  }

  TraceWindow window_;
  JsonWriter json_;
  std::int64_t events_ = 0;
};

void write_requests(const ColumnSet& requests, TraceWriter& trace) {
  if (requests.columns.empty()) return;
  const auto& start = *requests.find("start_s");
  const auto &queue = *requests.find("queue_ms"), &first = *requests.find("ttft_ms"),
             &all = *requests.find("e2el_ms");
  for (std::size_t i = 0; i < start.size(); ++i) {
    const double from = start[i];
    const double end = from + all[i] / 1e3;
    if (!std::isfinite(end) || !trace.overlaps(from, end)) continue;
    const double token = from + first[i] / 1e3;
    const double admitted = std::isfinite(queue[i]) ? from + queue[i] / 1e3 : from;
    const auto id = static_cast<std::int64_t>(i);
    const std::string name = fmt::format("request {}", i);
    trace.edge("b", name, id, from);
    trace.part("waiting", id, from, admitted);
    if (std::isfinite(token)) {
      trace.part("prefill", id, admitted, token);
      trace.part("decode", id, token, end);
    }
    trace.edge("e", name, id, end);
  }
}

void write_timeline(const ColumnSet& timeline, TraceWriter& trace) {
  const std::vector<double>* const time = timeline.find("time_s");
  if (time == nullptr) return;
  for (const ColumnSet::Column& column : timeline.columns) {
    if (column.name == "time_s") continue;
    for (std::size_t i = 0; i < time->size(); ++i) {
      const double at = (*time)[i];
      if (trace.overlaps(at, at)) trace.counter(column.name, at, column.figures[i]);
    }
  }
}

void write_steps(const ColumnSet& steps, TraceWriter& trace) {
  if (steps.columns.empty()) return;
  // Slices of one track may not overlap: a step that is launched while the one before runs goes to
  // the next track.
  std::vector<double> free_s;
  const auto &begin = *steps.find("begin_s"), &ms = *steps.find("time_ms"),
             &decode = *steps.find("decode_tokens"), &prefill = *steps.find("prefill_tokens"),
             &rebuild = *steps.find("rebuild_tokens");
  for (std::size_t i = 0; i < begin.size(); ++i) {
    const double from = begin[i], to = from + ms[i] / 1e3;
    if (!trace.overlaps(from, to)) continue;
    const auto before = [&](double free) {
      return std::round(1e9 * free) <= std::round(1e9 * from);
    };
    auto track = std::ranges::find_if(free_s, before) - free_s.begin();
    if (track == std::ssize(free_s)) {
      free_s.push_back(to);
      trace.name("thread_name", kStepTrack + track, track == 0 ? "steps" : "steps launched ahead");
    }
    free_s[static_cast<std::size_t>(track)] = to;
    const char* const name = rebuild[i] > 0                    ? "rebuild"
                             : prefill[i] > 0 && decode[i] > 0 ? "mixed"
                             : prefill[i] > 0                  ? "prefill"
                                                               : "decode";
    trace.step(name, kStepTrack + track, from, to, decode[i], prefill[i], rebuild[i]);
  }
}

}  // namespace

TraceWindow parse_window(const std::string& text) {
  const std::size_t dots = text.find("..");
  if (dots != std::string::npos) {
    const auto from = seconds_of(std::string_view(text).substr(0, dots));
    const auto to = seconds_of(std::string_view(text).substr(dots + 2));
    if (from && to && *from >= 0 && *to > *from) return {*from, *to};
  }
  throw InputError(Place{"--perfetto"},
                   "expected FROM..TO in seconds of the run, such as 60..75, found '" + text + "'");
}

std::string perfetto_trace(const ReportRun& run, const TraceWindow& window) {
  TraceWriter trace(window);
  trace.name("process_name", 0, run.label);
  write_requests(run.requests, trace);
  write_timeline(run.timeline, trace);
  write_steps(run.steps, trace);
  if (trace.events() == 0) {
    throw InputError(Place{"--perfetto"},
                     "expected a window in which something happens, found none");
  }
  if (trace.events() > kTraceEventsMax) {
    throw InputError(
        Place{"--perfetto"},
        fmt::format("expected a window with at most {} events, found {}: about {:.3g} s "
                    "would do",
                    kTraceEventsMax, trace.events(),
                    (window.to_s - window.from_s) * static_cast<double>(kTraceEventsMax) /
                        static_cast<double>(trace.events())));
  }
  return trace.finish();
}

}  // namespace v4cap
