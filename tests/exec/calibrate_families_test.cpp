// The families that v4exec has: points for the ranks that profiles are measured of.
#include <doctest/doctest.h>

#include <algorithm>

#include "exec/calibrate/run_family.h"
#include "sim/config/model_file.h"

namespace v4cap::exec::calibrate {
namespace {

TEST_CASE("calibrate families: every family has sound points for Pro TP8 EP8 and Flash TP4 EP4") {
  const std::vector<std::string> names = FamilyRegistry::names();
  for (const char* name : {"kernel_linear_fp8", "kernel_linear_bf16", "kernel_attention_csa_decode",
                           "kernel_attention_hca_prefill", "kernel_attention_window_decode",
                           "kernel_topk", "kernel_indexer_scores_prefill", "kernel_experts_gate_up",
                           "kernel_experts_down", "kernel_mhc_pre", "kernel_mhc_post",
                           "kernel_mhc_post_pre", "kernel_rmsnorm_quant", "kernel_q_rope_kv_store",
                           "kernel_compressor_csa", "kernel_compressor_hca", "kernel_router"}) {
    CHECK_MESSAGE(std::ranges::find(names, name) != names.end(), name);
  }
  const std::string models = std::string(V4CAP_SOURCE_DIR) + "/scenarios/models/";
  for (const auto& [model, gpus] :
       {std::pair{"deepseek-v4-pro.yaml", 8}, std::pair{"deepseek-v4-flash.yaml", 4}}) {
    const Rank rank{load_model(models + model).spec, gpus, gpus};
    for (const std::string& name : names) {
      CAPTURE(name);
      const std::unique_ptr<Family> family = (*FamilyRegistry::find(name))();
      const ProfileFamily described = family->describe();
      CHECK(described.name == name);
      CHECK(!described.kernel_source.empty());
      CHECK(!described.covers.empty());
      const std::size_t quick = checked_points(*family, rank, GridSize::quick).size();
      CHECK(quick > 0);
      CHECK(checked_points(*family, rank, GridSize::full).size() >= quick);
    }
  }
}

}  // namespace
}  // namespace v4cap::exec::calibrate
