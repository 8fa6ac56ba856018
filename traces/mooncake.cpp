// Mooncake traces (github.com/kvcache-ai/Mooncake, FAST25-release/traces): one JSON object a line.
//   timestamp      milliseconds from the trace's start, never decreasing
//   input_length   prompt tokens            output_length  generated tokens
//   hash_ids       chained ids of blocks of 512 tokens, one id space for the file
//
// Decisions. The last block is usually partial and has an id all the same: ceil(input_length / 512)
// ids, and a hit counts at most input_length tokens. Another block size may be stated; the number
// of ids must then fit it. Times of the conversation trace lie on a grid of about 3 s, some ten
// requests to an instant; they are kept unless the caller asks for spreading. There are no
// sessions, so nothing is known to continue a request.
#include "traces/trace_builder.h"

namespace v4cap {

namespace {

bool sniff(std::string_view line) {
  return has_keys(line, {"timestamp", "input_length", "output_length", "hash_ids"}) &&
         !has_keys(line, {"session_id"});
}

Trace read(TextFile& file, const TraceReadOptions& options) {
  TraceBuilder builder(options, Tokens{512});
  builder.trace().partial_last_block = true;
  builder.trace().has_arrivals = true;
  KeyCensus census({"timestamp", "input_length", "output_length", "hash_ids"});
  JsonLine json;
  std::int64_t before_ms = 0, shared_instants = 0;
  while (!builder.full() && file.next()) {
    const JsonValue object =
        parse_json_object(json, file.line(), file.place(), !file.line_is_terminated());
    census.see(object);
    constexpr std::int64_t kLongest_ms = 1'000'000'000'000;
    const JsonValue timestamp = object.at("timestamp");
    const std::int64_t time_ms = timestamp.integer(0, kLongest_ms);
    if (time_ms < before_ms) {
      timestamp.fail("'timestamp': expected at least " + std::to_string(before_ms) +
                     " (the line before), found " + std::to_string(time_ms) +
                     "; requests must be sorted by time");
    }
    if (builder.size() > 0 && time_ms == before_ms) ++shared_instants;
    before_ms = time_ms;
    TraceRequest& request = builder.add(prompt_tokens(object.at("input_length")),
                                        output_tokens(object.at("output_length")));
    request.arrival = std::chrono::milliseconds{time_ms};
    builder.add_ids(object.at("hash_ids"));
  }
  builder.note_count(shared_instants, "requests share the instant of the one before");
  builder.note(
      "the last block of a prompt may be partial and has an id; hits count at most the prompt");
  builder.note(census.note());
  return builder.finish();
}

const bool registered = TraceFormats::add(
    "mooncake",
    {"Mooncake JSONL: ms times, lengths, ids of 512-token blocks",
     sniff,
     read,
     512 << 10,
     {TraceFields::Shape::json, {"timestamp", "input_length", "output_length", "hash_ids"}}});

}  // namespace

}  // namespace v4cap
