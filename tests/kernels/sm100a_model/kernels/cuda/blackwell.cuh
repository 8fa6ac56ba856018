// Stands in for the repository's header in the model: tensor memory and products of scaled blocks,
// as PTX ISA 9.0 describes them. Fields of descriptors are taken apart here, independently of
// blackwell_descriptors.h, which puts them together.
#pragma once

#include "kernels/cuda/blackwell_descriptors.h"
#include "kernels/cuda/hopper.cuh"
#include "kernels/formats/numbers.h"
#include "kernels/registry.h"

namespace v4cap::kernels::blackwell {

using model::block;
using model::require;

inline int multiprocessors() {
  return model::kMultiprocessors;
}
inline std::uint8_t* dynamic_shared() {
  return block->shared;
}
template <class... Parameters, class... Arguments>
void launch(void (*kernel)(Parameters...), int blocks, int threads, int shared_bytes, Stream,
            const Arguments&... arguments) {
  require(shared_bytes <= 227 * 1024 && threads <= 1024, "more than a block can have");
  model::run(blocks, threads, shared_bytes, [&] { kernel(arguments...); });
}

inline void barrier_wait(std::uint64_t* barrier, std::uint32_t parity) {
  block->wait(barrier, parity);
}

template <int kColumns>
void tensor_memory_alloc(std::uint32_t* address) {
  static_assert(kColumns >= 32 && kColumns <= 512 && (kColumns & (kColumns - 1)) == 0);
  __syncwarp();
  if (model::lane() == 0) {
    require(block->allocated == 0, "allocated twice");
    block->allocated = kColumns;
    *address = 512 - kColumns;
  }
  __syncwarp();
}
inline void tensor_memory_relinquish() {}
template <int kColumns>
void tensor_memory_free(std::uint32_t address) {
  __syncwarp();
  if (model::lane() == 0) {
    require(block->allocated == kColumns && address == 512 - kColumns, "not what was allocated");
    block->allocated = 0;
  }
}
inline void fence_before_sync() {}
inline void fence_after_sync() {}

inline void load_columns(std::uint32_t address, std::uint32_t (&v)[16]) {
  const std::uint32_t lane = address >> 16, column = address & 0xffff;
  require(lane == threadIdx.x / 32 % 4 * 32, "lanes of another warp");
  require(column + 16 <= model::kColumns, "columns beyond tensor memory");
  __syncwarp();
  for (std::uint32_t i = 0; i < 16; ++i) {
    v[i] = block->tensor_memory[lane + threadIdx.x % 32][column + i];
  }
}
template <class... Arrays>
void wait_loaded(Arrays&...) {}

inline void commit(std::uint64_t* barrier) {
  block->arrive(barrier, 1, 0);
}

// A descriptor of shared memory.
struct Described {
  explicit Described(std::uint64_t bits)
      : start(static_cast<std::uint32_t>(bits & 0x3fff) << 4),
        stride(static_cast<std::uint32_t>(bits >> 32 & 0x3fff) << 4),
        swizzle(static_cast<int>(bits >> 61)) {
    require((bits >> 46 & 7) == 1 && (bits >> 49 & 0xfff) == 0, "not a descriptor of sm_100");
  }
  std::uint32_t start, stride;
  int swizzle;
};

// Byte `k` of row `row` of a K-major operand: groups of 8 rows are `stride` apart, 16-byte chunks
// change places by the address bits above them.
inline std::uint8_t byte_of(const Described& operand, int row, int k) {
  require(operand.swizzle == 2 || operand.swizzle == 4, "not a swizzle of 128 or 64 bytes");
  const bool wide = operand.swizzle == 2;
  std::uint32_t at = operand.start + static_cast<std::uint32_t>(row / 8) * operand.stride +
                     static_cast<std::uint32_t>(row % 8 * (wide ? 128 : 64) + k);
  at ^= (wide ? at >> 7 & 7u : at >> 7 & 3u) << 4;
  return block->shared[at];
}

inline void copy_scales(std::uint32_t column, std::uint64_t described) {
  const Described from(described);
  require(from.swizzle == 0 && from.stride == 128, "not a tile of scales");
  require(column + 4 <= model::kColumns, "columns beyond tensor memory");
  for (int lane = 0; lane < model::kLanes; ++lane) {
    const std::uint8_t* row = block->shared + from.start + lane % 32 * 16;
    std::memcpy(&block->tensor_memory[lane][column], row, 16);
  }
}

// Scale `group` of row `row`; the four quarters of the lanes hold the same.
inline float scale_of(std::uint32_t column, int row, int group) {
  const std::uint32_t word =
      block->tensor_memory[row % 4 * 32 + row % 32][column + static_cast<std::uint32_t>(row / 32)];
  return ue8m0_to_float(static_cast<std::uint8_t>(word >> (8 * group)));
}

// Number `k` of a row. e2m1 = 5 of mxf8f6f4: 16 numbers in the first half of 16 bytes.
inline float number_of(const Described& operand, int row, int k, std::uint32_t type, bool mxf4) {
  const auto half = [&](int byte) {
    return e2m1_to_float(
        static_cast<std::uint8_t>(byte_of(operand, row, byte) >> (4 * (k % 2)) & 15));
  };
  if (mxf4) {
    require(type == 1, "mxf4 has e2m1 only");
    return half(k / 2);
  }
  require(type == 0 || type == 5, "neither e4m3 nor e2m1");
  return type == 0 ? e4m3_to_float(byte_of(operand, row, k)) : half(k / 16 * 16 + k % 16 / 2);
}

inline void product(std::uint32_t d, std::uint64_t a, std::uint64_t b, std::uint32_t instruction,
                    std::uint32_t a_scales, std::uint32_t b_scales, bool accumulate, bool mxf4) {
  const auto bits = [&](int first, int count) {
    return instruction >> first & ((1u << count) - 1);
  };
  const int n = static_cast<int>(bits(17, 6)) * 8, depth = mxf4 ? 64 : 32;
  const int a_first = static_cast<int>(bits(29, 2)), b_first = static_cast<int>(bits(4, 2));
  require(bits(24, 5) == 8 && bits(23, 1) == 1, "not 128 rows with scales UE8M0");
  require(n % 16 == 0 && n >= 16 && n <= 256, "no number of columns for 128 rows");
  require(bits(0, 4) == 0 && bits(6, 1) == 0 && bits(13, 4) == 0 && bits(31, 1) == 0, "other bits");
  require(!mxf4 || (a_first % 2 == 0 && b_first % 2 == 0), "two scales start at 0 or 2");
  require(d + static_cast<std::uint32_t>(n) <= model::kColumns, "columns beyond tensor memory");
  const auto numbers = [&](std::uint64_t described, int rows, std::uint32_t type,
                           std::uint32_t scales, int first) {
    const Described operand(described);
    std::vector<float> all;
    for (int r = 0; r < rows; ++r) {
      for (int k = 0; k < depth; ++k) {
        all.push_back(number_of(operand, r, k, type, mxf4) * scale_of(scales, r, first + k / 32));
      }
    }
    return all;
  };
  const std::vector<float> left = numbers(a, model::kLanes, bits(7, 3), a_scales, a_first);
  const std::vector<float> right = numbers(b, n, bits(10, 3), b_scales, b_first);
  for (int r = 0; r < model::kLanes; ++r) {
    for (int c = 0; c < n; ++c) {
      std::uint32_t& cell = block->tensor_memory[r][d + static_cast<std::uint32_t>(c)];
      float sum = accumulate ? std::bit_cast<float>(cell) : 0;
      for (int k = 0; k < depth; ++k) {
        sum += left[static_cast<std::size_t>(r * depth + k)] *
               right[static_cast<std::size_t>(c * depth + k)];
      }
      cell = std::bit_cast<std::uint32_t>(sum);
    }
  }
}
inline void product_mxf8f6f4(std::uint32_t d, std::uint64_t a, std::uint64_t b,
                             std::uint32_t instruction, std::uint32_t a_scales,
                             std::uint32_t b_scales, bool accumulate) {
  product(d, a, b, instruction, a_scales, b_scales, accumulate, false);
}
inline void product_mxf4(std::uint32_t d, std::uint64_t a, std::uint64_t b,
                         std::uint32_t instruction, std::uint32_t a_scales, std::uint32_t b_scales,
                         bool accumulate) {
  product(d, a, b, instruction, a_scales, b_scales, accumulate, true);
}

}  // namespace v4cap::kernels::blackwell
