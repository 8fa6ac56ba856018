// The reference of attention on entries that can be worked by hand, and how a launch is cut up.
#include "kernels/attention/attention.h"

#include <doctest/doctest.h>

#include <cmath>
#include <cstring>

#include "kernels/attention/launch.h"

namespace v4cap::kernels::attention {
namespace {

// Caches in which channel 0 of an entry is a small integer and channel 448 (the first bf16 one)
// another; everything else is 0.
struct Cache {
  int page_entries;
  std::vector<std::int32_t> table;
  std::vector<std::uint8_t> bytes;

  Cache(int entries_of_page, std::vector<std::int32_t> pages)
      : page_entries(entries_of_page),
        table(std::move(pages)),
        bytes(table.size() * static_cast<std::size_t>(kv_page_bytes(entries_of_page)), 0) {}
  KvPool pool() { return {bytes.data(), kv_page_bytes(page_entries), page_entries}; }
  PageTable pages() const {
    const auto length = static_cast<std::int32_t>(table.size());
    return {table.data(), length, length};
  }
  void put(std::int64_t page, int offset, float first, float tail) {
    const KvPool p = pool();
    p.data(page, offset)[0] = float_to_e4m3(first / 4);
    std::memset(p.scales(page, offset), 129, 7);  // 2^2
    const Bf16 value = to_bf16(tail);
    std::memcpy(p.data(page, offset) + kNopeDim, &value, sizeof value);
  }
};

// One token whose 64 heads all ask for channel 0.
struct OneToken {
  std::int32_t position, sequence = 0;
  std::vector<Bf16> q = std::vector<Bf16>(64 * 512, Bf16{0});
  std::vector<float> sink = std::vector<float>(64, -INFINITY);

  explicit OneToken(std::int32_t at) : position(at) {
    for (std::size_t h = 0; h < 64; ++h) q[h * 512] = to_bf16(1.0f);
  }
  Args args() {
    Args a;
    a.batch.tokens = 1;
    a.batch.sequences = 1;
    a.batch.max_new_tokens = 1;
    a.batch.max_context = position + 1;
    a.batch.positions = &position;
    a.batch.sequence_of = &sequence;
    a.heads = 64;
    a.q = q.data();
    a.q_stride = 64 * 512;
    a.sink = sink.data();
    a.scale = 1;
    return a;
  }
};

TEST_CASE("attention: two entries by hand, with a sink in the denominator only") {
  Cache window(256, {0});
  window.put(0, 0, 1, 10);
  window.put(0, 1, 2, 20);
  OneToken token(1);
  token.sink[3] = 3.0f;
  Args args = token.args();
  args.window = window.pool();
  args.window_pages = window.pages();
  const Expected e = reference(args);
  const double a = std::exp(1.0), b = std::exp(2.0), z = std::exp(3.0);
  CHECK(e.out[0] == doctest::Approx((a * 1 + b * 2) / (a + b)));
  CHECK(e.out[448] == doctest::Approx((a * 10 + b * 20) / (a + b)));
  CHECK(e.out[1] == 0.0);
  CHECK(e.lse[0] == doctest::Approx(std::log(a + b)));
  CHECK(e.out[3 * 512 + 448] == doctest::Approx((a * 10 + b * 20) / (a + b + z)));
  CHECK(e.lse[3] == doctest::Approx(std::log(a + b)));
}

TEST_CASE("attention: the window is the last 128 positions, found through pages that wrap") {
  Cache window(256, {1, 0});
  // Position 600 lies in the third page of the context, which is the first of the table again.
  for (int offset = 0; offset < 256; ++offset) {
    window.put(0, offset, 0, 1000);
    window.put(1, offset, 0, 1000);
  }
  for (int p = 473; p < 512; ++p) window.put(0, p - 256, 0, 2);
  for (int p = 512; p <= 600; ++p) window.put(1, p - 512, 0, 3);
  OneToken token(600);
  Args args = token.args();
  args.window = window.pool();
  args.window_pages = window.pages();
  const Expected e = reference(args);
  CHECK(e.lse[0] == doctest::Approx(std::log(128.0)));
  CHECK(e.out[448] == doctest::Approx((39.0 * 2 + 89.0 * 3) / 128));
}

TEST_CASE("attention: CSA sees its selected entries, HCA all that are complete") {
  Cache window(256, {0, 1});
  Cache csa(64, {0, 1, 2, 3});
  Cache hca(2, {1, 0, 2, 3});
  for (int page = 0; page < 4; ++page) {
    for (int offset = 0; offset < 64; ++offset) {
      csa.put(page, offset, 0, static_cast<float>(page * 64 + offset));
    }
  }
  hca.put(1, 0, 0, 128);  // entry 0
  hca.put(1, 1, 0, 256);  // entry 1
  hca.put(0, 0, 0, 512);  // entry 2, complete only with position 383
  OneToken token(382);
  const std::vector<std::int32_t> selected = {65, 2, 7, -1, -1};
  Args args = token.args();
  args.window = window.pool();
  args.window_pages = window.pages();
  args.kind = Kind::csa;
  args.compress_ratio = 4;
  args.selected = selected.data();
  args.top_k = 5;
  args.extra = csa.pool();
  args.extra_pages = csa.pages();
  Expected e = reference(args);
  CHECK(e.lse[63] == doctest::Approx(std::log(131.0)));
  CHECK(e.out[63 * 512 + 448] == doctest::Approx((65.0 + 2 + 7) / 131));
  args.kind = Kind::hca;
  args.compress_ratio = 128;
  args.extra = hca.pool();
  args.extra_pages = hca.pages();
  e = reference(args);
  CHECK(e.out[448] == doctest::Approx((128.0 + 256) / 130));
  token.position = 383;
  e = reference(args);
  CHECK(e.out[448] == doctest::Approx((128.0 + 256 + 512) / 131));
}

TEST_CASE("attention: the list of a token at the edges of the window and of blocks") {
  CHECK(seen_entries(Kind::window, 0, 0, 0).count() == 1);
  CHECK(seen_entries(Kind::window, 0, 0, 126).window_first == 0);
  CHECK(seen_entries(Kind::window, 0, 0, 127).count() == 128);
  CHECK(seen_entries(Kind::window, 0, 0, 128).window_first == 1);
  CHECK(seen_entries(Kind::csa, 4, 512, 2).extra == 0);
  CHECK(seen_entries(Kind::csa, 4, 512, 3).extra == 1);
  CHECK(seen_entries(Kind::csa, 4, 512, 2046).extra == 511);
  CHECK(seen_entries(Kind::csa, 4, 512, 1000000).extra == 512);
  CHECK(seen_entries(Kind::hca, 128, 0, 126).extra == 0);
  CHECK(seen_entries(Kind::hca, 128, 0, 127).extra == 1);
  CHECK(seen_entries(Kind::hca, 128, 0, 1048575).extra == 8192);
  CHECK(seen_entries(Kind::hca, 128, 0, 1048575).list_blocks() == 130);
  CHECK(seen_entries(Kind::window, 0, 0, 64).list_blocks() == 2);
}

TEST_CASE("attention: splits cover every block of a list once, as evenly as they can") {
  for (const int blocks : {0, 1, 2, 3, 18, 130}) {
    for (const int splits : {1, 2, 7, 64}) {
      int next = 0;
      for (int split = 0; split < splits; ++split) {
        const ListRange range = split_range(blocks, splits, split);
        CHECK(range.first == next);
        CHECK(range.end - range.first >= blocks / splits);
        CHECK(range.end - range.first <= blocks / splits + 1);
        next = range.end;
      }
      CHECK(next == blocks);
    }
  }
}

TEST_CASE("attention: lists are split only while tokens do not fill the GPU") {
  Args args;
  args.heads = 128;
  args.kind = Kind::csa;
  args.compress_ratio = 4;
  args.top_k = 1024;
  args.batch.max_context = 100000;  // 18 blocks
  for (const int tokens : {128, 66, 1000}) {
    args.batch.tokens = tokens;
    CHECK(split_count(args) == 1);
    CHECK(partials_bytes(args) == 0);
  }
  args.batch.tokens = 16;  // 32 groups of heads: 4 splits fit in one wave, 3 have fewer parts
  CHECK(split_count(args) == 3);
  CHECK(partials_bytes(args) == std::size_t{16} * 128 * 3 * 514 * 4);
  args.batch.tokens = 1;  // two blocks each
  CHECK(split_count(args) == 9);
  args.batch.max_context = 64;  // 64 of the window and 16 entries
  CHECK(split_count(args) == 1);
  args.batch.tokens = 0;
  CHECK(split_count(args) == 1);
}

TEST_CASE("attention: no split count of a long list is cheaper than the chosen one") {
  Args args;
  args.heads = 64;
  args.kind = Kind::hca;
  args.compress_ratio = 128;
  args.batch.max_context = 1 << 20;  // 130 blocks
  for (const int tokens : {1, 2, 5, 33, 132, 133}) {
    args.batch.tokens = tokens;
    const double chosen = split_cost(tokens, 130, split_count(args));
    CHECK(chosen <= split_cost(tokens, 130, 1));
    for (int splits = 2; splits <= kMaxSplits; ++splits) {
      CHECK(chosen <= split_cost(tokens, 130, splits));
    }
  }
  // One part more than processors is a second wave.
  CHECK(split_cost(132, 130, 1) == 130 + kStartCost);
  CHECK(split_cost(133, 130, 1) == 2 * (130 + kStartCost));
  CHECK(split_cost(66, 130, 2) ==
        doctest::Approx(65 + kStartCost + kCombineCost + 132 * kPartCost));
}

TEST_CASE("attention: what no version takes is refused with a reason") {
  Args args;
  args.heads = 64;
  args.q_stride = 64 * 512;
  CHECK(shape_refusal(args) == "no window pages");
  args.window.page_entries = 256;
  args.window_pages.length = 1;
  CHECK(shape_refusal(args).empty());
  // A ring of 256 holds a window and 129 new tokens, and whatever never wraps around it.
  args.batch.max_context = 1000;
  args.batch.max_new_tokens = 129;
  CHECK(shape_refusal(args).empty());
  args.batch.max_new_tokens = 130;
  CHECK(shape_refusal(args) == "the window's ring is too small for the new tokens");
  args.batch.max_context = 256;
  CHECK(shape_refusal(args).empty());
  args.heads = 16;
  CHECK(shape_refusal(args) == "heads are not 64 or 128");
  args.heads = 128;
  args.q_stride = 65540;
  CHECK(shape_refusal(args) == "query rows are not 16-byte aligned");
  args.q_stride = 65536;
  args.kind = Kind::csa;
  CHECK(shape_refusal(args) == "no compress ratio");
  args.compress_ratio = 4;
  CHECK(shape_refusal(args) == "CSA without selected entries");
  const std::int32_t selected[1] = {0};
  args.selected = selected;
  args.top_k = 1;
  CHECK(shape_refusal(args) == "no pages of compressed entries");
  args.extra.page_entries = 2;
  CHECK(whole_power_pages(args));
  args.extra.page_entries = 96;
  CHECK(!whole_power_pages(args));
  args.kind = Kind::window;
  CHECK(whole_power_pages(args));
  args.window.page_entries = 0;
  CHECK(!whole_power_pages(args));
}

}  // namespace
}  // namespace v4cap::kernels::attention
