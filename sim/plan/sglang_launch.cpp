// `python3 -m sglang.launch_server`, the flags that sim/import/sglang_flags.cpp reads. SGLang counts
// running requests and prefill tokens of all attention ranks together; a scenario counts one's.
#include "sim/config/value.h"
#include "sim/plan/launch_command.h"

namespace v4cap {

namespace {

std::vector<std::string> words(const Scenario& s, const std::string& checkpoint) {
  const Deployment& d = s.deployment;
  const EngineConfig& e = s.engine;
  const KvCacheConfig& kv = s.kv_cache;
  std::vector<std::string> out = {"python3", "-m", "sglang.launch_server"};
  const auto flag = [&](const char* name, const std::string& value) {
    out.insert(out.end(), {name, value});
  };
  flag("--model-path", checkpoint);
  flag("--tp-size", std::to_string(d.gpus()));
  if (d.data_parallel > 1) {
    flag("--dp-size", std::to_string(d.data_parallel));
    out.emplace_back("--enable-dp-attention");
    flag("--load-balance-method", d.router == "round_robin" ? "round_robin" : "shortest_queue");
  }
  if (d.expert_parallel > 1) flag("--ep-size", std::to_string(d.expert_parallel));
  flag("--context-length", std::to_string(e.max_context.value));
  flag("--max-running-requests", std::to_string(e.max_running * d.data_parallel));
  flag("--chunked-prefill-size", std::to_string(e.step_tokens.value * d.data_parallel));
  if (e.mixed_chunk) out.emplace_back("--enable-mixed-chunk");
  if (e.prefill_delayer) out.emplace_back("--enable-prefill-delayer");
  if (!e.host.overlapped) out.emplace_back("--disable-overlap-schedule");
  flag("--page-size", std::to_string(kv.block.value));
  if (const auto ratio = kv.layout_options.find("swa_full_tokens_ratio");
      ratio != kv.layout_options.end()) {
    flag("--swa-full-tokens-ratio", value_text<double>(ratio->second));
  }
  flag("--mem-fraction-static", value_text<double>(kv.memory_fraction));
  if (kv.indexer == IndexerFormat::fp4) out.emplace_back("--enable-deepseek-v4-fp4-indexer");
  if (e.draft_tokens > 0) {
    flag("--speculative-algorithm", "EAGLE");
    flag("--speculative-num-steps", std::to_string(e.draft_steps));
    flag("--speculative-num-draft-tokens", std::to_string(e.draft_tokens + 1));
  }
  return out;
}

[[maybe_unused]] const bool registered = LaunchWriters::add("sglang", words);

}  // namespace

}  // namespace v4cap
