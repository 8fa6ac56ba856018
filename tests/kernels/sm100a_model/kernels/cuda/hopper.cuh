// Stands in for the repository's header in the model: what sm_100a kernels use of it.
#pragma once

#include "tests/kernels/sm100a_model/machine.h"

namespace v4cap::kernels::hopper {

using model::block;
using model::require;

inline std::uint32_t shared_address(const void* pointer) {
  const std::ptrdiff_t address = static_cast<const std::uint8_t*>(pointer) - block->shared;
  require(address >= 0 && address < 227 * 1024, "no address of shared memory");
  return static_cast<std::uint32_t>(address);
}

inline void cp_async_16(std::uint32_t to, const void* from) {
  require(to % 16 == 0 && reinterpret_cast<std::uintptr_t>(from) % 16 == 0, "not aligned");
  std::memcpy(block->shared + to, from, 16);
}
inline void cp_async_commit() {}
template <int kPending>
void cp_async_wait() {}

inline void barrier_init(std::uint64_t* barrier, int arrivals) {
  block->init(barrier, arrivals);
}
inline void barrier_init_fence() {}
inline void barrier_arrive(std::uint64_t* barrier) {
  block->arrive(barrier, 1, 0);
}
inline void barrier_expect(std::uint64_t* barrier, std::uint32_t bytes) {
  block->arrive(barrier, 1, bytes);
}
inline void named_sync(int barrier, int threads) {
  block->named(barrier, threads).wait();
}
inline void fence_async_shared() {}

template <int kStages>
struct RingPosition {
  int stage = 0;
  std::uint32_t parity = 0;
  void advance() {
    if (++stage == kStages) {
      stage = 0;
      parity ^= 1;
    }
  }
};

// What a tensor map holds here. Only packed numbers of 4 bits that are padded to a byte each.
struct ModelMap {
  const std::uint8_t* base;
  std::int64_t rows, columns, row_bytes;
  int box_rows;
};
static_assert(sizeof(ModelMap) <= sizeof(CUtensorMap));

// Chunks of 8 bytes are padded to 16 and lie in the 128-byte swizzle, which works on addresses; the
// barrier counts the packed bytes.
inline void tensor_copy_2d(void* to, const void* tensor_map, int column, int row,
                           std::uint64_t* barrier) {
  ModelMap map;
  std::memcpy(&map, tensor_map, sizeof map);
  const std::uint32_t start = shared_address(to);
  require(start % 1024 == 0 && column % 128 == 0, "a box is not aligned");
  require(column + 128 <= map.columns && row + map.box_rows <= map.rows, "a box is outside");
  for (int r = 0; r < map.box_rows; ++r) {
    for (int byte = 0; byte < 64; ++byte) {
      std::uint32_t at = start + static_cast<std::uint32_t>(r * 128 + byte / 8 * 16 + byte % 8);
      at ^= (at >> 7 & 7u) << 4;
      block->shared[at] = map.base[(row + r) * map.row_bytes + column / 2 + byte];
    }
  }
  block->arrive(barrier, 0, -64 * map.box_rows);
}

}  // namespace v4cap::kernels::hopper
