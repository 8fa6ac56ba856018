#include "sim/compare/step_errors.h"

#include <doctest/doctest.h>

namespace v4cap {

namespace {

StepPlan plan_of(std::vector<StepPiece> pieces) {
  StepPlan plan;
  plan.pieces = std::move(pieces);
  return plan;
}

StepPiece piece(PieceKind kind, std::int64_t past, std::int64_t tokens) {
  return {.request = 0,
          .kind = kind,
          .emits_token = false,
          .past = Tokens{past},
          .tokens = Tokens{tokens}};
}

}  // namespace

TEST_CASE("step errors: a step is of the kind of its pieces") {
  const StepPiece decode = piece(PieceKind::decode, 99, 1);
  const StepPiece prefill = piece(PieceKind::prefill, 0, 500);
  const StepPiece rebuild = piece(PieceKind::rebuild, 0, 128);
  CHECK(kind_of(plan_of({decode, decode})) == StepKind::decode);
  CHECK(kind_of(plan_of({prefill})) == StepKind::prefill);
  CHECK(kind_of(plan_of({decode, prefill})) == StepKind::mixed);
  CHECK(kind_of(plan_of({rebuild})) == StepKind::rebuild);
  CHECK(kind_of(plan_of({decode, prefill, rebuild})) == StepKind::rebuild);
  const StepPair pair = step_pair(plan_of({decode, prefill}), 10, 11);
  CHECK(pair.batch == 2);
  CHECK(pair.context_tokens == 300);
  CHECK(pair.error_pct() == doctest::Approx(10));
}

TEST_CASE("step errors: buckets end at powers of two") {
  CHECK(bucket_of(0) == 0);
  CHECK(bucket_of(1) == 0);
  CHECK(bucket_of(2) == 1);
  CHECK(bucket_of(2.5) == 2);
  CHECK(bucket_of(4) == 2);
  CHECK(bucket_of(1025) == 11);
}

TEST_CASE("step errors: by kind, batch and context, and of the sum of times") {
  const StepComparison c = summarise_steps({{StepKind::decode, 1, 100, 10, 11},
                                            {StepKind::decode, 4, 100, 10, 9.8},
                                            {StepKind::prefill, 3, 2000, 80, 72}},
                                           "how");
  CHECK(c.all.steps == 3);
  CHECK(c.all.total_pct == doctest::Approx(-7.2));  // 92.8 of 100
  CHECK(c.all.median_signed_pct == doctest::Approx(-2));
  CHECK(c.all.median_pct == doctest::Approx(10));
  CHECK(c.all.worst_pct == doctest::Approx(10));
  REQUIRE(c.by_kind.size() == 2);
  CHECK(c.by_kind[0].name == "decode");
  CHECK(c.by_kind[0].median_signed_pct == doctest::Approx(4));
  CHECK(c.by_kind[0].p90_pct == doctest::Approx(2 + 0.9 * 8));
  REQUIRE(c.by_batch.size() == 2);
  CHECK(c.by_batch[0].name == "1");
  CHECK(c.by_batch[1].name == "3..4");
  CHECK(c.by_batch[1].steps == 2);
  REQUIRE(c.by_context.size() == 2);
  CHECK(c.by_context[1].name == "1,025..2,048");
  CHECK(summarise_steps({}, "").all.steps == 0);
}

}  // namespace v4cap
