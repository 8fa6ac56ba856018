// What the CPU references share: rounding and quantising of doubles as the operators define it, the
// rotary embedding, and reading caches back.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <vector>

#include "kernels/formats/matrices.h"
#include "kernels/formats/numbers.h"
#include "kernels/formats/pages.h"
#include "kernels/formats/quantisers.h"

namespace v4cap::kernels {

constexpr double real(float x) {
  return static_cast<double>(x);
}
constexpr double real(Bf16 x) {
  return static_cast<double>(to_float(x));
}

// To the nearest bf16, by way of float as a kernel would.
inline void round_to_bf16(double* x, std::int64_t count) {
  for (std::int64_t i = 0; i < count; ++i) x[i] = real(to_bf16(static_cast<float>(x[i])));
}

// Replaces every number by code times scale of act_fp8(.; block).
inline void quantise_fp8(double* x, std::int64_t count, std::int64_t block) {
  for (std::int64_t begin = 0; begin < count; begin += block) {
    const std::int64_t end = std::min(begin + block, count);
    float largest = 0;
    for (std::int64_t i = begin; i < end; ++i) {
      largest = std::max(largest, std::fabs(static_cast<float>(x[i])));
    }
    const std::uint8_t scale = fp8_block_scale(largest);
    for (std::int64_t i = begin; i < end; ++i) {
      const std::uint8_t code = float_to_e4m3(static_cast<float>(x[i]) * inverse_scale(scale));
      x[i] = real(e4m3_to_float(code)) * real(ue8m0_to_float(scale));
    }
  }
}

// The same of act_fp4(.; block).
inline void quantise_fp4(double* x, std::int64_t count, std::int64_t block) {
  for (std::int64_t begin = 0; begin < count; begin += block) {
    const std::int64_t end = std::min(begin + block, count);
    float largest = 0;
    for (std::int64_t i = begin; i < end; ++i) {
      largest = std::max(largest, std::fabs(static_cast<float>(x[i])));
    }
    const std::uint8_t scale = fp4_block_scale(largest);
    for (std::int64_t i = begin; i < end; ++i) {
      const std::uint8_t code = float_to_e2m1(static_cast<float>(x[i]) * inverse_scale(scale));
      x[i] = real(e2m1_to_float(code)) * real(ue8m0_to_float(scale));
    }
  }
}

// Codes times scales of Fp8Rows: [rows, width].
inline std::vector<double> dequantise(const Fp8Rows& x, std::int64_t rows, std::int64_t width) {
  std::vector<double> out(static_cast<std::size_t>(rows * width));
  for (std::int64_t r = 0; r < rows; ++r) {
    for (std::int64_t c = 0; c < width; ++c) {
      out[static_cast<std::size_t>(r * width + c)] =
          real(e4m3_to_float(x.codes[r * width + c])) *
          real(x.scales[c / kGemmScaleBlock * x.scale_stride + r]);
    }
  }
  return out;
}

// Rotates `channels` interleaved pairs by the angles of one position of a RoPE table; `direction`
// -1 rotates back.
inline void rotate(double* x, const float* rope_of_position, int channels, double direction = 1) {
  for (int i = 0; i < channels / 2; ++i) {
    const double cosine = real(rope_of_position[2 * i]);
    const double sine = direction * real(rope_of_position[2 * i + 1]);
    const double even = x[2 * i], odd = x[2 * i + 1];
    x[2 * i] = even * cosine - odd * sine;
    x[2 * i + 1] = even * sine + odd * cosine;
  }
}

// Walsh-Hadamard transform of 128 channels, divided by sqrt(128).
inline void hadamard_128(double* x) {
  for (int half = 1; half < 128; half *= 2) {
    for (int i = 0; i < 128; ++i) {
      if ((i & half) != 0) continue;
      const double a = x[i], b = x[i + half];
      x[i] = a + b;
      x[i + half] = a - b;
    }
  }
  for (int i = 0; i < 128; ++i) x[i] *= 0.08838834764831845;
}

// A KV entry as attention sees it: [512].
inline void read_entry(const KvPool& pool, std::int64_t page, int offset, double* out) {
  const std::uint8_t* data = pool.data(page, offset);
  const std::uint8_t* scales = pool.scales(page, offset);
  for (int c = 0; c < kNopeDim; ++c) {
    out[c] = real(e4m3_to_float(data[c])) * real(ue8m0_to_float(scales[c / kNopeBlock]));
  }
  for (int c = 0; c < kRopeDim; ++c) {
    Bf16 value{};
    std::memcpy(&value, data + kNopeDim + 2 * c, sizeof value);
    out[kNopeDim + c] = real(value);
  }
}

// An indexer key: [128].
inline void read_key(const KeyPool& pool, std::int64_t page, int offset, double* out) {
  const std::uint8_t* codes = pool.codes(page, offset);
  const std::uint8_t* scales = pool.scales(page, offset);
  for (int c = 0; c < kIndexDim; ++c) {
    if (pool.format == KeyFormat::fp8) {
      float scale = 0;
      std::memcpy(&scale, scales, sizeof scale);
      out[c] = real(e4m3_to_float(codes[c])) * real(scale);
    } else {
      const auto code = static_cast<std::uint8_t>(codes[c / 2] >> (c % 2 * 4) & 15);
      out[c] = real(e2m1_to_float(code)) * real(ue8m0_to_float(scales[c / kExpertScaleBlock]));
    }
  }
}

}  // namespace v4cap::kernels
