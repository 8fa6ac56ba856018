// Cosines and sines of the rotary embedding, as DeepSeek's reference makes them: frequencies and
// the products position * frequency are float. Only the cosine and sine of that float angle are
// taken in double and then rounded, so that a table does not depend on a library's float
// trigonometry.
//
// Layers with a compressor use theta 160000 and YaRN (factor 16 over 65536 positions); layers with
// a window only (Flash's first two, MTP) use theta 10000 as it is.
// Source: DeepSeek-V4 inference reference (precompute_freqs_cis).
#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "kernels/formats/pages.h"

namespace v4cap::kernels {

inline constexpr int kRopePairs = kRopeDim / 2;

struct RopeParameters {
  double theta = 10000;
  std::int64_t original_length = 0;  // of the context before YaRN; 0: no YaRN
  double factor = 1;                 // YaRN: low frequencies are divided by it
  double beta_fast = 32;             // YaRN: pairs that turn more often keep their frequency
  double beta_slow = 1;              // YaRN: pairs that turn less often have it divided
};

RopeParameters rope_parameters(bool yarn);

std::array<float, kRopePairs> rope_frequencies(const RopeParameters& parameters);

// [positions, 32, 2] cosine and sine.
std::vector<float> rope_table(const RopeParameters& parameters, std::int64_t positions);
std::vector<float> rope_table(bool yarn, std::int64_t positions);

}  // namespace v4cap::kernels
