// Recorded times in order, and what is said where a plan is not the recorded one.
#include "sim/cost/recorded_cost.h"

#include <doctest/doctest.h>

#include <vector>

#include "sim/core/error.h"

namespace v4cap {
namespace {

StepPlan plan_of(std::vector<StepPiece> pieces) {
  return {.pieces = std::move(pieces), .copies = {}};
}

const StepPiece kDecode{7, PieceKind::decode, true, Tokens{4096}, Tokens{1}};
const StepPiece kPrefill{3, PieceKind::prefill, false, Tokens{512}, Tokens{2048}};

// Two steps, 5 and 6 ns.
class Two {
 public:
  const RecordedCost& cost() const { return cost_; }

 private:
  std::vector<RecordedStep> steps_ = {{0, kSimStart, Duration{5}, plan_of({kDecode, kPrefill})},
                                      {1, kSimStart, Duration{6}, plan_of({kPrefill})}};
  std::size_t given_ = 0;
  RecordedCost cost_{[this] { return given_ < steps_.size() ? &steps_[given_++] : nullptr; }};
};

TEST_CASE("recorded cost: times in order, all of them measured") {
  const Two two;
  const StepTime first = two.cost().step_time(plan_of({kDecode, kPrefill}));
  CHECK(first.total == Duration{5});
  CHECK(first.gpu == Duration{5});
  CHECK(first.share.measured_s == to_seconds(Duration{5}));
  const StepPlan second = plan_of({kPrefill});
  CHECK(two.cost().step_time(second).total == Duration{6});
  CostLedger ledger;
  const StepPlan* const only = &second;
  two.cost().explain(std::span(&only, 1), ledger);
  CHECK(ledger.seconds().at("step") == to_seconds(Duration{6}));
  CHECK_NOTHROW(two.cost().check_finished());
}

TEST_CASE("recorded cost: the first difference is named") {
  const std::string from_0 = "the run is not the recorded one from step 0 on: ";
  const auto message = [](const StepPlan& plan) -> std::string {
    try {
      Two().cost().step_time(plan);
    } catch (const RunError& error) {
      return error.what();
    }
    return "";
  };
  StepPiece other = kPrefill;
  other.emits_token = true;
  CHECK(message(plan_of({kDecode, other})) ==
        from_0 +
            "piece 1: recorded prefill of slot 3, 2048 tokens after 512, planned last prefill "
            "of slot 3, 2048 tokens after 512");
  CHECK(message(plan_of({kDecode})) ==
        from_0 +
            "piece 1: recorded prefill of slot 3, 2048 tokens after 512, planned the end of "
            "its 1 piece");
  CHECK(message(plan_of({kDecode, kPrefill, kDecode})) ==
        from_0 +
            "piece 2: recorded the end of its 2 pieces, planned decode of slot 7, 1 token "
            "after 4096");
  StepPlan copies = plan_of({kDecode, kPrefill});
  copies.copies.points_read = Bytes{12};
  CHECK(message(copies) == from_0 +
                               "recorded 0 B of points written and 0 B read, planned 0 B of "
                               "points written and 12 B read");
}

TEST_CASE("recorded cost: a run that is longer or shorter than the log") {
  const Two two;
  two.cost().step_time(plan_of({kDecode, kPrefill}));
  const Two shorter;
  CHECK_THROWS_WITH_AS(shorter.cost().check_finished(),
                       "the run is not the recorded one from step 0 on: recorded decode of slot 7, "
                       "1 token after 4096, the run had ended before",
                       RunError);
  two.cost().step_time(plan_of({kPrefill}));
  CHECK_THROWS_WITH_AS(two.cost().step_time(plan_of({kDecode})),
                       "the run is not the recorded one from step 2 on: nothing is recorded any "
                       "more, planned 1 piece, first decode of slot 7, 1 token after 4096",
                       RunError);
}

}  // namespace
}  // namespace v4cap
