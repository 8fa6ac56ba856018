// The texts that `v4cap trace info` prints, as plain functions.
#pragma once

#include <string>

#include "sim/app/command.h"
#include "traces/summary.h"

namespace v4cap {

// A compact table for people.
std::string trace_info_text(const Trace& trace);
// One JSON document: name, format, requests, sessions, groups, block_tokens, ideal_hit_rate and
// ideal_hit_rate_with_output (null without block ids), prompt_tokens, output_tokens,
// turns_per_session and think_s {p50, p90, p99, max, mean}, arrivals {...} or null, notes.
std::string trace_info_json(const Trace& trace);

// The same of a table of arrival rates, which has no requests.
std::string rate_table_info_text(const std::string& path, const RateTable& table);
std::string rate_table_info_json(const std::string& path, const RateTable& table);

}  // namespace v4cap
