// LMCache agent traces (github.com/LMCache/lmcache-agent-trace, reduced to lengths and ids): one
// call a line.
//   session_id, turn   calls of a session are numbered from 1 without gaps; sessions may interleave
//   timestamp          seconds from the file's first call, never decreasing
//   input_length, output_length, hash_ids   chained ids of full blocks of 16 tokens, one id space
//   for the file
//
// Decisions. Sessions were recorded one after another, so the times are no load: the trace has no
// arrivals, and a call follows the one before in its session. Its think time is the gap between
// their start times; the model's own time, which is not recorded, is part of it, so a closed loop
// runs slower than the recording.
#include "traces/trace_builder.h"

namespace v4cap {

namespace {

bool sniff(std::string_view line) {
  return has_keys(line, {"session_id", "turn", "timestamp", "input_length", "hash_ids"});
}

void check_turn(JsonValue turn, std::int32_t turns_before) {
  const std::int64_t found = turn.integer(1, kTraceTokensMax);
  if (found != turns_before + 1) {
    turn.fail("'turn': expected " + std::to_string(turns_before + 1) +
              " (turns of a session count from 1), found " + std::to_string(found));
  }
}

Trace read(TextFile& file, const TraceReadOptions& options) {
  TraceBuilder builder(options, Tokens{16});
  builder.trace().has_sessions = true;
  KeyCensus census(
      {"session_id", "turn", "timestamp", "input_length", "output_length", "hash_ids"});
  JsonLine json;
  Duration before{};
  while (!builder.full() && file.next()) {
    const JsonValue object =
        parse_json_object(json, file.line(), file.place(), !file.line_is_terminated());
    census.see(object);
    const JsonValue timestamp = object.at("timestamp");
    const Duration time = seconds(timestamp);
    if (time < before) {
      timestamp.fail(
          "'timestamp': expected at least the time of the line before, found an earlier one; "
          "requests must be sorted by time");
    }
    before = time;
    TraceRequest& request = builder.add(prompt_tokens(object.at("input_length")),
                                        output_tokens(object.at("output_length")));
    request.arrival = time;
    const std::uint32_t previous =
        builder.join_session(builder.session(object.at("session_id").string()));
    check_turn(object.at("turn"), request.turn);
    if (previous != kNoRequest) {
      request.think = time - builder.trace().requests[previous].arrival;
      builder.add_after(previous);
    }
    builder.add_ids(object.at("hash_ids"));
  }
  builder.note(
      "sessions were recorded one after another: times are no load, only gaps within a session "
      "count");
  builder.note("think time is the gap between starts and includes the model's own time");
  builder.note(census.note());
  return builder.finish();
}

const bool registered = TraceFormats::add(
    "lmcache",
    {"LMCache agent calls: sessions, times in s, ids of 16-token blocks",
     sniff,
     read,
     4 << 20,
     {TraceFields::Shape::json,
      {"session_id", "turn", "timestamp", "input_length", "output_length", "hash_ids"}}});

}  // namespace

}  // namespace v4cap
