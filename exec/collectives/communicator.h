// Ranks that exchange data through NCCL. The library is optional twice: without its header this is
// built as one that says so, and the library itself (libnccl.so.2) is opened when it is first
// needed, so that v4exec starts without it. Buffers are in device memory; operations are queued.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

#include "kernels/registry.h"

namespace v4cap::exec {

enum class Reduction : std::uint8_t { sum, max };

class Communicator {
 public:
  // "2.28.9". Throws RunError no_nccl where it was built without NCCL or the library is missing.
  static std::string version();
  // What all ranks of one job are given, as hexadecimal digits.
  static std::string new_id();

  // Returns when all ranks have come. Throws RunError no_nccl or nccl. The current device is the
  // rank's.
  Communicator(const std::string& id, int rank, int ranks);
  ~Communicator();
  Communicator(const Communicator&) = delete;
  Communicator& operator=(const Communicator&) = delete;

  int rank() const { return rank_; }
  int ranks() const { return ranks_; }

  // bf16 elements; `in` may be `out`.
  void all_reduce(const void* in, void* out, std::size_t elements, kernels::Stream stream);
  // `bytes` of each rank, in order of ranks.
  void all_gather(const void* in, void* out, std::size_t bytes, kernels::Stream stream);
  // bf16: the sum of `elements` for each rank, of which it gets its own.
  void reduce_scatter(const void* in, void* out, std::size_t elements, kernels::Stream stream);
  // Bytes to and from each rank, in order of ranks, behind each other in `in` and `out`.
  void exchange(const void* in, std::span<const std::size_t> to, void* out,
                std::span<const std::size_t> from, kernels::Stream stream);
  void broadcast(std::int64_t* data, std::size_t count, kernels::Stream stream);  // of rank 0
  void all_reduce(double* data, std::size_t count, Reduction how, kernels::Stream stream);

 private:
  void* handle_ = nullptr;
  int rank_, ranks_;
};

}  // namespace v4cap::exec
