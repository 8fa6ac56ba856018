// The source of the FP4 indexer scores for sm_100a against their reference, on the model of a
// Blackwell block.
#include "kernels/indexer_scores/sm100a_mxf4.cu"

#include <doctest/doctest.h>

#include <cmath>
#include <numeric>
#include <random>

namespace v4cap::kernels::indexer_scores {
namespace {

struct Span {
  int past, fresh;  // tokens of a sequence before this step and in it
};

struct alignas(16) Piece16 {
  std::uint8_t bytes[16];
};

// Scores and the reference's; pages lie in no order, what no sequence has is out of bounds.
void check(const std::vector<Span>& sequences) {
  std::mt19937 random(3);
  Batch batch;
  std::vector<std::int32_t> positions, sequence_of, first_token{0};
  int stride = 0;
  const auto pages_of = [](const Span& s) { return ((s.past + s.fresh) / 4 + 63) / 64; };
  for (const Span& s : sequences) {
    for (int i = 0; i < s.fresh; ++i) {
      positions.push_back(s.past + i);
      sequence_of.push_back(batch.sequences);
    }
    first_token.push_back(static_cast<std::int32_t>(positions.size()));
    ++batch.sequences;
    batch.max_new_tokens = std::max(batch.max_new_tokens, s.fresh);
    batch.max_context = std::max(batch.max_context, s.past + s.fresh);
    stride = std::max(stride, pages_of(s));
  }
  batch.tokens = static_cast<int>(positions.size());
  batch.positions = positions.data();
  batch.sequence_of = sequence_of.data();
  batch.first_token = first_token.data();

  const int count = batch.sequences * stride;
  std::vector<std::int32_t> order(count), table(count, 0x7f7f7f7f);
  std::iota(order.begin(), order.end(), 0);
  std::shuffle(order.begin(), order.end(), random);
  for (int s = 0; s < batch.sequences; ++s) {
    for (int p = 0; p < pages_of(sequences[s]); ++p) {
      table[s * stride + p] = order[s * stride + p];
    }
  }
  KeyPool keys{nullptr, KeyFormat::fp4};
  std::vector<Piece16> pool(static_cast<std::size_t>(count * keys.page_bytes()) / 16);
  keys.base = pool[0].bytes;
  for (Piece16& piece : pool) {
    for (std::uint8_t& byte : piece.bytes) byte = static_cast<std::uint8_t>(random());
  }
  for (int page = 0; page < count; ++page) {
    for (int i = 0; i < 4 * kKeysPerPage; ++i) {
      keys.scales(page, 0)[i] = static_cast<std::uint8_t>(120 + random() % 9);
    }
  }
  const auto rows = static_cast<std::size_t>(batch.tokens) * kIndexHeads;
  std::vector<Piece16> q(rows * 4);
  for (Piece16& piece : q) {
    for (std::uint8_t& byte : piece.bytes) byte = static_cast<std::uint8_t>(random());
  }
  std::vector<std::uint32_t> q_scales(rows);
  for (std::uint32_t& word : q_scales) {
    word = 0x7a7a7a7au + (static_cast<std::uint32_t>(random()) & 0x07070707u);
  }
  std::vector<float> weights(rows);
  for (float& w : weights) w = static_cast<float>(static_cast<int>(random() % 200) - 100) / 100;
  const std::int64_t score_stride = batch.max_context / 4 + 5;
  std::vector<float> scores(static_cast<std::size_t>(batch.tokens * score_stride), NAN);
  const Args args{.batch = batch,
                  .q_codes = q[0].bytes,
                  .q_scales = reinterpret_cast<const std::uint8_t*>(q_scales.data()),
                  .weights = weights.data(),
                  .keys = keys,
                  .pages = {table.data(), stride, stride},
                  .scores = scores.data(),
                  .score_stride = score_stride};
  REQUIRE(refuses(args).empty());
  launch(args, nullptr, nullptr);
  const std::vector<double> expected = reference(args);
  double error = 0, size = 0;
  int misplaced = 0;
  for (std::size_t i = 0; i < scores.size(); ++i) {
    misplaced += std::isnan(scores[i]) != std::isnan(expected[i]);
    if (std::isnan(expected[i])) continue;
    const double off = static_cast<double>(scores[i]) - expected[i];
    error += off * off;
    size += expected[i] * expected[i];
  }
  CHECK(misplaced == 0);
  CHECK(std::sqrt(error / size) < 1e-5);
}

TEST_CASE("sm100a model: FP4 indexer scores in decode are as in the reference") {
  check({{3000, 1}, {2, 1}, {257, 1}, {511, 1}});
}

TEST_CASE("sm100a model: FP4 indexer scores of several sequences' chunks are as in the reference") {
  check({{700, 9}, {0, 6}, {1020, 3}});
}

}  // namespace
}  // namespace v4cap::kernels::indexer_scores
