// Steps that all take so many times as long as another model says.
#include "sim/cost/scaled_cost.h"

#include <doctest/doctest.h>

#include <cmath>
#include <memory>

#include "sim/cost/roofline.h"
#include "tests/models.h"

namespace v4cap {
namespace {

StepPlan decodes(std::int64_t past) {
  StepPlan plan;
  for (std::uint32_t i = 0; i < 3; ++i) {
    plan.pieces.push_back({i, PieceKind::decode, true, Tokens{past + 100 * i}, Tokens{1}});
  }
  return plan;
}

RooflineCost roofline() {
  return {known_setting("deepseek-v4-flash", 4), known_hardware("hgx-h100")};
}

TEST_CASE("scaled cost: a step's times and shares are multiplied, its floor stays below it") {
  const RooflineCost model = roofline();
  const StepPlan plan = decodes(4000);
  const StepTime plain = model.step_time(plan);
  for (const double factor : {0.05, 0.98, 1.5}) {
    CAPTURE(factor);
    const ScaledCost scaled(model, factor);
    const StepTime time = scaled.step_time(plan);
    CHECK(std::abs(to_seconds(time.total) - factor * to_seconds(plain.total)) < 1e-9);
    CHECK(std::abs(to_seconds(time.gpu) - factor * to_seconds(plain.gpu)) < 1e-9);
    CHECK(time.share.roofline_s == doctest::Approx(factor * plain.share.roofline_s));
    CHECK(time.roofline_floor <= time.total);
    const StepPlan* const ranks = &plan;
    CHECK(scaled.quick_time(std::span(&ranks, 1)).total == time.total);
    CostLedger own, parts;
    model.explain(std::span(&ranks, 1), own);
    scaled.explain(std::span(&ranks, 1), parts);
    REQUIRE(parts.seconds().size() == own.seconds().size());
    for (const auto& [part, seconds] : own.seconds()) {
      CHECK(parts.seconds().at(part) == doctest::Approx(factor * seconds));
    }
  }
  CHECK(ScaledCost(model, 1).step_time(plan).total == plain.total);
}

TEST_CASE("scaled cost: steps of a run take what each takes by itself") {
  const ScaledCost scaled(std::make_unique<RooflineCost>(roofline()), 1.0625);
  StepPlan plan = decodes(4000);
  const StepPlan* const ranks = &plan;
  const auto run = scaled.decode_run(std::span(&ranks, 1));
  REQUIRE(run != nullptr);
  for (int step = 0; step < 200; ++step) {
    const StepTime next = run->next();
    CHECK(next.total == scaled.step_time(plan).total);
    for (StepPiece& piece : plan.pieces) piece.past += Tokens{1};
  }
}

}  // namespace
}  // namespace v4cap
