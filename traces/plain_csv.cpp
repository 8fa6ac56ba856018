// A CSV of one's own: one request a row.
//   arrival_s       seconds from any origin, never decreasing; the column may be left out
//   prompt_tokens   at least 1            output_tokens   at least 0
//
// Decisions. Columns come in any order; one of another name is refused, since a misspelt arrival_s
// would make a trace without times of one with them. Times count from the first row, so that they may
// be those of a clock. There are neither sessions nor block ids, so no prefix is known to be shared.
#include <algorithm>

#include "traces/csv.h"
#include "traces/trace_builder.h"

namespace v4cap {

namespace {

const std::vector<std::string>& columns() {
  static const std::vector<std::string> names = {"arrival_s", "prompt_tokens", "output_tokens"};
  return names;
}

bool has_column(std::string_view line, std::string_view name) {
  for (std::size_t begin = 0; begin <= line.size();) {
    const std::size_t end = std::min(line.find(',', begin), line.size());
    if (line.substr(begin, end - begin) == name) return true;
    begin = end + 1;
  }
  return false;
}

bool sniff(std::string_view line) {
  return has_column(line, "prompt_tokens") && has_column(line, "output_tokens");
}

// Of a clock that counts from 1970, too; a double has its times to 0.3 us.
constexpr double kLatest_s = 4e9;

Trace read(TextFile& file, const TraceReadOptions& options) {
  TraceBuilder builder(options, Tokens{0});
  CsvReader row(file, columns());
  const std::optional<std::size_t> arrival = row.find("arrival_s");
  const auto prompt = row.find("prompt_tokens"), output = row.find("output_tokens");
  if (!prompt || !output) {
    throw InputError(Place{file.path(), 1, 1}, std::string("expected a column '") +
                                                   (prompt ? "output" : "prompt") +
                                                   "_tokens', found none");
  }
  builder.trace().has_arrivals = arrival.has_value();
  double first_s = 0, before_s = 0;
  while (!builder.full() && row.next()) {
    const bool is_first = builder.size() == 0;
    TraceRequest& request = builder.add(Tokens{row.integer(*prompt, 1, kTraceTokensMax)},
                                        Tokens{row.integer(*output, 0, kTraceTokensMax)});
    if (!arrival) continue;
    const double time_s = row.number(*arrival, 0, kLatest_s);
    if (is_first) first_s = before_s = time_s;
    if (time_s < before_s) {
      row.expected(*arrival, "a time not before the row above (rows must be sorted)");
    }
    before_s = time_s;
    request.arrival = duration_from_seconds(time_s - first_s);
  }
  if (!arrival) builder.note("no times recorded: the scenario's arrivals say when requests come");
  builder.note("no sessions and no block ids: no prefix is known to be shared");
  return builder.finish();
}

const bool registered =
    TraceFormats::add("csv", {"a CSV of one's own: arrival_s, prompt_tokens, output_tokens",
                              sniff,
                              read,
                              4 << 10,
                              {TraceFields::Shape::csv, {"prompt_tokens", "output_tokens"}}});

}  // namespace

}  // namespace v4cap
