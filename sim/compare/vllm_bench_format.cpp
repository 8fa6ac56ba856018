// What `vllm bench serve --save-result` writes (SGLang's bench_serving has the same keys): statistics
// under {mean,median,p<NN>}_{ttft,tpot,itl,e2el}_ms and, with --save-detailed, lists with one entry a
// request in seconds: ttfts, itls (a list of gaps each), output_lens, errors ("" where it went well)
// and in newer versions latencies. From the lists every statistic is computed here, so that a p90
// is there which the tool was not asked for; without `latencies` a request took its ttft and the sum
// of its gaps, which is how the tool comes to its own latency. Requests have no ids.
#include <algorithm>

#include "sim/compare/measured_run.h"
#include "sim/core/json.h"

namespace v4cap {

namespace {

constexpr double kFigureMax = 1e18, kSecondsMax = 1e9, kTokensMax = 1e9, kMsPerSecond = 1000;

bool sniff(const RunSource& source) {
  const auto has = [&](const char* key) { return source.head.find(key) != std::string::npos; };
  return has("\"completed\"") && has("\"request_throughput\"") && !has("\"definitions_version\"");
}

// 0 where nothing was measured: numpy's mean of nothing. The tool writes it for want of a value.
void read_statistics(JsonValue document, MeasuredRun& run, Latency latency) {
  const std::string name(name_of(latency));
  const auto statistic = [&](const char* figure, const std::string& key) {
    const JsonValue value = document.find(key + '_' + name + "_ms");
    if (value && value.number(0, kFigureMax) > 0) {
      run.figures[name + figure] = value.number(0, kFigureMax);
    }
  };
  statistic("_mean", "mean");
  statistic("_p50", document.find("p50_" + name + "_ms") ? "p50" : "median");
  statistic("_p90", "p90");
  statistic("_p99", "p99");
}

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

MeasuredRun read(const std::string& path) {
  const std::string text = read_document(path);
  JsonLine line;
  const JsonValue document = parse_json_object(line, text, {path, 1, 0}, false);
  MeasuredRun run;
  const auto figure = [&](const char* name, const char* key) {
    if (const JsonValue value = document.find(key)) {
      run.figures[name] = value.number(0, kFigureMax);
    }
  };
  document.at("completed").integer(0, std::int64_t{1} << 53);
  figure("requests", "completed");
  figure("failed", "failed");
  figure("duration", "duration");
  figure("throughput_request", "request_throughput");
  figure("throughput_output", "output_throughput");
  figure("throughput_total", "total_token_throughput");
  for (const Latency latency : kLatencies) read_statistics(document, run, latency);
  if (document.find("ttfts")) Details(document).read(run);
  run.notes.push_back("times start when the client sends a request");
  return run;
}

const bool registered = RunFormats::add("vllm-bench", {"result of vllm bench serve", sniff, read});

}  // namespace

}  // namespace v4cap
