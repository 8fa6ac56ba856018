// Inverse RoPE and quantiser: rows that can be worked by hand, and how many blocks a launch has.
#include "kernels/inverse_rope_quant/inverse_rope_quant.h"

#include <doctest/doctest.h>

#include <vector>

#include "kernels/inverse_rope_quant/launch.h"

namespace v4cap::kernels::inverse_rope_quant {
namespace {

TEST_CASE("inverse_rope_quant: the last 64 channels of each head are turned back") {
  const std::vector<std::int32_t> positions{1, 0};
  std::vector<float> rope(2 * 64);
  for (std::size_t i = 0; i < 32; ++i) {
    rope[2 * i] = 1;           // position 0: no turn
    rope[64 + 2 * i + 1] = 1;  // position 1: a quarter turn
  }
  std::vector<Bf16> o(2 * 1024, to_bf16(1.0f));
  o[512 + 449] = to_bf16(500.0f);
  const Expected e = reference({.batch = {.tokens = 2, .positions = positions.data()},
                                .heads = 2,
                                .o = o.data(),
                                .o_stride = 1024,
                                .rope = rope.data()});
  // Back by a quarter: (a, b) becomes (b, -a).
  CHECK(e.rotated[447] == 1.0);
  CHECK(e.rotated[448] == 1.0);
  CHECK(e.rotated[449] == -1.0);
  CHECK(e.rotated[512 + 448] == 500.0);
  CHECK(e.rotated[512 + 449] == -1.0);
  CHECK(e.rotated[1024 + 448] == 1.0);
  CHECK(e.rotated[1024 + 449] == 1.0);
  // 500 / 448 makes the block's scale 2: 250 is rounded to 256.
  CHECK(e.dequantised[512 + 448] == 512.0);
  CHECK(e.dequantised[512 + 127] == 1.0);
}

TEST_CASE("inverse_rope_quant: few tokens are spread by heads, many by groups of 8") {
  Args args{.heads = 5, .o_stride = 2560, .quantised = {nullptr, nullptr, 16}};
  args.batch.tokens = 3;
  CHECK(few_tokens(args));
  CHECK(blocks_of(args) == 4);  // 15 rows, 4 a block
  args.batch.tokens = 13;
  CHECK_FALSE(few_tokens(args));
  CHECK(blocks_of(args) == 10);
  CHECK(refuses(args).empty());
  args.batch.tokens = 17;
  CHECK_FALSE(refuses(args).empty());
  args.batch.tokens = 13;
  args.o_stride = 2552;  // rows would overlap
  CHECK_FALSE(refuses(args).empty());
}

}  // namespace
}  // namespace v4cap::kernels::inverse_rope_quant
