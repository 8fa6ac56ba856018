// A layout with round numbers for tests: bytes of a block, of its windows, of a point and of a
// running sequence are chosen freely, in one pool.
#pragma once

#include "sim/cache/layout.h"

namespace v4cap {

struct ToyCosts {
  std::int64_t capacity = 0;
  std::int64_t block = 1;         // compressed entries of one block
  std::int64_t block_window = 0;  // window entries of one block, where they are stored
  std::int64_t point = 0;
  std::int64_t running = 0;
  std::int64_t in_flight = 0;  // more for each token in flight
  std::int64_t windows = 0;    // > 0: windows have a pool of their own, of so many bytes
  bool windows_stay = false;   // of running sequences, until they end
  bool drops_dead_ends = false;
};

class ToyLayout final : public Layout {
 public:
  explicit ToyLayout(const ToyCosts& costs) : costs_(costs) {
    PoolSpec pool{"kv", Bytes{costs.capacity}, {}};
    pool.holds.fill(true);
    if (costs.windows > 0) pool.holds[static_cast<std::size_t>(CacheKind::swa)] = false;
    pools_.push_back(pool);
    if (costs.windows == 0) return;
    PoolSpec windows{"windows", Bytes{costs.windows}, {}};
    windows.holds[static_cast<std::size_t>(CacheKind::swa)] = true;
    pools_.push_back(windows);
  }
  const std::vector<PoolSpec>& pools() const override { return pools_; }
  KindBytes blocks(std::int64_t begin, std::int64_t end, bool window) const override {
    KindBytes bytes;
    bytes[CacheKind::csa] = costs_.block * (end - begin);
    bytes[CacheKind::swa] = window ? costs_.block_window * (end - begin) : 0;
    return bytes;
  }
  KindBytes point(Tokens) const override {
    KindBytes bytes;
    bytes[CacheKind::swa] = costs_.point;
    return bytes;
  }
  KindBytes windows(std::int64_t begin, std::int64_t end) const override {
    KindBytes bytes;
    bytes[CacheKind::swa] = costs_.block_window * (end - begin);
    return bytes;
  }
  KindBytes running(bool, Tokens in_flight) const override {
    KindBytes bytes;
    bytes[CacheKind::tails] = costs_.running + costs_.in_flight * in_flight.value;
    return bytes;
  }
  bool running_windows_stay() const override { return costs_.windows_stay; }
  bool drops_dead_ends() const override { return costs_.drops_dead_ends; }

 private:
  ToyCosts costs_;
  std::vector<PoolSpec> pools_;
};

}  // namespace v4cap
