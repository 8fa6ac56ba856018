// ServeGen arrival windows (github.com/alibaba/ServeGen, data/language/m-large): CSV, one client
// and window a row.
//   client, window_start_s   windows of 600 s          rate_rps   requests/s of that client in it
//   cv, dist, param1, param2   fit of the gaps between arrivals
//
// Decisions. It holds rates and no lengths, so it is not a list of requests: it is summed over
// clients to a rate table for the generator. The per-client fits are checked but not used, since
// the sum of many clients is smoother than any of them; the generator's own burstiness applies.
// Windows that no client has are idle.
#include <algorithm>
#include <cmath>

#include "traces/arrivals.h"
#include "traces/csv.h"
#include "traces/reader.h"

namespace v4cap {

namespace {

constexpr std::string_view kHeader = "client,window_start_s,rate_rps,cv,dist,param1,param2";
constexpr std::int64_t kWindow_s = 600;

bool sniff(std::string_view line) {
  return line == kHeader;
}

RateTable read_table(TextFile& file) {
  CsvReader row(file, kHeader);
  RateTable table{static_cast<double>(kWindow_s), {}};
  constexpr std::int64_t kDecade_s = 320'000'000;
  std::int64_t client_before = -1, start_before = -1;
  while (row.next()) {
    const std::int64_t client = row.integer(0, 0, kTraceTokensMax);
    const std::int64_t start_s = row.integer(1, 0, kDecade_s);
    if (start_s % kWindow_s != 0) row.expected(1, "a multiple of 600");
    if (client < client_before) row.expected(0, "clients in order");
    if (client == client_before && start_s <= start_before) {
      row.expected(1, "windows of a client in order, each once");
    }
    client_before = client;
    start_before = start_s;
    const double rate_per_s = row.number(2, 0, 1e9);
    row.number(3, 0, 1e9);
    if (row.text(4) != "Gamma" && row.text(4) != "Weibull") row.expected(4, "Gamma or Weibull");
    row.number(5, 0, 1e12);
    row.number(6, 0, 1e12);
    const auto index = static_cast<std::size_t>(start_s / kWindow_s);
    if (table.requests_per_s.size() <= index) table.requests_per_s.resize(index + 1);
    table.requests_per_s[index] += rate_per_s;
  }
  const auto& rates = table.requests_per_s;
  if (std::none_of(rates.begin(), rates.end(), [](double rate) { return rate > 0; })) {
    throw InputError(Place{file.path(), file.line_number(), 1},
                     "expected at least one window with a rate above 0, found none");
  }
  return table;
}

Trace read(TextFile& file, const TraceReadOptions&) {
  throw InputError(
      Place{file.path(), 1, 1},
      "expected requests, found a table of arrival rates; use it as the rate table of a "
      "synthetic workload");
}

const bool registered = TraceFormats::add(
    "servegen-windows",
    {"ServeGen arrival rates by client and window: a rate table, no requests",
     sniff,
     read,
     4 << 10,
     {TraceFields::Shape::csv,
      {"client", "window_start_s", "rate_rps", "cv", "dist", "param1", "param2"}}});

}  // namespace

RateTable read_rate_table(const std::string& path) {
  TextFile file(path, {.line_bytes = 4 << 10});
  return read_table(file);
}

}  // namespace v4cap
