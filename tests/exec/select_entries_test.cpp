// Selection in pieces of tokens, by the references: the same as of all tokens at once, in a fixed
// memory.
#include "exec/layer/select_entries.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <cstring>
#include <vector>

#include "exec/layer/host_executor.h"
#include "kernels/formats/numbers.h"
#include "sim/core/random.h"

namespace v4cap::exec {
namespace {

using kernels::KeyFormat;

constexpr int kTopK = 8;

// Remembers what it was asked for.
class WatchedExecutor final : public HostExecutor {
 public:
  using HostExecutor::run;
  std::shared_ptr<void> allocate(std::size_t bytes) override {
    largest = std::max(largest, bytes);
    return HostExecutor::allocate(bytes);
  }
  void run(const kernels::indexer_scores::Args& args) override {
    pieces.push_back(args.batch.tokens);
    HostExecutor::run(args);
  }

  std::size_t largest = 0;
  std::vector<int> pieces;  // tokens of each
};

// Random queries of two sequences, chunks of 30 and 23 tokens, over random keys.
struct Operands {
  static constexpr int kTokens = 53, kPagesOfSequence = 2;
  KeyFormat format;
  std::vector<std::int32_t> positions, sequence_of, first_token{0, 30, 53}, visible;
  std::vector<std::int32_t> table{2, 0, 3, 1};
  std::vector<std::uint8_t> pool, codes, scales;
  std::vector<float> weights;

  explicit Operands(KeyFormat f) : format(f) {
    RandomEngine random = RandomStreams(7).stream("operands");
    for (int t = 0; t < kTokens; ++t) {
      sequence_of.push_back(t < 30 ? 0 : 1);
      positions.push_back(t < 30 ? t : 400 + t);
      visible.push_back((positions.back() + 1) / 4);
    }
    // Codes of small numbers, with either sign.
    const auto code = [&] {
      const std::uint64_t bits = random();
      return f == KeyFormat::fp8 ? kernels::float_to_e4m3(static_cast<float>(bits % 33) / 8 - 2)
                                 : static_cast<std::uint8_t>(bits);
    };
    const kernels::KeyPool shape{nullptr, f};
    pool.resize(static_cast<std::size_t>(4 * shape.page_bytes()));
    codes.resize(static_cast<std::size_t>(kTokens * kernels::kIndexHeads * shape.code_bytes()));
    for (std::uint8_t& c : codes) c = code();
    scales.resize(static_cast<std::size_t>(kTokens * kernels::kIndexHeads * 4));
    for (std::uint8_t& s : scales) s = static_cast<std::uint8_t>(126 + random() % 3);
    const kernels::KeyPool keys{pool.data(), f};
    for (int page = 0; page < 4; ++page) {
      for (int key = 0; key < kernels::kKeysPerPage; ++key) {
        for (int c = 0; c < shape.code_bytes(); ++c) keys.codes(page, key)[c] = code();
        const float scale = 0.25f;
        if (f == KeyFormat::fp8) {
          std::memcpy(keys.scales(page, key), &scale, sizeof scale);
        } else {
          std::fill_n(keys.scales(page, key), 4, std::uint8_t{127});
        }
      }
    }
    for (int i = 0; i < kTokens * kernels::kIndexHeads; ++i) {
      weights.push_back(static_cast<float>(random() % 17) / 8 - 1);
    }
  }

  std::vector<std::int32_t> select(WatchedExecutor& executor, std::int64_t bytes) {
    kernels::indexer_scores::Args score;
    score.batch = {.tokens = kTokens,
                   .sequences = 2,
                   .max_new_tokens = 30,
                   .max_context = 453,
                   .positions = positions.data(),
                   .sequence_of = sequence_of.data(),
                   .first_token = first_token.data()};
    score.q_codes = codes.data();
    score.q_scales = format == KeyFormat::fp4 ? scales.data() : nullptr;
    score.weights = weights.data();
    score.keys = {pool.data(), format};
    score.pages = {table.data(), kPagesOfSequence, kPagesOfSequence};
    const Array<std::int32_t> selected =
        select_entries(executor, score, visible.data(), 453 / 4, kTopK, bytes);
    return executor.fetch(selected.data(), selected.size());
  }
};

constexpr std::int64_t kRow_bytes = 4 * (256 + 256);  // of scores, as selection lays them out

TEST_CASE("selection in pieces of tokens is that of all at once") {
  for (const KeyFormat format : {KeyFormat::fp8, KeyFormat::fp4}) {
    CAPTURE(static_cast<int>(format));
    Operands operands(format);
    WatchedExecutor whole;
    const std::vector<std::int32_t> expected = operands.select(whole, kScoreBytes);
    CHECK(whole.pieces == std::vector<int>{Operands::kTokens});
    // A token that sees much chooses, and not always the same; one that sees little takes all.
    const auto row = [&](int token) {
      const auto begin = expected.begin() + token * kTopK;
      return std::vector<std::int32_t>(begin, begin + kTopK);
    };
    CHECK(row(52) != row(51));
    CHECK(std::ranges::count(row(52), -1) == 0);
    CHECK(std::ranges::count(row(7), -1) == kTopK - 2);
    for (const auto& [rows, pieces] :
         {std::pair{1, std::vector<int>(53, 1)}, std::pair{5, std::vector<int>(11, 5)},
          std::pair{12, std::vector<int>{12, 12, 12, 12, 5}},
          std::pair{35, std::vector<int>{24, 24, 5}}, std::pair{53, std::vector<int>{48, 5}}}) {
      CAPTURE(rows);
      WatchedExecutor executor;
      CHECK(operands.select(executor, rows * kRow_bytes) == expected);
      std::vector<int> wanted = pieces;
      if (rows == 5) wanted.back() = 3;
      CHECK(executor.pieces == wanted);
      CHECK(executor.largest <= static_cast<std::size_t>(rows * kRow_bytes));
    }
  }
}

TEST_CASE("selection: pieces fit their memory and no captured decode is cut") {
  constexpr std::int64_t kStride = (1 << 18) + 256;  // of a context of 1 Mi
  CHECK(tokens_per_piece(kStride, kScoreBytes) >= 512);
  for (const std::int64_t stride : {512, 4352, 262'400}) {
    const std::int64_t tokens = tokens_per_piece(stride, kScoreBytes);
    CHECK(tokens % 12 == 0);
    CHECK(tokens * stride * 4 <= kScoreBytes);
    CHECK((tokens + 12) * stride * 4 > kScoreBytes);
  }
  CHECK(tokens_per_piece(512, 7 * 2048) == 7);
  CHECK(tokens_per_piece(512, 100) == 1);  // a row is not cut
}

}  // namespace
}  // namespace v4cap::exec
