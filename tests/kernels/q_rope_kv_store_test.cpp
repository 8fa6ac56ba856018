// Query norm and RoPE, KV entry: rows that can be worked by hand, and what a launch refuses.
#include "kernels/q_rope_kv_store/q_rope_kv_store.h"

#include <doctest/doctest.h>

#include <vector>

#include "kernels/q_rope_kv_store/launch.h"

namespace v4cap::kernels::q_rope_kv_store {
namespace {

struct Operands {
  std::vector<std::int32_t> positions{1}, sequence_of{0}, first_token{0, 1};
  std::vector<Bf16> q = std::vector<Bf16>(2 * 512, to_bf16(2.0f));
  std::vector<Bf16> kv = std::vector<Bf16>(512, to_bf16(-4.0f));
  std::vector<float> weight = std::vector<float>(512, 1.0f);
  std::vector<float> rope = std::vector<float>(2 * 64);
  std::vector<std::int32_t> pages{0};
  Operands() {
    for (std::size_t i = 0; i < 32; ++i) {
      rope[2 * i] = 1;           // position 0: no turn
      rope[64 + 2 * i + 1] = 1;  // position 1: a quarter turn
    }
  }
  Args args() {
    return {.batch = {1, 1, 1, 2, positions.data(), sequence_of.data(), first_token.data()},
            .heads = 2,
            .q = q.data(),
            .q_stride = 2 * 512,
            .kv = kv.data(),
            .kv_stride = 512,
            .kv_weight = weight.data(),
            .rope = rope.data(),
            .window = {nullptr, kv_page_bytes(256), 256},
            .window_pages = {pages.data(), 1, 1}};
  }
};

TEST_CASE("q_rope_kv_store: each head is divided by its own RMS and turned at its end") {
  Operands o;
  for (std::size_t c = 512; c < 1024; ++c) o.q[c] = to_bf16(c % 2 == 0 ? 8.0f : -8.0f);
  const Expected e = reference(o.args());
  CHECK(e.q[0] == 1.0);
  CHECK(e.q[447] == 1.0);
  // A quarter turn makes (a, b) into (-b, a).
  CHECK(e.q[448] == -1.0);
  CHECK(e.q[449] == 1.0);
  CHECK(e.q[512] == 1.0);
  CHECK(e.q[513] == -1.0);
  CHECK(e.q[512 + 448] == 1.0);
  CHECK(e.q[512 + 449] == 1.0);
}

TEST_CASE("q_rope_kv_store: the entry is weighted, turned, and quantised in blocks of 64") {
  Operands o;
  o.weight[3] = 1.1f;
  o.weight[448] = 3.0f;
  const Expected e = reference(o.args());
  CHECK(e.kv[0] == -1.0);
  // Blocks up to 1.1 have the scale 2^-8 (1.1 / 448 = 2^-8.67); 1.1 * 256 = 281.6 -> 288.
  CHECK(e.kv[3] == -288.0 / 256);
  CHECK(e.kv[448] == 1.0);
  CHECK(e.kv[449] == -3.0);
}

TEST_CASE("q_rope_kv_store: what the portable version refuses") {
  Operands o;
  CHECK(refuses(o.args()).empty());
  Args args = o.args();
  args.q_stride = 1023;
  CHECK_FALSE(refuses(args).empty());
  args = o.args();
  args.heads = 3;
  CHECK_FALSE(refuses(args).empty());
  args = o.args();
  args.window_pages.length = 0;
  CHECK_FALSE(refuses(args).empty());
  args = o.args();
  args.batch.tokens = 1 << 30;
  CHECK_FALSE(refuses(args).empty());
  args.batch.tokens = 3;
  CHECK(blocks_of(args) == 2);  // 6 warps, 4 a block
  args.heads = 1;
  CHECK(blocks_of(args) == 2);
  args.heads = 0;
  CHECK(blocks_of(args) == 1);
  args.window_pages.length = 3;
  CHECK(ring_entries(args) == 768);
}

}  // namespace
}  // namespace v4cap::kernels::q_rope_kv_store
