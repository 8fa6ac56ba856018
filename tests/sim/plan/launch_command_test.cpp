// A scenario as a launch command and back: every key that the engine has a flag for returns.
#include "sim/plan/launch_command.h"

#include <doctest/doctest.h>

#include <algorithm>

#include "sim/config/scenario_file.h"
#include "sim/import/import.h"

namespace v4cap {
namespace {

Scenario scenario_with(const std::vector<std::string>& set) {
  ScenarioOptions options;
  options.find_traces = false;
  options.set = {"workload.trace=t.jsonl", "workload.arrivals.mode=closed_loop",
                 "workload.arrivals.sessions_at_a_time=4"};
  options.set.insert(options.set.end(), set.begin(), set.end());
  return parse_scenario("model: deepseek-v4-pro\nhardware: hgx-b200\n", "a scenario", options);
}

void check_round_trip(const std::vector<std::string>& set, const std::string& engine) {
  const LaunchCommand command = launch_command(scenario_with(set));
  CAPTURE(command.text);
  CHECK(command.engine == engine);
  for (const KeyDifference& d : command.differences) {
    FAIL_CHECK(d.path << ": " << d.ours << " came back as " << d.imported);
  }
}

TEST_CASE("launch command: vLLM's is read back to the same scenario") {
  const std::vector<std::string> vllm = {"kv_cache.layout=vllm", "kv_cache.swa_policy=tail"};
  const std::vector<std::vector<std::string>> shapes = {
      {},
      {"deployment.tensor_parallel=1", "deployment.data_parallel=8",
       "deployment.expert_parallel=8"},
      {"deployment.tensor_parallel=4", "deployment.data_parallel=2",
       "deployment.expert_parallel=8"},
      {"engine.max_running=96", "engine.step_tokens=4096"},
      {"engine.max_context_tokens=131072", "engine.steps_in_flight=2"},
      {"engine.long_prefill_token_threshold=2048"},
      {"kv_cache.swa_policy=checkpoint=8192+ends"},
      {"kv_cache.swa_policy=full"},
      {"kv_cache.memory_fraction=0.95", "kv_cache.indexer=fp4"},
      {"kv_cache.memory=40 GiB"},
      {"kv_cache.layout_version=0.23"},
      {"engine.draft_tokens=1"},
      {"model=deepseek-v4-flash", "deployment.tensor_parallel=4"},
      {"hardware=hgx-h200"},
  };
  for (std::vector<std::string> set : shapes) {
    set.insert(set.begin(), vllm.begin(), vllm.end());
    check_round_trip(set, "vllm");
  }
}

TEST_CASE("launch command: SGLang's is read back to the same scenario") {
  const std::vector<std::string> sglang = {"kv_cache.layout=sglang"};
  const std::vector<std::vector<std::string>> shapes = {
      {"kv_cache.swa_policy=pool=0.1"},
      {"kv_cache.swa_policy=pool=0.02", "kv_cache.layout_options.swa_full_tokens_ratio=0.02"},
      {"kv_cache.swa_policy=pool=0.1", "engine.max_running=64", "engine.step_tokens=4096"},
      {"kv_cache.swa_policy=pool=0.1", "deployment.tensor_parallel=1", "deployment.data_parallel=8",
       "deployment.expert_parallel=8", "deployment.router=shortest_queue"},
      {"kv_cache.swa_policy=pool=0.1", "engine.mixed_chunk=true", "kv_cache.memory_fraction=0.85"},
      {"kv_cache.swa_policy=pool=0.1", "kv_cache.indexer=fp4", "engine.max_context_tokens=262144"},
  };
  for (std::vector<std::string> set : shapes) {
    set.insert(set.begin(), sglang.begin(), sglang.end());
    check_round_trip(set, "sglang");
  }
}

TEST_CASE("launch command: what no flag says is named") {
  const LaunchCommand command =
      launch_command(scenario_with({"kv_cache.layout=vllm", "kv_cache.swa_policy=recompute"}));
  const bool named = std::ranges::any_of(command.differences, [](const KeyDifference& d) {
    return d.path == "kv_cache.swa_policy" && d.ours == "recompute";
  });
  CHECK(named);
  CHECK(launch_command(scenario_with({})).text.empty());
}

}  // namespace
}  // namespace v4cap
