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
//
// Points (kept windows) live with their block by default: in use while it is, evicted with it. With
// PointRetention::own they are objects of their own that may go at any time, the least recently
// used first or by the scores of a PointScores: nothing that runs depends on them, because a hit
// copies its window.
#pragma once

#include <boost/unordered/unordered_flat_map.hpp>
#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "sim/cache/block_keys.h"
#include "sim/cache/layout.h"
#include "sim/cache/stored_object.h"
#include "sim/model/cache_kind.h"

namespace v4cap {

using NodeId = std::uint32_t;
inline constexpr NodeId kRootNode = 0;
using PointId = std::uint32_t;
inline constexpr PointId kNoPointId = 0;

enum class PointRetention : std::uint8_t {
  with_block,  // in use and evicted with the block it ends
  own,         // never in use; evicted by itself, or with its block
};

// What becomes of the cached end of a branch in which no block has a point any more. For points that
// go by themselves, without scores.
enum class DeadEnds : std::uint8_t {
  stay,  // its blocks go when memory is short of blocks
  drop,  // they go with the last point: a cached leaf ends with a block that has one
};

// Why a point is kept, for those who judge it later.
enum class PointReason : std::uint8_t {
  interval,  // at its distance from the one before
  prompt_end,
  output_end,
  fork,  // an earlier request went another way from here
};

class CacheObserver;
class PointScores;

class PrefixIndex {
 public:
  // `window`: blocks carry the window entries of all their tokens. The layout must outlive the
  // index. `scores` (may be null; then it must outlive the index too) chooses what is evicted and
  // needs PointRetention::own. DeadEnds::drop needs PointRetention::own without scores.
  PrefixIndex(const Layout& layout, Tokens block, bool window,
              PointRetention retention = PointRetention::with_block, PointScores* scores = nullptr,
              DeadEnds dead_ends = DeadEnds::stay);

  // Is told of nodes and points that come and go from now on; null: nobody is. The index is empty.
  void observe(CacheObserver* observer);
  // Is told of every block and kept point that goes, before it has gone. It must not touch the
  // index, which is empty.
  using OnLeave = std::function<void(const StoredObject&)>;
  void on_leave(OnLeave told);

  // The longest known prefix of `keys`, at most `blocks` long. Changes nothing.
  struct Match {
    NodeId node = kRootNode;       // holds the last matched block
    std::int64_t blocks = 0;       // matched
    std::int64_t node_blocks = 0;  // of these, in `node`
  };
  Match match(std::span<const KeyRun> keys, std::int64_t blocks) const;

  // Last kept point at or before `limit` on the path that ends with `match`; 0 when there is none.
  // `in_a_row`: so many consecutive blocks must have a point, this one the last of them (or all
  // blocks from the start of the sequence).
  Tokens last_point(const Match& match, Tokens limit, std::int64_t in_a_row = 1) const;

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

  // Keeps a point of so many bytes at `position` (a block boundary) on the locked path; kNoPointId
  // when it is there already.
  PointId add_point(NodeId cursor, Tokens position, const KindBytes& bytes,
                    PointReason reason = PointReason::interval);
  // The point or mark at exactly this position on the path, or kNoPointId.
  PointId find_point(NodeId cursor, Tokens position) const;
  // A hit on the locked path up to `cached` resumed at `position`. With retention `own` the points
  // of the `in_a_row` blocks up to there become the youngest.
  void use_points(NodeId cursor, Tokens cached, Tokens position, std::int64_t in_a_row = 1);

  // Charge of all points on the locked path, and giving up the last of them, which counts as
  // evicted. False when there is none.
  KindBytes points_on_path(NodeId cursor) const;
  bool drop_last_point(NodeId cursor);

  // Evicts the next thing to go, by scores or the least recently used: a point that goes by itself,
  // or one block and the points in it. `blocks`: the memory that is short holds blocks; otherwise
  // points go first. Dead ends that this leaves may go, too. False when nothing is cached.
  bool evict(bool blocks);
  // Evicts a point only (retention `own`). False when there is none.
  bool evict_point();

  // What scores are made from. A path's points by position; `previous` of the first is kNoPointId.
  struct Point {
    std::int64_t position = 0;  // tokens
    NodeId node = kRootNode;    // that holds the block it ends; the root: free
    PointId older = kNoPointId, younger = kNoPointId;
    KindBytes bytes;  // what it takes, or would take if it were kept
    PointReason reason = PointReason::interval;
    bool kept = true;  // false: only a mark of where a point was, which scores go on observing
  };
  const Point& point(PointId id) const { return points_[id]; }
  PointId previous_point(PointId id, bool kept) const;
  // Nothing is behind the point and nobody runs there: its blocks may go, back to the previous point
  // or fork, which are so many tokens.
  bool ends_leaf(PointId id) const;
  Tokens blocks_before(PointId id) const;
  // Marks behind the point and before the next kept one, in the point's own node: what resumes at
  // it in their place.
  std::span<const PointId> marks_behind(PointId id) const;
  std::int64_t point_count() const { return point_count_; }  // kept
  KindBytes point_bytes() const { return point_bytes_; }     // of all kept points

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
    std::vector<PointId> points;  // by position, in (begin, begin + count] blocks
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
  KindBytes charge(const Node& node) const;
  KindBytes blocks_charge(const Node& node) const;
  std::vector<PointId>::const_iterator first_after(const Node& node, std::int64_t position) const;
  void remove_point(Node& node, std::size_t at);
  void evict_last_block(NodeId id);
  void tell_leaves(const Node& node, StoredKind kind, std::int64_t block) const;
  bool keep_again(PointId id, const KindBytes& bytes);
  void forget_window(PointId id);
  void evict_window(PointId id);
  PointId last_mark(NodeId cursor, Tokens limit) const;
  bool evict_by_score(bool blocks);
  bool evict_oldest_block();
  bool evict_bare();
  bool is_bare(NodeId id) const;
  void drop_dead_end(NodeId id);
  void note_leaf(NodeId id);

  const Layout& layout_;
  Tokens block_;
  bool window_;
  PointRetention retention_;
  PointScores* scores_;
  bool drops_dead_ends_;
  CacheObserver* observer_ = nullptr;
  OnLeave leaves_;
  std::vector<Node> nodes_;
  std::vector<NodeId> free_nodes_;
  boost::unordered_flat_map<ChildKey, NodeId, ChildKeyHash> children_;  // never iterated
  std::vector<Point> points_;  // [0] closes the ring of the LRU list of retention `own`
  std::vector<PointId> free_points_;
  std::vector<NodeId> bare_;  // leaves that no point makes useful, as they became so; may be stale
  std::int64_t point_count_ = 0;
  KindBytes in_use_, cached_, evicted_, point_bytes_;
};

}  // namespace v4cap
