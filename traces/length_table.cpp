// Tables of prompt and output lengths (github.com/project-etalon/etalon, data/processed_traces):
// CSV.
//   num_prefill_tokens, num_decode_tokens, num_total_tokens, pd_ratio
//
// Decisions. No times, sessions or ids: a batch, or a source of lengths for the generator. The
// total must be the sum, since a row where it is not has been damaged; pd_ratio is not used.
#include "traces/csv.h"
#include "traces/trace_builder.h"

namespace v4cap {

namespace {

constexpr std::string_view kHeader =
    "num_prefill_tokens,num_decode_tokens,num_total_tokens,pd_ratio";

bool sniff(std::string_view line) {
  return line == kHeader;
}

Trace read(TextFile& file, const TraceReadOptions& options) {
  TraceBuilder builder(options, Tokens{0});
  CsvReader row(file, kHeader);
  while (!builder.full() && row.next()) {
    const Tokens prompt{row.integer(0, 1, kTraceTokensMax)},
        output{row.integer(1, 0, kTraceTokensMax)};
    if (Tokens{row.integer(2, 0, 2 * kTraceTokensMax)} != prompt + output) {
      row.expected(2, "the sum of both lengths, " + std::to_string((prompt + output).value));
    }
    row.number(3, 0, 1e12);
    builder.add(prompt, output);
  }
  builder.note("lengths only: no times, sessions or block ids");
  return builder.finish();
}

const bool registered = TraceFormats::add(
    "length-table",
    {"prompt and output lengths: CSV",
     sniff,
     read,
     4 << 10,
     {TraceFields::Shape::csv,
      {"num_prefill_tokens", "num_decode_tokens", "num_total_tokens", "pd_ratio"}}});

}  // namespace

}  // namespace v4cap
