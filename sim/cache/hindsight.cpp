#include "sim/cache/hindsight.h"

#include <algorithm>
#include <limits>
#include <set>
#include <vector>

#include "sim/core/error.h"
#include "sim/model/compression.h"

namespace v4cap {

namespace {

constexpr std::uint32_t kNever = std::numeric_limits<std::uint32_t>::max();

// Blocks [begin, end) of a request, which request `next` is the first to use again.
struct Stretch {
  std::int64_t begin = 0, end = 0;
  std::uint32_t next = kNever;
};

// For every request the stretches of its whole blocks by next use, which never comes sooner for a
// later block.
struct Uses {
  std::vector<Stretch> stretches;
  std::vector<std::size_t> begin;  // stretches of request r: [begin[r], begin[r + 1])
  std::vector<Tokens> prompt;
  std::vector<std::int64_t> full_blocks;
  std::vector<bool> partial_known;  // its partial last block was an earlier request's too
};

// Keys are blocks' names; equal keys are equal prefixes. Dense numbers for them, by runs.
class LastSeen {
 public:
  explicit LastSeen(std::size_t names) : last_(names, kNever) {}
  std::uint32_t exchange(std::int64_t key, std::uint32_t value) {
    return std::exchange(last_[static_cast<std::size_t>(key)], value);
  }

 private:
  std::vector<std::uint32_t> last_;
};

Uses uses_of(const Trace& trace, Tokens block) {
  const std::size_t n = trace.requests.size();
  Uses uses;
  uses.full_blocks.resize(n);
  uses.partial_known.resize(n);
  std::vector<std::vector<Stretch>> by_request(n);
  LastSeen next(static_cast<std::size_t>(trace.next_free_id));
  ReplayKeys keys;
  std::vector<IdRun> scratch;
  for (std::size_t r = n; r-- > 0;) {
    replay_keys(trace, static_cast<std::uint32_t>(r), {block, false}, scratch, keys);
    auto& stretches = by_request[r];
    uses.full_blocks[r] = keys.full_blocks;
    std::int64_t at = 0;
    for (const KeyRun& run : keys.keys) {
      for (std::int64_t i = 0; i < run.count; ++i, ++at) {
        const std::uint32_t use = next.exchange(run.first + i, static_cast<std::uint32_t>(r));
        if (at >= keys.full_blocks) {
          if (use != kNever) uses.partial_known[use] = true;
          continue;
        }
        if (stretches.empty() || stretches.back().next != use) stretches.push_back({at, at, use});
        stretches.back().end = at + 1;
      }
    }
  }
  uses.begin.push_back(0);
  for (std::size_t r = 0; r < n; ++r) {
    uses.stretches.insert(uses.stretches.end(), by_request[r].begin(), by_request[r].end());
    uses.begin.push_back(uses.stretches.size());
    uses.prompt.push_back(trace.requests[r].prompt);
  }
  return uses;
}

// Farthest next use goes first. A stretch costs its blocks and, if points cost anything, one point.
class Belady {
 public:
  Belady(const Uses& uses, const Layout& layout, Tokens block, Bytes memory, bool points)
      : uses_(uses),
        layout_(layout),
        block_(block),
        memory_(memory.value),
        smallest_(smallest_block(layout)),
        points_(points) {}

  Tokens saved() {
    Tokens saved;
    for (std::uint32_t r = 0; r < uses_.prompt.size(); ++r) {
      std::int64_t hit = 0;
      // What was kept for this request is used up, in the order of its blocks: it may have been
      // left behind by several earlier ones.
      while (!kept_.empty() && kept_.begin()->next == r) {
        hit = std::max(hit, kept_.begin()->end);
        used_ -= kept_.begin()->bytes;
        kept_.erase(kept_.begin());
      }
      const bool all = hit == uses_.full_blocks[r] && uses_.partial_known[r];
      saved += std::min(all ? uses_.prompt[r] : block_ * hit, uses_.prompt[r] - Tokens{1});
      for (std::size_t s = uses_.begin[r]; s < uses_.begin[r + 1]; ++s) keep(uses_.stretches[s]);
      make_room();
    }
    return saved;
  }

 private:
  struct Kept {
    std::uint32_t next;
    std::int64_t begin, end;
    std::int64_t bytes;
    bool operator<(const Kept& o) const { return next != o.next ? next < o.next : begin < o.begin; }
  };

  std::int64_t bytes_of(std::int64_t begin, std::int64_t end) const {
    if (!points_) return (end - begin) * smallest_;
    return layout_.blocks(begin, end, false).total().value +
           layout_.point(block_ * end).total().value;
  }

  // Of the blocks of a period after which all repeat.
  static std::int64_t smallest_block(const Layout& layout) {
    std::int64_t smallest = std::numeric_limits<std::int64_t>::max();
    for (std::int64_t n = 0; n < kHcaTokensPerEntry; ++n) {
      smallest = std::min(smallest, layout.blocks(n, n + 1, false).total().value);
    }
    return smallest;
  }

  void keep(const Stretch& stretch) {
    if (stretch.next == kNever) return;
    const Kept kept{stretch.next, stretch.begin, stretch.end, bytes_of(stretch.begin, stretch.end)};
    if (kept_.insert(kept).second) used_ += kept.bytes;
  }

  void make_room() {
    while (used_ > memory_) {
      Kept last = *std::prev(kept_.end());
      kept_.erase(std::prev(kept_.end()));
      used_ -= last.bytes;
      // Its front stays as far as it fits.
      const std::int64_t room = memory_ - used_;
      std::int64_t low = last.begin, high = last.end - 1;  // largest end that fits
      while (low < high) {
        const std::int64_t middle = (low + high + 1) / 2;
        (bytes_of(last.begin, middle) <= room ? low : high) =
            bytes_of(last.begin, middle) <= room ? middle : middle - 1;
      }
      if (low == last.begin || bytes_of(last.begin, low) > room) continue;
      last.end = low;
      last.bytes = bytes_of(last.begin, low);
      used_ += last.bytes;
      kept_.insert(last);
      return;
    }
  }

  const Uses& uses_;
  const Layout& layout_;
  Tokens block_;
  std::int64_t memory_, smallest_, used_ = 0;
  bool points_;
  std::set<Kept> kept_;
};

}  // namespace

Hindsight hindsight(const Trace& trace, const Layout& layout, Tokens block, Bytes memory) {
  V4CAP_CHECK(trace.block == block, "hindsight at another block than the trace's");
  const Uses uses = uses_of(trace, block);
  const Tokens bound = Belady(uses, layout, block, memory, false).saved();
  return {bound, std::min(bound, Belady(uses, layout, block, memory, true).saved())};
}

}  // namespace v4cap
