// A row of InferenceX (agg_*.json, or what `v4cap simulate --export inferencex` writes): times in
// seconds, throughput of one GPU. The GPUs that it counts are tp x pp x pcp_size (older rows: tp);
// of a disaggregated run prefill and decode GPUs together, and output is over the decode GPUs alone.
#include "sim/compare/measured_run.h"
#include "sim/core/json.h"

namespace v4cap {

namespace {

constexpr double kFigureMax = 1e18, kSecondsMax = 1e9, kMsPerSecond = 1000;
constexpr std::int64_t kGpusMax = 1'000'000;

bool sniff(const RunSource& source) {
  const auto has = [&](const char* key) { return source.head.find(key) != std::string::npos; };
  return has("\"tput_per_gpu\"") && has("\"hw\"");
}

std::int64_t count(JsonValue row, const char* key, std::int64_t fallback) {
  const JsonValue value = row.find(key);
  return value ? value.integer(1, kGpusMax) : fallback;
}

struct Gpus {
  double all = 1, decode = 1;
};

Gpus gpus_of(JsonValue row) {
  const JsonValue disagg = row.find("disagg");
  if (disagg && disagg.kind() == JsonKind::boolean && disagg.boolean()) {
    const std::int64_t prefill = row.at("num_prefill_gpu").integer(1, kGpusMax);
    const std::int64_t decode = row.at("num_decode_gpu").integer(1, kGpusMax);
    return {static_cast<double>(prefill + decode), static_cast<double>(decode)};
  }
  const auto all = static_cast<double>(row.at("tp").integer(1, kGpusMax) * count(row, "pp", 1) *
                                       count(row, "pcp_size", 1));
  return {all, all};
}

void read_latency(JsonValue row, MeasuredRun& run, Latency latency) {
  const std::string name(name_of(latency));
  const auto statistic = [&](const char* figure, const std::string& prefix) {
    const JsonValue value = row.find(prefix + '_' + name);
    if (value && value.number(0, kSecondsMax) > 0) {
      run.figures[name + figure] = value.number(0, kSecondsMax) * kMsPerSecond;
    }
  };
  statistic("_mean", "mean");
  statistic("_p50", row.find("median_" + name) ? "median" : "p50");
  statistic("_p90", "p90");
  statistic("_p99", "p99");
}

MeasuredRun read(const std::string& path) {
  const std::string text = read_document(path);
  JsonLine line;
  const JsonValue row = parse_json_object(line, text, {path, 1, 0}, false);
  const Gpus gpus = gpus_of(row);
  MeasuredRun run;
  run.figures["throughput_total"] = row.at("tput_per_gpu").number(0, kFigureMax) * gpus.all;
  if (const JsonValue output = row.find("output_tput_per_gpu")) {
    run.figures["throughput_output"] = output.number(0, kFigureMax) * gpus.decode;
  }
  for (const Latency latency : kLatencies) read_latency(row, run, latency);
  run.notes.push_back("throughput is that of one GPU times the row's GPUs");
  return run;
}

[[maybe_unused]] const bool registered =
    RunFormats::add("inferencex", {"row of InferenceX", sniff, read});

}  // namespace

}  // namespace v4cap
