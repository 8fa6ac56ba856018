// The bit fields that Blackwell's products of scaled blocks are given (blackwell.cuh). Plain C++.
#pragma once

#include <cstdint>

#include "kernels/formats/host_device.h"

namespace v4cap::kernels::blackwell {

// Descriptors of shared memory. Bits 0-13 address / 16, 16-29 leading stride / 16 (not used by a
// swizzled K-major operand), 32-45 stride between groups of 8 rows / 16, 46-48 the constant 1,
// 61-63 swizzle: 2 of 128 bytes, 4 of 64, 0 none.
inline constexpr std::uint64_t kDescriptorVersion = std::uint64_t{1} << 46;
V4CAP_HD constexpr std::uint64_t describe_k_major(std::uint32_t address) {
  return static_cast<std::uint64_t>((address & 0x3ffffu) >> 4) | std::uint64_t{1} << 16 |
         std::uint64_t{1024 >> 4} << 32 | kDescriptorVersion | std::uint64_t{2} << 61;
}
V4CAP_HD constexpr std::uint64_t describe_k_major_64(std::uint32_t address) {
  return static_cast<std::uint64_t>((address & 0x3ffffu) >> 4) | std::uint64_t{1} << 16 |
         std::uint64_t{512 >> 4} << 32 | kDescriptorVersion | std::uint64_t{4} << 61;
}
V4CAP_HD constexpr std::uint64_t describe_scales(std::uint32_t address) {
  return static_cast<std::uint64_t>((address & 0x3ffffu) >> 4) | std::uint64_t{128 >> 4} << 32 |
         kDescriptorVersion;
}
// Bytes to add to a described address.
V4CAP_HD constexpr std::uint64_t further(int bytes) {
  return static_cast<std::uint64_t>(bytes >> 4);
}

// The instruction's descriptor. Bits 4-5 first scale of b, 7-9 type of a, 10-12 type of b, 15 and
// 16 K-major (0), 17-22 n / 8, 23 scales are UE8M0, 24-28 m / 16, 29-30 first scale of a, 31 K of
// the usual size (0).
enum class Mxf8f6f4 : std::uint32_t { e4m3 = 0, e2m1 = 5 };
enum class Mxf4 : std::uint32_t { e2m1 = 1 };
template <class Type>
V4CAP_HD constexpr std::uint32_t instruction(Type a, Type b, int n) {
  return static_cast<std::uint32_t>(a) << 7 | static_cast<std::uint32_t>(b) << 10 |
         static_cast<std::uint32_t>(n / 8) << 17 | 1u << 23 | (128u / 16u) << 24;
}
V4CAP_HD constexpr std::uint32_t first_scale(int group) {
  return static_cast<std::uint32_t>(group) << 4 | static_cast<std::uint32_t>(group) << 29;
}

}  // namespace v4cap::kernels::blackwell
