#include "exec/layer/store.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "kernels/reference.h"

namespace v4cap::exec {
namespace {

using kernels::Bf16;

float largest(const double* values, std::int64_t count) {
  float most = 0;
  for (std::int64_t i = 0; i < count; ++i) {
    most = std::max(most, std::fabs(static_cast<float>(values[i])));
  }
  return most;
}

// Codes of one block, and its scale.
std::uint8_t encode_fp8(const double* values, std::int64_t count, std::uint8_t* codes) {
  const std::uint8_t scale = kernels::fp8_block_scale(largest(values, count));
  for (std::int64_t i = 0; i < count; ++i) {
    codes[i] =
        kernels::float_to_e4m3(static_cast<float>(values[i]) * kernels::inverse_scale(scale));
  }
  return scale;
}

std::uint8_t encode_fp4(const double* values, std::uint8_t* codes) {
  const std::uint8_t scale = kernels::fp4_block_scale(largest(values, kernels::kExpertScaleBlock));
  const auto code = [&](int i) {
    return kernels::float_to_e2m1(static_cast<float>(values[i]) * kernels::inverse_scale(scale));
  };
  for (int i = 0; i < kernels::kExpertScaleBlock; i += 2) {
    codes[i / 2] = static_cast<std::uint8_t>(code(i) | code(i + 1) << 4);
  }
  return scale;
}

}  // namespace

void store_bf16(const std::vector<double>& values, Bf16* to) {
  for (const double value : values) *to++ = kernels::to_bf16(static_cast<float>(value));
}

void store_rows(const std::vector<double>& values, void* to, kernels::linear::Output output,
                std::int64_t rows, std::int64_t width, std::int64_t stride) {
  for (std::int64_t r = 0; r < rows; ++r) {
    for (std::int64_t c = 0; c < width; ++c) {
      const auto value = static_cast<float>(values[static_cast<std::size_t>(r * width + c)]);
      if (output == kernels::linear::Output::f32) {
        static_cast<float*>(to)[r * stride + c] = value;
      } else {
        static_cast<Bf16*>(to)[r * stride + c] = kernels::to_bf16(value);
      }
    }
  }
}

void store_fp8(const std::vector<double>& values, const kernels::Fp8Rows& to, std::int64_t rows,
               std::int64_t width) {
  constexpr int kBlock = kernels::kGemmScaleBlock;
  for (std::int64_t r = 0; r < rows; ++r) {
    for (std::int64_t block = 0; block < width / kBlock; ++block) {
      const std::int64_t at = r * width + block * kBlock;
      const std::uint8_t scale = encode_fp8(values.data() + at, kBlock, to.codes + at);
      to.scales[block * to.scale_stride + r] = kernels::ue8m0_to_float(scale);
    }
  }
}

void store_fp8_codes(const double* values, int count, std::uint8_t* codes) {
  encode_fp8(values, count, codes);
}

void store_fp4(const std::vector<double>& values, std::uint8_t* codes, std::uint8_t* scales) {
  constexpr std::size_t kBlock = kernels::kExpertScaleBlock;
  for (std::size_t block = 0; block < values.size() / kBlock; ++block) {
    scales[block] = encode_fp4(values.data() + block * kBlock, codes + block * kBlock / 2);
  }
}

void store_entry(const double* values, const kernels::KvPool& pool, std::int64_t page, int offset) {
  std::uint8_t* data = pool.data(page, offset);
  std::uint8_t* scales = pool.scales(page, offset);
  for (int block = 0; block < kernels::kNopeScales; ++block) {
    scales[block] = encode_fp8(values + block * kernels::kNopeBlock, kernels::kNopeBlock,
                               data + block * kernels::kNopeBlock);
  }
  for (int c = 0; c < kernels::kRopeDim; ++c) {
    const Bf16 value = kernels::to_bf16(static_cast<float>(values[kernels::kNopeDim + c]));
    std::memcpy(data + kernels::kNopeDim + 2 * c, &value, sizeof value);
  }
}

void store_key(const double* values, const kernels::KeyPool& pool, std::int64_t page, int offset) {
  std::uint8_t* codes = pool.codes(page, offset);
  std::uint8_t* scales = pool.scales(page, offset);
  if (pool.format == kernels::KeyFormat::fp8) {
    const float scale = kernels::ue8m0_to_float(encode_fp8(values, kernels::kIndexDim, codes));
    std::memcpy(scales, &scale, sizeof scale);
    return;
  }
  for (int block = 0; block < 4; ++block) {
    scales[block] = encode_fp4(values + block * kernels::kExpertScaleBlock, codes + block * 16);
  }
}

}  // namespace v4cap::exec
