// The indexer's scores: the reference on keys and queries of few channels, and how the work is cut.
#include "kernels/indexer_scores/indexer_scores.h"

#include <doctest/doctest.h>

#include <cmath>
#include <cstring>

#include "kernels/formats/numbers.h"
#include "kernels/indexer_scores/launch.h"

namespace v4cap::kernels::indexer_scores {
namespace {

// Two sequences of up to 130 keys; all codes 0 until a test sets some.
struct Operands {
  KeyFormat format;
  std::vector<std::int32_t> positions{3, 519, 520}, sequence_of{0, 1, 1}, first_token{0, 1, 3};
  std::vector<std::int32_t> table{2, -1, -1, 0, 3, 1};
  std::vector<std::uint8_t> pool, codes, scales;
  std::vector<float> weights = std::vector<float>(3 * 64, 0.0f);

  explicit Operands(KeyFormat f) : format(f) {
    pool.resize(static_cast<std::size_t>(4 * KeyPool{nullptr, f}.page_bytes()));
    codes.resize(3 * 64 * (f == KeyFormat::fp8 ? 128 : 64));
    scales.resize(3 * 64 * 4, 127);
  }
  Args args() {
    return {.batch = {.tokens = 3,
                      .sequences = 2,
                      .max_new_tokens = 2,
                      .max_context = 521,
                      .positions = positions.data(),
                      .sequence_of = sequence_of.data(),
                      .first_token = first_token.data()},
            .q_codes = codes.data(),
            .q_scales = scales.data(),
            .weights = weights.data(),
            .keys = {pool.data(), format},
            .pages = {table.data(), 3, 3},
            .scores = nullptr,
            .score_stride = 132};
  }
};

TEST_CASE("indexer_scores: FP8, heads that point away do not count, key scales do") {
  Operands o(KeyFormat::fp8);
  const Args args = o.args();
  const std::uint8_t one = float_to_e4m3(1), two = float_to_e4m3(2), minus = float_to_e4m3(-1);
  // Key 129 of sequence 1 is entry 1 of its third page, page 1.
  args.keys.codes(1, 1)[5] = two;
  args.keys.codes(1, 1)[127] = minus;
  const float scale = 0.25f;
  std::memcpy(args.keys.scales(1, 1), &scale, sizeof scale);
  o.codes[(1 * 64 + 0) * 128 + 5] = one;      // 2 * 0.25
  o.codes[(1 * 64 + 7) * 128 + 127] = one;    // below zero: does not count
  o.codes[(1 * 64 + 9) * 128 + 127] = minus;  // 1 * 0.25
  o.weights[64 + 0] = 3;
  o.weights[64 + 7] = 100;
  o.weights[64 + 9] = -10;
  const std::vector<double> scores = reference(args);
  CHECK(scores[132 + 129] == doctest::Approx(3 * 0.5 - 10 * 0.25));
  CHECK(scores[132 + 128] == 0);
}

TEST_CASE("indexer_scores: a query sees the keys of whole blocks up to itself") {
  Operands o(KeyFormat::fp8);
  const std::vector<double> scores = reference(o.args());
  CHECK_FALSE(std::isnan(scores[0]));
  CHECK(std::isnan(scores[1]));
  for (std::size_t t = 1; t < 3; ++t) {  // positions 519 and 520: 130 keys
    CHECK_FALSE(std::isnan(scores[t * 132 + 129]));
    CHECK(std::isnan(scores[t * 132 + 130]));
  }
}

TEST_CASE("indexer_scores: FP4, each 32 channels have a scale on either side") {
  Operands o(KeyFormat::fp4);
  const Args args = o.args();
  // Key 64 of sequence 1: entry 0 of page 3. Channel 33: code 3 (1.5), high half; scale 2^2.
  args.keys.codes(3, 0)[16] = 3 << 4;
  args.keys.scales(3, 0)[1] = 129;
  o.codes[(2 * 64 + 1) * 64 + 16] = 5 << 4;  // 3
  o.scales[(2 * 64 + 1) * 4 + 1] = 126;      // 2^-1
  o.weights[2 * 64 + 1] = 0.5f;
  const std::vector<double> scores = reference(args);
  CHECK(scores[2 * 132 + 64] == doctest::Approx(0.5 * (1.5 * 4) * (3 * 0.5)));
}

TEST_CASE("indexer_scores: pieces cover every group and page") {
  for (const int tokens : {1, 3, 64, 2048}) {
    for (const int pages : {1, 7, 64, 4096}) {
      for (const int per_group : {1, 4, 8}) {
        const Plan p = plan(tokens, pages, per_group, 132, 4);
        CHECK(p.groups * per_group >= tokens);
        CHECK((p.groups - 1) * per_group < tokens);
        CHECK(p.chunks * p.pages_per_chunk >= pages);
        CHECK((p.chunks - 1) * p.pages_per_chunk < pages);
      }
    }
  }
  CHECK(plan(0, 10, 1, 132, 4).pieces() == 0);
  CHECK(plan(10, 0, 1, 132, 4).pieces() == 0);
}

TEST_CASE("indexer_scores: one long sequence is spread over all blocks, once") {
  const Plan p = plan(1, 4096, 1, 132, 4);
  CHECK(p.pages_per_chunk == 32);
  CHECK(p.pieces() == 128);
  // Many sequences of 64 pages: no block has over 1.3 times its share.
  const Plan many = plan(200, 64, 1, 132, 4);
  const double share = 200.0 * 64 / 132;
  const auto rounds = static_cast<double>((many.pieces() + 131) / 132);
  CHECK(rounds * many.pages_per_chunk < 1.3 * share);
}

TEST_CASE("indexer_scores: shares of decode cover all pages and are even, whatever the lengths") {
  for (const int blocks : {1, 8, 132, 144}) {
    for (const int all : {0, 1, 7, 8, 9, 512, 1057, 2'097'152}) {
      const int share = pages_per_share(all, blocks);
      CHECK(std::int64_t{share} * blocks >= all);
      CHECK(share >= kLeastShare);
      CHECK((share == kLeastShare || (share - 1) * std::int64_t{blocks} < all));
    }
  }
  // Of 63 sequences of 8 pages and one of 512, no block has more than an eighth above the mean.
  CHECK(pages_per_share(63 * 8 + 512, 132) <= 8 * 1.125);
  CHECK(share_blocks(1, 8, 132) == 1);
  CHECK(share_blocks(64, 8, 132) == 64);
  CHECK(share_blocks(64, 512, 132) == 132);
}

TEST_CASE("indexer_scores: pages are shared where a sequence has more than four new tokens") {
  CHECK(sharing(1) == Sharing::tokens_1);
  CHECK(sharing(2) == Sharing::tokens_2);
  CHECK(sharing(3) == Sharing::tokens_4);
  CHECK(sharing(4) == Sharing::tokens_4);
  CHECK(sharing(5) == Sharing::pages);
  CHECK(sharing(8192) == Sharing::pages);
}

TEST_CASE("indexer_scores: pages of the longest sequence, keys of whole blocks only") {
  Operands o(KeyFormat::fp8);
  Args args = o.args();
  CHECK(most_pages(args) == 3);
  args.batch.max_context = 3;
  CHECK(most_pages(args) == 0);
  args.batch.max_context = 256;
  CHECK(most_pages(args) == 1);
  args.batch.max_context = 260;
  CHECK(most_pages(args) == 2);
}

TEST_CASE("indexer_scores: operands that are not aligned or rows too short are refused") {
  alignas(16) std::uint8_t memory[64] = {};
  Operands o(KeyFormat::fp8);
  Args args = o.args();
  args.q_codes = memory;
  args.keys.base = memory;
  args.weights = reinterpret_cast<const float*>(memory);
  CHECK(refuses_operands(args) == "");
  args.q_codes = memory + 8;
  CHECK(refuses_operands(args) != "");
  args.q_codes = memory;
  args.keys.base = memory + 4;
  CHECK(refuses_operands(args) != "");
  args.keys.base = memory;
  args.score_stride = 129;
  CHECK(refuses_operands(args) != "");
}

}  // namespace
}  // namespace v4cap::kernels::indexer_scores
