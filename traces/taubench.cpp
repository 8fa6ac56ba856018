// Rollout groups of tau-bench trajectories (github.com/sierra-research/tau-bench, reduced to
// lengths and ids): one model call a line.
//   group_id, sample   the task and the trial; rollouts of one task share a prefix and form a group
//   session_id, turn   a rollout; its calls are numbered from 1
//   input_length, output_length, hash_ids   chained ids of full blocks of 16 tokens, one id space
//   for the file
//
// Decisions. There are no times: rollouts of a batch start at once and each call follows the one
// before without think time (tool and user delays were not recorded). n_turns, reward and
// ends_with_tool_call are not used.
#include "traces/trace_builder.h"

namespace v4cap {

namespace {

bool sniff(std::string_view line) {
  return has_keys(line, {"group_id", "sample", "session_id", "turn", "hash_ids"});
}

Trace read(TextFile& file, const TraceReadOptions& options) {
  TraceBuilder builder(options, Tokens{16});
  builder.trace().has_sessions = true;
  KeyCensus census({"group_id", "sample", "session_id", "turn", "n_turns", "input_length",
                    "output_length", "ends_with_tool_call", "reward", "hash_ids"});
  JsonLine json;
  while (!builder.full() && file.next()) {
    const JsonValue object =
        parse_json_object(json, file.line(), file.place(), !file.line_is_terminated());
    census.see(object);
    TraceRequest& request = builder.add(prompt_tokens(object.at("input_length")),
                                        output_tokens(object.at("output_length")));
    request.group = static_cast<std::int32_t>(object.at("group_id").integer(0, kTraceTokensMax));
    const std::uint32_t before =
        builder.join_session(builder.session(object.at("session_id").string()));
    const JsonValue turn = object.at("turn");
    if (turn.integer(1, kTraceTokensMax) != request.turn + 1) {
      turn.fail("'turn': expected " + std::to_string(request.turn + 1) +
                " (turns of a session count from 1), found another");
    }
    if (before != kNoRequest) {
      if (builder.trace().requests[before].group != request.group) {
        object.at("group_id")
            .fail("'group_id': expected the group of the session's first call, found another");
      }
      builder.add_after(before);
    }
    builder.add_ids(object.at("hash_ids"));
  }
  builder.note("no times recorded: rollouts start at once and calls follow without think time");
  builder.note(census.note());
  return builder.finish();
}

const bool registered = TraceFormats::add(
    "taubench",
    {"tau-bench rollout groups: sessions in groups, ids of 16-token blocks",
     sniff,
     read,
     4 << 20,
     {TraceFields::Shape::json,
      {"group_id", "sample", "session_id", "turn", "input_length", "output_length", "hash_ids"}}});

}  // namespace

}  // namespace v4cap
