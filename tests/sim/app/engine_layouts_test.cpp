// A run under each engine layout: the layout decides what fits, and nothing else changes.
#include <doctest/doctest.h>

#include <boost/json.hpp>
#include <sstream>
#include <string>
#include <vector>

#include "sim/app/command.h"
#include "sim/app/v4cap_program.h"
#include "tests/temp_dir.h"

namespace v4cap {
namespace {

std::string output(std::vector<std::string> arguments) {
  std::ostringstream out, err;
  const ExitCode code = run_program(kV4cap, arguments, out, err, false, false);
  CAPTURE(err.str());
  CHECK(code == ExitCode::done);
  return out.str();
}

boost::json::value simulated(const std::string& scenario, const std::vector<std::string>& set) {
  std::vector<std::string> arguments = {"simulate", scenario, "--json", "--quiet"};
  for (const std::string& one : set) arguments.insert(arguments.end(), {"--set", one});
  return boost::json::parse(output(arguments));
}

const std::string kTrace = V4CAP_SOURCE_DIR "/traces/sample/agents_small.jsonl.gz";
const std::string kQuickstart = V4CAP_SOURCE_DIR "/scenarios/quickstart.yaml";

TEST_CASE("an engine layout governs a run and its resolved copy repeats it") {
  for (const std::string layout : {"vllm", "sglang", "trtllm"}) {
    CAPTURE(layout);
    const std::vector<std::string> set = {"kv_cache.layout=" + layout,
                                          "kv_cache.swa_policy=checkpoint=2048",
                                          "workload.max_requests=200"};
    const boost::json::value run = simulated(kQuickstart, set);
    CHECK(run.at("finished").as_int64() == 200);
    const TempDir dir;
    std::vector<std::string> check = {"check", kQuickstart};
    for (const std::string& one : set) check.insert(check.end(), {"--set", one});
    const std::string copy = dir.write("copy.yaml", output(check));
    CHECK(simulated(copy, {}).at("result_hash") == run.at("result_hash"));
  }
}

// 0.4 would run as packing 0, and the result would not say so.
TEST_CASE("a fraction where a layout counts is refused with its place by every command") {
  struct Row {
    std::string options, column, expected;
  };
  const Row rows[] = {
      {"layout: vllm, layout_options: {packing: 0.4}", "52",
       "kv_cache.layout_options.packing: expected a whole number from 0 to 2, got 0.4 (0 padded"},
      {"layout: sglang, layout_options: {swa_full_tokens_ratio: 0.15, csa_ring_rows: 8.5}", "89",
       "kv_cache.layout_options.csa_ring_rows: expected a whole number from 1 to 4096, got 8.5"}};
  const TempDir dir;
  for (const Row& row : rows) {
    CAPTURE(row.options);
    const std::string file = dir.write(
        "s.yaml", "model: deepseek-v4-pro\nhardware: hgx-b200\nworkload: {trace: " + kTrace +
                      "}\nkv_cache: {" + row.options + "}\n");
    for (const std::string command : {"check", "capacity", "simulate"}) {
      CAPTURE(command);
      std::ostringstream out, err;
      CHECK(run_program(kV4cap, {command, file}, out, err, false, false) == ExitCode::bad_input);
      CAPTURE(err.str());
      CHECK(err.str().find("s.yaml:4:" + row.column + ": " + row.expected) != std::string::npos);
    }
  }
}

// vLLM frees nothing of a chunk before it is processed: smaller chunks leave more for blocks.
TEST_CASE("a run under vLLM holds less for a smaller chunk in flight") {
  const auto peak = [](const std::string& step) {
    const boost::json::value run =
        simulated(kQuickstart, {"kv_cache.layout=vllm", "kv_cache.swa_policy=recompute",
                                "workload.max_requests=50", "engine.step_tokens=" + step});
    return run.at("kv_peak_gib").at("tails").to_number<double>();
  };
  CHECK(peak("2048") < peak("16384"));
}

}  // namespace
}  // namespace v4cap
