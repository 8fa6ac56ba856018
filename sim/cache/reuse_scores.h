// How likely a point is to be used again, learned while serving: the judgement of policy `reuse`.
//
// Points are told apart by what an engine knows of them: why they were kept, whether the
// conversation has gone on behind them (superseded), how often they were used, how deep in their
// conversation they lie. For each class the scores count, by age (in requests, in powers of two),
// how often points were used and for how long they waited in vain. From these hazards follows what
// a class is worth at an age: the best ratio of expected uses to expected waiting over all times
// that one could wait from now on (Gittins' index for a single arm; Beckmann, Chen and Cidon's LHD,
// NSDI 2018, ranks cached objects by a similar density).
//
// What goes is what saves least per byte: that worth times the tokens that would have to be computed
// again, over the bytes that come free. A point may lose its window alone, or a leaf its last
// blocks with it. A point that lost its window stays as a mark, so that scores also learn what
// would have been used.
#pragma once

#include <array>
#include <vector>

#include "sim/cache/point_scores.h"

namespace v4cap {

class ReuseScores final : public PointScores {
 public:
  // A hit of `threshold` tokens or more is served by rebuilding `rebuilt` tokens where no point is
  // closer. `token_bytes`: compressed entries of one token.
  ReuseScores(Tokens rebuilt, Tokens threshold, double token_bytes);

  void tick() override;
  void added(const PrefixIndex& index, PointId id) override;
  void used(const PrefixIndex& index, PointId id) override;
  void became_leaf(const PrefixIndex& index, PointId id) override;
  void dropped(const PrefixIndex& index, PointId id) override;
  void removed(const PrefixIndex& index, PointId id) override;
  Choice lowest(const PrefixIndex& index, bool blocks) override;

 private:
  static constexpr std::size_t kAges = 32;    // powers of two, in requests
  static constexpr std::size_t kUses = 4;     // 0, 1, 2, 3 and more
  static constexpr std::size_t kDepths = 5;   // turns before it: 0, 1, 2, 3 to 6, 7 and more
  static constexpr std::size_t kReasons = 4;  // PointReason
  static constexpr std::size_t kClasses = 2 * kReasons * kUses * kDepths;

  struct Record {
    bool known = false, linked = false, superseded = false;
    PointReason reason{};
    std::size_t uses = 0, depth = 0;
    std::int64_t last = 0;     // request at which it was last used, kept or changed its class
    std::int64_t counted = 0;  // request up to which its waiting is counted
    PointId older = kNoPointId, younger = kNoPointId;

    std::size_t class_index() const;
  };
  // Points of one class that something can be taken from, by `last`.
  struct Queue {
    PointId oldest = kNoPointId, youngest = kNoPointId;
  };
  // What became of the points of a class, by age.
  struct Experience {
    std::array<double, kAges> uses{}, waited{};
    void wait(std::int64_t from, std::int64_t to);
  };

  Record& record(PointId id);
  void link(PointId id);
  void unlink(PointId id);
  void change_class(PointId id, bool superseded, std::size_t uses, std::int64_t last);
  void learn(Record& record, bool use);
  void relearn();
  double rate_of_all(std::size_t age) const;
  double worth(PointId id);
  std::int64_t saved(std::int64_t position, std::int64_t point) const;
  double window_score(const PrefixIndex& index, PointId id);
  double leaf_score(const PrefixIndex& index, PointId id);

  std::int64_t rebuilt_, threshold_;
  double token_bytes_;
  std::int64_t now_ = 0;
  std::vector<Record> records_;  // by PointId
  std::array<Queue, kClasses> queues_{};
  std::array<Experience, kClasses> experience_{};
  Experience all_;
  std::array<std::array<double, kAges>, kClasses> worth_{};
};

}  // namespace v4cap
