// HCA compressor: entries against a plain formula over the whole sequence; the same sequence in one
// piece, in odd chunks and token by token; both forms of the state.
#include "kernels/compressor_hca/compressor_hca.h"

#include <doctest/doctest.h>

#include <cmath>
#include <limits>
#include <random>
#include <vector>

#include "kernels/compressor_hca/launch.h"
#include "kernels/reference.h"
#include "kernels/rope_table.h"

namespace v4cap::kernels::compressor_hca {
namespace {

// A sequence of 300 tokens and its operands.
struct Sequence {
  static constexpr int kTokens = 300;
  std::vector<float> ug, ape, weight, rope = rope_table(true, kTokens);
  std::int32_t slot = 1;

  Sequence() {
    std::mt19937 random(11);
    std::normal_distribution<float> normal;
    const auto fill = [&](std::vector<float>& x, int count, float mean) {
      for (int i = 0; i < count; ++i) x.push_back(mean + normal(random));
    };
    fill(ug, kTokens * 1024, 0);
    fill(ape, 128 * 512, 0);
    fill(weight, 512, 2);
  }

  // Runs chunks of these sizes one after the other, each with the state that the last one left.
  Expected run(StateForm form, const std::vector<int>& chunks) const {
    // What stands in the state before a block's first token must not matter.
    const std::size_t slot_floats = form == StateForm::rows ? 128 * 1024 : 3 * 512;
    std::vector<float> state(2 * slot_floats, std::numeric_limits<float>::quiet_NaN());
    Expected all;
    int start = 0;
    for (const int tokens : chunks) {
      std::vector<std::int32_t> positions, sequence_of(static_cast<std::size_t>(tokens), 0);
      for (int i = 0; i < tokens; ++i) positions.push_back(start + i);
      const std::vector<std::int32_t> first_token{0, tokens};
      const Expected e = reference({.batch = {tokens, 1, tokens, start + tokens, positions.data(),
                                              sequence_of.data(), first_token.data()},
                                    .ug = ug.data() + start * 1024,
                                    .ug_stride = 1024,
                                    .ape = ape.data(),
                                    .form = form,
                                    .state = state.data(),
                                    .state_slot = &slot,
                                    .norm_weight = weight.data(),
                                    .rope = rope.data()});
      all.pooled.insert(all.pooled.end(), e.pooled.begin(), e.pooled.end());
      all.stored.insert(all.stored.end(), e.stored.begin(), e.stored.end());
      for (std::size_t i = 0; i < state.size(); ++i) state[i] = static_cast<float>(e.state[i]);
      start += tokens;
    }
    // Of the slot in use; in rows form only the 300 - 256 rows of the unfinished block count.
    const std::size_t used = form == StateForm::rows ? (start % 128) * 1024 : slot_floats;
    for (std::size_t i = 0; i < used; ++i) all.state.push_back(real(state[slot_floats + i]));
    return all;
  }

  double pooled(int entry, int c) const {
    double sum = 0, weighted = 0;
    for (int r = 0; r < 128; ++r) {
      const auto row = static_cast<std::size_t>((128 * entry + r) * 1024 + c);
      const double e =
          std::exp(real(ug[row + 512]) + real(ape[static_cast<std::size_t>(r * 512 + c)]));
      sum += e;
      weighted += e * real(ug[row]);
    }
    return weighted / sum;
  }
};

double distance(const std::vector<double>& a, const std::vector<double>& b) {
  REQUIRE(a.size() == b.size());
  double difference = 0, size = 0;
  for (std::size_t i = 0; i < a.size(); ++i) {
    difference += (a[i] - b[i]) * (a[i] - b[i]);
    size += a[i] * a[i];
  }
  return std::sqrt(difference / size);
}

TEST_CASE("compressor_hca: entries are the normalised pool of their 128 rows") {
  const Sequence s;
  const Expected e = s.run(StateForm::rows, {Sequence::kTokens});
  REQUIRE(e.pooled.size() == 2 * 512);
  for (int entry = 0; entry < 2; ++entry) {
    std::vector<double> expected;
    double square = 0;
    for (int c = 0; c < 512; ++c) square += s.pooled(entry, c) * s.pooled(entry, c);
    for (int c = 0; c < 512; ++c) {
      expected.push_back(s.pooled(entry, c) / std::sqrt(square / 512 + 1e-6) *
                         real(s.weight[static_cast<std::size_t>(c)]));
    }
    rotate(expected.data() + 448, s.rope.data() + entry * 128 * 64, 64);
    const auto begin = e.pooled.begin() + entry * 512;
    // Rounded to bf16 two or three times, 1.7e-3 in the mean square each.
    CHECK(distance(expected, std::vector<double>(begin, begin + 512)) < 4e-3);
  }
}

TEST_CASE("compressor_hca: chunks and single tokens give what one piece gives, in both forms") {
  const Sequence s;
  const Expected whole = s.run(StateForm::rows, {Sequence::kTokens});
  for (const std::vector<int>& chunks : {std::vector<int>{1, 2, 7, 130, 160},
                                         {128, 128, 44},
                                         {127, 2, 171},
                                         {10, 20, 30, 100, 140},
                                         std::vector<int>(300, 1)}) {
    const Expected rows = s.run(StateForm::rows, chunks);
    CHECK(rows.pooled == whole.pooled);
    CHECK(rows.stored == whole.stored);
    CHECK(rows.state == whole.state);
    const Expected online = s.run(StateForm::online, chunks);
    CHECK(distance(whole.pooled, online.pooled) < 1e-3);
    // Maximum, sum and weighted sum follow from the rows.
    for (const std::size_t c : {0u, 200u, 511u}) {
      double largest = -1e30, sum = 0, weighted = 0;
      for (std::size_t r = 0; r < 44; ++r) {
        largest = std::max(largest, whole.state[r * 1024 + 512 + c]);
      }
      for (std::size_t r = 0; r < 44; ++r) {
        const double weight = std::exp(whole.state[r * 1024 + 512 + c] - largest);
        sum += weight;
        weighted += weight * whole.state[r * 1024 + c];
      }
      CHECK(online.state[c] == largest);
      CHECK(online.state[512 + c] == doctest::Approx(sum).epsilon(1e-5));
      CHECK(std::fabs(online.state[1024 + c] - weighted) < 1e-4);
    }
  }
}

TEST_CASE("compressor_hca: after a finished block nothing is left of it") {
  Sequence s;
  const Expected e = s.run(StateForm::online, {100, 156, 44});
  CHECK(std::isfinite(e.state[0]));
  Sequence whole;
  std::vector<std::int32_t> positions, sequence_of(128, 0);
  for (int i = 0; i < 128; ++i) positions.push_back(i);
  const std::vector<std::int32_t> first_token{0, 128};
  std::vector<float> state(2 * 1536, 5.0f);
  const Expected full = reference(
      {.batch = {128, 1, 128, 128, positions.data(), sequence_of.data(), first_token.data()},
       .ug = whole.ug.data(),
       .ug_stride = 1024,
       .ape = whole.ape.data(),
       .form = StateForm::online,
       .state = state.data(),
       .state_slot = &whole.slot,
       .norm_weight = whole.weight.data(),
       .rope = whole.rope.data()});
  CHECK(full.state[1536] == -std::numeric_limits<double>::infinity());
  CHECK(full.state[1536 + 512] == 0.0);
  CHECK(full.state[1536 + 1024] == 0.0);
  CHECK(full.state[0] == 5.0);  // another sequence's
}

TEST_CASE("compressor_hca: what a leader does with its rows") {
  const auto is = [](LeaderPart p, int phase, int head, bool emits, int tail) {
    return p.phase == phase && p.head == head && p.emits == emits && p.tail == tail;
  };
  CHECK(is(leader_part(0, 1), 0, 0, false, 1));
  CHECK(is(leader_part(127, 1), 127, 1, true, 0));
  CHECK(is(leader_part(130, 1), 2, 1, false, 0));
  CHECK(is(leader_part(127, 4), 127, 1, true, 3));
  CHECK(is(leader_part(256, 128), 0, 0, false, 0));
  CHECK(is(leader_part(100, 28 + 256 + 5), 100, 28, true, 5));
  CHECK(is(leader_part(100, 28 + 256), 100, 28, true, 0));
  CHECK_FALSE(wholly_new(126));
  CHECK(wholly_new(127));
  Args args{.ug_stride = 1024, .entries = {nullptr, kv_page_bytes(2), 2}, .pages = {nullptr, 1, 1}};
  args.batch.sequences = 2;
  args.batch.tokens = 130;
  args.batch.max_new_tokens = 127;
  CHECK(units_of(args) == 2);
  args.batch.max_new_tokens = 129;
  CHECK(units_of(args) == 4);
  CHECK_FALSE(few_rows(args));
  args.batch.max_new_tokens = 8;
  CHECK(few_rows(args));
  args.form = StateForm::rows;
  CHECK_FALSE(few_rows(args));
  CHECK(refuses(args).empty());
  args.ug_stride = 1022;
  CHECK_FALSE(refuses(args).empty());
}

}  // namespace
}  // namespace v4cap::kernels::compressor_hca
