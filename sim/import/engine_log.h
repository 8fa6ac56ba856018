// Figures that an engine states in its start-up log. Which lines there are is data of the engine
// (EngineDialect::log_lines); this reads them whatever stands before them: timestamps, ranks,
// process names, colours.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "sim/core/error.h"

namespace v4cap {

// Figures of a layout (Layout::engine_log) have the name that the layout gives them.
enum class LogQuantity : std::uint8_t {
  weights_gib,
  draft_weights_gib,
  kv_memory_gib,     // left for the KV cache on one GPU
  request_slot_gib,  // of it taken before it is divided by bytes per token
  bytes_per_full_token,
  kv_cache_tokens,
  swa_tokens,
  c4_entries,
  c128_entries,
  c4_state_rows,
  max_running,
  step_tokens,
  max_context_tokens,
  max_concurrency,  // requests of full length
  memory_fraction,
  version,           // text
  async_scheduling,  // 1 or 0
};

// As in --json and as layouts name their figures: "kv_cache_tokens".
std::string_view name_of(LogQuantity quantity);

// A number, or for `version` a word, that stands right after `before`.
struct LogField {
  std::string_view before;
  LogQuantity quantity;
  bool required = true;
};

// A line that holds `marker`. Its fields are looked for in the whole line.
struct LogLine {
  std::string_view marker;
  std::vector<LogField> fields;
  std::string_view unless = "";  // lines with this are another kind
};

// One quantity as stated by one rank or by several in the same place of their start.
struct LogFact {
  LogQuantity quantity;
  double low = 0, high = 0;  // differ where ranks differ
  std::int64_t ranks = 1;    // that stated it
  Place place;               // of the first such line, at the number
  std::string text;          // of a version
};

// Throws InputError for a line of a known kind whose required number is missing or is none.
std::vector<LogFact> read_engine_log(std::string_view text, const std::string& file,
                                     const std::vector<LogLine>& kinds);

}  // namespace v4cap
