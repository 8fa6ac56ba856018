// `vllm serve`, the flags that sim/import/vllm_flags.cpp reads.
#include "sim/config/value.h"
#include "sim/plan/launch_command.h"

namespace v4cap {

namespace {

// "checkpoint=4096+ends" -> "4096"; "tail" -> "0"; "full" -> "None"; else "".
std::string retention_interval(const std::string& policy) {
  constexpr std::string_view kCheckpoint = "checkpoint=", kEnds = "+ends";
  if (policy == "full") return "None";
  if (policy == "tail") return "0";
  if (!policy.starts_with(kCheckpoint) || !policy.ends_with(kEnds)) return "";
  return policy.substr(kCheckpoint.size(), policy.size() - kCheckpoint.size() - kEnds.size());
}

std::vector<std::string> words(const Scenario& s, const std::string& checkpoint) {
  const Deployment& d = s.deployment;
  const EngineConfig& e = s.engine;
  const KvCacheConfig& kv = s.kv_cache;
  std::vector<std::string> out = {"vllm", "serve", checkpoint};
  const auto flag = [&](const char* name, const std::string& value) {
    out.insert(out.end(), {name, value});
  };
  flag("--tensor-parallel-size", std::to_string(d.tensor_parallel));
  if (d.data_parallel > 1) flag("--data-parallel-size", std::to_string(d.data_parallel));
  if (d.expert_parallel > 1) out.emplace_back("--enable-expert-parallel");
  flag("--max-model-len", std::to_string(e.max_context.value));
  flag("--max-num-seqs", std::to_string(e.max_running));
  flag("--max-num-batched-tokens", std::to_string(e.step_tokens.value));
  if (e.long_prefill_token_threshold.value > 0) {
    flag("--long-prefill-token-threshold", std::to_string(e.long_prefill_token_threshold.value));
  }
  out.emplace_back(e.steps_in_flight > 1 ? "--async-scheduling" : "--no-async-scheduling");
  flag("--block-size", std::to_string(kv.block.value));
  if (kv.memory) flag("--kv-cache-memory-bytes", std::to_string(kv.memory->value));
  flag("--gpu-memory-utilization", value_text<double>(kv.memory_fraction));
  if (const std::string interval = retention_interval(kv.swa_policy); !interval.empty()) {
    flag("--prefix-cache-retention-interval", interval);
  }
  if (kv.indexer == IndexerFormat::fp4) {
    flag("--attention-config", R"({"use_fp4_indexer_cache": true})");
  }
  if (e.draft_tokens > 0) {
    flag("--speculative-config",
         R"({"method": "mtp", "num_speculative_tokens": )" + std::to_string(e.draft_tokens) + '}');
  }
  return out;
}

[[maybe_unused]] const bool registered = LaunchWriters::add("vllm", words);

}  // namespace

}  // namespace v4cap
