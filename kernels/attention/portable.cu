// Attention of every kind with mma.sync. One block carries 64 heads of one token over (a split of)
// the token's list, 64 entries at a time: the next entries' bytes arrive by cp.async while the
// present ones, dequantised to bf16 (exact: 4 significant bits times a power of two), serve as keys
// and as values.
// Shape   : 16 warps. Scores: a warp has 16 heads x 16 entries. Output: 16 heads x 128 channels.
// Traffic : an entry's 584 B once for each 64 heads of each token; queries and outputs once.
// Bound   : shared memory feeds mma.sync: 512 KiB of operands for the scores and 256 KiB for the
//           output of a block of entries, against 2048 cycles of tensor cores.
#include <cuda_runtime.h>

#include "kernels/attention/attention.h"
#include "kernels/attention/decode.cuh"
#include "kernels/attention/launch.h"
#include "kernels/cuda/check.h"
#include "kernels/cuda/device_math.cuh"
#include "kernels/registry.h"

namespace v4cap::kernels::attention {
namespace {

constexpr int kWarps = 16;
constexpr int kThreads = 32 * kWarps;
constexpr int kRow = kHeadDim + 8;  // bf16 of a row: rows start 4 banks apart
constexpr int kWeightRow = kListBlock + 8;
constexpr int kScoreRow = kListBlock + 4;
constexpr int kStagedBytes = kEntryDataBytes + 16;  // scales behind the data
constexpr int kEntriesPerWarp = kListBlock / kWarps;
constexpr int kColumns = kHeadDim / 4;  // of the output, of a warp
constexpr int kTilesOut = kColumns / 8;

struct Shared {
  Bf16 q[kHeadGroup][kRow];
  Bf16 kv[kListBlock][kRow];
  float scores[kHeadGroup][kScoreRow];
  Bf16 weights[kHeadGroup][kWeightRow];
  float factor[kHeadGroup];   // of the block: what the old sums are multiplied by
  float largest[kHeadGroup];  // at the end
  float sum[kHeadGroup];
  bool present[2][kListBlock];
  alignas(16) std::uint8_t staged[kListBlock][kStagedBytes];
};

__device__ std::uint32_t shared_address(const void* p) {
  return static_cast<std::uint32_t>(__cvta_generic_to_shared(p));
}

template <int kBytes>
__device__ void copy_async(void* to, const void* from, bool present) {
  if constexpr (kBytes == 16) {
    asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(shared_address(to)),
                 "l"(from), "r"(present ? 16 : 0)
                 : "memory");
  } else {
    asm volatile("cp.async.ca.shared.global [%0], [%1], 8, %2;" ::"r"(shared_address(to)),
                 "l"(from), "r"(present ? 8 : 0)
                 : "memory");
  }
}

__device__ void load_matrices(std::uint32_t (&r)[4], const Bf16* row) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];"
               : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
               : "r"(shared_address(row)));
}
__device__ void load_matrices_transposed(std::uint32_t (&r)[4], const Bf16* row) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0, %1, %2, %3}, [%4];"
               : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
               : "r"(shared_address(row)));
}
__device__ void multiply(float (&c)[4], const std::uint32_t (&a)[4], std::uint32_t b0,
                         std::uint32_t b1) {
  asm volatile(
      "mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, "
      "{%8, %9}, {%0, %1, %2, %3};"
      : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
}

// Starts the copies of a warp's entries of a list block. Absent ones become zeros.
__device__ void stage(Shared& shared, const Args& args, const SeenEntries& seen, int token,
                      int sequence, int list_block, int warp, int lane) {
  const int mine = warp * kEntriesPerWarp + lane % kEntriesPerWarp;
  const EntryAddress entry =
      list_entry(args, seen, token, sequence, list_block * kListBlock + mine);
  if (lane < kEntriesPerWarp) shared.present[list_block % 2][mine] = entry.data != nullptr;
#pragma unroll
  for (int i = 0; i < kEntriesPerWarp; ++i) {
    const auto data = __shfl_sync(~0u, reinterpret_cast<unsigned long long>(entry.data), i);
    const auto scales = __shfl_sync(~0u, reinterpret_cast<unsigned long long>(entry.scales), i);
    const bool present = data != 0;
    // Nothing is read through an absent entry's pointer, but it has to be a valid one.
    const auto* from = present ? reinterpret_cast<const std::uint8_t*>(data) : args.window.base;
    std::uint8_t* to = shared.staged[warp * kEntriesPerWarp + i];
    copy_async<16>(to + 16 * lane, from + 16 * lane, present);
    if (lane < 4) copy_async<16>(to + 16 * (32 + lane), from + 16 * (32 + lane), present);
    if (lane == 4) {
      copy_async<8>(to + kEntryDataBytes,
                    present ? reinterpret_cast<const std::uint8_t*>(scales) : args.window.base,
                    present);
    }
  }
  asm volatile("cp.async.commit_group;" ::: "memory");
}

// A warp's staged entries as bf16 rows. 28 lanes take 16 codes each, then 8 lanes the bf16 tail.
__device__ void dequantise_staged(Shared& shared, int warp, int lane) {
#pragma unroll
  for (int i = 0; i < kEntriesPerWarp; ++i) {
    const int entry = warp * kEntriesPerWarp + i;
    const std::uint8_t* from = shared.staged[entry];
    if (lane < kNopeDim / 16) {
      const float scale = ue8m0_to_float(from[kEntryDataBytes + lane / 4]);
      const uint4 codes = *reinterpret_cast<const uint4*>(from + 16 * lane);
      const std::uint32_t words[4] = {codes.x, codes.y, codes.z, codes.w};
      float values[2][8];
#pragma unroll
      for (int pair = 0; pair < 8; ++pair) {
        const auto two = static_cast<__nv_fp8x2_storage_t>(words[pair / 2] >> (16 * (pair % 2)));
        const float2 numbers = __half22float2(__half2(__nv_cvt_fp8x2_to_halfraw2(two, __NV_E4M3)));
        values[pair / 4][pair % 4 * 2] = numbers.x * scale;
        values[pair / 4][pair % 4 * 2 + 1] = numbers.y * scale;
      }
      auto* to = reinterpret_cast<Bf16x8*>(&shared.kv[entry][16 * lane]);
      to[0] = pack_bf16(values[0]);
      to[1] = pack_bf16(values[1]);
    }
    if (lane < 8) {
      *reinterpret_cast<uint4*>(&shared.kv[entry][kNopeDim + 8 * lane]) =
          *reinterpret_cast<const uint4*>(from + kNopeDim + 16 * lane);
    }
  }
}

// The scores of 16 heads and 16 entries.
__device__ void multiply_keys(Shared& shared, int head0, int entry0, int lane) {
  float scores[2][4] = {};
  const Bf16* q = &shared.q[head0 + lane % 16][lane / 16 * 8];
  const Bf16* k = &shared.kv[entry0 + lane / 16 * 8 + lane % 8][lane / 8 % 2 * 8];
#pragma unroll 8
  for (int channel = 0; channel < kHeadDim; channel += 16) {
    std::uint32_t a[4], b[4];
    load_matrices(a, q + channel);
    load_matrices(b, k + channel);
    multiply(scores[0], a, b[0], b[1]);
    multiply(scores[1], a, b[2], b[3]);
  }
#pragma unroll
  for (int tile = 0; tile < 2; ++tile) {
    const int column = entry0 + tile * 8 + lane % 4 * 2;
    float* upper = &shared.scores[head0 + lane / 4][column];
    float* lower = &shared.scores[head0 + 8 + lane / 4][column];
    *reinterpret_cast<float2*>(upper) = make_float2(scores[tile][0], scores[tile][1]);
    *reinterpret_cast<float2*>(lower) = make_float2(scores[tile][2], scores[tile][3]);
  }
}

struct Running {
  float largest = -INFINITY;  // in units of log2 e
  float sum = 0;              // of the entries that this thread weighs
};

// Eight threads share a head; each weighs eight entries.
__device__ void weigh(Shared& shared, Running& running, int list_block, float scale) {
  const int head = static_cast<int>(threadIdx.x) / 8, part = static_cast<int>(threadIdx.x) % 8;
  float s[8];
  float largest = running.largest;
#pragma unroll
  for (int i = 0; i < 8; ++i) {
    const int entry = part * 8 + i;
    s[i] = shared.present[list_block % 2][entry] ? shared.scores[head][entry] * scale : -INFINITY;
    largest = fmaxf(largest, s[i]);
  }
  largest = warp_max<8>(largest);
  // Where nothing was seen yet every score is -infinity and every weight 0.
  const float base = largest == -INFINITY ? 0 : largest;
  const float factor = exp2f(running.largest - base);
  running.sum *= factor;
#pragma unroll
  for (int i = 0; i < 8; ++i) {
    s[i] = exp2f(s[i] - base);
    running.sum += s[i];
  }
  *reinterpret_cast<Bf16x8*>(&shared.weights[head][part * 8]) = pack_bf16(s);
  if (part == 0) shared.factor[head] = factor;
  running.largest = largest;
}

// out += weights * values: 16 heads, 128 channels.
__device__ void multiply_values(Shared& shared, float (&out)[kTilesOut][4], int head0, int column0,
                                int lane) {
  const float upper = shared.factor[head0 + lane / 4];
  const float lower = shared.factor[head0 + 8 + lane / 4];
#pragma unroll
  for (float(&tile)[4] : out) {
    tile[0] *= upper;
    tile[1] *= upper;
    tile[2] *= lower;
    tile[3] *= lower;
  }
#pragma unroll
  for (int entry = 0; entry < kListBlock; entry += 16) {
    std::uint32_t a[4];
    load_matrices(a, &shared.weights[head0 + lane % 16][entry + lane / 16 * 8]);
#pragma unroll
    for (int tile = 0; tile < kTilesOut; tile += 2) {
      std::uint32_t b[4];
      load_matrices_transposed(b,
                               &shared.kv[entry + lane % 16][column0 + tile * 8 + lane / 16 * 8]);
      multiply(out[tile], a, b[0], b[1]);
      multiply(out[tile + 1], a, b[2], b[3]);
    }
  }
}

__global__ void __launch_bounds__(kThreads, 1)
    attend(Args args, Partials partials, int splits, int head_groups) {
  extern __shared__ __align__(16) std::uint8_t shared_bytes[];
  Shared& shared = *reinterpret_cast<Shared*>(shared_bytes);
  const int warp = static_cast<int>(threadIdx.x) / 32, lane = static_cast<int>(threadIdx.x) % 32;
  const int split = static_cast<int>(blockIdx.x) % splits;
  const int group = static_cast<int>(blockIdx.x) / splits % head_groups;
  const int token = static_cast<int>(blockIdx.x) / splits / head_groups;
  const int sequence = args.batch.sequence_of[token];
  const SeenEntries seen =
      seen_entries(args.kind, args.compress_ratio, args.top_k, args.batch.positions[token]);
  const ListRange range = split_range(seen.list_blocks(), splits, split);

  if (range.first < range.end) {
    stage(shared, args, seen, token, sequence, range.first, warp, lane);
  }
  const Bf16* q = args.q + token * args.q_stride + group * kHeadGroup * kHeadDim;
  for (int i = static_cast<int>(threadIdx.x); i < kHeadGroup * kHeadDim / 8; i += kThreads) {
    const int head = i / (kHeadDim / 8), channel = i % (kHeadDim / 8) * 8;
    *reinterpret_cast<uint4*>(&shared.q[head][channel]) =
        *reinterpret_cast<const uint4*>(q + 8 * i);
  }

  const int head0 = warp % 4 * 16, part = warp / 4;
  Running running;
  float out[kTilesOut][4] = {};
  for (int block = range.first; block < range.end; ++block) {
    asm volatile("cp.async.wait_all;" ::: "memory");
    __syncwarp();  // each warp staged what it now dequantises
    dequantise_staged(shared, warp, lane);
    __syncthreads();
    if (block + 1 < range.end) {
      stage(shared, args, seen, token, sequence, block + 1, warp, lane);
    }
    multiply_keys(shared, head0, part * 16, lane);
    __syncthreads();
    weigh(shared, running, block, args.scale * kLog2e);
    __syncthreads();
    multiply_values(shared, out, head0, part * kColumns, lane);
    __syncthreads();
  }

  running.sum = warp_sum<8>(running.sum);
  const int own_head = static_cast<int>(threadIdx.x) / 8;
  const std::int64_t row0 = std::int64_t{token} * args.heads + group * kHeadGroup;
  if (threadIdx.x % 8 == 0) {
    const std::int64_t row = row0 + own_head;
    if (splits > 1) {
      reinterpret_cast<float2*>(partials.scales)[row * splits + split] =
          make_float2(running.largest, running.sum);
    } else {
      const float sink = args.sink[group * kHeadGroup + own_head];
      shared.factor[own_head] = 1 / with_sink(running.sum, running.largest, sink);
      if (args.lse != nullptr) args.lse[row] = running.largest * kLn2 + logf(running.sum);
    }
  }
  __syncthreads();
#pragma unroll
  for (int half = 0; half < 2; ++half) {
    const int head = head0 + half * 8 + lane / 4;
    const std::int64_t row = row0 + head;
    const int column = part * kColumns + lane % 4 * 2;
    if (splits > 1) {
      float* to = partials.sums + (row * splits + split) * kHeadDim + column;
#pragma unroll
      for (int tile = 0; tile < kTilesOut; ++tile) {
        *reinterpret_cast<float2*>(to + tile * 8) =
            make_float2(out[tile][2 * half], out[tile][2 * half + 1]);
      }
    } else {
      const float inverse = shared.factor[head];
      Bf16* to = args.out + row * kHeadDim + column;
#pragma unroll
      for (int tile = 0; tile < kTilesOut; ++tile) {
        *reinterpret_cast<__nv_bfloat162*>(to + tile * 8) =
            __floats2bfloat162_rn(out[tile][2 * half] * inverse, out[tile][2 * half + 1] * inverse);
      }
    }
  }
}

void launch(const Args& args, void* workspace, Stream stream) {
  if (args.batch.tokens == 0) return;
  V4CAP_CUDA(cudaFuncSetAttribute(attend, cudaFuncAttributeMaxDynamicSharedMemorySize,
                                  static_cast<int>(sizeof(Shared))));
  const int splits = split_count(args);
  const Partials partials = splits > 1 ? partials_in(workspace, args) : Partials{};
  const int groups = args.heads / kHeadGroup;
  attend<<<static_cast<unsigned>(args.batch.tokens * groups * splits), kThreads, sizeof(Shared),
           stream>>>(args, partials, splits, groups);
  V4CAP_LAUNCHED("attention");
  if (splits > 1) launch_combine(args, partials, splits, stream);
}

const Register<Args> kVersion{{.name = "portable",
                               .idea = "mma.sync, 64 heads of a token a block, split lists",
                               .refuses = shape_refusal,
                               .workspace_bytes = partials_bytes,
                               .launch = launch}};

}  // namespace
}  // namespace v4cap::kernels::attention
