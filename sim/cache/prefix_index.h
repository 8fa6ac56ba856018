// The prefix index: which blocks of which prefixes are in memory, who uses them, and in which order
// unused ones go.
//
// A radix tree over block keys. A node is a stretch of blocks that are always reached together; it
// holds their keys as runs, so a lookup costs per run, not per block. A request locks the path to
// the last block it uses; locked nodes are in use, all others are cached and stand in one LRU list.
//
// Invariants
// - A node is locked at least as often as any of its children, so unlocked subtrees hang below
// locked ones.
// - In the LRU list a parent is always younger than its children: releasing a path pushes it leaf
// first.
//   The oldest node is therefore a leaf, and eviction takes blocks from its end: block by block
//   this is LRU with ties broken towards the end of the sequence, which gives the inclusion
//   property.
// - in_use() + cached() are exactly the charges of all nodes' blocks and points.
#pragma once

#include <boost/unordered/unordered_flat_map.hpp>
#include <cstdint>
#include <span>
#include <vector>

#include "sim/cache/block_keys.h"
#include "sim/cache/layout.h"
#include "sim/model/cache_kind.h"

namespace v4cap {

using NodeId = std::uint32_t;
inline constexpr NodeId kRootNode = 0;

class PrefixIndex {
 public:
  // `window`: blocks carry the window entries of all their tokens. The layout must outlive the
  // index.
  PrefixIndex(const Layout& layout, Tokens block, bool window);

  // The longest known prefix of `keys`, at most `blocks` long. Changes nothing.
  struct Match {
    NodeId node = kRootNode;       // holds the last matched block
    std::int64_t blocks = 0;       // matched
    std::int64_t node_blocks = 0;  // of these, in `node`
  };
  Match match(std::span<const KeyRun> keys, std::int64_t blocks) const;

  // Last kept point at or before `limit` on the path that ends with `match`; 0 when there is none.
  Tokens last_point(const Match& match, Tokens limit) const;

  // Charge of the unlocked part of the path: what lock() would move from cached to in use.
  KindBytes unlocked_on_path(const Match& match) const;

  // Locks the path. The returned node ends with the match's last block; keep it for append and
  // release.
  NodeId lock(const Match& match);
  // Gives the path back; what nobody else uses becomes the youngest cached state.
  void release(NodeId cursor);

  // Blocks [begin, end) of a sequence follow the locked `cursor`, which ends at block `begin`.
  // Those that another sequence has put there meanwhile are adopted (locked, not charged again);
  // the rest is new.
  struct Appended {
    NodeId cursor;
    std::int64_t adopted;
  };
  Appended append(NodeId cursor, std::span<const KeyRun> keys, std::int64_t begin,
                  std::int64_t end);

  // Keeps a point at `position` (a block boundary) on the locked path; false when it is there
  // already.
  bool add_point(NodeId cursor, Tokens position);

  // Charge of all points on the locked path, and giving up the last of them, which counts as
  // evicted. False when there is none.
  KindBytes points_on_path(NodeId cursor) const;
  bool drop_last_point(NodeId cursor);

  // Evicts one block and the points behind it, from the oldest cached node. False when nothing is
  // cached.
  bool evict_block();

  const KindBytes& in_use() const { return in_use_; }
  const KindBytes& cached() const { return cached_; }
  const KindBytes& evicted() const { return evicted_; }  // since the beginning

  // Walks everything and compares with the running sums; for tests and for the end of a run.
  void check() const;

 private:
  struct Node {
    NodeId parent = kRootNode;
    NodeId older = kRootNode, younger = kRootNode;  // LRU neighbours; the root closes the ring
    std::uint32_t refs = 0, children = 0;
    std::int64_t begin = 0, count = 0;  // blocks
    std::vector<KeyRun> keys;
    std::vector<std::int64_t>
        points;  // token positions, ascending, in (begin, begin + count] blocks
  };
  struct ChildKey {
    NodeId parent;
    std::int64_t key;
    bool operator==(const ChildKey&) const = default;
  };
  struct ChildKeyHash {
    std::size_t operator()(const ChildKey& k) const noexcept;
  };

  NodeId find_child(NodeId parent, std::int64_t key) const;
  NodeId new_node();
  void erase(NodeId id);
  NodeId split(NodeId id, std::int64_t count);
  void lock_node(NodeId id);
  void list_push_youngest(NodeId id);
  void list_remove(NodeId id);
  KindBytes charge(const Node& node) const;

  const Layout& layout_;
  Tokens block_;
  bool window_;
  std::vector<Node> nodes_;
  std::vector<NodeId> free_nodes_;
  boost::unordered_flat_map<ChildKey, NodeId, ChildKeyHash> children_;  // never iterated
  KindBytes in_use_, cached_, evicted_;
};

}  // namespace v4cap
