// Azure LLM inference traces (github.com/Azure/AzurePublicDataset, 2023 and 2024): CSV, one request
// a row.
//   TIMESTAMP        wall clock, "2023-11-16 18:17:03.9799600": up to nine decimals, an optional
//   "+00:00" ContextTokens    prompt tokens          GeneratedTokens   generated tokens
//
// Decisions. Arrivals count from the first row; rows must be sorted by time. The files end without
// a line end, so that is accepted. There are neither sessions nor block ids, so no prefix is known
// to be shared.
#include <charconv>

#include "traces/csv.h"
#include "traces/trace_builder.h"

namespace v4cap {

namespace {

constexpr std::string_view kHeader = "TIMESTAMP,ContextTokens,GeneratedTokens";

bool sniff(std::string_view line) {
  return line == kHeader;
}

// Digits text[at, at + count) as a number in [low, high], or -1.
int digits(std::string_view text, std::size_t at, std::size_t count, int low, int high) {
  int value = 0;
  for (std::size_t i = at; i < at + count; ++i) {
    if (i >= text.size() || text[i] < '0' || text[i] > '9') return -1;
    value = 10 * value + (text[i] - '0');
  }
  return value >= low && value <= high ? value : -1;
}

// Nanoseconds of a fraction of up to nine decimals; -1 when it is none.
std::int64_t fraction_ns(std::string_view decimals) {
  if (decimals.empty() || decimals.size() > 9) return -1;
  std::int64_t value = 0;
  for (std::size_t i = 0; i < 9; ++i) {
    const char c = i < decimals.size() ? decimals[i] : '0';
    if (c < '0' || c > '9') return -1;
    value = 10 * value + (c - '0');
  }
  return value;
}

// Time since 1970 of "YYYY-MM-DD hh:mm:ss[.fraction][+00:00]"; nullopt when it is not one.
std::optional<Duration> wall_clock(std::string_view text) {
  if (text.ends_with("+00:00")) text.remove_suffix(6);
  constexpr std::size_t kWholeSeconds = 19;
  if (text.size() < kWholeSeconds || text[4] != '-' || text[7] != '-' || text[10] != ' ' ||
      text[13] != ':' || text[16] != ':') {
    return std::nullopt;
  }
  const int year = digits(text, 0, 4, 1970, 2199), month = digits(text, 5, 2, 1, 12),
            day = digits(text, 8, 2, 1, 31), hour = digits(text, 11, 2, 0, 23),
            minute = digits(text, 14, 2, 0, 59), second = digits(text, 17, 2, 0, 59);
  if (year < 0 || month < 0 || day < 0 || hour < 0 || minute < 0 || second < 0) return std::nullopt;
  const std::chrono::year_month_day date{std::chrono::year{year},
                                         std::chrono::month{static_cast<unsigned>(month)},
                                         std::chrono::day{static_cast<unsigned>(day)}};
  std::int64_t ns = 0;
  if (text.size() > kWholeSeconds) {
    ns = text[kWholeSeconds] == '.' ? fraction_ns(text.substr(kWholeSeconds + 1)) : -1;
  }
  if (!date.ok() || ns < 0) return std::nullopt;
  return std::chrono::sys_days{date}.time_since_epoch() + std::chrono::hours{hour} +
         std::chrono::minutes{minute} + std::chrono::seconds{second} + Duration{ns};
}

Trace read(TextFile& file, const TraceReadOptions& options) {
  TraceBuilder builder(options, Tokens{0});
  builder.trace().has_arrivals = true;
  CsvReader row(file, kHeader);
  Duration first{}, before{};
  while (!builder.full() && row.next()) {
    const std::optional<Duration> time = wall_clock(row.text(0));
    if (!time) row.expected(0, "a time like 2023-11-16 18:17:03.9799600");
    if (builder.size() == 0) first = before = *time;
    if (*time < before) row.expected(0, "a time not before the row above (rows must be sorted)");
    before = *time;
    builder
        .add(Tokens{row.integer(1, 1, kTraceTokensMax)}, Tokens{row.integer(2, 0, kTraceTokensMax)})
        .arrival = *time - first;
  }
  builder.note("no sessions and no block ids: no prefix is known to be shared");
  return builder.finish();
}

const bool registered = TraceFormats::add(
    "azure", {"Azure LLM inference CSV: wall clock, lengths",
              sniff,
              read,
              4 << 10,
              {TraceFields::Shape::csv, {"TIMESTAMP", "ContextTokens", "GeneratedTokens"}}});

}  // namespace

}  // namespace v4cap
