// mhc_pre, alone or right behind mhc_post, with every byte of the streams read once.
//
// Idea    : a cluster of 16 blocks has all of fn in its registers, as fragments of the tensor cores'
//           products (hi and lo bf16 parts), for as long as the kernel runs. A block owns 1/16 of the
//           channels of all 4 streams, a warp 64 or 32 of these. Tiles of 16 tokens stream through shared
//           memory; a thread copies (cp.async), multiplies and at last sums exactly the same 16-byte
//           pieces, so that the data needs no barrier. Each block sums one token of the tile over
//           the cluster, in a fixed order, and hands pre back, on a warp of its own; the weighted sum
//           of a tile runs after the next tile's products, so that nothing waits for the exchange.
// Traffic : 10 d bytes a token (20 d with mhc_post), fn once per cluster; bound by device memory.
// Shapes  : hidden 7168 (7 warps of 64 channels, 3 tiles at a time) and 4096 (8 of 32, 5 or 6).
// Needs   : clusters of 16 and 227 KB of shared memory: data-centre GPUs of sm_90 and sm_100.
#pragma once

#include <cuda_runtime.h>

#include <algorithm>
#include <cstddef>

#include "kernels/cuda/check.h"
#include "kernels/cuda/device_math.cuh"
#include "kernels/cuda/hopper.cuh"
#include "kernels/mhc_post/mhc_post.h"
#include "kernels/mhc_pre/mixes.cuh"

namespace v4cap::kernels::mhc_pre::cluster {

constexpr int kBlocks = 16;  // of a cluster
constexpr int kTile = 16;    // tokens: one for each block of the cluster to sum
constexpr int kChunk = 32;   // channels that four lanes have in 16-byte pieces
constexpr int kShares = 20;  // floats of post and comb of a token
constexpr int kLargestShared = 227 * 1024;

// What lies where in a block's shared memory, in bytes.
template <int kWarps, int kChunks, int kMixTiles, bool kPost>
struct Layout {
  static constexpr int kThreads = 32 * kWarps;        // that multiply
  static constexpr int kColumns = 8 * kMixTiles + 2;  // mixes, the square, padding
  static constexpr int kStreamBytes = kThreads * kChunks * 2 * kStreams * 16;
  static constexpr int kYBytes = kPost ? kThreads * kChunks * 2 * 16 : 0;
  static constexpr int kSumBytes = 2 * kWarps * kTile * kColumns * 4;
  static constexpr int kPartBytes = 2 * kBlocks * kColumns * 4;
  static constexpr int kPreBytes = 2 * kTile * kStreams * 4;
  static constexpr int kShareBytes = kPost ? 2 * kTile * kShares * 4 : 0;
  static constexpr int kBarrierBytes = 64;
  static constexpr int kFixedBytes =
      kSumBytes + kPartBytes + kPreBytes + kShareBytes + kBarrierBytes;
  // y is done with one tile earlier than the streams.
  static constexpr int kStages =
      std::min(6, (kLargestShared - kFixedBytes + kYBytes) / (kStreamBytes + kYBytes));
  static_assert(kStages >= 3);
  static constexpr int kYAt = kStages * kStreamBytes;
  static constexpr int kPreAt = kYAt + (kStages - 1) * kYBytes;
  static constexpr int kShareAt = kPreAt + kPreBytes;
  static constexpr int kPartAt = kShareAt + kShareBytes;
  static constexpr int kSumAt = kPartAt + kPartBytes;
  static constexpr int kBarriersAt = kSumAt + kSumBytes;
  static constexpr int kBytes = kBarriersAt + kBarrierBytes;
};

// Everything handed over lies in two buffers, tile i in buffer i % 2, each with a barrier. Why two
// are enough: a block sends its part of tile i + 2 after all its warps have used pre of tile i,
// which every block sent after it had read the parts of tile i. And pre of tile i + 2 is sent after
// the parts of tile i + 2 have come, so after all have used pre of tile i.
struct Barriers {
  std::uint64_t part[2];    // the parts of my token have come from all blocks
  std::uint64_t pre[2];     // pre has come from all blocks
  std::uint64_t shares[2];  // post and comb of the tile stand in shared memory
};
static_assert(sizeof(Barriers) <= 64);

// Stores to the same place in the shared memory of another block of the cluster; its barrier there
// counts the bytes.
__device__ inline std::uint32_t remote_address(const void* pointer, int block) {
  std::uint32_t remote;
  asm("mapa.shared::cluster.u32 %0, %1, %2;"
      : "=r"(remote)
      : "r"(hopper::shared_address(pointer)), "r"(block));
  return remote;
}
__device__ inline void send(void* pointer, float2 x, std::uint64_t* barrier, int block) {
  asm volatile(
      "st.async.shared::cluster.mbarrier::complete_tx::bytes.v2.f32 [%0], {%1, %2}, [%3];" ::"r"(
          remote_address(pointer, block)),
      "f"(x.x), "f"(x.y), "r"(remote_address(barrier, block))
      : "memory");
}
__device__ inline void send(void* pointer, float4 x, std::uint64_t* barrier, int block) {
  asm volatile(
      "st.async.shared::cluster.mbarrier::complete_tx::bytes.v4.f32 [%0], {%1, %2, %3, %4}, "
      "[%5];" ::"r"(remote_address(pointer, block)),
      "f"(x.x), "f"(x.y), "f"(x.z), "f"(x.w), "r"(remote_address(barrier, block))
      : "memory");
}
// Waits for tile i's use of a pair of barriers; what other blocks sent is then seen.
__device__ inline void wait_for_tile(std::uint64_t* barriers, int i) {
  const std::uint32_t barrier = hopper::shared_address(barriers + i % 2);
  std::uint32_t done = 0;
  while (done == 0) {
    asm volatile(
        "{\n"
        ".reg .pred p;\n"
        "mbarrier.try_wait.parity.shared::cta.b64 p, [%1], %2;\n"
        "selp.u32 %0, 1, 0, p;\n"
        "}"
        : "=r"(done)
        : "r"(barrier), "r"(i / 2 % 2)
        : "memory");
  }
}

// A load that stays behind the products written before it: fn leaves few registers for others.
__device__ inline uint4 load_in_order(const uint4* pointer) {
  uint4 x;
  asm volatile("ld.shared.v4.u32 {%0, %1, %2, %3}, [%4];"
               : "=r"(x.x), "=r"(x.y), "=r"(x.z), "=r"(x.w)
               : "r"(hopper::shared_address(pointer))
               : "memory");
  return x;
}

// The first token of the i-th tile of this cluster: cluster c has tiles c, c + clusters, ...
__device__ inline int first_token(int i) {
  static_assert(kBlocks == kTile);
  return static_cast<int>(blockIdx.x / kBlocks * kBlocks + static_cast<unsigned>(i) * gridDim.x);
}

// A warp that multiplies: channels [channel, channel + 8) of tokens g and g + 8 of each tile are a
// thread's own, all four streams.
template <int kWarps, int kChunks, int kMixTiles, bool kPost>
struct Multiplier {
  using L = Layout<kWarps, kChunks, kMixTiles, kPost>;

  static constexpr int kHidden = kBlocks * kWarps * kChunks * kChunk;

  const Args& args;
  const mhc_post::Args& post;
  unsigned char* memory;
  int thread = static_cast<int>(threadIdx.x);
  int lane = thread % 32, warp = thread / 32;
  // Of the warp's first chunk; the others follow.
  int channel = (hopper::cluster_rank() * kWarps + warp) * kChunks * kChunk + lane % 4 * 8;
  std::uint32_t hi[kChunks][kStreams][kMixTiles][4], lo[kChunks][kStreams][kMixTiles][4];

  __device__ Multiplier(const Args& pre_args, const mhc_post::Args& post_args,
                        unsigned char* shared)
      : args(pre_args), post(post_args), memory(shared) {}

  // This thread's pieces of tile i.
  __device__ uint4* piece(int i, int chunk, int half, int stream) const {
    return reinterpret_cast<uint4*>(memory + i % L::kStages * L::kStreamBytes) +
           ((chunk * 2 + half) * kStreams + stream) * L::kThreads + thread;
  }
  __device__ uint4* y_piece(int i, int chunk, int half) const {
    return reinterpret_cast<uint4*>(memory + L::kYAt + i % (L::kStages - 1) * L::kYBytes) +
           (chunk * 2 + half) * L::kThreads + thread;
  }
  __device__ int token(int i, int half) const { return first_token(i) + lane / 4 + 8 * half; }

  // Starts the copies of tile i; a group is closed even behind the last tile, so that counts hold.
  __device__ void fetch(int i) const {
    if (first_token(i) < args.tokens) {
      const Bf16* x = kPost ? post.x : args.x;
#pragma unroll
      for (int half = 0; half < 2; ++half) {
        const bool valid = token(i, half) < args.tokens;
        const std::int64_t row = valid ? token(i, half) : 0;
        const Bf16* from = x + row * kStreams * kHidden + channel;
#pragma unroll
        for (int j = 0; j < kStreams; ++j) {
#pragma unroll
          for (int q = 0; q < kChunks; ++q) {
            hopper::cp_async_16_or_zero(hopper::shared_address(piece(i, q, half, j)),
                                        from + j * kHidden + q * kChunk, valid);
          }
        }
        if constexpr (kPost) {
#pragma unroll
          for (int q = 0; q < kChunks; ++q) {
            hopper::cp_async_16_or_zero(hopper::shared_address(y_piece(i, q, half)),
                                        post.y + row * kHidden + channel + q * kChunk, valid);
          }
        }
      }
    }
    hopper::cp_async_commit();
  }

  __device__ void load_fn() {
#pragma unroll
    for (int q = 0; q < kChunks; ++q) {
#pragma unroll
      for (int n = 0; n < kMixTiles; ++n) {
        const int m = n * 8 + lane / 4;
        const bool valid = kMixTiles > 1 || m < args.mixes;
        const float* row = args.fn + (valid ? m : 0) * kStreams * kHidden + channel + q * kChunk;
#pragma unroll
        for (int j = 0; j < kStreams; ++j) {
#pragma unroll
          for (int h = 0; h < 2; ++h) {
            float4 f = __ldg(reinterpret_cast<const float4*>(row + j * kHidden) + h);
            if (!valid) f = {};
            const SplitPair a = split(f.x, f.y), b = split(f.z, f.w);
            hi[q][j][n][2 * h] = a.hi;
            hi[q][j][n][2 * h + 1] = b.hi;
            lo[q][j][n][2 * h] = a.lo;
            lo[q][j][n][2 * h + 1] = b.lo;
          }
        }
      }
    }
  }

  // mhc_post of tile i in place, 4 channels at a time.
  __device__ void spread(int i) const {
#pragma unroll 1
    for (int half = 0; half < 2; ++half) {
      const float* shares = reinterpret_cast<const float*>(memory + L::kShareAt) +
                            (i % 2 * kTile + lane / 4 + 8 * half) * kShares;
#pragma unroll
      for (int q = 0; q < kChunks; ++q) {
#pragma unroll
        for (int part = 0; part < 2; ++part) {
          uint2 x[kStreams];
#pragma unroll
          for (int j = 0; j < kStreams; ++j) {
            x[j] = reinterpret_cast<const uint2*>(piece(i, q, half, j))[part];
          }
          const uint2 y = reinterpret_cast<const uint2*>(y_piece(i, q, half))[part];
#pragma unroll
          for (int j = 0; j < kStreams; ++j) {
            const float share = shares[j];
            const float2 y0 = as_floats(y.x), y1 = as_floats(y.y);
            float2 low = make_float2(share * y0.x, share * y0.y);
            float2 high = make_float2(share * y1.x, share * y1.y);
#pragma unroll
            for (int k = 0; k < kStreams; ++k) {
              const float c = shares[kStreams + k * kStreams + j];
              const float2 x0 = as_floats(x[k].x), x1 = as_floats(x[k].y);
              low = make_float2(fmaf(c, x0.x, low.x), fmaf(c, x0.y, low.y));
              high = make_float2(fmaf(c, x1.x, high.x), fmaf(c, x1.y, high.y));
            }
            reinterpret_cast<uint2*>(piece(i, q, half, j))[part] =
                make_uint2(as_bits(__floats2bfloat162_rn(low.x, low.y)),
                           as_bits(__floats2bfloat162_rn(high.x, high.y)));
          }
        }
      }
    }
  }

  __device__ Barriers& barriers() const {
    return *reinterpret_cast<Barriers*>(memory + L::kBarriersAt);
  }
  __device__ float* sums(int i) const {
    return reinterpret_cast<float*>(memory + L::kSumAt) + i % 2 * kWarps * kTile * L::kColumns;
  }
  __device__ float* sums_of_row(int i, int half) const {
    return sums(i) + (warp * kTile + lane / 4 + 8 * half) * L::kColumns;
  }

  // The squares of tile i, and its new streams to device memory. Apart from the products because fn
  // leaves few registers.
  __device__ void square(int i) const {
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      float sum = 0;
#pragma unroll
      for (int j = 0; j < kStreams; ++j) {
#pragma unroll
        for (int q = 0; q < kChunks; ++q) {
          const uint4 x = *piece(i, q, half, j);
          if constexpr (kPost) {
            const std::int64_t row = token(i, half);
            Bf16* out = post.out + (row * kStreams + j) * kHidden + channel + q * kChunk;
            if (row < args.tokens) *reinterpret_cast<uint4*>(out) = x;
          }
          sum = add_squares(add_squares(sum, x.x), x.y);
          sum = add_squares(add_squares(sum, x.z), x.w);
        }
      }
      sum = warp_sum<4>(sum);
      if (lane % 4 == 0) sums_of_row(i, half)[8 * kMixTiles] = sum;
    }
  }

  // The products of tile i summed over the block's channels, to the blocks that own the tokens.
  __device__ void multiply_tile(int i) const {
    float products[kMixTiles][4] = {};
#pragma unroll
    for (int q = 0; q < kChunks; ++q) {
#pragma unroll
      for (int j = 0; j < kStreams; ++j) {
        const uint4 top = load_in_order(piece(i, q, 0, j));
        const uint4 bottom = load_in_order(piece(i, q, 1, j));
        const std::uint32_t a[2][4] = {{top.x, bottom.x, top.y, bottom.y},
                                       {top.z, bottom.z, top.w, bottom.w}};
#pragma unroll
        for (int step = 0; step < 2; ++step) {
#pragma unroll
          for (int n = 0; n < kMixTiles; ++n) {
            multiply(products[n], a[step], hi[q][j][n][2 * step], hi[q][j][n][2 * step + 1]);
          }
#pragma unroll
          for (int n = 0; n < kMixTiles; ++n) {
            multiply(products[n], a[step], lo[q][j][n][2 * step], lo[q][j][n][2 * step + 1]);
          }
        }
      }
    }
#pragma unroll
    for (int half = 0; half < 2; ++half) {
#pragma unroll
      for (int n = 0; n < kMixTiles; ++n) {
        *reinterpret_cast<float2*>(sums_of_row(i, half) + n * 8 + lane % 4 * 2) =
            make_float2(products[n][2 * half], products[n][2 * half + 1]);
      }
    }
    hopper::named_sync(1, L::kThreads);
    // Two columns a thread. Sums of this buffer were last read before the barrier of tile i - 1.
    constexpr int kPairs = L::kColumns / 2;
    auto* part = reinterpret_cast<float2*>(memory + L::kPartAt) +
                 (i % 2 * kBlocks + hopper::cluster_rank()) * kPairs;
    const auto* all = reinterpret_cast<const float2*>(sums(i));
#pragma unroll 1
    for (int index = thread; index < kTile * kPairs; index += L::kThreads) {
      float2 sum = {0, 0};
#pragma unroll
      for (int w = 0; w < kWarps; ++w) {
        const float2 more = all[w * kTile * kPairs + index];
        sum = make_float2(sum.x + more.x, sum.y + more.y);
      }
      const int row = index / kPairs;
      send(part + index % kPairs, sum, barriers().part + i % 2, row);
    }
  }

  __device__ void weighted_sum(int i) const {
    wait_for_tile(barriers().pre, i);
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      if (token(i, half) >= args.tokens) continue;
      const auto pre =
          reinterpret_cast<const float4*>(memory + L::kPreAt)[i % 2 * kTile + lane / 4 + 8 * half];
      const float weights[kStreams] = {pre.x, pre.y, pre.z, pre.w};
      Bf16* y = args.y + static_cast<std::int64_t>(token(i, half)) * kHidden + channel;
#pragma unroll
      for (int q = 0; q < kChunks; ++q) {
        float sum[8] = {};
#pragma unroll
        for (int j = 0; j < kStreams; ++j) {
          const uint4 x = *piece(i, q, half, j);
          const std::uint32_t pairs[4] = {x.x, x.y, x.z, x.w};
#pragma unroll
          for (int p = 0; p < 4; ++p) {
            const float2 two = as_floats(pairs[p]);
            sum[2 * p] = fmaf(weights[j], two.x, sum[2 * p]);
            sum[2 * p + 1] = fmaf(weights[j], two.y, sum[2 * p + 1]);
          }
        }
        // As one store: assigned as Bf16x8, the four pairs became four.
        *reinterpret_cast<uint4*>(y + q * kChunk) =
            make_uint4(as_bits(__floats2bfloat162_rn(sum[0], sum[1])),
                       as_bits(__floats2bfloat162_rn(sum[2], sum[3])),
                       as_bits(__floats2bfloat162_rn(sum[4], sum[5])),
                       as_bits(__floats2bfloat162_rn(sum[6], sum[7])));
      }
    }
  }

  __device__ void run() {
#pragma unroll 1
    for (int i = 0; i < L::kStages - 1; ++i) fetch(i);
    load_fn();
    hopper::cluster_sync();  // every block runs and has its barriers
    int i = 0;
#pragma unroll 1
    for (; first_token(i) < args.tokens; ++i) {
      hopper::cp_async_wait<L::kStages - 2>();
      if constexpr (kPost) {
        wait_for_tile(barriers().shares, i);
        spread(i);
      }
      square(i);
      multiply_tile(i);
      if (i > 0) weighted_sum(i - 1);
      fetch(i + L::kStages - 1);
    }
    weighted_sum(i - 1);  // a cluster has at least one tile
    __syncwarp();
    hopper::cluster_sync();  // nobody sends to a block that has left
  }
};

// The warp that turns the sums of this block's token of each tile into its mixes. Sinkhorn takes
// longer than a tile, so that it is spread over four: lanes 0 to 3 have one tile's token each, the
// newest has its first iterations behind it, the oldest its last.
template <int kWarps, int kChunks, int kMixTiles, bool kPost>
struct Mixer {
  using L = Layout<kWarps, kChunks, kMixTiles, kPost>;

  const Args& args;
  const mhc_post::Args& post;
  unsigned char* memory;
  int lane = static_cast<int>(threadIdx.x) % 32;

  static constexpr int kPhases = 4, kPhaseIterations = kSinkhornIterations / kPhases;
  static_assert(kPhases * kPhaseIterations == kSinkhornIterations);

  // post and comb of the tokens of a tile, on their way to shared memory.
  static constexpr int kQuads = kShares / 4;
  static constexpr int kLaneQuads = (kTile * kQuads + 31) / 32;
  struct Shares {
    float4 quads[kLaneQuads];
  };
  __device__ Shares load_shares(int i) const {
    Shares shares;
#pragma unroll
    for (int n = 0; n < kLaneQuads; ++n) {
      const int index = n * 32 + lane, quad = index % kQuads;
      const std::int64_t token = first_token(i) + index / kQuads;
      shares.quads[n] = {};
      if (index < kTile * kQuads && token < args.tokens) {
        shares.quads[n] = quad == 0
                              ? reinterpret_cast<const float4*>(post.post)[token]
                              : reinterpret_cast<const float4*>(post.comb)[token * 4 + quad - 1];
      }
    }
    return shares;
  }
  __device__ void store_shares(int i, const Shares& shares) const {
    auto* to = reinterpret_cast<float4*>(memory + L::kShareAt) + i % 2 * kTile * kQuads;
#pragma unroll
    for (int n = 0; n < kLaneQuads; ++n) {
      if (n * 32 + lane < kTile * kQuads) to[n * 32 + lane] = shares.quads[n];
    }
    __syncwarp();
    auto& barriers = *reinterpret_cast<Barriers*>(memory + L::kBarriersAt);
    if (lane == 0) hopper::barrier_arrive(barriers.shares + i % 2);
  }

  __device__ void write_comb(int i, const Sinkhorn& sinkhorn) const {
    const std::int64_t token = first_token(i) + hopper::cluster_rank();
    if (i >= 0 && lane == i % kPhases && token < args.tokens) {
      sinkhorn.write(args.comb + token * kStreams * kStreams);
    }
  }

  __device__ void run() const {
    const int rank = hopper::cluster_rank();
    Shares shares;
    auto& barriers = *reinterpret_cast<Barriers*>(memory + L::kBarriersAt);
    if (lane == 0) {
      for (int b = 0; b < 2; ++b) {
        hopper::barrier_init(barriers.part + b, 1);
        hopper::barrier_init(barriers.pre + b, 1);
        hopper::barrier_init(barriers.shares + b, 1);
      }
      hopper::barrier_init_fence();
    }
    __syncwarp();
    if constexpr (kPost) {
      store_shares(0, load_shares(0));
      store_shares(1, load_shares(1));
      shares = load_shares(2);
    }
    const float scale = lane < args.mixes ? args.scale[kind_of(lane)] : 0.0f;
    const float base = lane < args.mixes ? args.base[lane] : 0.0f;
    Sinkhorn sinkhorn = {};
    __syncwarp();
    hopper::cluster_sync();
    int i = 0;
    for (; first_token(i) < args.tokens; ++i) {
      if (lane == 0) hopper::barrier_expect(barriers.part + i % 2, kBlocks * L::kColumns * 4);
      wait_for_tile(barriers.part, i);
      if (lane == 0) hopper::barrier_expect(barriers.pre + i % 2, kTile * kStreams * 4);
      float sum = 0;
      if (lane < L::kColumns) {
        const float* part = reinterpret_cast<const float*>(memory + L::kPartAt) +
                            i % 2 * kBlocks * L::kColumns + lane;
#pragma unroll
        for (int block = 0; block < kBlocks; ++block) sum += part[block * L::kColumns];
      }
      const float squares = __shfl_sync(~0u, sum, 8 * kMixTiles);
      const float inverse = inverse_rms(squares, args.hidden, args.norm_eps);
      const float logit = fmaf(sum * inverse, scale, base);
      const float gate = sigmoid(logit) + args.eps;
      const float4 pre = {__shfl_sync(~0u, gate, 0), __shfl_sync(~0u, gate, 1),
                          __shfl_sync(~0u, gate, 2), __shfl_sync(~0u, gate, 3)};
      if (lane < kBlocks) {
        send(reinterpret_cast<float4*>(memory + L::kPreAt) + i % 2 * kTile + rank, pre,
             barriers.pre + i % 2, lane);
      }
      if constexpr (kPost) {
        store_shares(i + 2, shares);
        shares = load_shares(i + 3);
      }
      if constexpr (kMixTiles == 3) {
        const std::int64_t token = first_token(i) + rank;
        if (token < args.tokens) write_post(args, token, lane, logit);
        write_comb(i - kPhases, sinkhorn);
#pragma unroll
        for (int n = 0; n < kStreams * kStreams; ++n) {
          const float value = __shfl_sync(~0u, logit, 2 * kStreams + n);
          if (lane == i % kPhases) sinkhorn.k[n] = value;
        }
        if (lane == i % kPhases) {
          sinkhorn.start(args.eps);
        } else {
          sinkhorn.iterate(args.eps, 1);
        }
        sinkhorn.iterate(args.eps, kPhaseIterations - 1);
      }
      __syncwarp();
    }
    if constexpr (kMixTiles == 3) {
#pragma unroll 1
      for (int late = 0; late < kPhases; ++late) {
        if (late > 0) sinkhorn.iterate(args.eps, kPhaseIterations);
        write_comb(i - kPhases + late, sinkhorn);
      }
    }
    __syncwarp();
    hopper::cluster_sync();
  }
};

template <int kWarps, int kChunks, int kMixTiles, bool kPost>
__global__ void __launch_bounds__(32 * kWarps + 32, 1)
    mix(__grid_constant__ const Args args, __grid_constant__ const mhc_post::Args post) {
  extern __shared__ __align__(128) unsigned char memory[];
  if (threadIdx.x < 32 * kWarps) {
    Multiplier<kWarps, kChunks, kMixTiles, kPost>(args, post, memory).run();
  } else {
    Mixer<kWarps, kChunks, kMixTiles, kPost>{args, post, memory}.run();
  }
}

template <int kWarps, int kChunks, int kMixTiles, bool kPost>
void launch_sized(const Args& args, const mhc_post::Args& post, cudaStream_t stream) {
  using L = Layout<kWarps, kChunks, kMixTiles, kPost>;
  static_assert(L::kBytes <= kLargestShared);
  const auto kernel = mix<kWarps, kChunks, kMixTiles, kPost>;
  cudaLaunchAttribute shape{};
  shape.id = cudaLaunchAttributeClusterDimension;
  shape.val.clusterDim = {kBlocks, 1, 1};
  cudaLaunchConfig_t config{};
  config.gridDim = {kBlocks, 1, 1};
  config.blockDim = {32 * kWarps + 32, 1, 1};
  config.dynamicSmemBytes = L::kBytes;
  config.stream = stream;
  config.attrs = &shape;
  config.numAttrs = 1;
  // Attributes belong to a device, of which a process may use several. How many clusters run at
  // once depends on the kind of GPU only.
  V4CAP_CUDA(cudaFuncSetAttribute(kernel, cudaFuncAttributeNonPortableClusterSizeAllowed, 1));
  V4CAP_CUDA(cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, L::kBytes));
  static const int most_clusters = [&] {
    int clusters = 0;
    V4CAP_CUDA(cudaOccupancyMaxActiveClusters(&clusters, kernel, &config));
    return std::max(clusters, 1);
  }();
  const int tiles = (args.tokens + kTile - 1) / kTile;
  config.gridDim.x = static_cast<unsigned>(kBlocks * std::min(tiles, most_clusters));
  V4CAP_CUDA(cudaLaunchKernelEx(&config, kernel, args, post));
}

template <bool kPost>
void launch(const Args& args, const mhc_post::Args& post, cudaStream_t stream) {
  if (args.tokens == 0) return;
  if (args.hidden == 7168) {
    if (args.mixes == kMixes) return launch_sized<7, 2, 3, kPost>(args, post, stream);
    if constexpr (!kPost) return launch_sized<7, 2, 1, kPost>(args, post, stream);
  } else {
    if (args.mixes == kMixes) return launch_sized<8, 1, 3, kPost>(args, post, stream);
    if constexpr (!kPost) return launch_sized<8, 1, 1, kPost>(args, post, stream);
  }
}

}  // namespace v4cap::kernels::mhc_pre::cluster
