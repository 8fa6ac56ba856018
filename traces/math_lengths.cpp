// Lengths of answers to one prompt by many models (github.com/WildEval/ZeroEval,
// result_dirs/math-l5): CSV.
//   group_id       the problem: its answers form a group
//   sample_model   who answered            max_tokens   the limit of the run
//   input_length, output_length   tokens
//
// Decisions. A batch without times or ids. Answers of output 0 are kept (the request ends after its
// prompt). max_tokens is not used: it counts in each model's own tokenizer, the lengths in another.
#include "traces/csv.h"
#include "traces/trace_builder.h"

namespace v4cap {

namespace {

constexpr std::string_view kHeader = "group_id,sample_model,input_length,output_length,max_tokens";

bool sniff(std::string_view line) {
  return line == kHeader;
}

Trace read(TextFile& file, const TraceReadOptions& options) {
  TraceBuilder builder(options, Tokens{0});
  CsvReader row(file, kHeader);
  std::int64_t without_output = 0;
  while (!builder.full() && row.next()) {
    if (row.text(1).empty()) row.expected(1, "a model's name");
    row.integer(4, 1, kTraceTokensMax);
    const Tokens output{row.integer(3, 0, kTraceTokensMax)};
    if (output.value == 0) ++without_output;
    builder.add(Tokens{row.integer(2, 1, kTraceTokensMax)}, output).group =
        static_cast<std::int32_t>(row.integer(0, 0, kTraceTokensMax));
  }
  builder.note_count(without_output, "requests have output 0 and are kept");
  builder.note("no times and no block ids: a batch of single requests in groups");
  return builder.finish();
}

const bool registered = TraceFormats::add(
    "math-lengths",
    {"answer lengths in groups, one model a row: CSV",
     sniff,
     read,
     4 << 10,
     {TraceFields::Shape::csv,
      {"group_id", "sample_model", "input_length", "output_length", "max_tokens"}}});

}  // namespace

}  // namespace v4cap
