// The points of the prefix index: where windows are kept, their own order of use, and what scores
// see of them. The tree itself is in prefix_index.cpp.
#include <algorithm>

#include "sim/cache/cache_observer.h"
#include "sim/cache/point_scores.h"
#include "sim/cache/prefix_index.h"
#include "sim/cache/ring.h"
#include "sim/core/error.h"

namespace v4cap {

std::vector<PointId>::const_iterator PrefixIndex::first_after(const Node& node,
                                                              std::int64_t position) const {
  return std::upper_bound(
      node.points.begin(), node.points.end(), position,
      [this](std::int64_t wanted, PointId id) { return wanted < points_[id].position; });
}

Tokens PrefixIndex::last_point(const Match& match, Tokens limit, std::int64_t in_a_row) const {
  std::int64_t end = 0, next = 0, row = 0;  // of the row being counted, towards the start
  for (NodeId id = match.node; id != kRootNode; id = nodes_[id].parent) {
    const Node& node = nodes_[id];
    for (auto at = first_after(node, limit.value); at != node.points.begin();) {
      if (!points_[*--at].kept) continue;
      const std::int64_t position = points_[*at].position;
      if (row == 0 || position != next) {
        end = position;
        row = 0;
      }
      next = position - block_.value;
      if (++row == in_a_row || next == 0) return Tokens{end};
    }
  }
  return {};
}

PointId PrefixIndex::find_point(NodeId cursor, Tokens position) const {
  NodeId id = cursor;
  while (id != kRootNode && position <= block_ * nodes_[id].begin) id = nodes_[id].parent;
  if (id == kRootNode) return kNoPointId;
  const auto behind = first_after(nodes_[id], position.value);
  if (behind == nodes_[id].points.begin()) return kNoPointId;
  const PointId found = *(behind - 1);
  return points_[found].position == position.value ? found : kNoPointId;
}

PointId PrefixIndex::add_point(NodeId cursor, Tokens position, const KindBytes& bytes,
                               PointReason reason) {
  NodeId id = cursor;
  while (id != kRootNode && position <= block_ * nodes_[id].begin) id = nodes_[id].parent;
  Node& node = nodes_[id];
  V4CAP_CHECK(id != kRootNode && node.refs > 0 && position <= block_ * (node.begin + node.count),
              "a point lies outside the locked path");
  const auto behind = first_after(node, position.value);
  if (behind != node.points.begin() && points_[*(behind - 1)].position == position.value) {
    const PointId there = *(behind - 1);
    return keep_again(there, bytes) ? there : kNoPointId;
  }
  PointId added;
  if (free_points_.empty()) {
    added = static_cast<PointId>(points_.size());
    points_.emplace_back();
  } else {
    added = free_points_.back();
    free_points_.pop_back();
  }
  node.points.insert(behind, added);
  points_[added] = {position.value, id, kNoPointId, kNoPointId, bytes, reason, false};
  keep_again(added, bytes);
  return added;
}

// A point that is only a mark gets its window (back).
bool PrefixIndex::keep_again(PointId id, const KindBytes& bytes) {
  if (points_[id].kept) return false;
  points_[id].kept = true;
  points_[id].bytes = bytes;
  ++point_count_;
  point_bytes_ += bytes;
  (retention_ == PointRetention::own ? cached_ : in_use_) += bytes;
  if (retention_ == PointRetention::own) ring_push_youngest(points_, id);
  if (scores_ != nullptr) scores_->added(*this, id);
  return true;
}

void PrefixIndex::use_points(NodeId cursor, Tokens cached, Tokens position, std::int64_t in_a_row) {
  if (retention_ != PointRetention::own) return;
  for (std::int64_t n = in_a_row - 1; n >= 0; --n) {
    const PointId id = find_point(cursor, position - block_ * n);
    if (id == kNoPointId || !points_[id].kept) continue;
    ring_remove(points_, id);
    ring_push_youngest(points_, id);
  }
  if (scores_ == nullptr) return;
  const PointId last = last_mark(cursor, cached);
  if (last != kNoPointId) scores_->used(*this, last);
  const PointId resumed = find_point(cursor, position);
  if (resumed != kNoPointId && resumed != last) scores_->used(*this, resumed);
}

// The last point or mark at or before `limit` on the path.
PointId PrefixIndex::last_mark(NodeId cursor, Tokens limit) const {
  for (NodeId id = cursor; id != kRootNode; id = nodes_[id].parent) {
    const auto behind = first_after(nodes_[id], limit.value);
    if (behind != nodes_[id].points.begin()) return *(behind - 1);
  }
  return kNoPointId;
}

// Forgets a point; whoever calls has moved its bytes.
void PrefixIndex::remove_point(Node& node, std::size_t at) {
  const PointId id = node.points[at];
  if (scores_ != nullptr) scores_->removed(*this, id);
  forget_window(id);
  node.points.erase(node.points.begin() + static_cast<std::ptrdiff_t>(at));
  points_[id] = {};
  free_points_.push_back(id);
}

void PrefixIndex::forget_window(PointId id) {
  Point& point = points_[id];
  if (!point.kept) return;
  if (retention_ == PointRetention::own) ring_remove(points_, id);
  point_bytes_ -= point.bytes;
  --point_count_;
  point.kept = false;
  if (observer_ != nullptr) observer_->point_evicted(id);
  if (leaves_)
    tell_leaves(nodes_[point.node], StoredKind::point, (point.position - 1) / block_.value);
}

KindBytes PrefixIndex::points_on_path(NodeId cursor) const {
  KindBytes bytes;
  if (retention_ == PointRetention::own) return bytes;  // never in use
  for (NodeId id = cursor; id != kRootNode; id = nodes_[id].parent) {
    for (const PointId point : nodes_[id].points) bytes += points_[point].bytes;
  }
  return bytes;
}

bool PrefixIndex::drop_last_point(NodeId cursor) {
  NodeId id = cursor;
  while (id != kRootNode && nodes_[id].points.empty()) id = nodes_[id].parent;
  if (id == kRootNode || retention_ == PointRetention::own) return false;
  Node& node = nodes_[id];
  V4CAP_CHECK(node.refs > 0, "a point is given up outside a locked path");
  const KindBytes bytes = points_[node.points.back()].bytes;
  remove_point(node, node.points.size() - 1);
  in_use_ -= bytes;
  evicted_ += bytes;
  return true;
}

bool PrefixIndex::evict_by_score(bool blocks) {
  if (blocks && evict_bare()) return true;
  const PointScores::Choice choice = scores_->lowest(*this, blocks);
  if (choice.point == kNoPointId) return false;
  if (choice.blocks) {
    evict_last_block(points_[choice.point].node);
  } else {
    evict_window(choice.point);
  }
  return true;
}

bool PrefixIndex::evict_point() {
  if (scores_ != nullptr) return evict_by_score(false);
  const PointId id = points_[kNoPointId].younger;
  if (id == kNoPointId) return false;
  evict_window(id);
  return true;
}

void PrefixIndex::evict_window(PointId id) {
  cached_ -= points_[id].bytes;
  evicted_ += points_[id].bytes;
  if (scores_ != nullptr) {  // the mark stays
    forget_window(id);
    scores_->dropped(*this, id);
    return;
  }
  const NodeId holder = points_[id].node;
  Node& node = nodes_[holder];
  const auto at = first_after(node, points_[id].position) - 1 - node.points.begin();
  remove_point(node, static_cast<std::size_t>(at));
  if (drops_dead_ends_) drop_dead_end(holder);
}

PointId PrefixIndex::previous_point(PointId id, bool kept) const {
  NodeId at = points_[id].node;
  auto behind = first_after(nodes_[at], points_[id].position) - 1;
  while (true) {
    while (behind != nodes_[at].points.begin()) {
      --behind;
      if (!kept || points_[*behind].kept) return *behind;
    }
    at = nodes_[at].parent;
    if (at == kRootNode) return kNoPointId;
    behind = nodes_[at].points.end();
  }
}

bool PrefixIndex::ends_leaf(PointId id) const {
  const Node& node = nodes_[points_[id].node];
  return node.refs == 0 && node.children == 0 && node.points.back() == id;
}

std::span<const PointId> PrefixIndex::marks_behind(PointId id) const {
  const auto& points = nodes_[points_[id].node].points;
  const auto begin = first_after(nodes_[points_[id].node], points_[id].position);
  const auto end =
      std::find_if(begin, points.end(), [this](PointId at) { return points_[at].kept; });
  return {begin, end};
}

Tokens PrefixIndex::blocks_before(PointId id) const {
  const Node& node = nodes_[points_[id].node];
  Tokens begin = block_ * node.begin;
  const auto own = first_after(node, points_[id].position) - 1;
  if (own != node.points.begin()) begin = std::max(begin, Tokens{points_[*(own - 1)].position});
  return block_ * (node.begin + node.count) - begin;
}

}  // namespace v4cap
