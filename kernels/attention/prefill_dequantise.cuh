// The entries that a prefill launch can see, dequantised once into bf16 rows of its workspace
// (prefill_launch.h says where): 1.6 KB of traffic an entry, small against what its attention
// reads.
#pragma once

#include <cuda_runtime.h>

#include "kernels/attention/attention.h"
#include "kernels/attention/prefill_launch.h"
#include "kernels/cuda/check.h"
#include "kernels/cuda/device_math.cuh"

namespace v4cap::kernels::attention::prefill {

// A warp dequantises an entry (exactly: 4 significant bits times a power of two). In rows, the 512
// channels of an entry lie side by side; in planes, 64 channels of all rows do, swizzled as wgmma
// wants them.
template <bool kInPlanes>
__device__ void dequantise_row(const std::uint8_t* data, const std::uint8_t* scales,
                               Bf16* workspace, std::int64_t rows, std::int64_t row, int lane) {
  Bf16x8 packed[2];
  if (data == nullptr) {
    packed[0] = packed[1] = pack_bf16({0, 0, 0, 0, 0, 0, 0, 0});
  } else if (lane < kNopeDim / 16) {
    const uint4 codes = *reinterpret_cast<const uint4*>(data + lane * 16);
    const float scale = ue8m0_to_float(scales[lane * 16 / kNopeBlock]);
    const std::uint32_t words[4] = {codes.x, codes.y, codes.z, codes.w};
#pragma unroll
    for (int i = 0; i < 2; ++i) {
      float x[8];
#pragma unroll
      for (int j = 0; j < 8; ++j) {
        const auto code = static_cast<__nv_fp8_storage_t>(words[2 * i + j / 4] >> (8 * (j % 4)));
        x[j] = __half2float(__half(__nv_cvt_fp8_to_halfraw(code, __NV_E4M3))) * scale;
      }
      packed[i] = pack_bf16(x);
    }
  } else {
    const auto* tail = reinterpret_cast<const Bf16x8*>(data + kNopeDim);
    packed[0] = tail[(lane - kNopeDim / 16) * 2];
    packed[1] = tail[(lane - kNopeDim / 16) * 2 + 1];
  }
  auto* bytes = reinterpret_cast<std::uint8_t*>(workspace);
#pragma unroll
  for (int i = 0; i < 2; ++i) {
    const int piece = 2 * lane + i;  // of 64
    const std::int64_t at =
        kInPlanes ? (piece / 8 * rows + row) * kPlaneBytes + ((piece % 8) ^ (row % 8)) * 16
                  : row * kRowBytes + piece * 16;
    *reinterpret_cast<Bf16x8*>(bytes + at) = packed[i];
  }
}

constexpr int kDequantiseWarps = 8;

// Grid: rows of one region, sequences. Rows without an entry become zeros.
template <bool kInPlanes, bool kWindowRows>
__global__ void __launch_bounds__(32 * kDequantiseWarps)
    dequantise(const Args args, const Rows rows, Bf16* workspace) {
  const int lane = static_cast<int>(threadIdx.x) % 32;
  const int sequence = static_cast<int>(blockIdx.y);
  const std::int64_t local =
      static_cast<std::int64_t>(blockIdx.x) * kDequantiseWarps + static_cast<int>(threadIdx.x) / 32;
  const int first = args.batch.first_token[sequence];
  const int end = args.batch.first_token[sequence + 1];
  if (first == end) return;
  const std::int64_t first_position = args.batch.positions[first];
  const std::int64_t last_position = args.batch.positions[end - 1];
  const std::uint8_t* data = nullptr;
  const std::uint8_t* scales = nullptr;
  std::int64_t row = 0;
  const auto take = [&](const KvPool& pool, const PageTable& pages, std::int64_t entry) {
    const std::int64_t page = pages.page(sequence, entry, pool.page_entries);
    const int offset = static_cast<int>(entry % pool.page_entries);
    data = pool.data(page, offset);
    scales = pool.scales(page, offset);
  };
  if (kWindowRows) {
    const std::int64_t position = window_origin(first_position) + local;
    if (position >= round_up(last_position + 1, kRowGroup)) return;
    row = rows.window_base(sequence, first) + local;
    if (position <= last_position && position + kWindow > first_position) {
      take(args.window, args.window_pages, position);
    }
  } else {
    if (local >= rows.compressed_rows) return;
    row = rows.compressed_base(sequence) + local;
    if (args.kind != Kind::window && local < visible_entries(last_position, args.compress_ratio)) {
      take(args.extra, args.extra_pages, local);
    }
  }
  dequantise_row<kInPlanes>(data, scales, workspace, rows.total, row, lane);
}

template <bool kInPlanes>
void launch_dequantise(const Args& args, const Rows& rows, Bf16* workspace, cudaStream_t stream) {
  const auto grid = [&](std::int64_t count) {
    return dim3(static_cast<unsigned>((count + kDequantiseWarps - 1) / kDequantiseWarps),
                static_cast<unsigned>(args.batch.sequences));
  };
  dequantise<kInPlanes, true>
      <<<grid(args.batch.max_new_tokens + kWindowRowsBeyond), 32 * kDequantiseWarps, 0, stream>>>(
          args, rows, workspace);
  V4CAP_LAUNCHED("dequantise window");
  dequantise<kInPlanes, false>
      <<<grid(rows.compressed_rows), 32 * kDequantiseWarps, 0, stream>>>(args, rows, workspace);
  V4CAP_LAUNCHED("dequantise entries");
}

}  // namespace v4cap::kernels::attention::prefill
