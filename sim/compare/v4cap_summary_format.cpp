// summary.json of a run directory, which is also what `v4cap simulate --json` prints.
#include "sim/compare/measured_run.h"
#include "sim/core/json.h"
#include "sim/model/cache_kind.h"
#include "sim/output/version.h"

namespace v4cap {

namespace {

constexpr double kFigureMax = 1e18;

bool sniff(const RunSource& source) {
  const auto has = [&](const char* key) { return source.head.find(key) != std::string::npos; };
  return has("\"definitions_version\"") && has("\"ttft_ms\"") && !has("\"schema_version\"");
}

void read_latency(JsonValue document, MeasuredRun& run, Latency latency) {
  const std::string name(name_of(latency));
  const JsonValue statistics = document.find(name + "_ms");
  if (!statistics) return;
  for (const char* key : {"mean", "p50", "p90", "p99"}) {
    if (const JsonValue value = statistics.find(key)) {
      run.figures[name + '_' + key] = value.number(0, kFigureMax);
    }
  }
}

void read_peaks(JsonValue document, MeasuredRun& run) {
  const JsonValue peaks = document.find("kv_peak_gib");
  if (!peaks) return;
  double sum = 0;
  for (const CacheKind kind : all_cache_kinds()) {
    const double gib = peaks.at(name_of(kind)).number(0, kFigureMax);
    run.figures["kv_peak_" + std::string(name_of(kind))] = gib;
    sum += gib;
  }
  run.figures["kv_peak"] = sum;
}

MeasuredRun read(const std::string& path) {
  const std::string text = read_document(path);
  JsonLine line;
  const JsonValue document = parse_json_object(line, text, {path, 1, 0}, false);
  const JsonValue version = document.at("definitions_version");
  if (version.string() != kDefinitionsVersion) {
    version.fail("'definitions_version': expected " + std::string(kDefinitionsVersion) +
                 ", which this program computes by, found another");
  }
  MeasuredRun run;
  for (const Latency latency : kLatencies) read_latency(document, run, latency);
  struct Known {
    const char *figure, *key;
  };
  for (const Known known :
       std::initializer_list<Known>{{"requests", "finished"},
                                    {"failed", "refused"},
                                    {"duration", "duration_s"},
                                    {"throughput_request", "request_s"},
                                    {"throughput_output", "output_tok_s"},
                                    {"throughput_total", "total_tok_s"},
                                    {"hit_rate", "hit_rate"},
                                    {"rebuilt_tokens", "rebuilt_tokens"},
                                    {"recomputed_tokens", "recomputed_after_preemption"},
                                    {"preemptions", "preemptions"}}) {
    if (const JsonValue value = document.find(known.key)) {
      run.figures[known.figure] = value.number(0, kFigureMax);
    }
  }
  read_peaks(document, run);
  run.notes.push_back("times start when a request reaches the server");
  return run;
}

const bool registered = RunFormats::add("v4cap-summary", {"summary of v4cap", sniff, read});

}  // namespace

}  // namespace v4cap
