// Router in two kernels: logits by mma.sync, then a warp a token adds up the parts, scores and
// picks. Few tokens (<= 64): the gate's weights (5.5 MB Pro, 2.1 MB Flash) are what is read, so
// they are
//   spread over all SMs: a block has 16 experts and a part of K, its 8 warps a part of that each.
//   Fragments are loaded straight from global memory, 16 bytes a thread; K is permuted alike on both
//   sides, so that a thread's 8 neighbouring channels are two steps of the product.
// Many tokens: tiles of 128 tokens x 128 experts, three stages of cp.async, ldmatrix. 2 FLOP x
// tokens
//   x experts x hidden against 2 B x tokens x hidden: bound by the product.
#include <cuda_runtime.h>

#include "kernels/cuda/check.h"
#include "kernels/cuda/device_math.cuh"
#include "kernels/cuda/hopper.cuh"
#include "kernels/registry.h"
#include "kernels/router/launch.h"

namespace v4cap::kernels::router {
namespace {

constexpr int kThreads = 256;
constexpr int kWarps = kThreads / 32;
static_assert(kWarps == kFewWarps);

__device__ void multiply(float (&d)[4], const std::uint32_t (&a)[4], std::uint32_t b0,
                         std::uint32_t b1) {
  asm volatile(
      "mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, "
      "{%8, %9}, {%0, %1, %2, %3};"
      : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
}

// The part of `count` things that the i-th of n gets begins here.
__device__ int share(int count, int i, int n) {
  return static_cast<int>(static_cast<std::int64_t>(count) * i / n);
}

// Lets the next kernel of the stream be set up while this one runs.
__device__ void let_next_start() {
  asm volatile("griddepcontrol.launch_dependents;" ::: "memory");
}
__device__ void wait_for_previous() {
  asm volatile("griddepcontrol.wait;" ::: "memory");
}

template <int kColumns, int kChunks>  // tiles of 8 tokens; chunks of 32 channels of a warp
__global__ void __launch_bounds__(kThreads) few_logits(Args args, float* logits) {
  __shared__ float sums[kWarps][8 * kColumns][kFewExperts];
  let_next_start();
  const int lane = static_cast<int>(threadIdx.x) % 32, warp = static_cast<int>(threadIdx.x) / 32;
  const int g = lane / 4, q = lane % 4;
  const int part = static_cast<int>(blockIdx.y);
  const int first_expert = static_cast<int>(blockIdx.x) * kFewExperts;
  const int begin = (part * kWarps + warp) * kChunks * kChunk;  // channels
  const std::int64_t hidden = args.hidden;

  const Bf16* top = args.gate + min(first_expert + g, args.experts - 1) * hidden + 8 * q;
  const Bf16* bottom = args.gate + min(first_expert + g + 8, args.experts - 1) * hidden + 8 * q;
  // Of both experts first, which come from memory; past the end of K zeros.
  uint4 a[kChunks] = {}, b[kChunks] = {};
#pragma unroll
  for (int i = 0; i < kChunks; ++i) {
    const int channel = begin + i * kChunk;
    if (channel < args.hidden) {
      a[i] = *reinterpret_cast<const uint4*>(top + channel);
      b[i] = *reinterpret_cast<const uint4*>(bottom + channel);
    }
  }
  wait_for_previous();  // the gate's weights are no kernel's output, all else may be
  float acc[kColumns][4] = {};
#pragma unroll
  for (int column = 0; column < kColumns; ++column) {
    const Bf16* token = args.x + min(column * 8 + g, args.tokens - 1) * hidden + 8 * q;
    uint4 x[kChunks] = {};
#pragma unroll
    for (int i = 0; i < kChunks; ++i) {
      const int channel = begin + i * kChunk;
      if (channel < args.hidden) x[i] = *reinterpret_cast<const uint4*>(token + channel);
    }
#pragma unroll
    for (int i = 0; i < kChunks; ++i) {
      multiply(acc[column], {a[i].x, b[i].x, a[i].y, b[i].y}, x[i].x, x[i].y);
      multiply(acc[column], {a[i].z, b[i].z, a[i].w, b[i].w}, x[i].z, x[i].w);
    }
  }
#pragma unroll
  for (int column = 0; column < kColumns; ++column) {
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      sums[warp][column * 8 + 2 * q + i % 2][g + i / 2 * 8] = acc[column][i];
    }
  }
  __syncthreads();
  for (int i = static_cast<int>(threadIdx.x); i < 8 * kColumns * kFewExperts; i += kThreads) {
    const int token = i / kFewExperts, expert = i % kFewExperts;
    if (token >= args.tokens || first_expert + expert >= args.experts) continue;
    float sum = 0;
#pragma unroll
    for (int w = 0; w < kWarps; ++w) sum += sums[w][token][expert];
    const std::int64_t row = static_cast<std::int64_t>(part) * args.tokens + token;
    logits[row * args.experts + first_expert + expert] = sum;
  }
}

// ---- many tokens ----

constexpr int kDepth = 64;  // channels of a stage: rows of 128 bytes
constexpr int kStages = 3;
constexpr int kTileBytes = kTile * kDepth * 2;
constexpr int kManyShared = kStages * 2 * kTileBytes;

__device__ void load_matrix(std::uint32_t (&r)[4], std::uint32_t address) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];"
               : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
               : "r"(address));
}
// Where 16 bytes lie in a tile whose rows are 128 bytes, exchanged against bank conflicts.
__device__ std::uint32_t chunk_at(int row, int chunk) {
  return static_cast<std::uint32_t>(row * 128 + ((chunk ^ (row % 8)) * 16));
}

// 128 rows of 64 channels; rows past the end are zeros.
__device__ void load_tile(std::uint32_t to, const Bf16* from, int first_row, int rows, int hidden,
                          int channel) {
  const int row = static_cast<int>(threadIdx.x) / 8, chunk = static_cast<int>(threadIdx.x) % 8;
  to += chunk_at(row, chunk);
  from += channel + chunk * 8;
#pragma unroll
  for (int i = 0; i < kTile * 8 / kThreads; ++i) {
    const int at = first_row + row + i * (kThreads / 8);
    const bool valid = at < rows;
    hopper::cp_async_16_or_zero(to + static_cast<std::uint32_t>(i * (kThreads / 8) * 128),
                                from + static_cast<std::int64_t>(valid ? at : 0) * hidden, valid);
  }
}

__global__ void __launch_bounds__(kThreads, 2) many_logits(Args args, int parts, float* logits) {
  extern __shared__ __align__(1024) std::uint8_t shared[];
  let_next_start();
  const std::uint32_t ring = hopper::shared_address(shared);
  const int lane = static_cast<int>(threadIdx.x) % 32, warp = static_cast<int>(threadIdx.x) / 32;
  const int first_token = static_cast<int>(blockIdx.y) * kTile;
  const int first_expert = static_cast<int>(blockIdx.x) * kTile;
  const int part = static_cast<int>(blockIdx.z);
  const int begin = share(args.hidden / kDepth, part, parts);
  const int steps = share(args.hidden / kDepth, part + 1, parts) - begin;
  const auto load = [&](int step) {
    if (step < steps) {
      const std::uint32_t slot = ring + static_cast<std::uint32_t>(step % kStages * 2 * kTileBytes);
      const int channel = (begin + step) * kDepth;
      load_tile(slot, args.x, first_token, args.tokens, args.hidden, channel);
      load_tile(slot + kTileBytes, args.gate, first_expert, args.experts, args.hidden, channel);
    }
    hopper::cp_async_commit();
  };
  // A warp has 64 tokens x 32 experts.
  const int token = warp / 4 * 64, expert = warp % 4 * 32;
  float acc[4][4][4] = {};
  for (int step = 0; step < kStages - 1; ++step) load(step);
  for (int step = 0; step < steps; ++step) {
    hopper::cp_async_wait<kStages - 2>();
    __syncthreads();
    load(step + kStages - 1);
    const std::uint32_t x = ring + static_cast<std::uint32_t>(step % kStages * 2 * kTileBytes);
    const std::uint32_t gate = x + kTileBytes;
#pragma unroll 1
    for (int k = 0; k < kDepth / 16; ++k) {
      std::uint32_t a[4][4], b[2][4];
#pragma unroll
      for (int i = 0; i < 4; ++i) {
        load_matrix(a[i], x + chunk_at(token + i * 16 + lane % 16, 2 * k + lane / 16));
      }
#pragma unroll
      for (int j = 0; j < 2; ++j) {
        // Matrices: experts 0-7 of K 0-7, of K 8-15, experts 8-15 of both.
        load_matrix(b[j], gate + chunk_at(expert + j * 16 + lane / 16 * 8 + lane % 8,
                                          2 * k + lane / 8 % 2));
      }
#pragma unroll
      for (int i = 0; i < 4; ++i) {
#pragma unroll
        for (int j = 0; j < 4; ++j) {
          multiply(acc[i][j], a[i], b[j / 2][j % 2 * 2], b[j / 2][j % 2 * 2 + 1]);
        }
      }
    }
  }
  hopper::cp_async_wait<0>();
#pragma unroll
  for (int i = 0; i < 4; ++i) {
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      const int t = first_token + token + i * 16 + half * 8 + lane / 4;
      if (t >= args.tokens) continue;
      float* row = logits + (static_cast<std::int64_t>(part) * args.tokens + t) * args.experts;
#pragma unroll
      for (int j = 0; j < 4; ++j) {
        const int e = first_expert + expert + j * 8 + lane % 4 * 2;
        if (e >= args.experts) continue;
        *reinterpret_cast<float2*>(row + e) = {acc[i][j][2 * half], acc[i][j][2 * half + 1]};
      }
    }
  }
}

// ---- scores and choice ----

constexpr int kPickThreads = 128;
constexpr int kPartsInFlight = 8;

// Unsigned integers in the order of the floats, above 0.
__device__ std::uint32_t ordered(float x) {
  const std::uint32_t bits = __float_as_uint(x);
  return bits ^ ((bits >> 31) != 0 ? ~0u : 0x80000000u);
}

// A block a token: a thread scores kOfThread experts, then a warp picks.
template <int kOfThread>
__global__ void __launch_bounds__(kPickThreads) pick(Args args, int parts, const float* logits) {
  constexpr int kOfLane = kOfThread * kPickThreads / 32;
  __shared__ float scores[kOfThread * kPickThreads];
  __shared__ std::uint32_t keys[kOfThread * kPickThreads];
  let_next_start();
  const int thread = static_cast<int>(threadIdx.x), lane = thread % 32;
  const std::int64_t token = blockIdx.x;
  float bias[kOfThread] = {};
#pragma unroll
  for (int i = 0; i < kOfThread; ++i) {
    const int expert = thread + i * kPickThreads;
    if (args.table == nullptr && expert < args.experts) bias[i] = args.bias[expert];
  }
  wait_for_previous();
  const std::int64_t part_stride = static_cast<std::int64_t>(args.tokens) * args.experts;
  const float* row = logits + token * args.experts + thread;
  float sum[kOfThread] = {};
  for (int first = 0; first < parts; first += kPartsInFlight) {
    float value[kPartsInFlight][kOfThread];
#pragma unroll
    for (int part = 0; part < kPartsInFlight; ++part) {
#pragma unroll
      for (int i = 0; i < kOfThread; ++i) {
        const bool there = first + part < parts && thread + i * kPickThreads < args.experts;
        value[part][i] = there ? row[(first + part) * part_stride + i * kPickThreads] : 0.0f;
      }
    }
#pragma unroll
    for (int part = 0; part < kPartsInFlight; ++part) {
#pragma unroll
      for (int i = 0; i < kOfThread; ++i) sum[i] += value[part][i];
    }
  }
#pragma unroll
  for (int i = 0; i < kOfThread; ++i) {
    const int expert = thread + i * kPickThreads;
    const float score = sqrtf(fmaxf(sum[i], 0.0f) + log1pf(expf(-fabsf(sum[i]))));
    scores[expert] = score;
    keys[expert] = expert < args.experts ? ordered(score + bias[i]) : 0;
  }
  __syncthreads();
  if (thread >= 32) return;
  // Lane k keeps the k-th choice.
  int chosen = 0;
  if (args.table != nullptr) {
    if (lane < args.active) {
      chosen = args.table[static_cast<std::int64_t>(args.token_ids[token]) * args.active + lane];
    }
  } else {
    std::uint32_t key[kOfLane];
#pragma unroll
    for (int i = 0; i < kOfLane; ++i) key[i] = keys[32 * i + lane];
    for (int k = 0; k < args.active; ++k) {
      std::uint32_t own = 0;
#pragma unroll
      for (int i = 0; i < kOfLane; ++i) own = max(own, key[i]);
      const std::uint32_t largest = __reduce_max_sync(~0u, own);
      const int winner = __ffs(static_cast<int>(__ballot_sync(~0u, own == largest))) - 1;
      int expert = 0;
      if (lane == winner) {
        bool found = false;
#pragma unroll
        for (int i = 0; i < kOfLane; ++i) {
          if (found || key[i] != largest) continue;
          found = true;
          expert = 32 * i + lane;
          key[i] = 0;
        }
      }
      expert = __shfl_sync(~0u, expert, winner);
      chosen = lane == k ? expert : chosen;
    }
  }
  const float own = lane < args.active ? scores[chosen] : 0.0f;
  float total = 0;  // in the order of the choices
  for (int k = 0; k < args.active; ++k) total += __shfl_sync(~0u, own, k);
  if (lane < args.active) {
    args.chosen[token * args.active + lane] = chosen;
    args.weights[token * args.active + lane] = own / total * args.route_scale;
  }
}

// The kernel is set up, and runs up to wait_for_previous(), while the one before it finishes.
template <class... Parameters, class... Given>
void launch_early(void (*kernel)(Parameters...), dim3 grid, int threads, cudaStream_t stream,
                  const Given&... given) {
  cudaLaunchConfig_t config = {};
  config.gridDim = grid;
  config.blockDim = dim3(static_cast<unsigned>(threads));
  config.stream = stream;
  cudaLaunchAttribute early = {};
  early.id = cudaLaunchAttributeProgrammaticStreamSerialization;
  early.val.programmaticStreamSerializationAllowed = 1;
  config.attrs = &early;
  config.numAttrs = 1;
  V4CAP_CUDA(cudaLaunchKernelEx(&config, kernel, Parameters(given)...));
}

template <int kOfThread>
void launch_pick(const Args& args, int parts, const float* logits, cudaStream_t stream) {
  if constexpr (kOfThread < 8) {
    if (args.experts > kOfThread * kPickThreads) {
      return launch_pick < kOfThread == 4 ? 8 : kOfThread + 1 > (args, parts, logits, stream);
    }
  }
  launch_early(pick<kOfThread>, dim3(static_cast<unsigned>(args.tokens)), kPickThreads, stream,
               args, parts, logits);
}

template <int kColumns>
void launch_few(const Args& args, const Plan& plan, float* logits, cudaStream_t stream) {
  const dim3 grid(static_cast<unsigned>(plan.expert_tiles), static_cast<unsigned>(plan.parts));
  const auto kernel = plan.chunks_of_warp == 4 ? few_logits<kColumns, 4> : few_logits<kColumns, 2>;
  launch_early(kernel, grid, kThreads, stream, args, logits);
}

void launch(const Args& args, void* workspace, Stream stream) {
  if (args.tokens == 0) return;
  const Plan plan = plan_of(args);
  auto* logits = static_cast<float*>(workspace);
  if (!plan.few) {
    const dim3 grid(static_cast<unsigned>(plan.expert_tiles),
                    static_cast<unsigned>(plan.token_tiles), static_cast<unsigned>(plan.parts));
    V4CAP_CUDA(cudaFuncSetAttribute(many_logits, cudaFuncAttributeMaxDynamicSharedMemorySize,
                                    kManyShared));
    many_logits<<<grid, kThreads, kManyShared, stream>>>(args, plan.parts, logits);
  } else if (args.tokens <= 8) {
    launch_few<1>(args, plan, logits, stream);
  } else if (args.tokens <= 16) {
    launch_few<2>(args, plan, logits, stream);
  } else if (args.tokens <= 32) {
    launch_few<4>(args, plan, logits, stream);
  } else {
    launch_few<8>(args, plan, logits, stream);
  }
  V4CAP_LAUNCHED("router, logits");
  launch_pick<2>(args, plan.parts, logits, stream);
  V4CAP_LAUNCHED("router, pick");
}

const Register<Args> kVersion{
    {.name = "portable",
     .idea = "logits in parts of K by mma.sync, then a warp a token picks",
     .refuses = refuses,
     .workspace_bytes = workspace_bytes,
     .launch = launch}};

}  // namespace
}  // namespace v4cap::kernels::router
