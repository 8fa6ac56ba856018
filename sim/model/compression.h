// How many tokens one compressed entry stands for. These two numbers define what the layer kinds
// `csa` and `hca` are (compress_ratios of the DeepSeek-V4 config); a layer with another ratio would
// be another kind.
#pragma once

#include <cstdint>

namespace v4cap {

inline constexpr std::int64_t kCsaTokensPerEntry = 4;
inline constexpr std::int64_t kHcaTokensPerEntry = 128;

}  // namespace v4cap
