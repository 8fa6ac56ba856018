#include "sim/config/trace_files.h"

#include <filesystem>
#include <string_view>
#include <vector>

#include "sim/config/yaml_tree.h"

namespace v4cap {

namespace fs = std::filesystem;

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

bool is_file(const fs::path& path) {
  std::error_code ignored;
  return fs::is_regular_file(path, ignored);
}

std::string origin_of(const std::string& name) {
  for (const PublicTrace& trace : kPublicTraces) {
    if (name.starts_with(trace.folder)) return "; it can be had from " + std::string(trace.origin);
  }
  return "";
}

}  // namespace

FoundTrace find_trace(const std::string& name, const std::string& scenario_dir,
                      const std::string& trace_dir, const Place& place, const std::string& what) {
  const fs::path beside = fs::path(scenario_dir) / name;  // `name` itself when it is absolute
  if (is_file(beside)) return {beside.string(), fs::absolute(beside).lexically_normal().string()};
  std::string searched = scenario_dir.empty() ? "." : scenario_dir;
  for (const std::string& folder : {trace_dir, std::string(V4CAP_SAMPLE_DIR)}) {
    if (folder.empty()) continue;
    const fs::path path = fs::path(folder) / name;
    if (is_file(path)) return {path.string(), name};
    searched += ", " + folder;
  }
  const bool absolute = fs::path(name).is_absolute();
  throw InputError(place,
                   what + ": expected a trace, found no file " + shown(name) +
                       (absolute ? "" : " in " + searched) + origin_of(name) +
                       (absolute ? "" : "; name its folder with --traces DIR or V4CAP_TRACES"));
}

}  // namespace v4cap
