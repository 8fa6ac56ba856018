// What timing one step costs, in nanoseconds of one core: from the roofline, and composed from a
// measured profile. Not a test; run it before and after a change that claims speed.
#include <cstdio>
#include <ctime>

#include "sim/config/profile_file.h"
#include "sim/cost/profile_cost.h"
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

}  // namespace
}  // namespace v4cap

int main() {
  using namespace v4cap;
  const Profile profile = load_profile("b200-sglang-0.5.14", "");
  compare("V4-Pro", known_setting("deepseek-v4-pro", 8), profile);
  StepSetting drafts = known_setting("deepseek-v4-pro", 8);
  drafts.draft_steps = 3;
  compare("drafts", drafts, profile);
}
