// The tiers below one engine's GPU memory, in order from the fastest, and what goes between them:
// copies down by write policies (sim/cache/write_policy.h), prefixes up when a request hits them.
// Some tiers may be shared with other engines.
//
// It has no clock and moves nothing: it emits transfer orders, a driver performs them on links
// (sim/transfer/links.h) and says when each is done. Bytes are those of one GPU of the rank: its
// GPUs hold the same, one copy is stored for all.
//
// What leaves GPU memory or a tier to be copied down frees its place at once: a staging buffer that
// holds it on its way is taken to be there.
#pragma once

#include <boost/unordered/unordered_flat_map.hpp>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <vector>

#include "sim/cache/tier.h"
#include "sim/cache/write_policy.h"

namespace v4cap {

using OrderId = std::uint64_t;

// Level of GPU memory; tiers are 0, 1, ... from there down.
inline constexpr int kGpuLevel = -1;

// Bytes to be moved from one level to another, through all levels between.
struct TransferOrder {
  OrderId id = 0;
  int from = kGpuLevel, to = kGpuLevel;
  Bytes bytes;
  std::uint32_t tag = 0;  // to the GPU: of the sequence that waits for it
  bool load() const { return to == kGpuLevel; }
};

// An object that a sequence wants on the GPU, where it is, and what of it has to be read.
struct LoadPiece {
  StoredObject object;
  int tier = 0;
  KindBytes read;
};

class TierStack {
 public:
  struct Level {
    std::shared_ptr<Tier> tier;
    std::unique_ptr<WritePolicy> policy;
  };
  explicit TierStack(std::vector<Level> levels);

  std::size_t size() const { return levels_.size(); }
  const Tier& tier(std::size_t i) const { return *levels_[i].tier; }
  Tier& tier(std::size_t i) { return *levels_[i].tier; }
  const WritePolicy& policy(std::size_t i) const { return *levels_[i].policy; }

  // Time passes; what follows happens then.
  void set_time(SimTime now) { now_ = now; }

  // An object has come to GPU memory, or was used there.
  void used(const StoredObject& object);
  // It has left GPU memory.
  void left(const StoredObject& object);

  // The uppermost tier where the object can be read, or nothing.
  std::optional<int> find(StoredKind kind, std::int64_t key);
  bool has(StoredKind kind, std::int64_t key) { return find(kind, key).has_value(); }

  // All pieces, each where find() found it, are read for a sequence. Orders follow, one for each
  // tier; returns how many.
  int load(std::uint32_t tag, const std::vector<LoadPiece>& pieces);

  // What has to be moved, since the last call, in the order of their ids.
  void take_orders(std::vector<TransferOrder>& out);
  bool has_orders() const { return !new_loads_.empty() || !going_down_.empty(); }
  // An order has been performed.
  void performed(OrderId id);
  // It will not be: what it was to bring is lost on its way.
  void broken_off(OrderId id);
  // What open orders read from a tier or leave there on their way is no more of their concern. None
  // of them copies to or from it, and none is left to be taken.
  void forget(int tier);
  std::size_t open_orders() const { return open_.size(); }
  // GPU memory is lost with all that was in it. No order is open, and none is left to be taken.
  void gpu_lost();

  void check() const;

 private:
  struct Open {
    TransferOrder order;
    std::vector<StoredObject> objects;                   // read from `from`, or coming to `to`
    std::vector<std::pair<int, StoredObject>> promoted;  // coming to tiers on the way up
  };
  struct KeyHash {
    std::size_t operator()(std::int64_t key) const noexcept;
  };
  struct Batch {
    std::vector<StoredObject> objects;
    KindBytes bytes;
  };

  std::optional<int> next_holder(int level, const StoredObject& object) const;
  void consider(int level, const StoredObject& object, std::int64_t uses);
  void copy_down(int from, int to, const StoredObject& object);
  bool expect(int tier, const StoredObject& object);
  void release(const Open& open);

  std::vector<Level> levels_;
  bool counts_ = false;  // uses in GPU memory, for a policy that asks for them
  SimTime now_;
  OrderId next_id_ = 0;
  std::array<boost::unordered_flat_map<std::int64_t, std::uint32_t, KeyHash>, kStoredKinds>
      uses_on_gpu_;
  std::map<std::pair<int, int>, Batch> going_down_;  // not ordered yet, by from and to
  std::vector<TransferOrder> new_loads_;
  std::map<OrderId, Open> open_;
  std::vector<Tier::Gone> gone_;  // scratch
};

}  // namespace v4cap
