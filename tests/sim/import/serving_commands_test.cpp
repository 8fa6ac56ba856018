// The launch flags of published SGLang measurements, as commands: all of them ran, so all must fit.
#include <fstream>
#include <map>

#include "sim/app/case_rows.h"
#include "sim/import/launch_report.h"
#include "tests/data.h"

namespace v4cap {
namespace {

using Row = std::map<std::string, std::string>;

std::vector<Row> read_rows(const std::string& path) {
  std::ifstream in(path);
  std::vector<Row> rows;
  std::vector<std::string> header;
  std::int64_t number = 0;
  for (std::string line; std::getline(in, line);) {
    const std::vector<std::string> fields = csv_fields(line, {path, ++number, 0});
    if (header.empty()) {
      header = fields;
      continue;
    }
    Row row;
    for (std::size_t i = 0; i < header.size(); ++i) row[header[i]] = fields[i];
    rows.push_back(row);
  }
  return rows;
}

std::string checkpoint(const Row& row) {
  const std::string size = row.at("model") == "deepseek-v4-pro" ? "Pro" : "Flash";
  const std::string& weights = row.at("weights");
  return "DeepSeek-V4-" + size + (weights == "fp8" ? "-FP8" : weights == "nvfp4" ? "-NVFP4" : "");
}

std::string hardware(const Row& row) {
  static const std::map<std::string, std::string> names = {
      {"B200", "hgx-b200"}, {"GB200", "gb200"}, {"H200", "hgx-h200"}, {"H100", "hgx-h100"}};
  return names.at(row.at("hw"));
}

std::string command(const Row& row) {
  std::string text = "sglang serve --trust-remote-code --model-path org/" + checkpoint(row);
  const auto add = [&](const char* flag, const char* column) {
    if (!row.at(column).empty()) text += std::string(" ") + flag + ' ' + row.at(column);
  };
  add("--tp", "tp");
  if (row.at("dp_attention") != "1") {
    add("--dp", "dp_attention");
    text += " --enable-dp-attention";
  }
  const std::string& experts = row.at("moe_backend");
  if (experts == "deepep" || experts == "megamoe") {
    text += " --moe-a2a-backend " + experts;
  } else if (experts != "default") {
    text += " --moe-runner-backend " + experts;
  }
  if (row.at("speculative") == "eagle-3-1-4" || row.at("speculative") == "eagle-1-1-2") {
    const std::string& name = row.at("speculative");  // steps, top-k, tokens
    text += " --speculative-algorithm EAGLE --speculative-num-steps " + name.substr(6, 1) +
            " --speculative-eagle-topk " + name.substr(8, 1) + " --speculative-num-draft-tokens " +
            name.substr(10, 1);
  }
  add("--mem-fraction-static", "mem_fraction");
  add("--chunked-prefill-size", "prefill_chunk");
  add("--swa-full-tokens-ratio", "swa_full_tokens_ratio");
  add("--max-running-requests", "max_running_requests");
  add("--cuda-graph-max-bs-decode", "cuda_graph_max_batch");
  return text;
}

DATA_TEST_CASE("the flags of published measurements are known, and what ran fits") {
  const std::vector<Row> rows = read_rows(data_dir() / "cases" / "serving.csv");
  REQUIRE(rows.size() == 32);
  for (const Row& row : rows) {
    const std::string id = row.at("id");
    CAPTURE(id);
    ImportRequest request;
    request.command = {command(row), "run.sh", ""};
    request.hardware = hardware(row);
    request.version = row.at("engine_version").starts_with("0.") ? row.at("engine_version") : "";
    const ImportedLaunch launch = import_launch(request);
    CHECK(launch.flags.unknown.empty());
    CHECK(std::to_string(launch.scenario.deployment.gpus()) == row.at("gpus"));
    const LaunchReport report = report_launch(launch);
    CHECK(report.misfit == "");
    const LogFigure* tokens = find_figure(report.figures, kTokensFigure);
    CHECK((tokens != nullptr && tokens->value > 0));
  }
}

}  // namespace
}  // namespace v4cap
