#include "sim/cost/profile_tables.h"

#include <cmath>
#include <string>
#include <utility>

#include "sim/cost/profile_cost.h"

namespace v4cap {

namespace {

constexpr std::string_view kDispatchSms = "24";  // the wider of those measured

using Keys = std::vector<std::pair<std::string_view, std::string_view>>;

Keys with(Keys keys, std::string_view name, std::string_view value) {
  keys.emplace_back(name, value);
  return keys;
}

constexpr std::array<ExpertFormat, 4> kExpertFormats = {
    {{"w4a8_mxfp4_mxfp8", 0.53125}, {"nvfp4", 0.5625}, {"fp8_block", 1}, {"bf16", 2}}};

std::vector<ExpertFormat> nearest_formats(double bytes) {
  std::vector<ExpertFormat> formats(kExpertFormats.begin(), kExpertFormats.end());
  std::ranges::stable_sort(formats, {}, [bytes](const ExpertFormat& format) {
    return std::abs(std::log(format.bytes / bytes));
  });
  return formats;
}

}  // namespace

std::string expert_format(const ModelSpec& model) {
  return std::string(nearest_formats(model.weights.expert_bytes).front().name);
}

ProfileTables::ProfileTables(const StepSetting& setting, const Profile& profile,
                             std::string_view expert_format, std::string_view distribution) {
  const std::string& model = setting.model.measured_as;
  const auto series = [&](const std::string& family, const Keys& keys) -> const ProfileSeries* {
    const ProfileFamily* found = profile.find(family);
    return found == nullptr ? nullptr : found->find(keys);
  };
  const auto gemm = [&](std::int64_t n, std::int64_t k) {
    return Lookup(series(
        "gemm", {{"dtype", "fp8_block"}, {"n", std::to_string(n)}, {"k", std::to_string(k)}}));
  };
  const ModelSpec& m = setting.model;
  const std::string tp = std::to_string(setting.tensor_parallel);
  const Keys of_rank{{"model", model}, {"tp", tp}};
  const auto module = [&](std::string_view part, const std::string& family, std::int64_t layers,
                          bool window_only) {
    const std::string name = "attention_" + family;
    constexpr std::int64_t kNoEnd = std::numeric_limits<std::int64_t>::max();
    const std::int64_t reach = window_only ? m.window.value - 1 : kNoEnd;
    return AttentionModule{part,
                           layers,
                           DecodeGrid(series(name + "_decode", of_rank), reach),
                           Lookup(series(name + "_prefill", of_rank)),
                           Lookup(),
                           window_only};
  };
  const auto add = [&](std::string_view part, LayerKind kind, const std::string& family) {
    if (m.count(kind) == 0) return;
    attention.push_back(module(part, family, m.count(kind), kind == LayerKind::window));
  };
  add("attention CSA", LayerKind::csa, "csa");
  add("attention HCA", LayerKind::hca, "hca");
  add("attention window", LayerKind::window, "hca");
  add("attention DSA", LayerKind::dsa, "dsa");
  if (m.count(LayerKind::dsa) > 0) {
    AttentionModule& dsa = attention.back();
    dsa.prefill = Lookup(series("attention_dsa_prefill", with(of_rank, "path", "sparse")));
    dsa.short_prefill = Lookup(series("attention_dsa_prefill", with(of_rank, "path", "dense")));
  }
  if (setting.draft_steps > 0 && m.window.value > 0) {
    draft.emplace(module("drafts: attention", "hca", 1, true));
  }

  const std::string hidden = std::to_string(m.hidden);
  mhc_pre = Lookup(series("mhc_pre", {{"hidden", hidden}}));
  mhc_post = Lookup(series("mhc_post", {{"hidden", hidden}}));

  const std::string moe_ep = std::to_string(setting.expert_parallel);
  const std::string moe_tp = std::to_string(setting.gpus() / setting.expert_parallel);
  const auto experts_in = [&](std::string_view dtype) {
    return Lookup(series("experts", {{"model", model},
                                     {"dtype", dtype},
                                     {"moe_tp", moe_tp},
                                     {"moe_ep", moe_ep},
                                     {"distribution", distribution}}));
  };
  experts = experts_in(expert_format);
  // The nearest format that was measured stands in, scaled to the work of the model's own.
  for (const ExpertFormat& format : nearest_formats(m.weights.expert_bytes)) {
    if (experts.known()) break;
    experts = experts_in(format.name);
    if (experts.known()) expert_stand_in = format;
  }
  const std::int64_t intermediate = m.moe.shared_experts * m.moe.expert_intermediate;
  shared_up = gemm(2 * intermediate, m.hidden);
  shared_down = gemm(m.hidden, intermediate);

  for (const bool graph : {false, true}) {
    all_reduce[graph] =
        Lookup(series("all_reduce", {{"gpus", tp}, {"mode", graph ? "graph" : "eager"}}));
  }
  const std::string gpus = std::to_string(setting.gpus());
  joint_all_reduce = Lookup(series("all_reduce", {{"gpus", gpus}, {"mode", "graph"}}));
  all_gather = Lookup(series("all_gather", {{"gpus", gpus}}));
  reduce_scatter = Lookup(series("reduce_scatter", {{"gpus", gpus}}));
  const std::string active = std::to_string(m.moe.active_experts);
  const std::string routed = std::to_string(m.moe.routed_experts);
  for (const bool low_latency : {false, true}) {
    const std::string suffix = low_latency ? "_low_latency" : "_normal";
    Keys keys{{"hidden", hidden}, {"topk", active}, {"experts", routed}};
    if (!low_latency) keys.emplace_back("sms", kDispatchSms);
    dispatch[low_latency] = Lookup(series("expert_dispatch" + suffix, keys));
    combine[low_latency] = Lookup(series("expert_combine" + suffix, keys));
  }
}

}  // namespace v4cap
