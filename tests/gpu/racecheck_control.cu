// Does this machine's racecheck follow what our pipelines do? Both kernels are right; the second
// hands shared memory over as the tuned kernels do: all threads of a warp write, the warp
// synchronises, one lane arrives at the transaction barrier for all. By the PTX memory model the
// warp's barrier and the lane's release order every write before whoever waits; a tool that records
// only the arriving thread's own writes reports races there that are none.
//
//   nvcc -std=c++20 -arch=sm_90 -I. tests/gpu/racecheck_control.cu -o control
//   compute-sanitizer --tool racecheck ./control every     every thread arrives
//   compute-sanitizer --tool racecheck ./control elected   one lane arrives for its warp
#include <cuda_runtime.h>

#include <cstdio>
#include <cstring>

#include "kernels/cuda/hopper.cuh"

namespace {

namespace hopper = v4cap::kernels::hopper;

constexpr int kRounds = 4;

// Warp 0 fills a buffer round by round, warp 1 sums it up.
template <bool kElected>
__global__ void hand_over(int* sums) {
  __shared__ int buffer[32];
  __shared__ std::uint64_t filled, emptied;
  const int lane = static_cast<int>(threadIdx.x) % 32;
  if (threadIdx.x == 0) {
    hopper::barrier_init(&filled, kElected ? 1 : 32);
    hopper::barrier_init(&emptied, kElected ? 1 : 32);
    hopper::barrier_init_fence();
  }
  __syncthreads();
  const auto arrive = [&](std::uint64_t* barrier) {
    if (kElected) __syncwarp();
    if (!kElected || lane == 0) hopper::barrier_arrive(barrier);
  };
  for (int round = 0; round < kRounds; ++round) {
    const std::uint32_t parity = static_cast<std::uint32_t>(round) % 2;
    if (threadIdx.x < 32) {
      hopper::barrier_wait(&emptied, parity ^ 1);
      buffer[lane] = round * 100 + lane;
      arrive(&filled);
    } else {
      hopper::barrier_wait(&filled, parity);
      const int value = buffer[31 - lane];
      arrive(&emptied);
      sums[round * 32 + lane] = value;
    }
  }
}

}  // namespace

int main(int argc, char** argv) {
  const bool elected = argc > 1 && std::strcmp(argv[1], "elected") == 0;
  int* sums = nullptr;
  int host[kRounds * 32] = {};
  if (cudaMalloc(&sums, sizeof host) != cudaSuccess) return 1;
  if (elected) {
    hand_over<true><<<1, 64>>>(sums);
  } else {
    hand_over<false><<<1, 64>>>(sums);
  }
  if (cudaMemcpy(host, sums, sizeof host, cudaMemcpyDeviceToHost) != cudaSuccess) return 1;
  for (int i = 0; i < kRounds * 32; ++i) {
    if (host[i] != i / 32 * 100 + 31 - i % 32) return 1;
  }
  std::puts("right");
  return 0;
}
