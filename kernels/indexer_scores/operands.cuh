// Keys and queries as FP8 matrix instructions take them.
//
// The order in which the 128 channels are summed is free, as long as keys and queries agree. A
// thread of a quad takes 32 channels of a key, 16 bytes at a time: its words u[0..7]. Step s of
// four (32 channels each) multiplies u[2 s] and u[2 s + 1] of the quad's threads, which are the
// registers that an m16n8k32 or m64nNk32 instruction wants of them; no shuffle and no transposition
// is needed.
//   FP8   u[0..3] = channels 16 q + 0..15, u[4..7] = 64 + 16 q + 0..15, for thread q of the quad
//   FP4   u[0..7] = channels 32 q + 0..31: just the ones that share a scale
//
// FP4 numbers become e4m3 codes. Relative to the largest of a row's four scales, 2^E, a block of
// scale
// 2^s holds e2m1 * 2^(s - E + 6), exact down to s = E - 14; what is smaller is lost beside the
// rest.
// 2^(E - 6) is then the scale of the row, as an FP8 key has one.
#pragma once

#include <cstdint>

#include "kernels/formats/numbers.h"
#include "kernels/formats/pages.h"

namespace v4cap::kernels::indexer_scores {

inline constexpr int kHeadsPerTile = 8;  // columns of a quad of heads in an accumulator
inline constexpr int kFp4Shift = 6;      // 6 * 2^6 = 384 < 448
inline constexpr int kExpansions = 16;

// The e4m3 codes of the eight magnitudes of e2m1 times 2^(6 - down).
struct Expansion {
  std::uint32_t low, high;
};
constexpr std::uint8_t expanded(int code, int down) {
  return float_to_e4m3(e2m1_to_float(static_cast<std::uint8_t>(code)) *
                       ue8m0_to_float(static_cast<std::uint8_t>(127 + kFp4Shift - down)));
}

// The largest of four UE8M0 codes.
__device__ inline std::uint32_t largest_scale(std::uint32_t scales) {
  const std::uint32_t pairs = __vmaxu4(scales, scales >> 16);
  return max(pairs & 0xffu, (pairs >> 8) & 0xffu);
}
__device__ inline float row_scale_fp4(std::uint32_t largest) {
  return ue8m0_to_float(static_cast<std::uint8_t>(largest)) * (1.0f / (1 << kFp4Shift));
}
// How far block `block` lies below the largest scale.
__device__ inline int steps_down(std::uint32_t scales, std::uint32_t largest, int block) {
  const std::uint32_t down = largest - ((scales >> (8 * block)) & 0xffu);
  return static_cast<int>(min(down, static_cast<std::uint32_t>(kExpansions - 1)));
}

// Eight e2m1 codes (channel 0 in the lowest bits) to eight e4m3 codes.
__device__ inline void expand_fp4(std::uint32_t codes, const Expansion& table, std::uint32_t& first,
                                  std::uint32_t& second) {
  const std::uint32_t magnitudes = codes & 0x77777777u;
  const auto signs = [](std::uint32_t bytes) {  // of bytes (b, b, c, c): bit 3, 7, 3, 7
    return ((bytes << 4) & 0x00800080u) | (bytes & 0x80008000u);
  };
  first = __byte_perm(table.low, table.high, magnitudes) | signs(__byte_perm(codes, 0, 0x1100));
  second =
      __byte_perm(table.low, table.high, magnitudes >> 16) | signs(__byte_perm(codes, 0, 0x3322));
}

// 16 bytes of a query head: words 4 * half .. 4 * half + 3 of thread `quad`.
template <KeyFormat kFormat>
__device__ inline uint4 query_words(const std::uint8_t* codes, const std::uint8_t* scales,
                                    std::int64_t row, int quad, int half,
                                    const Expansion* expansions) {
  if constexpr (kFormat == KeyFormat::fp8) {
    return *reinterpret_cast<const uint4*>(codes + row * kIndexDim + 64 * half + 16 * quad);
  } else {
    const uint2 packed =
        *reinterpret_cast<const uint2*>(codes + row * (kIndexDim / 2) + 16 * quad + 8 * half);
    const std::uint32_t all = *reinterpret_cast<const std::uint32_t*>(scales + row * 4);
    const Expansion table = expansions[steps_down(all, largest_scale(all), quad)];
    uint4 words;
    expand_fp4(packed.x, table, words.x, words.y);
    expand_fp4(packed.y, table, words.z, words.w);
    return words;
  }
}

// What a head's weight is multiplied with.
template <KeyFormat kFormat>
__device__ inline float query_scale(const std::uint8_t* scales, std::int64_t row) {
  if constexpr (kFormat == KeyFormat::fp8) {
    return 1;
  } else {
    return row_scale_fp4(largest_scale(*reinterpret_cast<const std::uint32_t*>(scales + row * 4)));
  }
}

}  // namespace v4cap::kernels::indexer_scores
