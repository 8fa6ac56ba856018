// How a prefill launch of attention is cut up: items, rows in the workspace, lists of keys, and
// what is refused.
#include <doctest/doctest.h>

#include <algorithm>
#include <set>
#include <vector>

#include "kernels/attention/prefill_launch.h"

namespace v4cap::kernels::attention::prefill {
namespace {

struct Chunks {
  std::vector<std::int32_t> first_token, positions, sequence_of;
  Batch batch;

  // Pairs of past and new tokens.
  explicit Chunks(const std::vector<std::pair<int, int>>& sequences) {
    for (const auto& [past, tokens] : sequences) {
      first_token.push_back(static_cast<std::int32_t>(positions.size()));
      for (int t = 0; t < tokens; ++t) {
        positions.push_back(past + t);
        sequence_of.push_back(static_cast<std::int32_t>(first_token.size()) - 1);
      }
      batch.max_new_tokens = std::max(batch.max_new_tokens, tokens);
      batch.max_context = std::max(batch.max_context, past + tokens);
    }
    first_token.push_back(static_cast<std::int32_t>(positions.size()));
    batch.tokens = static_cast<int>(positions.size());
    batch.sequences = static_cast<int>(sequences.size());
    batch.positions = positions.data();
    batch.sequence_of = sequence_of.data();
    batch.first_token = first_token.data();
  }
};

Args arguments(const Batch& batch, Kind kind, int heads) {
  Args args;
  args.batch = batch;
  args.kind = kind;
  args.heads = heads;
  args.q_stride = heads * 512;
  args.compress_ratio = kind == Kind::csa ? 4 : 128;
  args.top_k = 512;
  static const std::int32_t selected[1] = {};
  args.selected = selected;
  args.window.page_entries = 256;
  args.window_pages.length = 1 << 20;
  args.extra.page_entries = 64;
  args.extra_pages.length = 1 << 20;
  return args;
}

TEST_CASE("attention prefill: items hold every token once and do not cross sequences") {
  const Chunks chunks({{0, 5}, {10, 1}, {0, 0}, {7, 2}, {100, 33}, {0, 0}, {3, 4}, {9, 1}});
  for (const int heads : {64, 128}) {
    const Args args = arguments(chunks.batch, Kind::hca, heads);
    std::vector<int> taken(static_cast<std::size_t>(chunks.batch.tokens), 0);
    for (int index = 0; index < item_count(args); ++index) {
      const Item item = item_at(args.batch, tokens_per_item(heads), index);
      REQUIRE(item.tokens <= 128 / heads);
      for (int i = 0; i < item.tokens; ++i) {
        const auto token = static_cast<std::size_t>(item.first_token + i);
        REQUIRE(token < taken.size());
        ++taken[token];
        CHECK(chunks.sequence_of[token] == item.sequence);
      }
    }
    CHECK(std::count(taken.begin(), taken.end(), 1) == chunks.batch.tokens);
  }
}

TEST_CASE("attention prefill: rows of sequences lie apart, behind each are the zeros of a tile") {
  const Chunks chunks({{0, 5}, {1000, 1}, {135, 250}, {4096, 9}});
  const Args args = arguments(chunks.batch, Kind::hca, 64);
  const Rows rows = rows_of(args);
  std::set<std::int64_t> taken;
  for (int s = 0; s < args.batch.sequences; ++s) {
    const auto i = static_cast<std::size_t>(s);
    const int first = chunks.first_token[i], end = chunks.first_token[i + 1];
    const std::int64_t origin = window_origin(chunks.positions[static_cast<std::size_t>(first)]);
    const std::int64_t last = chunks.positions[static_cast<std::size_t>(end - 1)];
    CHECK(rows.window_base(s, first) % 8 == 0);
    CHECK(rows.compressed_base(s) % 8 == 0);
    CHECK(origin <= std::max<std::int64_t>(0, last - 127));
    for (std::int64_t p = origin; p < round_up(last + 1, 8); ++p) {
      const std::int64_t row = rows.window_base(s, first) + p - origin;
      CHECK(row < rows.window_rows);
      CHECK(taken.insert(row).second);
    }
    const DenseList list = dense_list(static_cast<int>(last), static_cast<int>(last),
                                      static_cast<int>(visible_entries(last, 128)));
    CHECK(list.tiles(64) * 64 - list.window <= rows.compressed_rows);
    for (std::int64_t j = 0; j < rows.compressed_rows; ++j) {
      CHECK(taken.insert(rows.compressed_base(s) + j).second);
    }
  }
  CHECK(taken.insert(rows.zero_row()).second);
  CHECK(*taken.rbegin() == rows.zero_row());
  CHECK(workspace_bytes(args) == static_cast<std::size_t>(rows.total) * 1024);
}

TEST_CASE("attention prefill: bits of a word") {
  CHECK(bits_between(0, 64) == ~std::uint64_t{0});
  CHECK(bits_between(-5, 3) == 0b111);
  CHECK(bits_between(62, 100) == std::uint64_t{3} << 62);
  CHECK(bits_between(4, 4) == 0);
  CHECK(bits_between(70, 90) == 0);
  CHECK(bits_between(-9, -1) == 0);
}

// Against the definition: window positions max(0, t - 127)..t, entries j < entries.
TEST_CASE("attention prefill: the places of a dense list that a token sees") {
  for (const int first : {0, 5, 126, 127, 128, 135, 1000, 4095}) {
    for (int ahead = 0; ahead < 2; ++ahead) {
      const int last = first + 1, t = first + ahead;
      const int entries = (t + 1) / 128;
      const DenseList list = dense_list(first, last, (last + 1) / 128);
      CHECK(list.window % 8 == 0);
      std::set<int> window, compressed;
      for (int tile = 0; tile < list.tiles(64); ++tile) {
        const std::uint64_t seen = list.seen(t, entries, tile * 64);
        for (int i = 0; i < 64; ++i) {
          if (((seen >> i) & 1) == 0) continue;
          const int place = tile * 64 + i;
          if (place < list.window) {
            window.insert(list.window_first + place);
          } else {
            compressed.insert(place - list.window);
          }
        }
      }
      CHECK(*window.begin() == std::max(0, t - 127));
      CHECK(*window.rbegin() == t);
      CHECK(static_cast<int>(window.size()) == std::min(t + 1, 128));
      CHECK(static_cast<int>(compressed.size()) == entries);
      CHECK((entries == 0 || *compressed.rbegin() == entries - 1));
    }
  }
}

TEST_CASE("attention prefill: a sparse list is a window and as many places as there are entries") {
  const SparseList early = sparse_list(10, 4, 512);
  CHECK(early.window_first == 0);
  CHECK(early.window == 11);
  CHECK(early.selected == 2);
  CHECK(early.tiles(64) == 1);
  const SparseList late = sparse_list(5000, 4, 1024);
  CHECK(late.window_first == 5000 - 127);
  CHECK(late.window + late.selected == 1152);
  CHECK(late.tiles(64) == 18);
  CHECK(late.tiles(32) == 36);
}

TEST_CASE("attention prefill: decode steps, odd shapes and absurd workspaces are refused") {
  const Chunks prefill({{0, 300}});
  Args args = arguments(prefill.batch, Kind::hca, 64);
  CHECK(refuses_dense(args).empty());
  CHECK_FALSE(refuses_sparse(args).empty());
  args.heads = 16;
  CHECK_FALSE(refuses_dense(args).empty());
  args = arguments(prefill.batch, Kind::csa, 128);
  CHECK(refuses_sparse(args).empty());
  CHECK_FALSE(refuses_dense(args).empty());
  args.batch.max_context = 1 << 28;  // 64 Mi entries of 1 KiB
  CHECK_FALSE(refuses_sparse(args).empty());
  const Chunks decode({{100, 1}, {200, 1}});
  CHECK_FALSE(refuses_dense(arguments(decode.batch, Kind::window, 64)).empty());
  args = arguments(prefill.batch, Kind::window, 64);
  args.q_stride += 4;
  CHECK_FALSE(refuses_dense(args).empty());
}

}  // namespace
}  // namespace v4cap::kernels::attention::prefill
