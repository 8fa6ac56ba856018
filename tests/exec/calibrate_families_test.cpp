// The families that v4exec has: points for the ranks that profiles are measured of.
#include <doctest/doctest.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <filesystem>
#include <sstream>

#include "exec/calibrate/run_family.h"
#include "sim/app/command.h"
#include "sim/config/model_file.h"
#include "tests/temp_dir.h"

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
    const Rank alone{load_model(models + model).spec, gpus, gpus};
    Rank rank = alone;
    rank.gpus = gpus;
    std::size_t exchanges = 0;
    for (const std::string& name : names) {
      CAPTURE(name);
      const std::unique_ptr<Family> family = (*FamilyRegistry::find(name))();
      const ProfileFamily described = family->describe();
      CHECK(described.name == name);
      CHECK(!described.kernel_source.empty());
      CHECK(!described.covers.empty());
      const std::size_t quick = checked_points(*family, rank, GridSize::quick).size();
      CHECK(quick > 0);
      // Exchanges between GPUs, and ranks that run together, are asked for.
      exchanges += checked_points(*family, alone, GridSize::quick).empty() ? 1 : 0;
      CHECK(checked_points(*family, rank, GridSize::full).size() >= quick);
    }
    CHECK(exchanges == 9);
  }
}

// What the command prints on stdout for these arguments.
std::string printed(const std::vector<std::string>& arguments, const GlobalOptions& options) {
  const std::unique_ptr<Command> command = (*CommandRegistry::find("calibrate"))();
  CLI::App app;
  command->add_options(app);
  app.parse(std::vector<std::string>(arguments.rbegin(), arguments.rend()));
  std::ostringstream out, err;
  CommandContext context{.out = out, .err = err, .options = options};
  const ExitCode code = command->run(context);
  CHECK(code == ExitCode::done);
  return out.str();
}

TEST_CASE("calibrate command: collectives are planned for the GPUs that are asked for") {
  const std::string model =
      std::string(V4CAP_SOURCE_DIR) + "/scenarios/models/deepseek-v4-flash.yaml";
  GlobalOptions options;
  options.dry_run = true;
  const std::string two = printed({"--collectives", "--model", model, "--gpus", "2"}, options);
  const std::string eight = printed({"--collectives", "--model", model}, options);
  for (const char* family : {"all_reduce ", "all_reduce_peer ", "all_gather ", "reduce_scatter ",
                             "alltoall ", "expert_exchange "}) {
    CHECK(two.find(family) != std::string::npos);
    CHECK(eight.find(family) != std::string::npos);
  }
  CHECK(two.find("layer_decode") == std::string::npos);
  CHECK(two != eight);
  // Ranks that run together are as many as share heads and experts.
  CHECK(two.find("ranks_") == std::string::npos);
  const std::string ranks = printed(
      {"--collectives", "--model", model, "--gpus", "2", "--tp", "2", "--ep", "2"}, options);
  for (const char* family : {"ranks_decode ", "ranks_decode_longest ", "ranks_prefill "}) {
    CHECK(ranks.find(family) != std::string::npos);
  }
  CHECK_THROWS_WITH_AS(printed({"--model", model, "--gpus", "2"}, options),
                       doctest::Contains("expected --collectives"), InputError);
}

TEST_CASE("calibrate command: the plan needs no GPU, and what is missing is asked for") {
  const std::string model =
      std::string(V4CAP_SOURCE_DIR) + "/scenarios/models/deepseek-v4-flash.yaml";
  GlobalOptions plan;
  plan.dry_run = true;
  const std::vector<std::string> rank{"--model", model, "--tp", "4", "--ep", "4"};
  std::vector<std::string> one = rank;
  one.insert(one.end(), {"--family", "kernel_topk", "--full"});
  const std::string text = printed(one, plan);
  CHECK(text.find("kernel_topk") != std::string::npos);
  CHECK(text.find("kernel_router") == std::string::npos);
  plan.json = true;
  CHECK(printed(rank, plan).find("\"name\": \"kernel_router\"") != std::string::npos);
  CHECK_THROWS_AS(printed({}, plan), InputError);
  CHECK_THROWS_AS(printed(rank, {}), InputError);  // no --out
  one.push_back("--quick");
  CHECK_THROWS_AS(printed(one, plan), CLI::ParseError);
}

TEST_CASE("calibrate command: parts become a profile without a GPU") {
  const TempDir dir;
  CHECK_THROWS_AS(printed({"--assemble", dir.path()}, {}), InputError);
  const auto family = (*FamilyRegistry::find("kernel_mhc_pre"))();
  const Rank rank{
      load_model(std::string(V4CAP_SOURCE_DIR) + "/scenarios/models/deepseek-v4-flash.yaml").spec,
      4, 4};
  const std::vector<Point> points = family->points(rank, GridSize::quick);
  Provenance p;
  p.device = "NVIDIA H200";
  p.gpu = "H200";
  p.uuid = p.driver = p.cuda_runtime = p.version = p.build = "1";
  p.versions = "preferred";
  p.model = rank.model.name;
  p.tp = p.ep = 4;
  p.size = "quick";
  p.date = "2026-11-22";
  std::string part = to_line(make_head(*family, points, p));
  for (const Point& point : points) {
    const double us = 3 + 0.01 * point.at[0];
    part += to_line(Record{point, {us, us, us, 20, 1980}, "", ""});
  }
  dir.write("parts/kernel_mhc_pre.jsonl", part);
  const std::string profile = dir / "h200-v4exec-deepseek-v4-flash-tp4-ep4-quick.yaml";
  CHECK(printed({"--assemble", dir.path()}, {}) == profile + '\n');
  CHECK(std::filesystem::exists(profile));
}

}  // namespace
}  // namespace v4cap::exec::calibrate
