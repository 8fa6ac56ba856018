#include "traces/public_traces.h"

namespace v4cap {

namespace {

struct PublicTrace {
  std::string_view folder;  // the name starts with it
  std::string_view origin;
};

constexpr PublicTrace kPublicTraces[] = {
    {"mooncake-", "https://github.com/kvcache-ai/Mooncake, folder FAST25-release/traces"},
    {"weka-", "https://github.com/callanjfox/kv-cache-tester, folder traces"},
    {"azure-",
     "https://github.com/Azure/AzurePublicDataset, folder data (AzureLLMInferenceTrace_*.csv)"},
    {"lmcache-", "https://github.com/LMCache/lmcache-agent-trace"},
    {"rl-rollout-groups/math", "https://github.com/WildEval/ZeroEval, folder result_dirs/math-l5"},
    {"rl-", "https://github.com/sierra-research/tau-bench, folder historical_trajectories"},
    {"servegen-", "https://github.com/alibaba/ServeGen, folder data"},
    {"length-tables", "https://github.com/project-etalon/etalon, folder data/processed_traces"},
};

}  // namespace

std::string where_to_get(std::string_view name) {
  std::string all;
  for (const PublicTrace& trace : kPublicTraces) {
    if (name.starts_with(trace.folder)) return "; it can be had from " + std::string(trace.origin);
    all += (all.empty() ? "; public traces can be had from " : "; ") + std::string(trace.origin);
  }
  return all;
}

}  // namespace v4cap
