// The indexer's query: rows whose Hadamard transform can be worked by hand.
#include "kernels/indexer_query/indexer_query.h"

#include <doctest/doctest.h>

#include <cmath>
#include <vector>

#include "kernels/indexer_query/launch.h"
#include "kernels/reference.h"

namespace v4cap::kernels::indexer_query {
namespace {

struct Operands {
  std::vector<std::int32_t> positions{0};
  std::vector<Bf16> q = std::vector<Bf16>(64 * 128, Bf16{0});
  std::vector<float> w = std::vector<float>(64, 1.0f);
  std::vector<float> rope = std::vector<float>(64);
  Operands() {
    for (std::size_t i = 0; i < 32; ++i) rope[2 * i + 1] = 1;  // a quarter turn
  }
  Args args(KeyFormat format) const {
    return {.batch = {.tokens = 1, .positions = positions.data()},
            .q = q.data(),
            .w = w.data(),
            .w_stride = 64,
            .rope = rope.data(),
            .format = format};
  }
};

TEST_CASE("indexer_query: a single channel becomes a row of its signs") {
  Operands o;
  o.q[0] = to_bf16(16.0f);         // head 0, channel 0: no RoPE, all signs positive
  o.q[128 + 70] = to_bf16(16.0f);  // head 1, channel 70: turned into channel 71
  const Expected e = reference(o.args(KeyFormat::fp8));
  const double size = real(to_bf16(static_cast<float>(16 / std::sqrt(128.0))));
  for (std::size_t c = 0; c < 128; ++c) {
    CHECK(e.rotated[c] == size);
    const bool negative = __builtin_parity(static_cast<unsigned>(c) & 71u) != 0;
    CHECK(e.rotated[128 + c] == (negative ? -size : size));
  }
}

TEST_CASE("indexer_query: the FP8 scale goes into the head weight, FP4's stands beside the codes") {
  Operands o;
  o.w[2] = 3.0f;
  o.q[2 * 128] = to_bf16(16.0f);
  const double plain = 3 / std::sqrt(128.0 * 64.0);
  const Expected fp8 = reference(o.args(KeyFormat::fp8));
  // bf16 of 1.4142 is 1.4140625; / 448 lies in (2^-9, 2^-8]; * 256 = 362 -> 352.
  CHECK(fp8.weights[2] == doctest::Approx(plain / 256).epsilon(1e-12));
  CHECK(fp8.dequantised[2 * 128 + 5] == 352.0 / 256);
  const Expected fp4 = reference(o.args(KeyFormat::fp4));
  CHECK(fp4.weights[2] == doctest::Approx(plain).epsilon(1e-12));
  // / 6 lies in (2^-3, 2^-2]; * 4 = 5.66 -> 6.
  CHECK(fp4.dequantised[2 * 128 + 5] == 1.5);
}

TEST_CASE("indexer_query: blocks of 32 heads") {
  Operands o;
  Args args = o.args(KeyFormat::fp8);
  CHECK(blocks_of(args) == 2);
  CHECK(refuses(args).empty());
  args.w_stride = 63;
  CHECK_FALSE(refuses(args).empty());
}

}  // namespace
}  // namespace v4cap::kernels::indexer_query
