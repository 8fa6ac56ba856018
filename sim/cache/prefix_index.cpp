#include "sim/cache/prefix_index.h"

#include <algorithm>
#include <utility>

#include "sim/cache/cache_observer.h"
#include "sim/cache/point_scores.h"
#include "sim/cache/ring.h"
#include "sim/core/error.h"
#include "sim/core/hash.h"

namespace v4cap {

namespace {

// Reads keys of a sequence from a block on.
class KeyCursor {
 public:
  KeyCursor(std::span<const KeyRun> runs, std::int64_t block) : runs_(runs), offset_(block) {
    skip_empty();
  }
  bool done() const { return run_ == runs_.size(); }
  std::int64_t key() const { return runs_[run_].first + offset_; }
  std::int64_t left_in_run() const { return runs_[run_].count - offset_; }
  void advance(std::int64_t n) {
    offset_ += n;
    skip_empty();
  }

 private:
  void skip_empty() {
    while (run_ < runs_.size() && offset_ >= runs_[run_].count) offset_ -= runs_[run_++].count;
  }
  std::span<const KeyRun> runs_;
  std::size_t run_ = 0;
  std::int64_t offset_ = 0;
};

// Blocks that both sequences have in common from here on, at most `limit`; advances both.
std::int64_t common_blocks(KeyCursor& a, KeyCursor& b, std::int64_t limit) {
  std::int64_t n = 0;
  while (n < limit && !a.done() && !b.done() && a.key() == b.key()) {
    const std::int64_t step = std::min({a.left_in_run(), b.left_in_run(), limit - n});
    a.advance(step);
    b.advance(step);
    n += step;
  }
  return n;
}

void copy_keys(KeyCursor& from, std::int64_t count, std::vector<KeyRun>& to) {
  while (count > 0) {
    const KeyRun run{from.key(), std::min(from.left_in_run(), count)};
    from.advance(run.count);
    count -= run.count;
    if (!to.empty() && to.back().first + to.back().count == run.first) {
      to.back().count += run.count;
    } else {
      to.push_back(run);
    }
  }
}

void drop_last_key(std::vector<KeyRun>& keys) {
  if (--keys.back().count == 0) keys.pop_back();
}

}  // namespace

std::size_t PrefixIndex::ChildKeyHash::operator()(const ChildKey& k) const noexcept {
  return mix64(static_cast<std::uint64_t>(k.key) ^ (std::uint64_t{k.parent} << 32));
}
PrefixIndex::PrefixIndex(const Layout& layout, Tokens block, bool window, PointRetention retention,
                         PointScores* scores, DeadEnds dead_ends)
    : layout_(layout),
      block_(block),
      window_(window),
      retention_(retention),
      scores_(scores),
      drops_dead_ends_(dead_ends == DeadEnds::drop) {
  V4CAP_CHECK(scores == nullptr || retention == PointRetention::own, "scores of tied points");
  V4CAP_CHECK(!drops_dead_ends_ || (scores == nullptr && retention == PointRetention::own),
              "dead ends of tied or scored points");
  nodes_.emplace_back();  // the root: no blocks, always locked
  nodes_[kRootNode].refs = 1;
  points_.emplace_back();
}

void PrefixIndex::observe(CacheObserver* observer) {
  V4CAP_CHECK(children_.empty(), "an index is observed only after blocks came into it");
  observer_ = observer;
}

void PrefixIndex::on_leave(OnLeave told) {
  V4CAP_CHECK(children_.empty(), "an index is watched only after blocks came into it");
  leaves_ = std::move(told);
}

// A block of the node, or the point at its end, goes.
void PrefixIndex::tell_leaves(const Node& node, StoredKind kind, std::int64_t block) const {
  leaves_({kind, KeyCursor(node.keys, block - node.begin).key(), block});
}

NodeId PrefixIndex::find_child(NodeId parent, std::int64_t key) const {
  const auto it = children_.find(ChildKey{parent, key});
  return it == children_.end() ? kRootNode : it->second;
}

PrefixIndex::Match PrefixIndex::match(std::span<const KeyRun> keys, std::int64_t blocks) const {
  Match match;
  KeyCursor wanted(keys, 0);
  while (match.blocks < blocks && !wanted.done() && nodes_[match.node].children > 0) {
    const NodeId child = find_child(match.node, wanted.key());
    if (child == kRootNode) break;
    const Node& node = nodes_[child];
    KeyCursor present(node.keys, 0);
    const std::int64_t n = common_blocks(wanted, present, blocks - match.blocks);
    match = {child, match.blocks + n, n};
    if (n < node.count) break;
  }
  return match;
}

KindBytes PrefixIndex::blocks_charge(const Node& node) const {
  return layout_.blocks(node.begin, node.begin + node.count, window_);
}

// What a node moves between cached and in use.
KindBytes PrefixIndex::charge(const Node& node) const {
  KindBytes bytes = blocks_charge(node);
  if (retention_ == PointRetention::own) return bytes;
  for (const PointId id : node.points) bytes += points_[id].bytes;  // all kept: no scores
  return bytes;
}

KindBytes PrefixIndex::unlocked_on_path(const Match& match) const {
  KindBytes bytes;
  for (NodeId id = match.node; id != kRootNode && nodes_[id].refs == 0; id = nodes_[id].parent) {
    const Node& node = nodes_[id];
    if (id != match.node || match.node_blocks == node.count) {
      bytes += charge(node);
      continue;
    }
    const std::int64_t end = node.begin + match.node_blocks;
    bytes += layout_.blocks(node.begin, end, window_);
    if (retention_ == PointRetention::own) continue;
    const auto behind = first_after(node, (block_ * end).value);
    for (auto at = node.points.begin(); at != behind; ++at) bytes += points_[*at].bytes;
  }
  return bytes;
}

void PrefixIndex::lock_node(NodeId id) {
  Node& node = nodes_[id];
  if (node.refs++ > 0) return;
  ring_remove(nodes_, id);
  const KindBytes bytes = charge(node);
  cached_ -= bytes;
  in_use_ += bytes;
}

NodeId PrefixIndex::lock(const Match& match) {
  if (scores_ != nullptr) scores_->tick();
  NodeId cursor = match.node;
  if (cursor != kRootNode && match.node_blocks < nodes_[cursor].count) {
    cursor = split(cursor, match.node_blocks);
  }
  for (NodeId id = cursor; id != kRootNode; id = nodes_[id].parent) lock_node(id);
  return cursor;
}

void PrefixIndex::release(NodeId cursor) {
  for (NodeId id = cursor; id != kRootNode; id = nodes_[id].parent) {
    Node& node = nodes_[id];
    V4CAP_CHECK(node.refs > 0, "a node was released more often than locked");
    if (--node.refs > 0) continue;
    const KindBytes bytes = charge(node);
    in_use_ -= bytes;
    cached_ += bytes;
    ring_push_youngest(nodes_, id);
    note_leaf(id);
  }
  if (drops_dead_ends_) drop_dead_end(cursor);
}

PrefixIndex::Appended PrefixIndex::append(NodeId cursor, std::span<const KeyRun> keys,
                                          std::int64_t begin, std::int64_t end) {
  Appended result{cursor, 0};
  KeyCursor wanted(keys, begin);
  while (begin < end) {
    const bool is_leaf = nodes_[result.cursor].children == 0;
    const NodeId child = is_leaf ? kRootNode : find_child(result.cursor, wanted.key());
    if (child != kRootNode) {
      KeyCursor present(nodes_[child].keys, 0);
      const std::int64_t n = common_blocks(wanted, present, end - begin);
      result.cursor = n < nodes_[child].count ? split(child, n) : child;
      lock_node(result.cursor);
      result.adopted += n;
      begin += n;
      continue;
    }
    // Nothing hangs below and nobody else uses the last node: it grows. Otherwise a child is born.
    if (result.cursor == kRootNode || nodes_[result.cursor].refs > 1 || !is_leaf) {
      const NodeId born = new_node();
      nodes_[born].parent = result.cursor;
      nodes_[born].begin = begin;
      nodes_[born].refs = 1;
      ++nodes_[result.cursor].children;
      children_.emplace(ChildKey{result.cursor, wanted.key()}, born);
      if (observer_ != nullptr) observer_->node_added(born, result.cursor);
      result.cursor = born;
    }
    Node& node = nodes_[result.cursor];
    copy_keys(wanted, end - begin, node.keys);
    node.count += end - begin;
    in_use_ += layout_.blocks(begin, end, window_);
    begin = end;
  }
  return result;
}

void PrefixIndex::evict_last_block(NodeId id) {
  Node& node = nodes_[id];
  V4CAP_CHECK(node.children == 0 && node.refs == 0, "the oldest cached node is no free leaf");
  const std::int64_t end = node.begin + node.count;
  KindBytes bytes = layout_.blocks(end - 1, end, window_);
  while (!node.points.empty() &&
         Tokens{points_[node.points.back()].position} > block_ * (end - 1)) {
    const Point& point = points_[node.points.back()];
    if (point.kept) bytes += point.bytes;
    remove_point(node, node.points.size() - 1);
  }
  cached_ -= bytes;
  evicted_ += bytes;
  if (observer_ != nullptr) observer_->block_evicted(id);
  if (leaves_) tell_leaves(node, StoredKind::block, end - 1);
  if (node.count == 1) {
    const NodeId parent = node.parent;
    erase(id);
    note_leaf(parent);
  } else {
    --node.count;
    drop_last_key(node.keys);
    note_leaf(id);
  }
}

bool PrefixIndex::evict(bool blocks) {
  if (scores_ != nullptr) return evict_by_score(blocks) || evict_oldest_block();
  const bool own = retention_ == PointRetention::own;
  return (own && !blocks && evict_point()) || evict_oldest_block() || (own && evict_point());
}

bool PrefixIndex::evict_oldest_block() {
  const NodeId id = nodes_[kRootNode].younger;  // the oldest: next to the root from its young side
  if (id == kRootNode) return false;
  const NodeId parent = nodes_[id].parent;
  const bool all = nodes_[id].count == 1;
  evict_last_block(id);
  if (drops_dead_ends_) drop_dead_end(all ? parent : id);
  return true;
}

// Gives up what no point ends, from the end of a cached leaf back to a block that one does, a fork
// or somebody who runs.
void PrefixIndex::drop_dead_end(NodeId id) {
  while (is_bare(id)) {
    const NodeId parent = nodes_[id].parent;
    const bool all = nodes_[id].count == 1;
    evict_last_block(id);
    if (all) id = parent;
  }
}

// A block that no kept point makes useful.
bool PrefixIndex::evict_bare() {
  while (!bare_.empty()) {
    const NodeId id = bare_.back();
    bare_.pop_back();
    if (!is_bare(id)) continue;
    evict_last_block(id);  // notes the node again when it stays bare
    return true;
  }
  return false;
}

// A cached leaf whose last block no point ends: nothing resumes behind its last point.
bool PrefixIndex::is_bare(NodeId id) const {
  const Node& node = nodes_[id];
  if (id == kRootNode || node.count == 0 || node.refs > 0 || node.children > 0) return false;
  return node.points.empty() ||
         Tokens{points_[node.points.back()].position} <= block_ * (node.begin + node.count - 1);
}

// For scores: what may go has changed.
void PrefixIndex::note_leaf(NodeId id) {
  if (scores_ == nullptr) return;
  if (is_bare(id)) {
    bare_.push_back(id);
  } else if (id != kRootNode && !nodes_[id].points.empty() && ends_leaf(nodes_[id].points.back())) {
    scores_->became_leaf(*this, nodes_[id].points.back());
  }
}

NodeId PrefixIndex::new_node() {
  if (free_nodes_.empty()) {
    nodes_.emplace_back();
    return static_cast<NodeId>(nodes_.size() - 1);
  }
  const NodeId id = free_nodes_.back();
  free_nodes_.pop_back();
  return id;
}

void PrefixIndex::erase(NodeId id) {
  if (observer_ != nullptr) observer_->node_erased(id);
  ring_remove(nodes_, id);
  Node& node = nodes_[id];
  children_.erase(ChildKey{node.parent, node.keys.front().first});
  --nodes_[node.parent].children;
  node.keys.clear();
  node.points.clear();
  node.begin = node.count = 0;
  node.refs = node.children = 0;
  free_nodes_.push_back(id);
}

// Cuts a node after `count` blocks. The rear keeps its id, so that its children and whoever locked
// it need not know; the front is new, is returned, and is locked by all who locked the whole.
NodeId PrefixIndex::split(NodeId rear_id, std::int64_t count) {
  const NodeId front_id = new_node();
  Node& front = nodes_[front_id];
  Node& rear = nodes_[rear_id];
  front.parent = rear.parent;
  front.begin = rear.begin;
  front.count = count;
  front.refs = rear.refs;
  front.children = 1;
  children_[ChildKey{front.parent, rear.keys.front().first}] = front_id;

  std::vector<KeyRun> rear_keys;
  KeyCursor keys(rear.keys, 0);
  copy_keys(keys, count, front.keys);
  copy_keys(keys, rear.count - count, rear_keys);
  rear.keys = std::move(rear_keys);
  rear.parent = front_id;
  rear.begin += count;
  rear.count -= count;
  children_.emplace(ChildKey{front_id, rear.keys.front().first}, rear_id);

  const auto boundary = first_after(rear, (block_ * rear.begin).value);
  front.points.assign(rear.points.cbegin(), boundary);
  for (const PointId id : front.points) points_[id].node = front_id;
  rear.points.erase(rear.points.begin(), boundary);

  if (front.refs == 0) {  // the front takes the place next to the rear, on the younger side
    const NodeId younger = rear.younger;
    front.older = rear_id;
    front.younger = younger;
    rear.younger = front_id;
    nodes_[younger].older = front_id;
  }
  if (observer_ != nullptr) observer_->node_split(rear_id, front_id, count);
  return front_id;
}

void PrefixIndex::check() const {
  std::vector<bool> is_free(nodes_.size(), false);
  for (const NodeId id : free_nodes_) is_free[id] = true;
  KindBytes in_use, cached;
  std::vector<std::size_t> age(nodes_.size(), 0);  // place in the LRU list, 1 = the oldest
  KindBytes points;
  std::int64_t point_count = 0;
  std::size_t listed = 0, unlocked = 0;
  for (NodeId id = nodes_[kRootNode].younger; id != kRootNode; id = nodes_[id].younger) {
    age[id] = ++listed;
  }
  for (NodeId id = 1; id < nodes_.size(); ++id) {
    if (is_free[id]) continue;
    const Node& node = nodes_[id];
    V4CAP_CHECK(nodes_[node.parent].refs >= node.refs || node.parent == kRootNode,
                "a child is locked more often than its parent");
    V4CAP_CHECK((node.refs == 0) == (age[id] > 0), "the LRU list holds not just unlocked nodes");
    V4CAP_CHECK(age[node.parent] == 0 || age[node.parent] > age[id],
                "a cached node is younger than its parent");
    (node.refs > 0 ? in_use : cached) += charge(node);
    for (const PointId point : node.points) {
      V4CAP_CHECK(points_[point].node == id &&
                      points_[point].position > (block_ * node.begin).value &&
                      points_[point].position <= (block_ * (node.begin + node.count)).value,
                  "a point is not where its node is");
      if (!points_[point].kept) continue;
      points += points_[point].bytes;
      ++point_count;
    }
    V4CAP_CHECK(!drops_dead_ends_ || !is_bare(id), "a dead end stays");
    unlocked += node.refs == 0 ? 1 : 0;
  }
  V4CAP_CHECK(listed == unlocked, "LRU list and unlocked nodes differ");
  if (retention_ == PointRetention::own) cached += points;
  V4CAP_CHECK(points == point_bytes_ && point_count == point_count_, "points were lost");
  V4CAP_CHECK(in_use == in_use_ && cached == cached_, "charges of nodes and running sums differ");
}

}  // namespace v4cap
