// WEKA agent sessions (github.com/callanjfox/kv-cache-tester, ids run-length coded): one session a
// line.
//   session   id, block_size, requests[]
//   request   t, in, out, type, hash_runs [[start, count], ...], api_time and think_time in s (may
//   be absent) entry of type "subagent"   t, duration_ms, status, requests[] with t from the
//   sub-agent's own start
//
// Decisions.
// - Ids are local to a session (sub-agents share their parent's), so each session is shifted into a
// range of its
//   own. Only full blocks have ids: floor(in / block_size).
// - There are no arrival times of sessions: a closed loop. `arrival` keeps the recorded t within
// the session.
// - Think time: of type "n" max(0, think_time - api_time), because the recording proxy sent such
// turns twice and
//   the first copy's time stayed in the gap; of the others think_time as it stands; 0 when absent.
// - A sub-agent's requests run in order. The main thread's next request waits for all sub-agents
// before it, which
//   run in parallel. An entry's t is when it completed: for entries in one gap, t - duration_ms
//   agrees to 0.03 s, and for all 49 completed ones of v8 it falls right after the request that
//   launched them ended. So a sub-agent starts max(0, t - duration_ms - end of the main request
//   before) after that request. One without duration was launched in the background at t, and
//   nothing waits for it.
// - The think time before a main request that waited for sub-agents contains that wait. What is
// left after the
//   last of them completed is its think time; else the closed loop would count the wait twice.
// - Entries stand where the file has them. In v6, whose t are whole seconds, 18 of 36 stand behind
// the request
//   that waited for them; they are then run after it.
// - `out` 0 means aborted; such requests are kept and end after their prompt.
#include <algorithm>

#include "traces/trace_builder.h"

namespace v4cap {

namespace {

bool sniff(std::string_view line) {
  return has_keys(line, {"id", "block_size", "requests"});
}

Duration seconds_or_zero(JsonValue value) {
  return value ? seconds(value) : Duration{};
}

class WekaReader {
 public:
  WekaReader(TextFile& file, const TraceReadOptions& options)
      : file_(file), options_(options), builder_(options, Tokens{64}) {}

  Trace read() {
    builder_.trace().has_sessions = true;
    while (!builder_.full() && file_.next()) {
      read_session(
          parse_json_object(json_, file_.line(), file_.place(), !file_.line_is_terminated()));
    }
    add_notes();
    return builder_.finish();
  }

 private:
  struct Times {
    Duration start{}, end{}, think{};  // start and end from the session's start
  };
  struct SubAgents {  // between two requests of the main thread
    std::vector<std::uint32_t> last_requests;
    Duration completed{};
  };

  void read_session(JsonValue session) {
    census_.see(session);
    check_block(session.at("block_size"));
    const JsonValue name = session.at("id");
    const std::size_t known = builder_.trace().session_names.size();
    session_ = builder_.session(name.string());
    if (builder_.trace().session_names.size() == known) {
      name.fail("'id': expected a new session, found one that the file already has");
    }
    shift_ = builder_.trace().next_free_id;
    constexpr std::int64_t kShiftMax = std::int64_t{1} << 61;
    if (shift_ > kShiftMax) name.fail("expected ids below 2^61 over all sessions, found more");
    main_ = kNoRequest;
    waited_for_ = {};
    Duration before{};
    for (const JsonValue entry : session.at("requests").array()) {
      const JsonValue t = entry.at("t");
      if (seconds(t) < before) t.fail("'t': expected entries sorted by time, found an earlier one");
      before = seconds(t);
      if (builder_.full()) return;
      if (entry.at("type").string() == "subagent") {
        read_subagent(entry);
      } else {
        read_main(entry);
      }
    }
  }

  void check_block(JsonValue block_size) {
    const Tokens block{block_size.integer(1, kTraceTokensMax)};
    const Tokens expected =
        options_.block_tokens || builder_.size() > 0 ? builder_.trace().block : block;
    if (block != expected) {
      block_size.fail("'block_size': expected " + std::to_string(expected.value) +
                      (options_.block_tokens ? " as stated" : " as in the sessions before") +
                      ", found " + std::to_string(block.value));
    }
    builder_.trace().block = block;
  }

  void read_main(JsonValue entry) {
    const Times times = read_request(entry, Duration{});
    Duration think = times.think;
    if (main_ != kNoRequest) {
      builder_.add_after(main_);
      if (!waited_for_.last_requests.empty()) {
        think =
            std::max(Duration{}, think - std::max(Duration{}, waited_for_.completed - main_end_));
        ++waits_;
      }
    }
    for (const std::uint32_t request : waited_for_.last_requests) builder_.add_after(request);
    builder_.trace().requests.back().think = think;
    main_ = builder_.last();
    main_end_ = times.end;
    waited_for_ = {};
  }

  void read_subagent(JsonValue entry) {
    subagent_census_.see(entry);
    const Duration t = seconds(entry.at("t"));
    const JsonValue duration_ms = entry.find("duration_ms");
    constexpr double kLongest_ms = 1e12;
    const Duration lasted =
        duration_ms ? duration_from_seconds(duration_ms.number(0, kLongest_ms) / 1e3) : Duration{};
    const Duration start = std::max(Duration{}, t - lasted);
    std::uint32_t before = main_;
    bool first = true;
    for (const JsonValue request : entry.at("requests").array()) {
      if (builder_.full()) break;
      const Times times = read_request(request, start);
      if (before != kNoRequest) builder_.add_after(before);
      TraceRequest& added = builder_.trace().requests.back();
      added.think = times.think;
      if (first)
        added.think = main_ == kNoRequest ? Duration{} : std::max(Duration{}, start - main_end_);
      first = false;
      before = builder_.last();
      ++subagent_requests_;
    }
    ++subagents_;
    if (!duration_ms) {
      ++background_;
    } else if (!first) {
      waited_for_.last_requests.push_back(before);
      waited_for_.completed = std::max(waited_for_.completed, t);
    }
  }

  // Adds the request; `offset` is where its t counts from.
  Times read_request(JsonValue entry, Duration offset) {
    request_census_.see(entry);
    const std::string_view type = entry.at("type").string();
    if (type != "n" && type != "s" && type != "p") {
      entry.at("type").fail(
          "'type': expected n, s or p (or subagent among a session's own entries), found another");
    }
    Times times;
    times.start = offset + seconds(entry.at("t"));
    const Duration api_time = seconds_or_zero(entry.find("api_time"));
    times.end = times.start + api_time;
    times.think = seconds_or_zero(entry.find("think_time"));
    if (type == "n") {
      times.think = std::max(Duration{}, times.think - api_time);
      ++sent_twice_;
    }
    TraceRequest& request =
        builder_.add(prompt_tokens(entry.at("in")), output_tokens(entry.at("out")));
    request.arrival = times.start;
    if (request.output.value == 0) ++aborted_;
    builder_.join_session(session_);
    add_runs(entry.at("hash_runs"), request.prompt / builder_.trace().block);
    return times;
  }

  void add_runs(JsonValue runs, std::int64_t expected) {
    std::int64_t total = 0;
    for (const JsonValue run : runs.array()) {
      if (run.kind() != JsonKind::array || run.size() != 2) {
        run.fail("'hash_runs': expected [start, count], found something else");
      }
      auto part = run.array().begin();
      const std::int64_t start = (*part).integer(0, kTraceIdMax);
      const std::int64_t count = (*++part).integer(1, kTraceTokensMax);
      builder_.add_run(shift_ + start, count);
      total += count;
    }
    if (total != expected) {
      runs.fail("'hash_runs': expected " + std::to_string(expected) +
                " ids in all (full blocks of the prompt), found " + std::to_string(total));
    }
  }

  void add_notes() {
    builder_.note("ids are local to a session; each session was shifted into a range of its own");
    builder_.note("no arrival times of sessions: closed loop only");
    builder_.note_count(sent_twice_,
                        "requests of type n: think time is max(0, think_time - api_time)");
    builder_.note_count(aborted_, "requests have output 0 (aborted) and are kept");
    if (subagents_ > 0) {
      builder_.note(std::to_string(subagent_requests_) + " requests come from " +
                    std::to_string(subagents_) + " sub-agents, which run in parallel; " +
                    std::to_string(waits_) + " requests of the main thread wait for theirs");
    }
    builder_.note_count(background_, "sub-agents ran in the background: nothing waits for them");
    builder_.note(census_.note());
    builder_.note(subagent_census_.note());
    builder_.note(request_census_.note());
  }

  TextFile& file_;
  const TraceReadOptions& options_;
  TraceBuilder builder_;
  JsonLine json_;
  KeyCensus census_{{"requests", "id", "models", "block_size", "hash_id_scope", "tool_tokens",
                     "system_tokens", "totals"}};
  KeyCensus subagent_census_{{"t", "type", "agent_id", "subagent_type", "duration_ms",
                              "total_tokens", "tool_use_count", "status", "requests", "models",
                              "tool_tokens", "system_tokens"}};
  KeyCensus request_census_{{"t", "type", "model", "in", "out", "input_types", "output_types",
                             "stop", "api_time", "think_time", "hash_runs", "ttft",
                             "dup_api_time"}};

  std::int32_t session_ = kNoSession;
  std::int64_t shift_ = 0;
  std::uint32_t main_ = kNoRequest;  // last request of the main thread, and when it ended
  Duration main_end_{};
  SubAgents waited_for_;
  std::int64_t sent_twice_ = 0, aborted_ = 0, subagents_ = 0, subagent_requests_ = 0, waits_ = 0,
               background_ = 0;
};

Trace read(TextFile& file, const TraceReadOptions& options) {
  return WekaReader(file, options).read();
}

const bool registered = TraceFormats::add(
    "weka", {"WEKA agent sessions: think times, sub-agents, id runs of 64-token blocks",
             sniff,
             read,
             16 << 20,
             {TraceFields::Shape::json, {"id", "block_size", "requests"}}});

}  // namespace

}  // namespace v4cap
