#include "exec/pages/page_book.h"

#include <algorithm>
#include <limits>
#include <string>
#include <utility>

#include "sim/cache/point_retention.h"
#include "sim/core/error.h"
#include "sim/model/compression.h"

namespace v4cap::exec {

namespace {

// The next to be dealt out is the last.
std::vector<std::int32_t> all_free(std::int32_t count) {
  std::vector<std::int32_t> free;
  for (std::int32_t i = count - 1; i >= 0; --i) free.push_back(i);
  return free;
}

std::int32_t deal(std::vector<std::int32_t>& free, const char* of_what) {
  V4CAP_CHECK(!free.empty(), std::string("out of ") + of_what);
  const std::int32_t next = free.back();
  free.pop_back();
  return next;
}

constexpr std::int64_t kMost = std::numeric_limits<std::int32_t>::max();

// Bytes per pool.
using PoolBytes = std::vector<std::int64_t>;

// The least that an object takes of each pool, over all places in a sequence where its cost may
// differ: HCA entries end every kHcaTokensPerEntry tokens, so costs repeat after as many blocks.
template <class Cost>
PoolBytes cheapest(const Layout& layout, const Cost& cost_at) {
  PoolBytes least;
  for (const PoolSpec& pool : layout.pools()) {
    std::int64_t bytes = std::numeric_limits<std::int64_t>::max();
    for (std::int64_t b = 0; b < kHcaTokensPerEntry; ++b) {
      bytes = std::min(bytes, pool.bytes_of(cost_at(b)));
    }
    least.push_back(bytes);
  }
  return least;
}

std::int64_t most_that_fit(const Layout& layout, const PoolBytes& bytes) {
  std::int64_t most = kMost;
  for (std::size_t i = 0; i < bytes.size(); ++i) {
    if (bytes[i] > 0) most = std::min(most, layout.pools()[i].capacity.value / bytes[i]);
  }
  return most;
}

// The most points that fit beside a block for every `a_block` of them, of at most `blocks` blocks.
std::int64_t most_points(const Layout& layout, const PoolBytes& point, const PoolBytes& block,
                         std::int64_t blocks, std::int64_t a_block) {
  const auto fits = [&](std::int64_t points) {
    const std::int64_t needed = (points + a_block - 1) / a_block;
    for (std::size_t i = 0; i < point.size(); ++i) {
      if (points * point[i] + needed * block[i] > layout.pools()[i].capacity.value) return false;
    }
    return true;
  };
  std::int64_t most = 0, too_many = std::min(blocks * a_block, kMost) + 1;
  while (too_many - most > 1) {
    const std::int64_t middle = most + (too_many - most) / 2;
    (fits(middle) ? most : too_many) = middle;
  }
  return most;
}

}  // namespace

PageBookSizes page_book_sizes(const Layout& layout, const SwaPolicy& policy, Tokens block,
                              const EngineLimits& limits) {
  const bool window = policy.stores_window_of_every_token();
  const PoolBytes block_bytes =
      cheapest(layout, [&](std::int64_t b) { return layout.blocks(b, b + 1, window); });
  const std::int64_t pages = most_that_fit(layout, block_bytes);
  V4CAP_CHECK(pages < kMost, "blocks that take no memory");
  const PoolBytes state =
      cheapest(layout, [&](std::int64_t) { return layout.running(window, Tokens{1}); });
  const std::int64_t slots = std::min(limits.max_running, most_that_fit(layout, state));

  std::int64_t points = 0;
  if (policy.interval_by_position() != Tokens{0} || policy.keeps_output_end()) {
    const bool charged_when_kept = policy.window_pool_ratio().has_value();
    const auto bytes_at = [&](std::int64_t b) {
      return point_bytes(policy, layout, block, block * (b + 1));
    };
    const PoolBytes point = cheapest(layout, bytes_at);
    points = most_points(layout, point, block_bytes, pages, charged_when_kept ? 1 : 1 + slots);
    std::int64_t total = std::numeric_limits<std::int64_t>::max();
    for (std::int64_t b = 0; b < kHcaTokensPerEntry; ++b) {
      total = std::min(total, bytes_at(b).total().value);
    }
    if (total > 0) points = std::min(points, point_budget(layout, policy.retention()) / total);
    if (charged_when_kept) {
      // Block ends in the chunks of a step, and in what each sequence's drafts reach.
      const Tokens decode{1 + limits.draft_tokens};
      points += limits.step_tokens / block + slots * (1 + decode / block);
    }
    points += slots;
  }
  return {static_cast<std::int32_t>(pages), static_cast<std::int32_t>(std::min(points, kMost)),
          static_cast<std::int32_t>(slots)};
}

PageBook::PageBook(const PageBookSizes& sizes)
    : sizes_(sizes),
      free_pages_(all_free(sizes.pages)),
      free_points_(all_free(sizes.points)),
      free_slots_(all_free(sizes.slots)),
      places_(static_cast<std::size_t>(sizes.points)) {
  nodes_.emplace_back();  // the root
}

const PageBook::Sequence& PageBook::running(RequestIndex request) const {
  V4CAP_CHECK(request < sequences_.size() && sequences_[request].running,
              "request " + std::to_string(request) + " does not run");
  return sequences_[request];
}

PageBook::Sequence& PageBook::running(RequestIndex request) {
  V4CAP_CHECK(request < sequences_.size() && sequences_[request].running,
              "request " + std::to_string(request) + " does not run");
  return sequences_[request];
}

std::span<const std::int32_t> PageBook::pages(RequestIndex request) const {
  return running(request).pages;
}

std::int64_t PageBook::shared(RequestIndex request) const {
  return running(request).shared;
}

std::int32_t PageBook::slot(RequestIndex request) const {
  return running(request).slot;
}

std::vector<Admitted> PageBook::take_admitted() {
  for (const RequestIndex request : taken_) {
    // Who was preempted and admitted again since has a new pin, which is returned only now.
    Sequence& sequence = sequences_[request];
    if (sequence.running && sequence.taken) unpin(sequence);
  }
  taken_.clear();
  for (const Admitted& admitted : admitted_) {
    sequences_[admitted.request].taken = true;
    taken_.push_back(admitted.request);
  }
  return std::exchange(admitted_, {});
}

std::vector<PointCopy> PageBook::points_within(RequestIndex request, Tokens after,
                                               Tokens upto) const {
  const Sequence& sequence = running(request);
  std::vector<PointCopy> within;
  for (const Reserved& reserved : sequence.reserved) {
    if (reserved.position <= after || reserved.position > upto) continue;
    within.push_back({request, sequence.slot, reserved.point, reserved.position});
  }
  return within;
}

std::vector<PointCopy> PageBook::take_point_copies() {
  return std::exchange(copies_, {});
}

// -- sequences

void PageBook::admitted(const Admission& admission) {
  if (admission.tag >= sequences_.size()) sequences_.resize(admission.tag + std::size_t{1});
  Sequence& sequence = sequences_[admission.tag];
  V4CAP_CHECK(!sequence.running, "a running sequence was admitted again");
  sequence = {};
  sequence.running = true;
  sequence.slot = deal(free_slots_, "slots for running sequences");
  sequence.shared = admission.shared;
  for (NodeId id = admission.cursor; id != kRootNode; id = nodes_[id].parent) {
    const auto& pages = nodes_[id].pages;
    sequence.pages.insert(sequence.pages.end(), pages.rbegin(), pages.rend());
  }
  std::reverse(sequence.pages.begin(), sequence.pages.end());
  V4CAP_CHECK(static_cast<std::int64_t>(sequence.pages.size()) == admission.shared,
              "a path has more or fewer blocks than were matched");
  if (admission.point != kNoPointId) {
    V4CAP_CHECK(admission.point < kept_.size() && kept_[admission.point] >= 0,
                "a hit resumes at a point that is not kept");
    sequence.pinned = kept_[admission.point];
    ++places_[static_cast<std::size_t>(sequence.pinned)].pins;
  }
  admitted_.push_back({admission.tag, sequence.slot, sequence.pinned, admission.resume.position,
                       admission.resume.rebuild});
}

void PageBook::grown(std::uint32_t tag, std::int64_t blocks) {
  Sequence& sequence = running(tag);
  for (; blocks > 0; --blocks) sequence.pages.push_back(deal(free_pages_, "pages"));
}

void PageBook::committed(std::uint32_t tag, NodeId cursor, std::int64_t begin, std::int64_t end,
                         std::int64_t adopted) {
  Sequence& sequence = running(tag);
  V4CAP_CHECK(sequence.shared == begin && end <= static_cast<std::int64_t>(sequence.pages.size()),
              "blocks enter the index that the sequence does not have");
  const auto first_new = sequence.pages.begin() + (begin + adopted);
  Node& last = node(cursor);
  last.pages.insert(last.pages.end(), first_new, sequence.pages.begin() + end);
  // What others computed meanwhile takes the place of its own.
  NodeId id = cursor;
  std::size_t left = nodes_[id].pages.size();
  for (std::int64_t block = end - 1; block >= begin; --block) {
    while (left == 0) {
      V4CAP_CHECK(id != kRootNode, "a path is shorter than what entered it");
      id = nodes_[id].parent;
      left = nodes_[id].pages.size();
    }
    const std::int32_t page = nodes_[id].pages[--left];
    std::int32_t& own = sequence.pages[static_cast<std::size_t>(block)];
    if (own == page) continue;
    free_pages_.push_back(own);
    own = page;
  }
  sequence.shared = end;
}

void PageBook::released(std::uint32_t tag) {
  Sequence& sequence = running(tag);
  V4CAP_CHECK(sequence.reserved.empty(), "a sequence goes and its points do not");
  for (auto block = static_cast<std::size_t>(sequence.shared); block < sequence.pages.size();
       ++block) {
    free_pages_.push_back(sequence.pages[block]);
  }
  free_slots_.push_back(sequence.slot);
  // Its copy has been made, or is not needed any more.
  unpin(sequence);
  std::erase_if(admitted_, [tag](const Admitted& admitted) { return admitted.request == tag; });
  sequence = {};
}

// -- points

void PageBook::point_reserved(std::uint32_t tag, Tokens position, PointReason reason) {
  Sequence& sequence = running(tag);
  const std::int32_t point = deal(free_points_, "places for points");
  places_[static_cast<std::size_t>(point)].held = true;
  const auto behind =
      std::find_if(sequence.reserved.begin(), sequence.reserved.end(),
                   [position](const Reserved& other) { return other.position >= position; });
  V4CAP_CHECK(behind == sequence.reserved.end() || behind->position > position,
              "a sequence reserves a point twice");
  sequence.reserved.insert(behind, {position, point});
  if (reason == PointReason::output_end) copies_.push_back({tag, sequence.slot, point, position});
}

std::int32_t PageBook::take_reserved(Sequence& sequence, Tokens position) {
  const auto at =
      std::find_if(sequence.reserved.begin(), sequence.reserved.end(),
                   [position](const Reserved& other) { return other.position == position; });
  V4CAP_CHECK(at != sequence.reserved.end(), "a point was not reserved");
  const std::int32_t point = at->point;
  sequence.reserved.erase(at);
  return point;
}

void PageBook::point_kept(std::uint32_t tag, Tokens position, PointId point) {
  if (point >= kept_.size()) kept_.resize(point + std::size_t{1}, -1);
  V4CAP_CHECK(kept_[point] == -1, "a point is kept twice");
  kept_[point] = take_reserved(running(tag), position);
}

void PageBook::point_found(std::uint32_t tag, Tokens position) {
  let_go(take_reserved(running(tag), position));
}

void PageBook::point_dropped(std::uint32_t tag, Tokens position) {
  let_go(take_reserved(running(tag), position));
}

void PageBook::point_evicted(PointId point) {
  V4CAP_CHECK(point < kept_.size() && kept_[point] >= 0, "a point goes that is not kept");
  let_go(std::exchange(kept_[point], -1));
}

void PageBook::let_go(std::int32_t point) {
  places_[static_cast<std::size_t>(point)].held = false;
  std::erase_if(copies_, [point](const PointCopy& copy) { return copy.point == point; });
  free_if_unused(point);
}

void PageBook::unpin(Sequence& sequence) {
  const std::int32_t point = std::exchange(sequence.pinned, -1);
  if (point < 0) return;
  --places_[static_cast<std::size_t>(point)].pins;
  free_if_unused(point);
}

void PageBook::free_if_unused(std::int32_t point) {
  const Place& place = places_[static_cast<std::size_t>(point)];
  if (!place.held && place.pins == 0) free_points_.push_back(point);
}

// -- nodes

PageBook::Node& PageBook::node(NodeId id) {
  if (id >= nodes_.size()) nodes_.resize(id + std::size_t{1});
  return nodes_[id];
}

void PageBook::node_added(NodeId id, NodeId parent) {
  node(id) = {parent, {}};
}

void PageBook::node_split(NodeId rear_id, NodeId front_id, std::int64_t count) {
  Node& front = node(front_id);
  Node& rear = nodes_[rear_id];
  const auto cut = rear.pages.begin() + count;
  front = {rear.parent, {rear.pages.begin(), cut}};
  rear.pages.erase(rear.pages.begin(), cut);
  rear.parent = front_id;
}

void PageBook::block_evicted(NodeId id) {
  auto& pages = nodes_[id].pages;
  V4CAP_CHECK(!pages.empty(), "a block goes that has no page");
  free_pages_.push_back(pages.back());
  pages.pop_back();
}

void PageBook::node_erased(NodeId id) {
  V4CAP_CHECK(nodes_[id].pages.empty(), "a node goes and its pages do not");
}

// -- invariants

void PageBook::check() const {
  const auto count = [](std::vector<int>& owners, std::int32_t which) {
    ++owners[static_cast<std::size_t>(which)];
  };
  const auto each_once = [](const std::vector<int>& owners) {
    return std::ranges::all_of(owners, [](int n) { return n == 1; });
  };
  std::vector<int> pages(static_cast<std::size_t>(sizes_.pages));
  std::vector<int> points(static_cast<std::size_t>(sizes_.points)), pins = points;
  std::vector<int> slots(static_cast<std::size_t>(sizes_.slots));
  std::vector<bool> in_node(pages.size());

  for (const std::int32_t page : free_pages_) count(pages, page);
  for (const Node& node : nodes_) {
    for (const std::int32_t page : node.pages) {
      count(pages, page);
      in_node[static_cast<std::size_t>(page)] = true;
    }
  }
  for (const std::int32_t point : free_points_) count(points, point);
  for (const std::int32_t point : kept_) {
    if (point >= 0) count(points, point);
  }
  for (const std::int32_t slot : free_slots_) count(slots, slot);
  for (const Sequence& sequence : sequences_) {
    if (!sequence.running) continue;
    for (std::size_t block = 0; block < sequence.pages.size(); ++block) {
      const std::int32_t page = sequence.pages[block];
      if (static_cast<std::int64_t>(block) >= sequence.shared) {
        count(pages, page);
      } else {
        V4CAP_CHECK(in_node[static_cast<std::size_t>(page)], "a shared page is in no node");
      }
    }
    for (const Reserved& reserved : sequence.reserved) count(points, reserved.point);
    if (sequence.pinned >= 0) count(pins, sequence.pinned);
    count(slots, sequence.slot);
  }
  for (std::size_t point = 0; point < places_.size(); ++point) {
    const Place& place = places_[point];
    V4CAP_CHECK(place.pins == pins[point], "pins were lost");
    if (!place.held && place.pins > 0) ++points[point];
  }
  V4CAP_CHECK(each_once(pages), "a page has two owners or none");
  V4CAP_CHECK(each_once(points), "the place of a point has two owners or none");
  V4CAP_CHECK(each_once(slots), "a slot has two owners or none");
}

void PageBook::check_drained() const {
  check();
  V4CAP_CHECK(std::ranges::none_of(sequences_, &Sequence::running), "a sequence still runs");
  V4CAP_CHECK(free_slots() == sizes_.slots, "slots of sequences that are gone are not free");
  V4CAP_CHECK(std::ranges::all_of(places_, [](const Place& place) { return place.pins == 0; }),
              "points stay pinned for nobody");
}

}  // namespace v4cap::exec
