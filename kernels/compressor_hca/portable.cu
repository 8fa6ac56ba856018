// HCA compressor in one launch: ape + softmax pool over 128 rows + RMSNorm + RoPE + quantiser +
// page store, and the update of the state.
// Traffic : 4 KiB a token in (u and g). Decode, online: 6 KiB of state read and written; rows: 4
//           KiB written, 508 KiB read when a token emits. An entry is 584 B.
//           Bound by memory in prefill, by latency in decode.
// Shape   : a sequence, and in prefill every 128 token rows (launch.h), is a unit of work. A group
//           of 128 threads folds rows into a running (maximum, sum, weighted sum), 4 channels a
//           thread and 4 rows at a time. With many rows a unit is a cluster of 2 blocks of 4
//           groups, which take turns over the rows and are merged through shared memory: 64 blocks
//           of 128 rows then fill 128 SMs. In decode with the online form a unit is one group.
#include <cooperative_groups.h>
#include <cuda_runtime.h>

#include "kernels/compressor_hca/compressor_hca.h"
#include "kernels/compressor_hca/launch.h"
#include "kernels/cuda/check.h"
#include "kernels/cuda/entry.cuh"
#include "kernels/registry.h"

namespace v4cap::kernels::compressor_hca {
namespace {

constexpr int kPerThread = 4;
constexpr int kGroupThreads = kHeadDim / kPerThread;
constexpr int kRowFloats = 2 * kHeadDim;
constexpr int kOnlineFloats = 3 * kHeadDim;

// Of 4 channels. No row yet: the maximum is -inf and the sums are 0.
struct Running {
  float largest[kPerThread], sum[kPerThread], weighted[kPerThread];
};

__device__ Running nothing() {
  Running r;
#pragma unroll
  for (int c = 0; c < kPerThread; ++c) {
    r.largest[c] = -INFINITY;
    r.sum[c] = r.weighted[c] = 0;
  }
  return r;
}

__device__ void store_floats(float* out, const float (&x)[kPerThread]) {
  *reinterpret_cast<float4*>(out) = make_float4(x[0], x[1], x[2], x[3]);
}
__device__ Running load_running(const float* from) {
  Running r;
  load_floats(r.largest, from);
  load_floats(r.sum, from + kHeadDim);
  load_floats(r.weighted, from + 2 * kHeadDim);
  return r;
}
__device__ void store_running(float* to, const Running& r) {
  store_floats(to, r.largest);
  store_floats(to + kHeadDim, r.sum);
  store_floats(to + 2 * kHeadDim, r.weighted);
}

// `b` has seen at least one row.
__device__ void merge(Running& a, const Running& b) {
#pragma unroll
  for (int c = 0; c < kPerThread; ++c) {
    const float largest = fmaxf(a.largest[c], b.largest[c]);
    const float shrink_a = __expf(a.largest[c] - largest);
    const float shrink_b = __expf(b.largest[c] - largest);
    a.sum[c] = a.sum[c] * shrink_a + b.sum[c] * shrink_b;
    a.weighted[c] = a.weighted[c] * shrink_a + b.weighted[c] * shrink_b;
    a.largest[c] = largest;
  }
}

// Rows [begin, end) of a block of 128: those below `phase` stand in the state (rows form), the
// others are new, row `phase` being `first_row` of the step.
struct Rows {
  const float* state;
  int phase, first_row, begin, end;
};

// The threads of a unit of work: kBlocks blocks of kGroups groups.
template <int kBlocks, int kGroups, int kRows>
struct Unit {
  int number;   // of the unit
  int channel;  // first of the thread's four
  int block, group;

  __device__ Unit()
      : number(static_cast<int>(blockIdx.x) / kBlocks),
        channel(static_cast<int>(threadIdx.x) % kGroupThreads * kPerThread),
        block(static_cast<int>(blockIdx.x) % kBlocks),
        group(static_cast<int>(threadIdx.x) / kGroupThreads) {}
  static constexpr int kShares = kBlocks * kGroups;
  __device__ int share() const { return block * kGroups + group; }

  // Folds this thread's share of the rows, kRows at a time.
  __device__ void fold(const Args& args, const Rows& rows, Running& r) const {
    for (int first = rows.begin + share() * kRows; first < rows.end; first += kShares * kRows) {
      float u[kRows][kPerThread], g[kRows][kPerThread], ape[kRows][kPerThread];
#pragma unroll
      for (int i = 0; i < kRows; ++i) {
        const int place = min(first + i, rows.end - 1);
        const float* row = place >= rows.phase
                               ? args.ug + (rows.first_row + place - rows.phase) * args.ug_stride
                               : rows.state + place * kRowFloats;
        load_floats(u[i], row + channel);
        load_floats(g[i], row + kHeadDim + channel);
        load_floats(ape[i], args.ape + place * kHeadDim + channel);
      }
#pragma unroll
      for (int c = 0; c < kPerThread; ++c) {
        float largest = r.largest[c];
#pragma unroll
        for (int i = 0; i < kRows; ++i) {
          // The state's rows have it already.
          if (min(first + i, rows.end - 1) >= rows.phase) g[i][c] += ape[i][c];
          if (first + i >= rows.end) g[i][c] = -INFINITY;
          largest = fmaxf(largest, g[i][c]);
        }
        const float shrink = __expf(r.largest[c] - largest);
        float sum = r.sum[c] * shrink, weighted = r.weighted[c] * shrink;
#pragma unroll
        for (int i = 0; i < kRows; ++i) {
          const float e = __expf(g[i][c] - largest);
          sum += e;
          weighted += e * u[i][c];
        }
        r.largest[c] = largest;
        r.sum[c] = sum;
        r.weighted[c] = weighted;
      }
    }
  }

  // Merges all shares; the result is that of share 0. Every thread of the unit comes here.
  // `of_groups`: (kGroups - 1) sets of sums; `of_blocks`: kBlocks - 1 sets.
  __device__ void merge_shares(float* of_groups, float* of_blocks, Running& r) const {
    // The cluster's first block must run, and have read what it was sent before, when the others
    // write into its memory.
    if constexpr (kBlocks > 1) cooperative_groups::this_cluster().barrier_arrive();
    if constexpr (kGroups > 1) {
      __syncthreads();  // of_groups may still be read from an earlier call
      if (group > 0) store_running(of_groups + (group - 1) * kOnlineFloats + channel, r);
      __syncthreads();
      if (group == 0) {
#pragma unroll
        for (int other = 0; other < kGroups - 1; ++other) {
          merge_seen(r, of_groups + other * kOnlineFloats + channel);
        }
      }
    }
    if constexpr (kBlocks > 1) {
      const auto cluster = cooperative_groups::this_cluster();
      cluster.barrier_wait();
      if (group == 0 && block > 0) {
        float* first_block = cluster.map_shared_rank(of_blocks, 0);
        store_running(first_block + (block - 1) * kOnlineFloats + channel, r);
      }
      cluster.sync();
      if (share() == 0) {
#pragma unroll
        for (int other = 0; other < kBlocks - 1; ++other) {
          merge_seen(r, of_blocks + other * kOnlineFloats + channel);
        }
      }
    }
  }

  // A share without rows has seen nothing.
  static __device__ void merge_seen(Running& r, const float* from) {
    const Running other = load_running(from);
    if (other.largest[0] != -INFINITY) merge(r, other);
  }
};

// The entry of the block of 128 that ends at position `last`. One block of threads comes here; the
// sums are those of its group 0.
__device__ void emit(const Args& args, int sequence, int last, int channel, bool has_sums,
                     const Running& r, float* scratch) {
  const int first = last - (kRatio - 1);
  float x[kPerThread] = {}, weight[kPerThread], angles[kPerThread] = {};
  EntryPlace place{};
  float square = 0;
  if (has_sums) {
    place = place_of(args.entries, args.pages, sequence, last / kRatio);
    load_floats(weight, args.norm_weight + channel);
    if (channel >= kNopeDim) {
      load_floats(angles, args.rope + std::int64_t{first} * kRopeDim + channel - kNopeDim);
    }
#pragma unroll
    for (int c = 0; c < kPerThread; ++c) x[c] = __fdividef(r.weighted[c], r.sum[c]);
    round_channels(x);
#pragma unroll
    for (float v : x) square += v * v;
  }
  square = block_sum(square, scratch);
  if (!has_sums) return;
  const float inverse = rsqrtf(square / kHeadDim + args.eps);
#pragma unroll
  for (int c = 0; c < kPerThread; ++c) x[c] *= inverse * weight[c];
  round_channels(x);
  store_entry(place, channel, x, angles);
}

// Copies new rows into the state, ape added: `count` rows from row `first_row` of the step on, to
// places from `phase` on; every `shares`-th by this thread.
__device__ void keep_rows(const Args& args, float* state, int phase, int first_row, int count,
                          int channel, int share, int shares) {
  for (int i = share; i < count; i += shares) {
    const float* row = args.ug + (first_row + i) * args.ug_stride + channel;
    float u[kPerThread], g[kPerThread], ape[kPerThread];
    load_floats(u, row);
    load_floats(g, row + kHeadDim);
    load_floats(ape, args.ape + (phase + i) * kHeadDim + channel);
#pragma unroll
    for (int c = 0; c < kPerThread; ++c) g[c] += ape[c];
    store_floats(state + (phase + i) * kRowFloats + channel, u);
    store_floats(state + (phase + i) * kRowFloats + kHeadDim + channel, g);
  }
}

template <int kBlocks, int kGroups>
struct Shared {
  float of_groups[kGroups > 1 ? (kGroups - 1) * kOnlineFloats : 1];
  float of_blocks[kBlocks > 1 ? (kBlocks - 1) * kOnlineFloats : 1];
  float scratch[kGroups * kGroupThreads / 32];
  int found;
};

// What touches a sequence's state: see LeaderPart.
template <int kBlocks, int kGroups, int kRows, StateForm kForm>
__device__ void lead(const Args& args, const Unit<kBlocks, kGroups, kRows>& unit,
                     bool row_is_sequence, Shared<kBlocks, kGroups>& shared) {
  const int sequence = unit.number;
  const int first = row_is_sequence ? sequence : args.batch.first_token[sequence];
  const int tokens = row_is_sequence ? 1 : args.batch.first_token[sequence + 1] - first;
  if (tokens == 0) return;
  const int start = args.batch.positions[first];
  const LeaderPart part = leader_part(start, tokens);
  constexpr int kSlotFloats = kForm == StateForm::rows ? kRatio * kRowFloats : kOnlineFloats;
  float* state = args.state + std::int64_t{args.state_slot[sequence]} * kSlotFloats;

  Running running = nothing();
  if (kForm == StateForm::online && part.head > 0) {
    if (unit.share() == 0) running = load_running(state + unit.channel);
    unit.fold(args, {nullptr, part.phase, first, part.phase, part.phase + part.head}, running);
    unit.merge_shares(shared.of_groups, shared.of_blocks, running);
  }
  if (kForm == StateForm::rows && part.emits) {
    unit.fold(args, {state, part.phase, first, 0, kRatio}, running);
    unit.merge_shares(shared.of_groups, shared.of_blocks, running);
  }
  if (part.emits && unit.block == 0) {
    emit(args, sequence, start + part.head - 1, unit.channel, unit.group == 0, running,
         shared.scratch);
  }
  if (kForm == StateForm::rows) {
    if (part.head > 0 && !part.emits) {
      keep_rows(args, state, part.phase, first, part.head, unit.channel, unit.share(),
                unit.kShares);
    }
    // All shares have met since the last one read old rows.
    keep_rows(args, state, 0, first + tokens - part.tail, part.tail, unit.channel, unit.share(),
              unit.kShares);
    return;
  }
  if (part.emits || part.phase == 0) {
    running = nothing();
    if (part.tail > 0) {
      unit.fold(args, {nullptr, 0, first + tokens - part.tail, 0, part.tail}, running);
      unit.merge_shares(shared.of_groups, shared.of_blocks, running);
    }
  }
  if (unit.share() == 0) store_running(state + unit.channel, running);
}

// The row of the 128 from `first_row` on at which a block ends that lies wholly in this step, or
// -1: it and the row 127 before it belong to the same sequence.
__device__ int wholly_new_end(const Args& args, int first_row, int* found) {
  if (threadIdx.x == 0) *found = -1;
  __syncthreads();
  const int row = first_row + static_cast<int>(threadIdx.x), begin = row - (kRatio - 1);
  if (threadIdx.x < kRatio && row < args.batch.tokens && begin >= 0 &&
      args.batch.positions[row] % kRatio == kRatio - 1 &&
      args.batch.sequence_of[row] == args.batch.sequence_of[begin]) {
    *found = row;
  }
  __syncthreads();
  return *found;
}

template <int kBlocks, int kGroups, int kRows, StateForm kForm>
__global__ void __cluster_dims__(kBlocks, 1, 1) __launch_bounds__(kGroups* kGroupThreads, 1)
    compress(Args args, bool row_is_sequence) {
  __shared__ Shared<kBlocks, kGroups> shared;
  const Unit<kBlocks, kGroups, kRows> unit;
  const int window = unit.number - args.batch.sequences;
  if (window < 0) {
    lead<kBlocks, kGroups, kRows, kForm>(args, unit, row_is_sequence, shared);
    return;
  }
  const int last_row = wholly_new_end(args, window * kRatio, &shared.found);
  if (last_row < 0) return;
  Running running = nothing();
  unit.fold(args, {nullptr, 0, last_row - (kRatio - 1), 0, kRatio}, running);
  unit.merge_shares(shared.of_groups, shared.of_blocks, running);
  if (unit.block == 0) {
    emit(args, args.batch.sequence_of[last_row], args.batch.positions[last_row], unit.channel,
         unit.group == 0, running, shared.scratch);
  }
}

template <int kBlocks, int kGroups, int kRows, StateForm kForm>
void launch_form(const Args& args, cudaStream_t stream) {
  compress<kBlocks, kGroups, kRows, kForm>
      <<<static_cast<unsigned>(units_of(args) * kBlocks), kGroups * kGroupThreads, 0, stream>>>(
          args, row_is_sequence(args.batch));
  V4CAP_LAUNCHED("compressor_hca");
}

void launch(const Args& args, void*, Stream stream) {
  if (args.batch.tokens == 0) return;
  if (args.form == StateForm::rows) {
    launch_form<2, 4, 4, StateForm::rows>(args, stream);
  } else if (args.batch.max_new_tokens == 1) {
    launch_form<1, 1, 1, StateForm::online>(args, stream);
  } else if (few_rows(args)) {
    launch_form<1, 1, 4, StateForm::online>(args, stream);
  } else {
    launch_form<2, 4, 4, StateForm::online>(args, stream);
  }
}

const Register<Args> kVersion{{.name = "portable",
                               .idea = "one launch; clusters share a block's 128 rows",
                               .refuses = refuses,
                               .launch = launch}};

}  // namespace
}  // namespace v4cap::kernels::compressor_hca
