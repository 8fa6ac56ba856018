// What a KvCache tells of its decisions: which blocks and points are there, whose they are, and
// when they go. The cache charges bytes and knows no addresses; an executor that holds real memory
// learns here what each piece of it is for. Everything is told at once, while the cache decides:
// what is freed is told before what takes its place, so that whoever follows never holds more than
// the cache charges.
//
// A sequence is its CachedSequence::tag. Its blocks are those of the locked path that ends with a
// node, in order from the root, and behind them blocks of its own. Nodes hold whole blocks; the
// root holds none.
#pragma once

#include <cstdint>

#include "sim/cache/prefix_index.h"
#include "sim/cache/swa_policy.h"

namespace v4cap {

class CacheObserver {
 public:
  struct Admission {
    std::uint32_t tag = 0;
    NodeId cursor = kRootNode;  // ends the locked path
    std::int64_t shared = 0;    // blocks on it
    Resume resume{};
    // Kept at resume.position, to go on from; kNoPointId: nothing is reused, or it is rebuilt, or
    // it lies in the blocks. It may go before anything else is told.
    PointId point = kNoPointId;
  };

  virtual ~CacheObserver() = default;

  // A sequence is taken in and its path locked; its own blocks follow as growth.
  virtual void admitted(const Admission& admission) = 0;
  // So many new blocks of its own, behind those that it has.
  virtual void grown(std::uint32_t tag, std::int64_t blocks) = 0;
  // Its own blocks [begin, end), all computed, are on the path to `cursor` now. The first `adopted`
  // of them were there already, computed by others, and its own go; the rest are now the last
  // blocks of `cursor`.
  virtual void committed(std::uint32_t tag, NodeId cursor, std::int64_t begin, std::int64_t end,
                         std::int64_t adopted) = 0;
  // It ended or was preempted: its own blocks and its state go. Its points went before.
  virtual void released(std::uint32_t tag) = 0;

  // Room for a point of the sequence's state after `position` tokens. PointReason::output_end:
  // these are computed already. All others are reserved before the step that computes them.
  virtual void point_reserved(std::uint32_t tag, Tokens position, PointReason reason) = 0;
  // A reserved point of its own is kept in the index, under `point`, and no longer the sequence's;
  // or was found there already; or is given up. The last two free it.
  virtual void point_kept(std::uint32_t tag, Tokens position, PointId point) = 0;
  virtual void point_found(std::uint32_t tag, Tokens position) = 0;
  virtual void point_dropped(std::uint32_t tag, Tokens position) = 0;

  // A new node without blocks, which committed() then gives it.
  virtual void node_added(NodeId node, NodeId parent) = 0;
  // The first `count` blocks of `rear` are now those of the new node `front` between its parent and
  // itself.
  virtual void node_split(NodeId rear, NodeId front, std::int64_t count) = 0;
  // The last block of a node that nobody uses goes.
  virtual void block_evicted(NodeId node) = 0;
  // The node, which has no blocks any more.
  virtual void node_erased(NodeId node) = 0;
  // What a kept point holds goes, be it evicted, given up or lost with its block. A mark may stay
  // (PrefixIndex::Point::kept), which holds nothing and may be kept again.
  virtual void point_evicted(PointId point) = 0;
};

}  // namespace v4cap
