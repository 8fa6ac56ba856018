// What `vllm bench serve --save-result` writes: statistics under
// {mean,median,p<NN>}_{ttft,tpot,itl,e2el}_ms and, with --save-detailed, lists (bench_details.h).
#include "sim/compare/bench_details.h"
#include "sim/compare/measured_run.h"
#include "sim/core/json.h"

namespace v4cap {

namespace {

constexpr double kFigureMax = 1e18;

bool sniff(const RunSource& source) {
  const auto has = [&](const char* key) { return source.head.find(key) != std::string::npos; };
  return has("\"completed\"") && has("\"request_throughput\"") && !has("\"definitions_version\"");
}

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
  for (const Latency latency : kLatencies) {
    read_bench_statistics(document, run, latency, std::string(name_of(latency)) + "_ms");
  }
  read_bench_details(document, run);
  run.notes.push_back("times start when the client sends a request");
  return run;
}

const bool registered = RunFormats::add("vllm-bench", {"result of vllm bench serve", sniff, read});

}  // namespace

}  // namespace v4cap
