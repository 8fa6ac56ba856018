#include "sim/compare/bench_details.h"

#include <algorithm>

namespace v4cap {

namespace {

constexpr double kFigureMax = 1e18, kSecondsMax = 1e9, kTokensMax = 1e9, kMsPerSecond = 1000;

std::vector<JsonValue> elements(JsonValue list) {
  std::vector<JsonValue> all;
  all.reserve(static_cast<std::size_t>(list.size()));
  for (const JsonValue element : list.array()) all.push_back(element);
  return all;
}

// The lists of --save-detailed, entry by entry.
class Details {
 public:
  explicit Details(JsonValue document)
      : ttfts_(elements(document.at("ttfts"))),
        itls_(list(document, "itls")),
        lengths_(list(document, "output_lens")),
        latencies_(list(document, "latencies")),
        errors_(list(document, "errors")) {}

  void read(MeasuredRun& run) {
    std::array<std::vector<double>, 4> values;
    for (std::size_t i = 0; i < ttfts_.size(); ++i) {
      if (!errors_.empty() && !errors_[i].string().empty()) continue;
      MeasuredRequest request = one(i, values[static_cast<std::size_t>(Latency::itl)]);
      const auto keep = [&](Latency latency, std::optional<double> ms) {
        if (ms) values[static_cast<std::size_t>(latency)].push_back(*ms);
      };
      keep(Latency::ttft, request.ttft_ms);
      keep(Latency::tpot, request.tpot_ms);
      keep(Latency::e2el, request.e2el_ms);
      run.requests.push_back(std::move(request));
    }
    for (const Latency latency : kLatencies) {
      run.describe_latency(latency, std::move(values[static_cast<std::size_t>(latency)]));
    }
  }

 private:
  // Empty when the document has no such list.
  std::vector<JsonValue> list(JsonValue document, const char* key) const {
    const JsonValue value = document.find(key);
    if (!value) return {};
    if (value.array(); value.size() != static_cast<std::int64_t>(ttfts_.size())) {
      value.fail("'" + std::string(key) + "': expected one entry for each of the " +
                 std::to_string(ttfts_.size()) + " in 'ttfts', found " +
                 std::to_string(value.size()));
    }
    return elements(value);
  }

  MeasuredRequest one(std::size_t i, std::vector<double>& gaps) const {
    const double ttft = ttfts_[i].number(0, kSecondsMax);
    std::optional<double> latency;
    if (!itls_.empty()) {
      latency = ttft;
      for (const JsonValue gap : itls_[i].array()) {
        gaps.push_back(gap.number(0, kSecondsMax) * kMsPerSecond);
        *latency += gap.number(0, kSecondsMax);
      }
    }
    if (!latencies_.empty()) latency = latencies_[i].number(0, kSecondsMax);
    MeasuredRequest request;
    request.ttft_ms = ttft * kMsPerSecond;
    if (!latency) return request;
    request.e2el_ms = *latency * kMsPerSecond;
    const double tokens = lengths_.empty() ? 0 : lengths_[i].number(0, kTokensMax);
    if (tokens > 1) {
      request.tpot_ms = std::max(0.0, *latency - ttft) / (tokens - 1) * kMsPerSecond;
    }
    return request;
  }

  std::vector<JsonValue> ttfts_, itls_, lengths_, latencies_, errors_;
};

}  // namespace

void read_bench_statistics(JsonValue document, MeasuredRun& run, Latency latency,
                           const std::string& key) {
  const std::string name(name_of(latency));
  const auto statistic = [&](const char* figure, const std::string& prefix) {
    const JsonValue value = document.find(prefix + '_' + key);
    if (value && value.number(0, kFigureMax) > 0) {
      run.figures[name + figure] = value.number(0, kFigureMax);
    }
  };
  statistic("_mean", "mean");
  statistic("_p50", document.find("p50_" + key) ? "p50" : "median");
  statistic("_p90", "p90");
  statistic("_p99", "p99");
}

void read_bench_details(JsonValue document, MeasuredRun& run) {
  if (document.find("ttfts")) Details(document).read(run);
}

}  // namespace v4cap
