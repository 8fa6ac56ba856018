// Which real memory stands for what the KV cache of an engine holds: the block tables of a device.
//
// The engine's cache charges bytes and says what it keeps (sim/cache/cache_observer.h); this book
// gives every block a page, every point a place to keep it in, and every running sequence a slot
// for its running state (the last windows and compressor rows). It decides nothing: what it holds
// is at any moment what the cache charges, so that sizes computed once are enough for a whole run.
//
// A step, as whoever runs it sees it:
//
//   plan = engine.plan_step(now);
//   for (a : book.take_admitted())            copy point a.point into slot a.slot, if there is one
//   run the pieces of the plan, reading and writing pages(request) and slot(request); where the
//   state reaches a position of points_within(request, past, past + tokens), copy it out
//   engine.finish_step(now, ended);
//   for (c : book.take_point_copies())        copy slot c.slot out to point c.point
//
// done in this order, as a stream of a device does. What makes reuse safe:
//
// - Pages. What is freed while a step is planned (evicted, or of who was preempted) may be another
//   sequence's page in the very same step. No piece of that step reads what it held: only blocks of
//   running sequences are read, which are locked, and whoever is preempted is not in the plan.
// - Points. A hit may resume at a point that goes in the same plan, even to make room for that hit,
//   and whose place another sequence then writes in the same step. So the point a sequence is
//   admitted at stays pinned: its place is not given away before the call of take_admitted() after
//   the one that returned it, which is after the next plan, or before the sequence ends or is
//   preempted. Pinned places of points that are gone come on top of what the cache charges, at most
//   one for each running sequence; page_book_sizes() counts them.
// - Slots. Whoever ends leaves its slot as it is until the next plan, so what take_point_copies()
//   says can still be copied out of it.
//
// Pages that a sequence shares through the prefix index hold complete entries. A hit that resumes
// before the end of the matched path computes them again and may write the same entries again.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "sim/cache/cache_observer.h"
#include "sim/cache/layout.h"
#include "sim/cache/swa_policy.h"
#include "sim/engine/scheduler.h"
#include "sim/engine/step_plan.h"

namespace v4cap::exec {

// How many of each the book deals out. A page is one block of the engine in the pools of all layers
// and kinds; a point the last window and compressor rows of all layers; a slot the same of a
// running sequence.
struct PageBookSizes {
  std::int32_t pages = 0, points = 0, slots = 0;
  bool operator==(const PageBookSizes&) const = default;
};

// The most that an engine with such a cache and such limits can hold at once, so that a book of
// these sizes never runs out.
// - pages: as many of the layout's cheapest blocks as fit into every pool. With blocks of whole HCA
//   entries (128 tokens) all blocks cost the same: the largest n for which blocks(0, n) fits.
// - slots: limits.max_running, or less where the running state of so many does not fit.
// - points: the most whose bytes fit into every pool, within the policy's retention, beside the
//   blocks they need. A block has at most one kept point, and while sequences that share it compute
//   its end at the same time, one reserved point for each of them. On top come a pinned one for
//   each slot and, with windows in a pool of their own (`pool=r`), those of a step, which are
//   charged only when they are kept. 0 for policies that keep no points.
PageBookSizes page_book_sizes(const Layout& layout, const SwaPolicy& policy, Tokens block,
                              const EngineLimits& limits);

// A sequence that begins to run, or begins again after a preemption.
struct Admitted {
  RequestIndex request = 0;
  std::int32_t slot = 0;
  // Copied into the slot before the sequence runs. -1: it starts at 0, what lies before `position`
  // is rebuilt by pieces of its plan, or its windows are in its pages (`full`).
  std::int32_t point = -1;
  Tokens position;  // the first token that is computed
  Tokens rebuild;   // before it, tokens that run again
  bool operator==(const Admitted&) const = default;
};

// A sequence's state after `position` tokens is to be kept.
struct PointCopy {
  RequestIndex request = 0;
  std::int32_t slot = 0;
  std::int32_t point = 0;
  Tokens position;
  bool operator==(const PointCopy&) const = default;
};

class PageBook final : public CacheObserver {
 public:
  // Must be told of everything from the beginning: Engine::observe(). Needing more of anything than
  // `sizes` has is a failed check.
  explicit PageBook(const PageBookSizes& sizes);

  // Pages of the sequence's blocks, in order. A decode piece may have draft tokens behind the last
  // one, where no token is kept. Valid until the next plan or the end of the step.
  std::span<const std::int32_t> pages(RequestIndex request) const;
  // So many of them in front are shared through the index: complete, and read by others too.
  std::int64_t shared(RequestIndex request) const;
  std::int32_t slot(RequestIndex request) const;

  // Sequences admitted since the last call that still run, in order of admission. To be called once
  // after every plan and before its step: the call ends the pins of those it returned before.
  std::vector<Admitted> take_admitted();

  // Points reserved at positions with after < position <= upto, ascending: to be copied out of the
  // running state when it has computed exactly `position`. Asked for a piece's tokens before it
  // runs. Drafts that turn out wrong leave a point reserved; it is there again for the next step.
  std::vector<PointCopy> points_within(RequestIndex request, Tokens after, Tokens upto) const;

  // Points at output ends, decided in finish_step() when their position was computed: to be copied
  // now, before the next step. The sequence may have ended. Its state is at `position` exactly,
  // unless the step ran on past the block's end (accepted drafts, or a chunk of a preempted
  // request's output): then the state at round_down(computed, block) has to be set aside on the
  // way.
  std::vector<PointCopy> take_point_copies();

  std::int32_t free_pages() const { return static_cast<std::int32_t>(free_pages_.size()); }
  std::int32_t free_points() const { return static_cast<std::int32_t>(free_points_.size()); }
  std::int32_t free_slots() const { return static_cast<std::int32_t>(free_slots_.size()); }
  const PageBookSizes& sizes() const { return sizes_; }

  // Every page, point and slot is free or has exactly the owners it should have. Walks everything.
  void check() const;
  // Besides, nothing runs: pages and points are free or cached, slots free.
  void check_drained() const;

  void admitted(const Admission& admission) override;
  void grown(std::uint32_t tag, std::int64_t blocks) override;
  void committed(std::uint32_t tag, NodeId cursor, std::int64_t begin, std::int64_t end,
                 std::int64_t adopted) override;
  void released(std::uint32_t tag) override;
  void point_reserved(std::uint32_t tag, Tokens position, PointReason reason) override;
  void point_kept(std::uint32_t tag, Tokens position, PointId point) override;
  void point_found(std::uint32_t tag, Tokens position) override;
  void point_dropped(std::uint32_t tag, Tokens position) override;
  void node_added(NodeId node, NodeId parent) override;
  void node_split(NodeId rear, NodeId front, std::int64_t count) override;
  void block_evicted(NodeId node) override;
  void node_erased(NodeId node) override;
  void point_evicted(PointId point) override;

 private:
  struct Node {
    NodeId parent = kRootNode;
    std::vector<std::int32_t> pages;
  };
  struct Reserved {
    Tokens position;
    std::int32_t point = -1;
  };
  struct Sequence {
    bool running = false;
    bool taken = false;  // by take_admitted()
    std::int32_t slot = -1;
    std::int32_t pinned = -1;  // the point it was admitted at
    std::int64_t shared = 0;   // of its pages, those of nodes
    std::vector<std::int32_t> pages;
    std::vector<Reserved> reserved;  // ascending
  };
  struct Place {        // of a point
    bool held = false;  // by a sequence or by the index
    std::int32_t pins = 0;
  };

  const Sequence& running(RequestIndex request) const;
  Sequence& running(RequestIndex request);
  Node& node(NodeId id);
  std::int32_t take_reserved(Sequence& sequence, Tokens position);
  void let_go(std::int32_t point);
  void unpin(Sequence& sequence);
  void free_if_unused(std::int32_t point);

  PageBookSizes sizes_;
  std::vector<std::int32_t> free_pages_, free_points_, free_slots_;  // the next one is the last
  std::vector<Place> places_;                                        // of points
  std::vector<Node> nodes_;                                          // by NodeId
  std::vector<std::int32_t> kept_;                                   // by PointId: its place, or -1
  std::vector<Sequence> sequences_;                                  // by RequestIndex
  std::vector<Admitted> admitted_;
  std::vector<RequestIndex> taken_;  // returned by the last take_admitted()
  std::vector<PointCopy> copies_;
};

}  // namespace v4cap::exec
