// AIPerf's profile_export_aiperf.json: statistics of one run, a metric a key. A metric that did not
// apply is absent. ITL is inter_chunk_latency; AIPerf's inter_token_latency is TPOT. Of the prompt
// cache AIPerf knows only what would be possible (theoretical_prefix_cache_hit), which is no hit
// rate of a run and is not read; prefix_cache_hit_rate and what follows it are ours.
#include "sim/compare/aiperf_units.h"
#include "sim/compare/measured_run.h"
#include "sim/core/json.h"

namespace v4cap {

namespace {

constexpr double kFigureMax = 1e18;

bool sniff(const RunSource& source) {
  const auto has = [&](const char* key) { return source.head.find(key) != std::string::npos; };
  const std::string_view line = std::string_view(source.head).substr(0, source.head.find('\n'));
  return line.find("\"metadata\"") == std::string_view::npos && has("\"schema_version\"") &&
         (has("\"aiperf_version\"") || has("\"benchmark_id\"") || has("\"input_config\""));
}

void read_latency(JsonValue document, MeasuredRun& run, Latency latency, const char* tag) {
  const JsonValue metric = document.find(tag);
  if (!metric) return;
  const double factor = ms_per_unit(metric.at("unit"));
  const auto statistic = [&](const char* name, const char* key) {
    if (const JsonValue value = metric.find(key)) {
      run.figures[std::string(name_of(latency)) + name] = value.number(0, kMsMax) * factor;
    }
  };
  statistic("_mean", "avg");
  statistic("_p50", "p50");
  statistic("_p90", "p90");
  statistic("_p99", "p99");
}

void read_figure(JsonValue document, MeasuredRun& run, const char* figure, const char* tag) {
  if (const JsonValue metric = document.find(tag)) {
    run.figures[figure] = metric.at("avg").number(0, kFigureMax);
  }
}

MeasuredRun read(const std::string& path) {
  const std::string text = read_document(path);
  JsonLine line;
  const JsonValue document = parse_json_object(line, text, {path, 1, 0}, false);
  MeasuredRun run;
  read_latency(document, run, Latency::ttft, "time_to_first_token");
  read_latency(document, run, Latency::tpot, "inter_token_latency");
  read_latency(document, run, Latency::itl, "inter_chunk_latency");
  read_latency(document, run, Latency::e2el, "request_latency");
  if (run.figures.contains("itl_mean")) {
    run.notes.push_back("ITL are gaps between chunks, of which one may hold several tokens");
  }
  read_figure(document, run, "throughput_output", "output_token_throughput");
  read_figure(document, run, "throughput_total", "total_token_throughput");
  read_figure(document, run, "throughput_request", "request_throughput");
  read_figure(document, run, "requests", "request_count");
  read_figure(document, run, "failed", "error_request_count");
  read_figure(document, run, "rebuilt_tokens", "total_rebuilt_tokens");
  read_figure(document, run, "recomputed_tokens", "total_recomputed_after_preemption");
  read_figure(document, run, "hit_rate", "prefix_cache_hit_rate");
  if (const JsonValue duration = document.find("benchmark_duration")) {
    constexpr double kMsPerSecond = 1000;
    run.figures["duration"] =
        duration.at("avg").number(0, kMsMax) * ms_per_unit(duration.at("unit")) / kMsPerSecond;
  }
  if (run.figures.empty()) {
    document.fail("expected a metric of AIPerf such as 'request_latency', found none");
  }
  return run;
}

const bool registered = RunFormats::add("aiperf-summary", {"summary of AIPerf", sniff, read});

}  // namespace

double ms_per_unit(JsonValue unit) {
  struct Known {
    std::string_view name;
    double ms;
  };
  constexpr std::array<Known, 7> kUnits = {{{"ms", 1},
                                            {"sec", 1e3},
                                            {"s", 1e3},
                                            {"seconds", 1e3},
                                            {"us", 1e-3},
                                            {"µs", 1e-3},
                                            {"ns", 1e-6}}};
  for (const Known& known : kUnits) {
    if (unit.string() == known.name) return known.ms;
  }
  unit.fail("'unit': expected ms, sec, s, us or ns, found " +
            json_quoted(unit.string().substr(0, 40)));
}

}  // namespace v4cap
