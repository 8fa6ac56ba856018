#include "sim/cost/plan_sums.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <initializer_list>
#include <set>

#include "sim/core/random.h"

namespace v4cap {
namespace {

constexpr ViewLimits kPro{.window = 128, .top_k = 1024};

StepPlan one_piece(PieceKind kind, std::int64_t past, std::int64_t tokens) {
  StepPlan plan;
  plan.pieces.push_back({.kind = kind, .past = Tokens{past}, .tokens = Tokens{tokens}});
  return plan;
}

// The definitions, token by token.
struct Slow {
  std::int64_t window = 0, csa_scores = 0, csa_selected = 0, hca = 0, dense = 0, dsa = 0;
  std::int64_t window_entries = 0;
};

Slow slow_sums(std::int64_t past, std::int64_t tokens, const ViewLimits& limits) {
  Slow s;
  std::set<std::int64_t> windowed;
  for (std::int64_t t = past; t < past + tokens; ++t) {
    const std::int64_t n = t + 1;
    s.window += std::min(n, limits.window);
    s.csa_scores += n / 4;
    s.csa_selected += std::min(limits.top_k, n / 4);
    s.hca += n / 128;
    s.dense += n;
    s.dsa += std::min(limits.top_k, n);
    for (std::int64_t j = std::max<std::int64_t>(0, n - limits.window); j < n; ++j) {
      windowed.insert(j);
    }
  }
  s.window_entries = static_cast<std::int64_t>(windowed.size());
  return s;
}

void check_against_loop(std::int64_t past, std::int64_t tokens, const ViewLimits& limits) {
  CAPTURE(past);
  CAPTURE(tokens);
  CAPTURE(limits.window);
  CAPTURE(limits.top_k);
  const Slow slow = slow_sums(past, tokens, limits);
  const PlanSums fast = sum_plan(one_piece(PieceKind::prefill, past, tokens), limits);
  CHECK(fast.tokens == tokens);
  CHECK(fast.window.pairs == slow.window);
  CHECK(fast.window.entries == slow.window_entries);
  CHECK(fast.csa_scores.pairs == slow.csa_scores);
  CHECK(fast.csa_selected.pairs == slow.csa_selected);
  CHECK(fast.hca.pairs == slow.hca);
  CHECK(fast.dense.pairs == slow.dense);
  CHECK(fast.dsa_selected.pairs == slow.dsa);
  CHECK(fast.dense.entries == past + tokens);
  CHECK(fast.csa_scores.entries == std::min(slow.csa_scores, (past + tokens) / 4));
  CHECK(fast.hca.entries == std::min(slow.hca, (past + tokens) / 128));
  CHECK(fast.csa_emitted == (past + tokens) / 4 - past / 4);
  CHECK(fast.hca_emitted == (past + tokens) / 128 - past / 128);
  CHECK(fast.kv_written == tokens);
}

TEST_CASE("closed forms equal the loop over tokens, at the edges") {
  for (const std::int64_t past : {0, 1, 3, 4, 126, 127, 128, 511, 4095, 4096, 4097, 9000}) {
    for (const std::int64_t tokens : {1, 2, 4, 127, 128, 129, 500}) {
      check_against_loop(past, tokens, kPro);
    }
  }
}

TEST_CASE("closed forms equal the loop over tokens, at random") {
  RandomStreams streams(7);
  auto random = streams.stream("plan sums test");
  for (int i = 0; i < 300; ++i) {
    const auto draw = [&](std::uint64_t below) {
      return static_cast<std::int64_t>(random() % below);
    };
    check_against_loop(draw(20000), 1 + draw(600), {.window = draw(300), .top_k = draw(3000)});
  }
}

TEST_CASE("a decode is a chunk of one token") {
  for (const std::int64_t past : {0, 3, 126, 127, 128, 4094, 4095, 4096, 1 << 20}) {
    CAPTURE(past);
    const PlanSums decode = sum_plan(one_piece(PieceKind::decode, past, 1), kPro);
    const PlanSums chunk = sum_plan(one_piece(PieceKind::prefill, past, 1), kPro);
    CHECK(decode.decode_tokens == 1);
    CHECK(chunk.decode_tokens == 0);
    CHECK(decode.window.pairs == chunk.window.pairs);
    CHECK(decode.window.entries == chunk.window.entries);
    CHECK(decode.csa_scores.entries == chunk.csa_scores.entries);
    CHECK(decode.csa_selected.pairs == chunk.csa_selected.pairs);
    CHECK(decode.csa_selected.entries == chunk.csa_selected.entries);
    CHECK(decode.hca.entries == chunk.hca.entries);
    CHECK(decode.dsa_selected.entries == chunk.dsa_selected.entries);
    CHECK(decode.csa_emitted == chunk.csa_emitted);
    CHECK(decode.hca_emitted == chunk.hca_emitted);
  }
}

TEST_CASE("decodes read per sequence, a chunk reads each entry once") {
  StepPlan decodes;
  for (int i = 0; i < 3; ++i) {
    decodes.pieces.push_back(
        {.kind = PieceKind::decode, .past = Tokens{1023}, .tokens = Tokens{1}});
  }
  CHECK(sum_plan(decodes, kPro).csa_scores.entries == 3 * 256);
  CHECK(sum_plan(decodes, kPro).dense_decode.entries == 3 * 1024);
  const PlanSums chunk = sum_plan(one_piece(PieceKind::prefill, 1021, 3), kPro);
  CHECK(chunk.csa_scores.entries == 256);
  CHECK(chunk.csa_scores.pairs == 255 + 255 + 256);
  CHECK(chunk.window.entries == 127 + 3);
  CHECK(chunk.dense_decode.entries == 0);
}

TEST_CASE("rebuild sees what prefill sees and writes no compressed entry") {
  const PlanSums prefill = sum_plan(one_piece(PieceKind::prefill, 4096, 7808), kPro);
  const PlanSums rebuild = sum_plan(one_piece(PieceKind::rebuild, 4096, 7808), kPro);
  CHECK(rebuild.window.pairs == prefill.window.pairs);
  CHECK(rebuild.csa_scores.pairs == prefill.csa_scores.pairs);
  CHECK(rebuild.hca.entries == prefill.hca.entries);
  CHECK(prefill.csa_emitted == 7808 / 4);
  CHECK(rebuild.csa_emitted == 0);
  CHECK(rebuild.hca_emitted == 0);
  CHECK(rebuild.kv_written == 0);
}

}  // namespace
}  // namespace v4cap
