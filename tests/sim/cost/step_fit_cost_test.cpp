// Steps by coefficients of a log: what a rank's plan takes, what the log lacks, runs of decode steps.
#include "sim/cost/step_fit_cost.h"

#include <doctest/doctest.h>

#include <cmath>
#include <cstdint>
#include <string>
#include <vector>

#include "sim/cost/step_fit.h"
#include "tests/models.h"
#include "tests/sim/cluster/same_run.h"

namespace v4cap {
namespace {

// In the order of kStepFeatures; microseconds.
constexpr StepValues kUs = {30'000, 50'000, 12, 0.004, 9, 2e-4, 3e-4, 8000};
// In the order of kStepSizes.
constexpr StepSizes kLargest = {64, 1'000'000, 8192, 50'000};

ProfileFamily steps(const StepValues& us = kUs, const StepSizes& largest = kLargest) {
  ProfileFamily family;
  family.name = "step";
  family.grain = ProfileGrain::step;
  for (std::size_t i = 0; i < us.size(); ++i) family.coefficients[kStepFeatures[i]] = us[i];
  family.coefficients["experts"] = 256;
  family.coefficients["experts_per_token"] = 6;
  for (std::size_t i = 0; i < largest.size(); ++i) family.largest[kStepSizes[i]] = largest[i];
  return family;
}

StepSetting flash(std::int64_t ranks = 1) {
  StepSetting setting = known_setting("deepseek-v4-flash", 4);
  if (ranks > 1) {
    setting.tensor_parallel = 1;
    setting.data_parallel = setting.expert_parallel = ranks;
  }
  return setting;
}

StepFitCost cost(const ProfileFamily& family, std::int64_t ranks = 1) {
  return {flash(ranks), known_hardware("hgx-h200"), family};
}

StepPiece decode(std::int64_t past) {
  return {0, PieceKind::decode, true, Tokens{past}, Tokens{1}};
}
StepPiece prefill(std::int64_t tokens, std::int64_t past) {
  return {0, PieceKind::prefill, true, Tokens{past}, Tokens{tokens}};
}
StepPlan plan_of(std::vector<StepPiece> pieces) {
  StepPlan plan;
  plan.pieces = std::move(pieces);
  return plan;
}

using Ranks = std::vector<const StepPlan*>;

double us_of(const StepTime& time) {
  return 1e6 * to_seconds(time.total);
}

double explained_us(const CostModel& model, const Ranks& ranks) {
  CostLedger ledger;
  model.explain(ranks, ledger);
  double us = 0;
  for (const auto& [part, seconds] : ledger.seconds()) us += 1e6 * seconds;
  return us;
}

TEST_CASE("steps of a fit: a step takes the sum of its features, the host among them") {
  const StepFitCost model = cost(steps());
  const StepPlan plan =
      plan_of({decode(999), decode(4999), prefill(2048, 10'000), prefill(100, 0)});
  const double touched = 1 - std::pow(1 - 6.0 / 256, 2150);
  const double us = 50'000 + 12 * 2 + 0.004 * 6000 + 9 * 2148 + 2e-4 * 2048 * 10'000 +
                    3e-4 * (2048.0 * 2048 + 100 * 100) + 8000 * touched;
  const StepTime time = model.step_time(plan);
  CHECK(us_of(time) == doctest::Approx(us).epsilon(1e-7));
  CHECK(time.gpu == time.total);
  CHECK(time.host == Duration{});
  CHECK_FALSE(time.clamped);
  CHECK(time.roofline_floor > Duration{});
  CHECK(1e6 * time.share.interpolated_s == doctest::Approx(us));
  CHECK(explained_us(model, {&plan}) == doctest::Approx(us));
  CHECK(model.missing().empty());

  const StepPlan one = plan_of({decode(999)});
  CHECK(us_of(model.step_time(one)) ==
        doctest::Approx(30'000 + 12 + 4 + 8000 * 6.0 / 256).epsilon(1e-7));
}

TEST_CASE("steps of a fit: beyond any size of the log time is extrapolated") {
  const StepFitCost model = cost(steps());
  const auto extrapolated = [&](const StepPlan& plan) {
    const StepTime time = model.step_time(plan);
    CHECK(1e6 * (time.share.extrapolated_s + time.share.interpolated_s) ==
          doctest::Approx(us_of(time)).epsilon(1e-7));
    return time.share.extrapolated_s > 0;
  };
  CHECK_FALSE(extrapolated(plan_of({decode(999'999)})));
  CHECK(extrapolated(plan_of({decode(1'000'000)})));
  CHECK_FALSE(extrapolated(plan_of(std::vector<StepPiece>(64, decode(10)))));
  CHECK(extrapolated(plan_of(std::vector<StepPiece>(65, decode(10)))));
  CHECK_FALSE(extrapolated(plan_of({prefill(8192, 50'000)})));
  CHECK(extrapolated(plan_of({prefill(8192, 50'001)})));
  CHECK(extrapolated(plan_of({prefill(8192, 0), prefill(1, 0)})));
}

TEST_CASE("steps of a fit: of several ranks the slowest counts") {
  const StepFitCost model = cost(steps(), 4);
  const StepPlan nothing, small = plan_of({decode(10)}),
                          large = plan_of({decode(10), prefill(4096, 0)});
  const Ranks ranks = {&small, &nothing, &large, &small};
  const Ranks alone = {&nothing, &nothing, &nothing, &large};
  const StepTime time = model.step_time(ranks);
  CHECK(time.total == model.step_time(alone).total);
  CHECK(time.total > model.step_time(Ranks{&small, &small, &small, &small}).total);
  CHECK(explained_us(model, ranks) == doctest::Approx(us_of(time)));
}

TEST_CASE("steps of a fit: what the log had no step of takes what the roofline adds for it") {
  const RooflineCost roofline(flash(), known_hardware("hgx-h200"));
  const StepPlan decodes = plan_of({decode(999), decode(4999)});
  const StepPlan chunk = plan_of({prefill(4096, 0)});
  StepPlan both = decodes;
  both.pieces.push_back(chunk.pieces[0]);
  const auto adds = [&](const StepPlan& all, const StepPlan& part) {
    return us_of(roofline.step_time(all)) - us_of(roofline.step_time(part));
  };

  // A log without prefill.
  const StepFitCost model = cost(steps(kUs, {64, 1'000'000, 0, 0}));
  CHECK(model.missing() == std::vector<std::string>{"prefill"});
  const StepTime time = model.step_time(both);
  const double fitted = us_of(model.step_time(decodes));
  CHECK(us_of(time) == doctest::Approx(fitted + adds(both, decodes)).epsilon(1e-6));
  CHECK(1e6 * time.share.interpolated_s == doctest::Approx(fitted).epsilon(1e-7));
  CHECK(1e6 * time.share.roofline_s == doctest::Approx(adds(both, decodes)).epsilon(1e-6));
  CHECK(explained_us(model, {&both}) == doctest::Approx(us_of(time)));
  CHECK(model.step_time(chunk).total == roofline.step_time(chunk).total);
  CHECK(model.step_time(chunk).share.interpolated_s == 0);
  CHECK(explained_us(model, {&chunk}) == doctest::Approx(us_of(roofline.step_time(chunk))));

  // One without decode.
  const StepFitCost of_prefill = cost(steps(kUs, {0, 0, 8192, 50'000}));
  CHECK(of_prefill.missing() == std::vector<std::string>{"decode"});
  CHECK(of_prefill.step_time(decodes).total == roofline.step_time(decodes).total);
  CHECK(us_of(of_prefill.step_time(both)) ==
        doctest::Approx(us_of(of_prefill.step_time(chunk)) + adds(both, chunk)).epsilon(1e-6));

  // No log has rebuilds, nor copies of kept points.
  const StepFitCost whole = cost(steps());
  StepPlan rest = both;
  rest.pieces.push_back({3, PieceKind::rebuild, false, Tokens{7000}, Tokens{512}});
  rest.copies.points_read = Bytes{50'000'000};
  const StepTime more = whole.step_time(rest);
  CHECK(adds(rest, both) > 0);
  CHECK(us_of(more) ==
        doctest::Approx(us_of(whole.step_time(both)) + adds(rest, both)).epsilon(1e-6));
  CHECK(1e6 * more.share.roofline_s == doctest::Approx(adds(rest, both)).epsilon(1e-6));
}

TEST_CASE("steps of a fit: a time below the roofline gives way to it") {
  StepValues fast{};
  fast[0] = fast[1] = 1;
  const StepFitCost model = cost(steps(fast));
  const StepPlan plan = plan_of({decode(999), decode(4999)});
  const StepTime time = model.step_time(plan);
  CHECK(time.clamped);
  CHECK(time.total == time.roofline_floor);
  CHECK(1e6 * time.share.interpolated_s == doctest::Approx(1).epsilon(1e-9));
  CHECK(1e6 * time.share.roofline_s == doctest::Approx(us_of(time) - 1).epsilon(1e-9));
  CHECK(explained_us(model, {&plan}) == doctest::Approx(us_of(time)));
}

// The steps of a run against those that are asked for by themselves. How many are clamped and how
// many extrapolated.
struct RunSeen {
  int clamped = 0, extrapolated = 0;
};
RunSeen compare_run(const StepFitCost& model, std::vector<StepPlan> plans, int steps) {
  RunSeen seen;
  Ranks ranks;
  for (const StepPlan& plan : plans) ranks.push_back(&plan);
  const auto run = model.decode_run(ranks);
  REQUIRE(run != nullptr);
  for (int step = 0; step < steps; ++step) {
    const StepTime is = run->next(), should = model.step_time(ranks);
    bool same_all = is.total == should.total && is.gpu == should.gpu && is.host == should.host &&
                    is.clamped == should.clamped && same(is.share, should.share);
    same_all =
        same_all && (is.roofline_floor == Duration{} || is.roofline_floor == should.roofline_floor);
    if (!same_all) {
      CAPTURE(step);
      REQUIRE(same_all);
    }
    seen.clamped += is.clamped ? 1 : 0;
    seen.extrapolated += is.share.extrapolated_s > 0 ? 1 : 0;
    for (StepPlan& plan : plans) {
      for (StepPiece& piece : plan.pieces) piece.past += Tokens{1};
    }
  }
  return seen;
}

TEST_CASE(
    "steps of a fit: a run of decode steps takes what each takes by itself, to the last bit") {
  constexpr int kSteps = 2500;
  const StepPlan plan = plan_of({decode(100), decode(4000), decode(77'000)});
  const StepPlan other = plan_of({decode(80'000), decode(500)}), nothing;
  const double contexts = 100 + 4000 + 77'000 + 3;
  CHECK(compare_run(cost(steps()), {plan}, kSteps).clamped == 0);
  // Contexts leave those of the log after 1,000 steps.
  const StepFitCost small = cost(steps(kUs, {64, contexts + 3 * 1000, 0, 0}));
  CHECK(compare_run(small, {plan}, kSteps).extrapolated == kSteps - 1001);
  CHECK(compare_run(cost(steps(kUs, {2, 1e6, 0, 0})), {plan}, kSteps).extrapolated == kSteps);
  CHECK(compare_run(cost(steps(kUs, {0, 0, 8192, 0})), {plan}, 50).extrapolated == 0);
  CHECK(compare_run(cost(steps(), 4), {plan, nothing, other, plan}, kSteps).clamped == 0);

  // A time that the roofline passes on the way.
  const auto floor_us = [&](std::int64_t later) {
    StepPlan at = plan;
    for (StepPiece& piece : at.pieces) piece.past += Tokens{later};
    return 1e6 * to_seconds(cost(steps()).step_time(at).roofline_floor);
  };
  StepValues near{};
  near[0] = floor_us(kSteps / 2);
  const RunSeen seen = compare_run(cost(steps(near)), {plan}, kSteps);
  CHECK(seen.clamped > kSteps / 4);
  CHECK(seen.clamped < kSteps * 3 / 4);
  near[0] = 1;
  CHECK(compare_run(cost(steps(near)), {plan}, 1100).clamped == 1100);
  StepSetting drafting = flash();
  drafting.draft_steps = 1;
  StepPlan drafted = plan;
  for (StepPiece& piece : drafted.pieces) piece.tokens = Tokens{2};
  compare_run(StepFitCost(drafting, known_hardware("hgx-h200"), steps()), {drafted}, 50);
}

}  // namespace
}  // namespace v4cap
