// CSA compressor in one launch: ape + softmax pool over 8 rows + RMSNorm + RoPE (+ Hadamard) +
// quantiser + page store, and the update of the state.
// Traffic : 16 B a channel and token in (u and g, two halves each); decode writes as much of state
//           and reads 16 B a channel for each of 4 rows when a token emits. An entry is 584 or 132
//           B. Bound by memory in prefill, by latency in decode.
// Shape   : a block of threads for each sequence, and in prefill one for every 4 token rows
//           (launch.h); a thread holds 4 channels. All 16 loads of a thread for an entry are in
//           flight together. Prefill reads every half of a row once: a row's first half goes into
//           the next block's entry, its second half into its own.
#include <cuda_runtime.h>

#include "kernels/compressor_csa/compressor_csa.h"
#include "kernels/compressor_csa/launch.h"
#include "kernels/cuda/check.h"
#include "kernels/cuda/entry.cuh"
#include "kernels/registry.h"

namespace v4cap::kernels::compressor_csa {
namespace {

constexpr int kPerThread = 4;

__device__ void store_key(const Args& args, std::int64_t page, int offset, int channel,
                          float (&x)[kPerThread], const float (&angles)[kPerThread]) {
  if (channel >= kIndexDim - kRopeDim) rotate_pairs(x, angles, 1);
  round_channels(x);
  hadamard_128(x);
  round_channels(x);
  std::uint8_t* codes = args.keys.codes(page, offset);
  std::uint8_t* scales = args.keys.scales(page, offset);
  if (args.keys.format == KeyFormat::fp8) {
    const std::uint8_t scale = fp8_block_scale(warp_max(largest_of(x)));
    store_e4m3(codes + channel, x, inverse_scale(scale));
    if (channel == 0) *reinterpret_cast<float*>(scales) = ue8m0_to_float(scale);
  } else {
    constexpr int kLanes = kExpertScaleBlock / kPerThread;
    const std::uint8_t scale = fp4_block_scale(warp_max<kLanes>(largest_of(x)));
    store_e2m1(codes + channel / 2, x, inverse_scale(scale));
    if (channel % kExpertScaleBlock == 0) scales[channel / kExpertScaleBlock] = scale;
  }
}

// Where the rows of a block of 4 and of the block before stand: a row of position t >= start is
// new, row `row` - (last - t) of the step; older ones are in the state.
struct Block {
  int sequence, last, row, start;
  const float* state;
};

template <int kWidth>
struct Gathered {
  float4 u[kRing], g[kRing];
};

template <int kWidth>
__device__ Gathered<kWidth> gather(const Args& args, const Block& block) {
  const int channel = static_cast<int>(threadIdx.x) * kPerThread;
  Gathered<kWidth> rows;
#pragma unroll
  for (int i = 0; i < kRing; ++i) {
    // Rows before the sequence's first are masked by pool().
    const int t = max(block.last - (kRing - 1) + i, 0);
    const float* row = t >= block.start ? args.ug + (block.row - (block.last - t)) * args.ug_stride
                                        : block.state + (t % kRing) * 4 * kWidth;
    row += (i < kRatio ? 0 : kWidth) + channel;
    rows.u[i] = load4(row);
    rows.g[i] = load4(row + 2 * kWidth);
  }
  return rows;
}

// Sum over the 8 rows of u * softmax of g.
template <int kWidth>
__device__ void pool(const Args& args, const Block& block, Gathered<kWidth>& rows,
                     float (&x)[kPerThread]) {
  const int channel = static_cast<int>(threadIdx.x) * kPerThread;
#pragma unroll
  for (int i = 0; i < kRing; ++i) {
    const float4 ape = load4(args.ape + (i % kRatio * 2 + (i < kRatio ? 0 : 1)) * kWidth + channel);
    const int t = block.last - (kRing - 1) + i;
    if (t >= block.start) {  // the state's rows have it already
      rows.g[i].x += ape.x;
      rows.g[i].y += ape.y;
      rows.g[i].z += ape.z;
      rows.g[i].w += ape.w;
    }
    if (t < 0) rows.g[i] = make_float4(-INFINITY, -INFINITY, -INFINITY, -INFINITY);
  }
#pragma unroll
  for (int c = 0; c < kPerThread; ++c) {
    float largest = -INFINITY;
#pragma unroll
    for (int i = 0; i < kRing; ++i) largest = fmaxf(largest, (&rows.g[i].x)[c]);
    float sum = 0, weighted = 0;
#pragma unroll
    for (int i = 0; i < kRing; ++i) {
      const float e = __expf((&rows.g[i].x)[c] - largest);
      sum += e;
      weighted += e * (&rows.u[i].x)[c];
    }
    x[c] = __fdividef(weighted, sum);
  }
}

// What an entry needs beside its rows; asked for early.
struct Place {
  std::int64_t page;
  float angles[kPerThread], weight[kPerThread];
};

template <int kWidth>
__device__ Place place_for(const Args& args, const Block& block) {
  constexpr int kRope = kWidth - kRopeDim;
  const int channel = static_cast<int>(threadIdx.x) * kPerThread;
  Place place{};
  place.page = page_of(args.pages, block.sequence, block.last / kRatio,
                       kWidth == kHeadDim ? args.entries.page_entries : kKeysPerPage);
  load_floats(place.weight, args.norm_weight + channel);
  if (channel >= kRope) {
    load_floats(place.angles,
                args.rope + std::int64_t{block.last - (kRatio - 1)} * kRopeDim + channel - kRope);
  }
  return place;
}

// RMSNorm, RoPE (Hadamard), quantiser and store of a pooled row.
template <int kWidth>
__device__ void finish(const Args& args, const Block& block, const Place& place,
                       float (&x)[kPerThread], float* scratch) {
  const int channel = static_cast<int>(threadIdx.x) * kPerThread;
  round_channels(x);
  float square = 0;
#pragma unroll
  for (float v : x) square += v * v;
  square = kWidth == kIndexDim ? warp_sum(square) : block_sum(square, scratch);
  const float inverse = rsqrtf(square / kWidth + args.eps);
#pragma unroll
  for (int c = 0; c < kPerThread; ++c) x[c] *= inverse * place.weight[c];
  round_channels(x);
  const int entry = block.last / kRatio;
  if constexpr (kWidth == kHeadDim) {
    const auto offset = static_cast<int>(static_cast<unsigned>(entry) %
                                         static_cast<unsigned>(args.entries.page_entries));
    store_entry({args.entries.data(place.page, offset), args.entries.scales(place.page, offset)},
                channel, x, place.angles);
  } else {
    store_key(args, place.page, entry % kKeysPerPage, channel, x, place.angles);
  }
}

// The last 8 of `tokens` new rows go into the ring; the first is row `first` at position `start`.
template <int kWidth>
__device__ void update_state(const Args& args, float* state, int first, int start, int tokens) {
  const int channel = static_cast<int>(threadIdx.x) * kPerThread;
  for (int i = max(tokens - kRing, 0); i < tokens; ++i) {
    const int t = start + i;
    const float* row = args.ug + (first + i) * args.ug_stride + channel;
    const float* ape = args.ape + t % kRatio * 2 * kWidth + channel;
    float* slot = state + t % kRing * 4 * kWidth + channel;
    float4 part[4], bias[2];
#pragma unroll
    for (int p = 0; p < 4; ++p) part[p] = load4(row + p * kWidth);
#pragma unroll
    for (int p = 0; p < 2; ++p) bias[p] = load4(ape + p * kWidth);
#pragma unroll
    for (int p = 0; p < 2; ++p) {
      part[2 + p].x += bias[p].x;
      part[2 + p].y += bias[p].y;
      part[2 + p].z += bias[p].z;
      part[2 + p].w += bias[p].w;
    }
#pragma unroll
    for (int p = 0; p < 4; ++p) *reinterpret_cast<float4*>(slot + p * kWidth) = part[p];
  }
}

template <int kWidth>
__device__ void lead(const Args& args, int sequence, bool row_is_sequence, float* scratch) {
  const int first = row_is_sequence ? sequence : args.batch.first_token[sequence];
  const int tokens = row_is_sequence ? 1 : args.batch.first_token[sequence + 1] - first;
  if (tokens == 0) return;
  float* state = args.state + std::int64_t{args.state_slot[sequence]} * (kRing * 4 * kWidth);
  const int start = args.batch.positions[first];
  const int end = min(tokens, kRing - 1);
  int index = kRatio - 1 - start % kRatio;
  if (index >= end) {
    update_state<kWidth>(args, state, first, start, tokens);
    return;
  }
  for (; index < end; index += kRatio) {
    const Block block{sequence, start + index, first + index, start, state};
    Gathered<kWidth> rows = gather<kWidth>(args, block);
    const Place place = place_for<kWidth>(args, block);
    // New rows take the places of old ones as soon as the last entry that needs these has read
    // them.
    if (index + kRatio >= end) update_state<kWidth>(args, state, first, start, tokens);
    float x[kPerThread];
    pool<kWidth>(args, block, rows, x);
    finish<kWidth>(args, block, place, x, scratch);
  }
}

// The entry, if any, that ends in the 4 token rows from `first` on and needs new rows only: row and
// the row 7 before it belong to the same sequence.
template <int kWidth>
__device__ void follow(const Args& args, int first, float* scratch) {
  int positions[kRatio], sequences[kRatio], sequences_before[kRatio];
#pragma unroll
  for (int i = 0; i < kRatio; ++i) {
    const int row = min(first + i, args.batch.tokens - 1);
    positions[i] = args.batch.positions[row];
    sequences[i] = args.batch.sequence_of[row];
    sequences_before[i] = args.batch.sequence_of[max(row - (kRing - 1), 0)];
  }
  Block block{-1, 0, 0, 0, nullptr};
#pragma unroll
  for (int i = 0; i < kRatio; ++i) {
    const int row = first + i;
    if (row < args.batch.tokens && row >= kRing - 1 && positions[i] % kRatio == kRatio - 1 &&
        sequences[i] == sequences_before[i]) {
      block.sequence = sequences[i];
      block.last = positions[i];
      block.row = row;
    }
  }
  if (block.sequence < 0) return;
  Gathered<kWidth> rows = gather<kWidth>(args, block);
  const Place place = place_for<kWidth>(args, block);
  float x[kPerThread];
  pool<kWidth>(args, block, rows, x);
  finish<kWidth>(args, block, place, x, scratch);
}

template <int kWidth>
__global__ void __launch_bounds__(kWidth / kPerThread) compress(Args args, bool row_is_sequence) {
  __shared__ float scratch[kWidth / kPerThread / 32];
  const auto block = static_cast<int>(blockIdx.x);
  if (block < args.batch.sequences) {
    lead<kWidth>(args, block, row_is_sequence, scratch);
  } else {
    follow<kWidth>(args, (block - args.batch.sequences) * kRatio, scratch);
  }
}

void launch(const Args& args, void*, Stream stream) {
  if (args.batch.tokens == 0) return;
  const auto blocks = static_cast<unsigned>(blocks_of(args));
  const bool row_is_sequence = kernels::row_is_sequence(args.batch);
  if (args.head_dim == kHeadDim) {
    compress<kHeadDim><<<blocks, kHeadDim / kPerThread, 0, stream>>>(args, row_is_sequence);
  } else {
    compress<kIndexDim><<<blocks, kIndexDim / kPerThread, 0, stream>>>(args, row_is_sequence);
  }
  V4CAP_LAUNCHED("compressor_csa");
}

const Register<Args> kVersion{{.name = "portable",
                               .idea = "one launch; a block for each sequence and each entry",
                               .refuses = refuses,
                               .launch = launch}};

}  // namespace
}  // namespace v4cap::kernels::compressor_csa
