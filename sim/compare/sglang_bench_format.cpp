// What SGLang's bench_serving appends to its --output-file, one run a line: vLLM's keys, but
// e2e_latency for e2el, total_throughput in newer versions only, and no count of failed requests.
// With --output-details also lists (bench_details.h). Of several runs the last one is read.
#include "sim/compare/bench_details.h"
#include "sim/compare/measured_run.h"
#include "sim/core/json.h"
#include "sim/core/text_file.h"

namespace v4cap {

namespace {

constexpr double kFigureMax = 1e18;
// Every gap of every token is on one line.
constexpr std::int64_t kLineBytesMax = std::int64_t{2} << 30;

bool sniff(const RunSource& source) {
  const auto has = [&](const char* key) { return source.head.find(key) != std::string::npos; };
  return has("\"completed\"") && has("\"mean_e2e_latency_ms\"");
}

MeasuredRun read_run(JsonValue document) {
  MeasuredRun run;
  const auto figure = [&](const char* name, const char* key) {
    const JsonValue value = document.find(key);
    if (value) run.figures[name] = value.number(0, kFigureMax);
    return static_cast<bool>(value);
  };
  document.at("completed").integer(0, std::int64_t{1} << 53);
  figure("requests", "completed");
  figure("duration", "duration");
  figure("throughput_request", "request_throughput");
  const bool output = figure("throughput_output", "output_throughput");
  if (!figure("throughput_total", "total_throughput") && output) {
    if (const JsonValue input = document.find("input_throughput")) {
      run.figures["throughput_total"] =
          input.number(0, kFigureMax) + run.figures["throughput_output"];
    }
  }
  for (const Latency latency : kLatencies) {
    const std::string name =
        latency == Latency::e2el ? "e2e_latency" : std::string(name_of(latency));
    read_bench_statistics(document, run, latency, name + "_ms");
  }
  read_bench_details(document, run);
  run.notes.push_back("times start when the client sends a request");
  return run;
}

MeasuredRun read(const std::string& path) {
  TextFile file(path, {.line_bytes = kLineBytesMax});
  JsonLine line;
  MeasuredRun run;
  std::int64_t runs = 0;
  for (; file.next(); ++runs) {
    run = read_run(parse_json_object(line, file.line(), file.place(), !file.line_is_terminated()));
  }
  if (runs > 1) run.notes.push_back("the last of " + std::to_string(runs) + " runs in the file");
  return run;
}

[[maybe_unused]] const bool registered =
    RunFormats::add("sglang-bench", {"result of SGLang's bench_serving", sniff, read});

}  // namespace

}  // namespace v4cap
