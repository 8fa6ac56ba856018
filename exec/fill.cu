#include <cuda_runtime.h>

#include "exec/fill.h"
#include "kernels/cuda/check.h"
#include "kernels/formats/pages.h"

namespace v4cap::exec {
namespace {

using kernels::Bf16;

// SplitMix64's output function of a counter: independent of the launch's shape.
__device__ std::uint64_t random_bits(std::uint64_t seed, std::uint64_t i) {
  std::uint64_t z = seed * 0x9e3779b97f4a7c15ull + (i + 1) * 0xd1342543de82ef95ull;
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
  return z ^ (z >> 31);
}

// Nearly normal and free of special functions: the sum of four uniform numbers, variance 1.
__device__ float normal(std::uint64_t seed, std::uint64_t i) {
  const std::uint64_t bits = random_bits(seed, i);
  const auto sum = static_cast<int>(bits & 0xffff) + static_cast<int>((bits >> 16) & 0xffff) +
                   static_cast<int>((bits >> 32) & 0xffff) + static_cast<int>(bits >> 48);
  return static_cast<float>(sum - 131070) * (1.7320508f / 65536.0f);
}

__device__ int integer(std::uint64_t seed, std::uint64_t i, int low, int high) {
  const auto span = static_cast<std::uint64_t>(static_cast<std::int64_t>(high) - low + 1);
  return low + static_cast<int>((random_bits(seed, i) >> 32) * span >> 32);
}

template <class T, class Make>
__global__ void fill(T* out, std::int64_t count, Make make) {
  const std::int64_t stride = static_cast<std::int64_t>(gridDim.x) * blockDim.x;
  for (std::int64_t i = static_cast<std::int64_t>(blockIdx.x) * blockDim.x + threadIdx.x; i < count;
       i += stride) {
    out[i] = make(static_cast<std::uint64_t>(i));
  }
}

template <class T, class Make>
void launch(Buffer<T>& buffer, Make make) {
  if (buffer.size() == 0) return;
  fill<<<1024, 256>>>(buffer.device(), buffer.size(), make);
  V4CAP_LAUNCHED("fill");
  buffer.touched();
}

}  // namespace

void fill_normal(Buffer<float>& buffer, std::uint64_t seed, float scale, float mean) {
  launch(buffer, [=] __device__(std::uint64_t i) { return mean + scale * normal(seed, i); });
}

void fill_normal(Buffer<Bf16>& buffer, std::uint64_t seed, float scale, float mean) {
  launch(buffer, [=] __device__(std::uint64_t i) {
    return kernels::to_bf16(mean + scale * normal(seed, i));
  });
}

void fill_e4m3(Buffer<std::uint8_t>& buffer, std::uint64_t seed, float scale) {
  launch(buffer, [=] __device__(std::uint64_t i) {
    return kernels::float_to_e4m3(scale * normal(seed, i));
  });
}

void fill_bytes(Buffer<std::uint8_t>& buffer, std::uint64_t seed, int low, int high) {
  launch(buffer, [=] __device__(std::uint64_t i) {
    return static_cast<std::uint8_t>(integer(seed, i, low, high));
  });
}

void fill_powers_of_two(Buffer<float>& buffer, std::uint64_t seed, int low, int high) {
  launch(buffer, [=] __device__(std::uint64_t i) {
    return kernels::ue8m0_to_float(static_cast<std::uint8_t>(127 + integer(seed, i, low, high)));
  });
}

void fill_integers(Buffer<std::int32_t>& buffer, std::uint64_t seed, std::int32_t low,
                   std::int32_t high) {
  launch(buffer, [=] __device__(std::uint64_t i) { return integer(seed, i, low, high); });
}

void fill_kv_pages(Buffer<std::uint8_t>& buffer, std::int64_t page_bytes, int page_entries,
                   std::uint64_t seed, int scale_exponent) {
  const auto page = static_cast<std::uint64_t>(page_bytes);
  const auto data = static_cast<std::uint64_t>(page_entries) * kernels::kEntryDataBytes;
  launch(buffer, [=] __device__(std::uint64_t i) -> std::uint8_t {
    const std::uint64_t at = i % page;
    if (at >= data) {
      return static_cast<std::uint8_t>(127 + scale_exponent + integer(seed, i, -1, 1));
    }
    const std::uint64_t channel = at % kernels::kEntryDataBytes;
    if (channel < kernels::kNopeDim) return kernels::float_to_e4m3(100.0f * normal(seed, i));
    // Two bytes of a bf16 number of the same size as the codes times their scales.
    const std::uint64_t whole = i - (channel & 1u);
    const float size =
        100.0f * kernels::ue8m0_to_float(static_cast<std::uint8_t>(127 + scale_exponent));
    const Bf16 value = kernels::to_bf16(size * normal(seed, whole));
    return static_cast<std::uint8_t>((channel & 1u) != 0 ? value.bits >> 8 : value.bits & 0xff);
  });
}

void fill_fp8_key_pages(Buffer<std::uint8_t>& buffer, std::uint64_t seed) {
  constexpr std::uint64_t kPage = kernels::kKeysPerPage * (kernels::kIndexDim + 4);
  constexpr std::uint64_t kCodes = kernels::kKeysPerPage * kernels::kIndexDim;
  launch(buffer, [=] __device__(std::uint64_t i) -> std::uint8_t {
    const std::uint64_t at = i % kPage;
    if (at < kCodes) return kernels::float_to_e4m3(100.0f * normal(seed, i));
    const std::uint64_t whole = i - (at & 3u);
    const std::uint32_t bits = kernels::bits_of(
        kernels::ue8m0_to_float(static_cast<std::uint8_t>(127 - 7 + integer(seed, whole, -1, 1))));
    return static_cast<std::uint8_t>(bits >> (8 * (at & 3u)));
  });
}

void fill_fp4_key_pages(Buffer<std::uint8_t>& buffer, std::uint64_t seed) {
  constexpr std::uint64_t kPage = kernels::kKeysPerPage * (kernels::kIndexDim / 2 + 4);
  constexpr std::uint64_t kCodes = kernels::kKeysPerPage * (kernels::kIndexDim / 2);
  launch(buffer, [=] __device__(std::uint64_t i) -> std::uint8_t {
    if (i % kPage < kCodes) return static_cast<std::uint8_t>(random_bits(seed, i));
    return static_cast<std::uint8_t>(127 + integer(seed, i, -3, 0));
  });
}

}  // namespace v4cap::exec
