#include "sim/compare/measured_run.h"

#include <algorithm>
#include <filesystem>
#include <system_error>

#include "sim/core/error.h"
#include "sim/core/quantiles.h"
#include "sim/core/text_file.h"

namespace v4cap {

namespace {

constexpr std::size_t kHead = std::size_t{64} << 10;
// vLLM writes every gap of every token on one line.
constexpr std::int64_t kLineBytesMax = std::int64_t{2} << 30;

RunSource source_of(const std::string& path) {
  std::error_code ignored;
  if (std::filesystem::is_directory(path, ignored)) return {path, true, ""};
  TextFile file(path, {.line_bytes = kLineBytesMax});
  std::string head;
  while (head.size() < kHead && file.next()) {
    head += file.line().substr(0, kHead);
    head += '\n';
  }
  return {path, false, std::move(head)};
}

std::string known_formats() {
  std::string text;
  for (const std::string& name : RunFormats::names()) {
    text += (text.empty() ? "" : ", ") + std::string(RunFormats::find(name)->summary);
  }
  return text;
}

}  // namespace

std::string_view name_of(Latency latency) {
  constexpr std::array<std::string_view, 4> kNames = {"ttft", "tpot", "itl", "e2el"};
  return kNames[static_cast<std::size_t>(latency)];
}

std::string_view label_of(Latency latency) {
  constexpr std::array<std::string_view, 4> kLabels = {"TTFT", "TPOT", "ITL", "E2EL"};
  return kLabels[static_cast<std::size_t>(latency)];
}

std::optional<double> MeasuredRun::figure(std::string_view name) const {
  const auto it = figures.find(name);
  return it == figures.end() ? std::nullopt : std::optional<double>{it->second};
}

void MeasuredRun::describe_latency(Latency latency, std::vector<double> values) {
  if (values.empty()) return;
  std::sort(values.begin(), values.end());
  const Distribution d = describe(values);
  const std::string name(name_of(latency));
  figures[name + "_mean"] = d.mean;
  figures[name + "_p50"] = d.p50;
  figures[name + "_p90"] = d.p90;
  figures[name + "_p99"] = d.p99;
  sample(latency) = std::move(values);
}

MeasuredRun read_measured_run(const std::string& path) {
  const RunSource source = source_of(path);
  for (const std::string& name : RunFormats::names()) {
    const RunFormat& format = *RunFormats::find(name);
    if (!format.sniff(source)) continue;
    MeasuredRun run = format.read(path);
    run.path = path;
    run.format = format.summary;
    return run;
  }
  throw InputError(Place{path}, "expected a run, found neither of: " + known_formats());
}

std::string read_document(const std::string& path) {
  TextFile file(path, {.line_bytes = kLineBytesMax});
  std::string text;
  while (file.next()) {
    text += file.line();
    text += '\n';
  }
  return text;
}

}  // namespace v4cap
