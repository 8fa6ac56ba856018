#include "sim/cache/reuse_scores.h"

#include <algorithm>
#include <bit>

namespace v4cap {

namespace {

// A class with little experience of its own is taken for an average one: the average counts as much
// as so many points that waited through the whole age.
constexpr double kPrior = 16;
// The same for the average itself at the start, as if four points had waited half a use.
constexpr double kPriorOfAll = 4, kPriorUses = 0.5;
// And for how a class compares with the average at all ages together, in uses.
constexpr double kPriorOfClass = 4;
// Ages, from now on, over which a wait is planned.
constexpr std::size_t kAhead = 16;
// Of each class so many of the oldest are looked at.
constexpr int kCandidates = 8;
// Requests between two evaluations of what was learned.
constexpr std::int64_t kRequestsPerWorth = 64, kRequestsPerCount = 512;

std::size_t age_of(std::int64_t requests) {
  const auto bits = static_cast<std::uint64_t>(std::max<std::int64_t>(requests, 1));
  return static_cast<std::size_t>(std::bit_width(bits)) - 1;
}

double width_of(std::size_t age) {
  return static_cast<double>(std::int64_t{1} << age);
}

std::int64_t position_of(const PrefixIndex& index, PointId id) {
  return id == kNoPointId ? 0 : index.point(id).position;
}

}  // namespace

std::size_t ReuseScores::Record::class_index() const {
  const std::size_t turns = depth < 3 ? depth : depth < 7 ? 3 : 4;
  const std::size_t kind = (superseded ? kReasons : 0) + static_cast<std::size_t>(reason);
  return (kind * kUses + std::min(uses, kUses - 1)) * kDepths + turns;
}

void ReuseScores::Experience::wait(std::int64_t from, std::int64_t to) {
  while (from < to) {
    const std::size_t age = age_of(from);
    const std::int64_t end = std::min(std::int64_t{2} << age, to);
    waited[age] += static_cast<double>(end - from);
    from = end;
  }
}

ReuseScores::ReuseScores(Tokens rebuilt, Tokens threshold, double token_bytes)
    : rebuilt_(rebuilt.value), threshold_(threshold.value), token_bytes_(token_bytes) {
  relearn();
}

ReuseScores::Record& ReuseScores::record(PointId id) {
  if (records_.size() <= id) records_.resize(id + std::size_t{1});
  return records_[id];
}

// Into its class's queue, by time, from the young side, where nearly all belong.
void ReuseScores::link(PointId id) {
  Record& r = record(id);
  if (r.linked) return;
  r.linked = true;
  Queue& queue = queues_[r.class_index()];
  PointId older = queue.youngest;
  while (older != kNoPointId && records_[older].last > r.last) older = records_[older].older;
  r.older = older;
  r.younger = older == kNoPointId ? queue.oldest : records_[older].younger;
  (r.older == kNoPointId ? queue.oldest : records_[r.older].younger) = id;
  (r.younger == kNoPointId ? queue.youngest : records_[r.younger].older) = id;
}

void ReuseScores::unlink(PointId id) {
  Record& r = record(id);
  if (!r.linked) return;
  r.linked = false;
  Queue& queue = queues_[r.class_index()];
  (r.older == kNoPointId ? queue.oldest : records_[r.older].younger) = r.younger;
  (r.younger == kNoPointId ? queue.youngest : records_[r.younger].older) = r.older;
}

// A new class begins a new age.
void ReuseScores::change_class(PointId id, bool superseded, std::size_t uses, std::int64_t last) {
  Record& r = record(id);
  const bool linked = r.linked;
  unlink(id);
  r.superseded = superseded;
  r.uses = uses;
  r.last = last;
  r.counted = now_;
  if (linked) link(id);
}

void ReuseScores::learn(Record& r, bool use) {
  Experience& own = experience_[r.class_index()];
  const std::int64_t age = now_ - r.last;
  own.wait(r.counted - r.last, age);
  all_.wait(r.counted - r.last, age);
  r.counted = now_;
  if (!use) return;
  own.uses[age_of(age)] += 1;
  all_.uses[age_of(age)] += 1;
}

void ReuseScores::tick() {
  ++now_;
  if (now_ % kRequestsPerWorth == 0) relearn();
  if (now_ % kRequestsPerCount != 0) return;
  // Those that wait in vain have no event of their own to be counted at.
  for (Record& r : records_) {
    if (r.known) learn(r, false);
  }
}

void ReuseScores::added(const PrefixIndex& index, PointId id) {
  if (record(id).known) return link(id);  // it was a mark
  const PointId before = index.previous_point(id, false);
  std::size_t depth = 0;
  if (before != kNoPointId) {
    Record& previous = record(before);
    const bool turn = index.point(id).reason != PointReason::interval;
    depth = previous.depth + (turn ? 1 : 0);
    if (!previous.superseded) {
      learn(previous, false);
      change_class(before, true, previous.uses, now_);
    }
  }
  Record& r = record(id);
  r = Record{};
  r.known = true;
  r.reason = index.point(id).reason;
  r.depth = depth;
  r.last = r.counted = now_;
  link(id);
}

void ReuseScores::used(const PrefixIndex&, PointId id) {
  Record& r = record(id);
  learn(r, true);
  change_class(id, r.superseded, r.uses + 1, now_);
}

void ReuseScores::became_leaf(const PrefixIndex&, PointId id) {
  link(id);
}

void ReuseScores::dropped(const PrefixIndex& index, PointId id) {
  if (!index.ends_leaf(id)) unlink(id);
}

void ReuseScores::removed(const PrefixIndex& index, PointId id) {
  Record& r = record(id);
  learn(r, false);
  unlink(id);
  r.known = false;
  if (!index.ends_leaf(id)) return;
  // Its conversation now ends at the point before, and is as likely to go on as it was.
  const PointId before = index.previous_point(id, false);
  if (before == kNoPointId || index.point(before).node != index.point(id).node) return;
  Record& previous = record(before);
  if (!previous.superseded) return;
  learn(previous, false);
  change_class(before, false, std::max(previous.uses, r.uses), r.last);
}

double ReuseScores::rate_of_all(std::size_t age) const {
  return (all_.uses[age] + kPriorUses) / (all_.waited[age] + kPriorOfAll * width_of(age));
}

void ReuseScores::relearn() {
  for (std::size_t c = 0; c < kClasses; ++c) {
    const Experience& own = experience_[c];
    double uses = kPriorOfClass, expected = kPriorOfClass;
    for (std::size_t age = 0; age < kAges; ++age) {
      uses += own.uses[age];
      expected += own.waited[age] * rate_of_all(age);
    }
    std::array<double, kAges> chance;  // of a use within the age, for one that reaches it
    for (std::size_t age = 0; age < kAges; ++age) {
      const double prior = kPrior * width_of(age);
      const double rate = (own.uses[age] + rate_of_all(age) * (uses / expected) * prior) /
                          (own.waited[age] + prior);
      chance[age] = rate * width_of(age) / (1 + rate * width_of(age));
    }
    for (std::size_t from = 0; from < kAges; ++from) {
      double waiting = 1, hits = 0, time = 0, best = 0;
      for (std::size_t age = from; age < std::min(kAges, from + kAhead); ++age) {
        hits += waiting * chance[age];
        time += waiting * width_of(age) * (1 - chance[age] / 2);
        waiting *= 1 - chance[age];
        best = std::max(best, hits / time);
      }
      worth_[c][from] = best;
    }
  }
}

double ReuseScores::worth(PointId id) {
  const Record& r = record(id);
  return worth_[r.class_index()][age_of(now_ - r.last)];
}

// Tokens that a hit of `position` tokens saves when the last point before it is at `point`.
std::int64_t ReuseScores::saved(std::int64_t position, std::int64_t point) const {
  return position < threshold_ ? point : std::max(point, position - rebuilt_);
}

// What goes with the window: hits that end at the point or at a mark behind it resume further back.
double ReuseScores::window_score(const PrefixIndex& index, PointId id) {
  const std::int64_t at = index.point(id).position;
  const std::int64_t before = position_of(index, index.previous_point(id, true));
  double lost = worth(id) * static_cast<double>(at - saved(at, before));
  for (const PointId mark : index.marks_behind(id)) {
    const std::int64_t there = index.point(mark).position;
    lost += worth(mark) * static_cast<double>(saved(there, at) - saved(there, before));
  }
  return lost / static_cast<double>(index.point(id).bytes.total().value);
}

// What goes with the last blocks of a leaf, back to the point or fork before them.
double ReuseScores::leaf_score(const PrefixIndex& index, PointId id) {
  const PrefixIndex::Point& point = index.point(id);
  const Tokens blocks = index.blocks_before(id);
  const std::int64_t rest = point.position - blocks.value;
  const std::int64_t before = position_of(index, index.previous_point(id, true));
  const std::int64_t lost =
      saved(point.position, point.kept ? point.position : before) - saved(rest, before);
  const double window = point.kept ? static_cast<double>(point.bytes.total().value) : 0;
  return worth(id) * static_cast<double>(lost) /
         (static_cast<double>(blocks.value) * token_bytes_ + window);
}

PointScores::Choice ReuseScores::lowest(const PrefixIndex& index, bool blocks) {
  Choice best;
  double best_score = 0;
  const auto consider = [&](Choice choice, double score) {
    if (best.point != kNoPointId && score >= best_score) return;
    best = choice;
    best_score = score;
  };
  for (const Queue& queue : queues_) {
    PointId next = kNoPointId;
    int looked_at = 0;
    for (PointId id = queue.oldest; id != kNoPointId && looked_at < kCandidates; id = next) {
      next = records_[id].younger;
      const bool kept = index.point(id).kept, leaf = index.ends_leaf(id);
      if (!kept && !leaf) {
        unlink(id);
        continue;
      }
      if (!kept && !blocks) continue;  // nothing of it is asked for, so it is no candidate
      ++looked_at;
      if (kept) consider({id, false}, window_score(index, id));
      if (blocks && leaf) consider({id, true}, leaf_score(index, id));
    }
  }
  return best;
}

}  // namespace v4cap
