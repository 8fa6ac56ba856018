// CSA compressor: entries against a plain formula over the whole sequence, and the same sequence in
// one piece, in odd chunks and token by token.
#include "kernels/compressor_csa/compressor_csa.h"

#include <doctest/doctest.h>

#include <cmath>
#include <random>
#include <vector>

#include "kernels/compressor_csa/launch.h"
#include "kernels/reference.h"
#include "kernels/rope_table.h"

namespace v4cap::kernels::compressor_csa {
namespace {

// A sequence of 150 tokens and its operands.
struct Sequence {
  static constexpr int kTokens = 150;
  int width;
  std::vector<float> ug, ape, weight, rope = rope_table(true, kTokens);
  std::int32_t slot = 1;

  explicit Sequence(int head_dim) : width(head_dim) {
    std::mt19937 random(7);
    std::normal_distribution<float> normal;
    const auto fill = [&](std::vector<float>& x, int count, float mean) {
      for (int i = 0; i < count; ++i) x.push_back(mean + normal(random));
    };
    fill(ug, kTokens * 4 * width, 0);
    fill(ape, 4 * 2 * width, 0);
    fill(weight, width, 2);
  }

  // Runs chunks of these sizes one after the other, each with the state that the last one left.
  Expected run(const std::vector<int>& chunks, KeyFormat format = KeyFormat::fp8) const {
    // What stands in the state before the first token must not matter.
    std::vector<float> state(static_cast<std::size_t>(2 * 8 * 4 * width), 1e30f);
    Expected all;
    int start = 0;
    for (const int tokens : chunks) {
      std::vector<std::int32_t> positions, sequence_of(static_cast<std::size_t>(tokens), 0);
      for (int i = 0; i < tokens; ++i) positions.push_back(start + i);
      const std::vector<std::int32_t> first_token{0, tokens};
      const Expected e = reference({.batch = {tokens, 1, tokens, start + tokens, positions.data(),
                                              sequence_of.data(), first_token.data()},
                                    .head_dim = width,
                                    .ug = ug.data() + start * 4 * width,
                                    .ug_stride = 4 * width,
                                    .ape = ape.data(),
                                    .state = state.data(),
                                    .state_slot = &slot,
                                    .norm_weight = weight.data(),
                                    .rope = rope.data(),
                                    .keys = {nullptr, format}});
      all.pooled.insert(all.pooled.end(), e.pooled.begin(), e.pooled.end());
      all.stored.insert(all.stored.end(), e.stored.begin(), e.stored.end());
      for (std::size_t i = 0; i < state.size(); ++i) state[i] = static_cast<float>(e.state[i]);
      start += tokens;
    }
    REQUIRE(start == kTokens);
    all.state.assign(state.begin(), state.end());
    return all;
  }

  // Channel c of the pooled rows of the entry that ends at t, by the definition.
  double pooled(int t, int c) const {
    double sum = 0, weighted = 0;
    for (int r = t - 7; r <= t; ++r) {
      if (r < 0) continue;
      const int channel = r > t - 4 ? width + c : c;
      const std::size_t row = static_cast<std::size_t>(r * 4 * width);
      const double g = real(ug[row + static_cast<std::size_t>(2 * width + channel)]) +
                       real(ape[static_cast<std::size_t>(r % 4 * 2 * width + channel)]);
      sum += std::exp(g);
      weighted += std::exp(g) * real(ug[row + static_cast<std::size_t>(channel)]);
    }
    return weighted / sum;
  }
};

TEST_CASE(
    "compressor_csa: entries are the normalised pool of their 8 rows, of 4 in the first block") {
  const Sequence s(512);
  const Expected e = s.run({Sequence::kTokens});
  REQUIRE(e.pooled.size() == 37 * 512);
  for (const int entry : {0, 1, 36}) {
    const int last = 4 * entry + 3;
    double square = 0;
    for (int c = 0; c < 512; ++c) square += s.pooled(last, c) * s.pooled(last, c);
    const double inverse = 1 / std::sqrt(square / 512 + 1e-6);
    for (int c = 0; c < 448; ++c) {
      const auto i = static_cast<std::size_t>(c);
      const double expected = s.pooled(last, c) * inverse * real(s.weight[i]);
      // Rounded to bf16 twice, by 2^-8 of the number at most.
      CHECK(e.pooled[static_cast<std::size_t>(entry) * 512 + i] ==
            doctest::Approx(expected).epsilon(8e-3));
    }
    // The last pair turns by the angle of the block's first position.
    const double even = s.pooled(last, 510) * inverse * real(s.weight[510]);
    const double odd = s.pooled(last, 511) * inverse * real(s.weight[511]);
    const float* turn = s.rope.data() + (last - 3) * 64 + 62;
    CHECK(std::fabs(e.pooled[static_cast<std::size_t>(entry) * 512 + 510] -
                    (even * real(turn[0]) - odd * real(turn[1]))) < 2e-2);
  }
}

TEST_CASE("compressor_csa: keys keep their length through the Hadamard transform") {
  const Sequence s(128);
  const Expected e = s.run({Sequence::kTokens});
  double square = 0, expected = 0;
  for (int c = 0; c < 128; ++c) {
    square += e.pooled[static_cast<std::size_t>(c)] * e.pooled[static_cast<std::size_t>(c)];
    const double x = s.pooled(3, c) * real(s.weight[static_cast<std::size_t>(c)]);
    expected += x * x;
  }
  double before = 0;
  for (int c = 0; c < 128; ++c) before += s.pooled(3, c) * s.pooled(3, c);
  CHECK(square == doctest::Approx(expected / (before / 128)).epsilon(1e-2));
}

TEST_CASE("compressor_csa: chunks and single tokens give what one piece gives") {
  for (const int width : {512, 128}) {
    const Sequence s(width);
    const Expected whole = s.run({Sequence::kTokens});
    for (const std::vector<int>& chunks :
         {std::vector<int>{1, 2, 7, 130, 10}, {5, 9, 8, 3, 125}, std::vector<int>(150, 1)}) {
      const Expected e = s.run(chunks);
      CHECK(e.pooled == whole.pooled);
      CHECK(e.stored == whole.stored);
      CHECK(e.state == whole.state);
    }
  }
}

TEST_CASE("compressor_csa: FP4 keys lie on the grid of e2m1") {
  const Sequence s(128);
  const Expected e = s.run({Sequence::kTokens}, KeyFormat::fp4);
  double largest = 0, error = 0, size = 0;
  for (std::size_t c = 0; c < 32; ++c) largest = std::max(largest, std::fabs(e.stored[c]));
  for (std::size_t c = 0; c < 128; ++c) {
    error += std::pow(e.stored[c] - e.pooled[c], 2);
    size += e.pooled[c] * e.pooled[c];
  }
  const double mantissa = largest / std::exp2(std::floor(std::log2(largest)));
  CHECK((mantissa == 1.0 || mantissa == 1.5));
  CHECK(error > 0);
  CHECK(error < 0.04 * size);
}

TEST_CASE("compressor_csa: leaders make what needs old rows, windows the rest") {
  CHECK(made_by_leader(0));
  CHECK(made_by_leader(6));
  CHECK_FALSE(made_by_leader(7));
  Args args{.head_dim = 512, .ug_stride = 2048};
  args.batch.sequences = 3;
  args.batch.tokens = 9;
  args.batch.max_new_tokens = 7;
  CHECK(blocks_of(args) == 3);
  args.batch.max_new_tokens = 8;
  CHECK(blocks_of(args) == 3 + 3);
}

TEST_CASE("compressor_csa: what the portable version refuses") {
  Args args{.head_dim = 128, .ug_stride = 512, .pages = {nullptr, 1, 1}};
  CHECK(refuses(args).empty());
  args.ug_stride = 508;
  CHECK_FALSE(refuses(args).empty());
  args.ug_stride = 513;
  CHECK_FALSE(refuses(args).empty());
  args = {.head_dim = 256, .ug_stride = 1024, .pages = {nullptr, 1, 1}};
  CHECK_FALSE(refuses(args).empty());
  args = {.head_dim = 512, .ug_stride = 2048, .pages = {nullptr, 1, 1}};
  CHECK_FALSE(refuses(args).empty());
  args.entries = {nullptr, kv_page_bytes(64), 64};
  CHECK(refuses(args).empty());
}

}  // namespace
}  // namespace v4cap::kernels::compressor_csa
