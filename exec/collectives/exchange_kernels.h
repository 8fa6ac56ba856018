// What the GPU does in measured exchanges beside NCCL: known values into buffers, what came of them
// counted, and our own all-reduce over peer access.
#pragma once

#include <cstddef>
#include <cstdint>

#include "kernels/registry.h"

namespace v4cap::exec {

// A bf16 element of `rank` at place `i`: a whole number from -8 to 8, so that sums over up to 16
// ranks are exact in bf16.
constexpr int element_of(std::int64_t i, int rank) {
  return static_cast<int>((i * 7 + static_cast<std::int64_t>(rank) * 5) % 17) - 8;
}

// data[i] = element_of(first + i, rank), i < elements.
void fill_elements(void* data, std::int64_t elements, std::int64_t first, int rank,
                   kernels::Stream stream);
// Adds to *wrong the i < elements for which data[i] is not the sum of element_of(first + i, r) over
// ranks r in [begin, end).
void count_wrong(const void* data, std::int64_t elements, std::int64_t first, int begin, int end,
                 std::int64_t* wrong, kernels::Stream stream);

// ---- Peer sums: an all-reduce of small messages ----
//
// Every rank writes its tensor where all others can read it, waits until all have, and adds up all
// of them in the order of ranks, in float: one step, and the same bits on every rank. Each block
// has its own slice of the tensor and waits for the same block of the other ranks only.

inline constexpr int kMostPeers = 8;
inline constexpr int kPeerBlocks = 24;
inline constexpr std::size_t kPeerBytes = std::size_t{1} << 20;  // of the largest tensor

// What a rank shares: two tensors that are used in turn, and a flag for each block and rank.
struct PeerRegion {
  static constexpr std::size_t kFlags = 2 * kPeerBytes;
  static constexpr std::size_t kBytes = kFlags + sizeof(std::uint32_t) * kPeerBlocks * kMostPeers;
};

struct PeerView {
  void* regions[kMostPeers] = {};   // of all ranks, as this one sees them; zeroed before first use
  std::uint32_t* epochs = nullptr;  // [kPeerBlocks], this rank's own, zeroed before first use
  int rank = 0, ranks = 0;
};

// `elements` of bf16, at most kPeerBytes / 2; `in` and `out` at multiples of 16 bytes, may be the
// same. All ranks launch the same sequence of them.
void peer_sums(const PeerView& view, const void* in, void* out, std::int64_t elements,
               kernels::Stream stream);

}  // namespace v4cap::exec
