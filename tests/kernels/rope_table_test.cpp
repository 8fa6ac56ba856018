// The RoPE table: frequencies that can be worked by hand, and the YaRN ramp.
#include "kernels/rope_table.h"

#include <doctest/doctest.h>

#include <cmath>

namespace v4cap::kernels {
namespace {

TEST_CASE("rope_table: without YaRN pair i turns by 10000^(-i/32) a position") {
  const auto f = rope_frequencies(rope_parameters(false));
  CHECK(f[0] == 1.0f);
  CHECK(f[8] == 0.1f);
  CHECK(f[16] == 0.01f);
  CHECK(f[31] == doctest::Approx(1.0 / std::pow(10000.0, 31.0 / 32)).epsilon(1e-6));
}

TEST_CASE("rope_table: YaRN keeps fast pairs and divides slow ones by 16") {
  // 32 turns over 65536 positions: pair 15.45, rounded down; 1 turn: pair 24.71, rounded up.
  const auto f = rope_frequencies(rope_parameters(true));
  const auto plain = [](int i) { return std::pow(160000.0, -i / 32.0); };
  for (int i = 0; i <= 15; ++i) {
    CHECK(f[static_cast<std::size_t>(i)] == doctest::Approx(plain(i)).epsilon(1e-6));
  }
  for (int i = 25; i < 32; ++i) {
    CHECK(f[static_cast<std::size_t>(i)] == doctest::Approx(plain(i) / 16).epsilon(1e-6));
  }
  CHECK(f[16] == doctest::Approx(plain(16) * (0.9 + 0.1 / 16)).epsilon(1e-6));
  CHECK(f[20] == doctest::Approx(plain(20) * (0.5 + 0.5 / 16)).epsilon(1e-6));
}

TEST_CASE("rope_table: cosine and sine of the float product of position and frequency") {
  const std::vector<float> table = rope_table(false, 1001);
  CHECK(table.size() == 1001 * 64);
  CHECK(table[0] == 1.0f);
  CHECK(table[1] == 0.0f);
  const std::size_t row = 1000 * 64;
  CHECK(table[row] == static_cast<float>(std::cos(1000.0)));
  CHECK(table[row + 1] == static_cast<float>(std::sin(1000.0)));
  const float angle = 1000.0f * 0.01f;  // 10 in float, though the float 0.01 is not a hundredth
  CHECK(angle == 10.0f);
  CHECK(table[row + 32] == static_cast<float>(std::cos(10.0)));
  CHECK(table[row + 33] == static_cast<float>(std::sin(10.0)));
}

}  // namespace
}  // namespace v4cap::kernels
