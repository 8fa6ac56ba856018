#include "sim/plan/levers.h"

#include <algorithm>
#include <cmath>

#include "sim/config/value.h"

namespace v4cap {

namespace {

bool is_on_axis(const std::vector<Axis>& axes, const std::string& path, const std::string& value) {
  return std::ranges::any_of(axes, [&](const Axis& axis) {
    const auto column = std::ranges::find(axis.paths, path);
    if (column == axis.paths.end()) return false;
    const auto j = static_cast<std::size_t>(column - axis.paths.begin());
    return std::ranges::any_of(axis.rows,
                               [&](const auto& row) { return text_of(row[j]) == value; });
  });
}

class LeverList {
 public:
  explicit LeverList(const std::vector<Axis>& axes) : axes_(axes) {}

  void add(std::string name, std::vector<std::pair<std::string, std::string>> set) {
    const bool searched = std::ranges::all_of(
        set, [&](const auto& entry) { return is_on_axis(axes_, entry.first, entry.second); });
    if (searched) return;
    out_.push_back({std::move(name), std::move(set), Place{"a lever"}});
  }
  std::vector<Lever> take() { return std::move(out_); }

 private:
  const std::vector<Axis>& axes_;
  std::vector<Lever> out_;
};

void add_windows(const Scenario& s, LeverList& list) {
  const KvCacheConfig& kv = s.kv_cache;
  if (kv.layout == "vllm") {
    for (const char* policy : {"tail", "checkpoint=8192+ends", "full"}) {
      if (kv.swa_policy == policy) continue;
      list.add("windows kept by " + std::string(policy), {{"kv_cache.swa_policy", policy}});
    }
  }
  const auto ratio = kv.layout_options.find("swa_full_tokens_ratio");
  if (ratio == kv.layout_options.end() || !kv.swa_policy.starts_with("pool=")) return;
  for (const double factor : {0.5, 2.0}) {
    if (ratio->second * factor > 1) continue;
    const std::string value = value_text<double>(ratio->second * factor);
    list.add("a window pool of ratio " + value,
             {{"kv_cache.layout_options.swa_full_tokens_ratio", value},
              {"kv_cache.swa_policy", "pool=" + value}});
  }
}

}  // namespace

std::vector<Lever> usual_levers(const Scenario& s, const std::vector<Axis>& axes) {
  LeverList list(axes);
  const auto count = [](std::int64_t value) { return std::to_string(value); };
  list.add("twice the running cap", {{"engine.max_running", count(2 * s.engine.max_running)}});
  const std::int64_t step = s.engine.step_tokens.value;
  list.add("twice the tokens of a step", {{"engine.step_tokens", count(2 * step)}});
  if (step >= 1024) {
    list.add("half the tokens of a step", {{"engine.step_tokens", count(step / 2)}});
  }
  if (s.kv_cache.indexer == IndexerFormat::fp8) {
    list.add("FP4 indexer keys", {{"kv_cache.indexer", "fp4"}});
  }
  if (!s.kv_cache.memory && s.kv_cache.memory_fraction < 0.95) {
    const double more = std::round((s.kv_cache.memory_fraction + 0.03) * 1000) / 1000;
    list.add("3 % more of the GPU's memory",
             {{"kv_cache.memory_fraction", value_text<double>(more)}});
  }
  if (s.engine.draft_tokens == 0 && s.model.mtp_layers > 0) {
    list.add("one draft token (MTP)", {{"engine.draft_tokens", "1"}});
  }
  add_windows(s, list);
  const Deployment& d = s.deployment;
  if (d.data_parallel > 1 && !d.router.starts_with("prefix_affinity")) {
    list.add("prompts to the attention rank that holds their prefix",
             {{"deployment.router", "prefix_affinity"}});
  }
  if (d.tensor_parallel % 2 == 0 && d.tensor_parallel > 1 && d.collectives) {
    const bool spreads = d.expert_parallel != d.gpus();
    list.add(std::string("half the tensor parallelism, twice the attention ranks") +
                 (spreads ? ", experts spread over all GPUs" : ""),
             {{"deployment.tensor_parallel", count(d.tensor_parallel / 2)},
              {"deployment.data_parallel", count(d.data_parallel * 2)},
              {"deployment.expert_parallel", count(d.gpus())}});
  }
  return list.take();
}

}  // namespace v4cap
