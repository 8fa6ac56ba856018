// What the host executor stores reads back as the numbers that the reference gave.
#include "exec/layer/store.h"

#include <doctest/doctest.h>

#include <cmath>

#include "kernels/reference.h"

namespace v4cap::exec {
namespace {

// Numbers of many sizes, without a pattern that a block could hide.
std::vector<double> numbers(std::size_t count) {
  std::vector<double> x(count);
  std::uint32_t random = 7;
  for (double& value : x) {
    random = random * 1664525u + 1013904223u;
    value = std::ldexp(static_cast<double>(random >> 8) / (1 << 24) - 0.5,
                       static_cast<int>(random >> 5 & 7));
  }
  return x;
}

TEST_CASE("store: quantised rows are kept exactly") {
  std::vector<double> x = numbers(3 * 256);
  kernels::quantise_fp8(x.data(), 3 * 256, 128);
  std::vector<std::uint8_t> codes(3 * 256);
  std::vector<float> scales(2 * 4);
  const kernels::Fp8Rows rows{codes.data(), scales.data(), 4};
  store_fp8(x, rows, 3, 256);
  CHECK(kernels::dequantise(rows, 3, 256) == x);
}

TEST_CASE("store: an entry reads back from its place in the page") {
  constexpr int kEntries = 64;
  std::vector<std::uint8_t> page(static_cast<std::size_t>(kernels::kv_page_bytes(kEntries)) * 2);
  const kernels::KvPool pool{page.data(), kernels::kv_page_bytes(kEntries), kEntries};
  std::vector<double> x = numbers(512);
  kernels::quantise_fp8(x.data(), 448, 64);
  kernels::round_to_bf16(x.data() + 448, 64);
  store_entry(x.data(), pool, 1, 63);
  std::vector<double> back(512);
  kernels::read_entry(pool, 1, 63, back.data());
  CHECK(back == x);
}

TEST_CASE("store: keys read back, FP8 and FP4") {
  for (const auto format : {kernels::KeyFormat::fp8, kernels::KeyFormat::fp4}) {
    kernels::KeyPool pool;
    pool.format = format;
    std::vector<std::uint8_t> page(static_cast<std::size_t>(pool.page_bytes()) * 2);
    pool.base = page.data();
    std::vector<double> x = numbers(128);
    if (format == kernels::KeyFormat::fp8) {
      kernels::quantise_fp8(x.data(), 128, 128);
    } else {
      kernels::quantise_fp4(x.data(), 128, 32);
    }
    store_key(x.data(), pool, 1, 5);
    std::vector<double> back(128);
    kernels::read_key(pool, 1, 5, back.data());
    CHECK(back == x);
  }
}

}  // namespace
}  // namespace v4cap::exec
