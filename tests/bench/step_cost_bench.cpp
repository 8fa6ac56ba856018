// What timing one step costs, in nanoseconds of one core: from the roofline, and composed from a
// measured profile of modules or of whole layers. Not a test; run it before and after a change that claims speed.
#include <cstdio>
#include <ctime>
#include <utility>
#include <vector>

#include "sim/config/profile_file.h"
#include "sim/cost/layer_cost.h"
#include "sim/cost/profile_cost.h"
#include "tests/layer_profile.h"
#include "tests/models.h"

namespace v4cap {
namespace {

// Contexts grow by a token a step, as they do in a run.
double ns_per_step(const CostModel& cost, std::int64_t batch) {
  StepPlan plan;
  for (std::int64_t i = 0; i < batch; ++i) {
    plan.pieces.push_back({.kind = PieceKind::decode,
                           .emits_token = true,
                           .past = Tokens{1000 + 997 * i},
                           .tokens = Tokens{1}});
  }
  const int steps = static_cast<int>(2'000'000 / (batch + 20));
  std::int64_t sum = cost.step_time(plan).total.count();  // prepares what is kept
  const std::clock_t start = std::clock();
  for (int i = 0; i < steps; ++i) {
    for (StepPiece& piece : plan.pieces) piece.past += Tokens{1};
    sum += cost.step_time(plan).total.count();
  }
  const double s = static_cast<double>(std::clock() - start) / CLOCKS_PER_SEC;
  std::printf("  (sum %.3g)", static_cast<double>(sum));  // so that nothing is left out
  return 1e9 * s / steps;
}

void compare(const char* name, const StepSetting& setting, const Profile& profile) {
  const HardwareSpec& hardware = known_hardware("hgx-b200");
  const RooflineCost roofline(setting, hardware);
  const ProfileCost measured(setting, hardware, profile,
                             {expert_format(setting.model), "power_law_1.01"},
                             {.graph_max_batch = 1000, .graph_sizes = {}});
  for (const std::int64_t batch : {1, 64, 256}) {
    const double bare = ns_per_step(roofline, batch), composed = ns_per_step(measured, batch);
    std::printf(" %-8s batch %3d: roofline %7.0f ns, profile %7.0f ns, ratio %.2f\n", name,
                static_cast<int>(batch), bare, composed, composed / bare);
  }
}

// Layers of V4-Pro: CSA and HCA, each with experts by router and by table. A grid of so many contexts
// as a calibration has.
void layers() {
  StepSetting setting = known_setting("deepseek-v4-pro", 8);
  setting.expert_parallel = 8;
  setting.collectives = false;
  Profile profile = layer_profile("deepseek-v4-pro", "8", "8");
  for (ProfileSeries& series : profile.families.front().series) {
    std::vector<Sample> samples;
    for (double batch = 1; batch <= 256; batch *= 2) {
      for (double past = 128; past <= kAxisEnd; past *= 2) {
        samples.push_back({{batch, past}, times_of(series.keys.back()).decode(batch, past)});
      }
    }
    series.grid = SampleGrid({Interpolation::linear, Interpolation::linear}, std::move(samples));
  }
  profile.host->graph_max_batch = 256;
  profile.host->graph_sizes = {{1, 256, 1}};
  const HardwareSpec& hardware = known_hardware("hgx-h200");
  const RooflineCost roofline(setting, hardware);
  const LayerCost measured(setting, hardware, profile, *profile.host);
  for (const std::int64_t batch : {1, 64, 256}) {
    const double bare = ns_per_step(roofline, batch), composed = ns_per_step(measured, batch);
    std::printf(" %-8s batch %3d: roofline %7.0f ns, profile %7.0f ns, ratio %.2f\n", "layers",
                static_cast<int>(batch), bare, composed, composed / bare);
  }
}

}  // namespace
}  // namespace v4cap

int main() {
  using namespace v4cap;
  const Profile profile = load_profile("b200-sglang-0.5.14", "");
  compare("V4-Pro", known_setting("deepseek-v4-pro", 8), profile);
  StepSetting drafts = known_setting("deepseek-v4-pro", 8);
  drafts.draft_steps = 3;
  compare("drafts", drafts, profile);
  layers();
}
