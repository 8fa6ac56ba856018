// A model of a block on a Blackwell GPU that runs the source of our sm_100a kernels on the CPU: a
// thread for each thread, barriers with phases, shared and tensor memory, and the copies and
// products as NVIDIA documents them (kernels/cuda/ beside this file stands in for the repository's
// headers). What is asynchronous on a GPU happens at once here: the model finds wrong addresses,
// layouts, fields, phases and numbers of arrivals, and waits that never end; it cannot find a
// missing proxy fence.
#pragma once

#include <cuda.h>
#include <cuda_bf16.h>
#include <cuda_fp8.h>
#include <cuda_runtime.h>
#include <math.h>

#include <bit>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <map>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

// Of no meaning here.
#undef __launch_bounds__
#define __launch_bounds__(...)
#undef __grid_constant__
#define __grid_constant__

inline thread_local uint3 threadIdx, blockIdx;
inline uint3 gridDim, blockDim;

namespace v4cap::model {

inline constexpr int kMultiprocessors = 3;
inline constexpr int kLanes = 128, kColumns = 512;
inline constexpr std::chrono::seconds kPatience{60};

// Threads of the model cannot throw: what is wrong ends the program.
inline void require(bool holds, const char* what) {
  if (holds) return;
  std::fprintf(stderr, "model: thread %u of block %u: %s\n", threadIdx.x, blockIdx.x, what);
  std::abort();
}

// All of `threads` meet, again and again.
class Meeting {
 public:
  explicit Meeting(int threads) : threads_(threads) {}
  void wait() {
    std::unique_lock lock(mutex_);
    const unsigned mine = meeting_;
    if (++here_ == threads_) {
      here_ = 0;
      ++meeting_;
      all_.notify_all();
    } else {
      require(all_.wait_for(lock, kPatience, [&] { return meeting_ != mine; }),
              "the others never come");
    }
  }

 private:
  std::mutex mutex_;
  std::condition_variable all_;
  int threads_, here_ = 0;
  unsigned meeting_ = 0;
};

struct Warp {
  Meeting meeting{32};
  std::uint32_t values[32] = {};
};

struct Barrier {
  int arrivals = 0, missing = 0;
  std::int64_t bytes = 0;  // still to come
  unsigned phase = 0;
};

class Block {
 public:
  Block(int threads, int shared_bytes)
      : storage_(static_cast<std::size_t>(shared_bytes) + 1024, 0xcd), meeting(threads) {
    const auto address = reinterpret_cast<std::uintptr_t>(storage_.data());
    shared = storage_.data() + (1024 - address % 1024) % 1024;
    for (int i = 0; i < threads / 32; ++i) warps.push_back(std::make_unique<Warp>());
    for (auto& lane : tensor_memory) {
      for (auto& cell : lane) cell = 0x7fc00000;
    }
  }

  void init(const void* at, int arrivals) {
    const std::lock_guard lock(mutex_);
    barriers_[at] = {arrivals, arrivals, 0, 0};
  }
  void arrive(const void* at, int arrivals, std::int64_t bytes) {
    const std::lock_guard lock(mutex_);
    Barrier& barrier = barriers_.at(at);
    require(barrier.missing >= arrivals, "more arrivals than the barrier counts");
    barrier.missing -= arrivals;
    barrier.bytes += bytes;
    if (barrier.missing == 0 && barrier.bytes == 0) {
      barrier.missing = barrier.arrivals;
      ++barrier.phase;
      completed_.notify_all();
    }
  }
  void wait(const void* at, std::uint32_t parity) {
    std::unique_lock lock(mutex_);
    const Barrier& barrier = barriers_.at(at);
    require(completed_.wait_for(lock, kPatience, [&] { return barrier.phase % 2 != parity; }),
            "a barrier never completes");
  }
  Meeting& named(int id, int threads) {
    const std::lock_guard lock(mutex_);
    auto& found = named_[id];
    if (!found) found = std::make_unique<Meeting>(threads);
    return *found;
  }
  // What must hold at the end of a block.
  void finish() const {
    require(allocated == 0, "tensor memory is not freed");
    for (const auto& [at, barrier] : barriers_) {
      require(barrier.bytes == 0 && barrier.missing == barrier.arrivals, "a phase is unfinished");
    }
  }

 private:
  std::vector<std::uint8_t> storage_;
  std::mutex mutex_;
  std::condition_variable completed_;
  std::map<const void*, Barrier> barriers_;
  std::map<int, std::unique_ptr<Meeting>> named_;

 public:
  std::uint8_t* shared = nullptr;
  Meeting meeting;
  std::vector<std::unique_ptr<Warp>> warps;
  std::uint32_t tensor_memory[kLanes][kColumns];
  int allocated = 0;
};

inline Block* block = nullptr;
inline int lane() {
  return static_cast<int>(threadIdx.x % 32);
}
inline Warp& warp() {
  return *block->warps[threadIdx.x / 32];
}

// One block after the other.
template <class Kernel>
void run(int blocks, int threads, int shared_bytes, const Kernel& kernel) {
  gridDim = {static_cast<unsigned>(blocks), 1, 1};
  blockDim = {static_cast<unsigned>(threads), 1, 1};
  for (unsigned b = 0; b < gridDim.x; ++b) {
    Block current(threads, shared_bytes);
    block = &current;
    std::vector<std::thread> all;
    for (unsigned t = 0; t < blockDim.x; ++t) {
      all.emplace_back([&kernel, b, t] {
        threadIdx = {t, 0, 0};
        blockIdx = {b, 0, 0};
        kernel();
      });
    }
    for (std::thread& thread : all) thread.join();
    current.finish();
  }
}

template <class T>
T exchange(T mine, int from) {
  Warp& w = warp();
  w.values[lane()] = std::bit_cast<std::uint32_t>(mine);
  w.meeting.wait();
  const T got = std::bit_cast<T>(w.values[from]);
  w.meeting.wait();
  return got;
}

}  // namespace v4cap::model

// What device code finds without a header.
template <class T>
T min(T a, T b) {
  return a < b ? a : b;
}
template <class T>
T max(T a, T b) {
  return a < b ? b : a;
}
template <class T>
T __shfl_sync(unsigned, T value, int from) {
  return v4cap::model::exchange(value, from % 32);
}
template <class T>
T __shfl_up_sync(unsigned, T value, int by) {
  const int lane = v4cap::model::lane();
  return v4cap::model::exchange(value, lane < by ? lane : lane - by);
}
template <class T>
T __shfl_xor_sync(unsigned, T value, int mask) {
  return v4cap::model::exchange(value, v4cap::model::lane() ^ mask);
}
inline std::uint32_t __reduce_max_sync(unsigned, std::uint32_t value) {
  for (int offset = 16; offset > 0; offset /= 2) {
    value = max(value, v4cap::model::exchange(value, v4cap::model::lane() ^ offset));
  }
  return value;
}
inline void __syncthreads() {
  v4cap::model::block->meeting.wait();
}
inline void __syncwarp() {
  v4cap::model::warp().meeting.wait();
}
inline float __uint_as_float(std::uint32_t bits) {
  return std::bit_cast<float>(bits);
}
inline float2 __ffma2_rn(float2 a, float2 b, float2 c) {
  return {fmaf(a.x, b.x, c.x), fmaf(a.y, b.y, c.y)};
}
