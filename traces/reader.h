// From a trace file to a Trace. One reader per public format, each in its own file and registered
// by name, so that a new format is one new file. The format is told from the first line's content
// unless it is stated.
//
// What every reader promises: each line is checked whole (types, ranges, lengths against ids, order
// of times) and the first fault ends reading with an InputError that names file, line and column;
// what a reader decided where the format leaves a choice stands in its head comment and, with
// counts, in Trace::notes.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "sim/core/registry.h"
#include "sim/core/text_file.h"
#include "sim/core/time.h"
#include "traces/trace.h"

namespace v4cap {

struct TraceReadOptions {
  std::string format;                  // a reader's name; empty = told from the content
  std::optional<Tokens> block_tokens;  // stated tokens per id; the file must agree
  bool spread_instants = false;   // spread requests of one instant evenly up to the next instant
  std::int64_t max_requests = 0;  // stop after so many, in file order; 0 = all
  std::uint64_t seed = 1;         // formats that hold distributions
  // Formats that hold distributions over a day: the part to sample. Zero length = to the end.
  Duration window_start{}, window_length{};
};

// Longest prompt or output that a trace may hold: 16 Mi tokens, far above any model's context.
inline constexpr std::int64_t kTraceTokensMax = std::int64_t{1} << 24;
// Largest block id in a file.
inline constexpr std::int64_t kTraceIdMax = std::int64_t{1} << 48;

// What the first line of a file must have: columns of a CSV's header, or keys of a JSON object.
struct TraceFields {
  enum class Shape : std::uint8_t { csv, json } shape = Shape::csv;
  std::vector<std::string_view> names{};
};

// A reader. `read` gets the file before its first line and fills everything of the trace but its
// name.
struct TraceFormat {
  std::string_view summary;                    // for people, one line
  bool (*sniff)(std::string_view first_line);  // is a file that begins so of this format?
  Trace (*read)(TextFile& file, const TraceReadOptions& options);
  std::int64_t line_bytes_max = 0;
  TraceFields fields{};  // to say of a file that is of no format what it lacks
};
using TraceFormats = Registry<TraceFormat>;

// Throws InputError.
Trace read_trace(const std::string& path, const TraceReadOptions& options = {});

// Name of the format whose content `path` has. Throws InputError when it is none.
std::string sniff_format(const std::string& path);

// Where `path` is: itself, else below `trace_dir` (empty = none given). A directory stands for the
// one trace file inside it. Throws InputError that says where public traces come from.
std::string locate_trace(const std::string& path, const std::string& trace_dir);

// Requests that share an instant are spread evenly over the gap to the next one (Mooncake's times
// lie on a grid of 3 s). The last instant gets the gap before it. Order is kept.
void spread_instants(Trace& trace);

}  // namespace v4cap
