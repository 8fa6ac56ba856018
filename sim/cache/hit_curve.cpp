#include "sim/cache/hit_curve.h"

#include <algorithm>
#include <boost/unordered/unordered_flat_map.hpp>

#include "sim/core/error.h"
#include "sim/core/hash.h"

namespace v4cap {

namespace {

constexpr std::uint32_t kNobody = kNoRequest;

class Fenwick {
 public:
  explicit Fenwick(std::size_t places) : tree_(places + 1) {}
  void add(std::size_t place, std::int64_t x) {
    total_ += x;
    for (std::size_t i = place + 1; i < tree_.size(); i += i & (~i + 1)) tree_[i] += x;
  }
  std::int64_t behind(std::size_t place) const {  // sum of all places after it
    std::int64_t sum = total_;
    for (std::size_t i = place + 1; i > 0; i -= i & (~i + 1)) sum -= tree_[i];
    return sum;
  }

 private:
  std::vector<std::int64_t> tree_;
  std::int64_t total_ = 0;
};

struct KeyHash {
  std::size_t operator()(std::int64_t key) const noexcept {
    return mix64(static_cast<std::uint64_t>(key));
  }
};

class Curve {
 public:
  Curve(const Trace& trace, const Layout& layout, const SwaPolicy& policy,
        const ReplayOptions& options, std::span<const Bytes> memories)
      : trace_(trace),
        layout_(layout),
        policy_(policy),
        options_(options),
        interval_(*policy.interval_by_position()),
        window_(policy.stores_window_of_every_token()),
        memories_(memories),
        totals_(memories.size()),
        left_(trace.requests.size()),
        stack_(trace.requests.size()),
        user_of_id_(options.block == trace.block ? static_cast<std::size_t>(trace.next_free_id) : 0,
                    kNobody) {}

  std::vector<CacheTotals> run() {
    for (std::uint32_t r = 0; r < trace_.requests.size(); ++r) request(r);
    for (std::size_t m = 0; m < memories_.size(); ++m) count_evicted(memories_[m], totals_[m]);
    return std::move(totals_);
  }

 private:
  // What is left of a request's path in the stack: blocks [begin, end), of which those before
  // `whole` are full ones that may have points.
  struct Left {
    std::int64_t begin = 0, end = 0, whole = 0;
  };
  // Blocks [begin, end) of the current request were last used by request `by`; `above` bytes lie
  // over the first of them.
  struct Known {
    std::int64_t begin, end;
    std::int64_t above;
  };

  void request(std::uint32_t r) {
    replay_keys(trace_, r, options_, scratch_, keys_);
    find_known(r);
    const std::int64_t whole =
        keys_.blocks > keys_.prompt_blocks ? keys_.blocks : keys_.full_blocks;
    grow_sums(keys_.blocks);
    for (std::size_t m = 0; m < memories_.size(); ++m) {
      count(trace_.requests[r], cached_blocks(memories_[m].value), whole, totals_[m]);
    }
    left_[r] = {0, keys_.blocks, whole};
    stack_.add(r, weight(0, keys_.blocks, whole));
  }

  // The stretches of this request's blocks by their last user, who loses them.
  void find_known(std::uint32_t r) {
    known_.clear();
    std::int64_t at = 0;
    std::uint32_t by = 0;
    bool open = true;  // no unknown block yet
    for (const KeyRun& run : keys_.keys) {
      for (std::int64_t i = 0; i < run.count; ++i, ++at) {
        const std::uint32_t user = exchange_user(run.first + i, r);
        open = open && user != kNobody;
        if (!open) continue;
        if (known_.empty() || user != by) {
          by = user;
          known_.push_back({at, at, stack_.behind(by)});
          users_.push_back(by);
        }
        known_.back().end = at + 1;
      }
    }
    for (std::size_t k = 0; k < known_.size(); ++k) take(users_[k], known_[k].end);
    users_.clear();
  }

  // Who used a block last; now it is `r`. Ids of the trace are dense, other keys are not.
  std::uint32_t exchange_user(std::int64_t key, std::uint32_t r) {
    if (key < static_cast<std::int64_t>(user_of_id_.size())) {
      return std::exchange(user_of_id_[static_cast<std::size_t>(key)], r);
    }
    const auto [found, fresh] = user_of_key_.try_emplace(key, r);
    return fresh ? kNobody : std::exchange(found->second, r);
  }

  // The front of what request `by` left, up to block `end`, is used again.
  void take(std::uint32_t by, std::int64_t end) {
    Left& left = left_[by];
    grow_sums(left.end);
    stack_.add(by, -weight(left.begin, end, left.whole));
    left.begin = end;
  }

  // How many of the known blocks a memory still holds.
  std::int64_t cached_blocks(std::int64_t memory) const {
    std::int64_t blocks = 0;
    for (const Known& k : known_) {
      std::int64_t low = k.begin, high = k.end;
      while (low < high) {
        const std::int64_t middle = (low + high + 1) / 2;
        if (k.above + weight(k.begin, middle, middle) <= memory) {
          low = middle;
        } else {
          high = middle - 1;
        }
      }
      blocks = low;
      if (low < k.end) break;
    }
    return blocks;
  }

  // `held`: the first so many blocks of prompt and output are in memory.
  void count(const TraceRequest& wanted, std::int64_t held, std::int64_t whole,
             CacheTotals& totals) {
    const std::int64_t blocks = std::min(held, keys_.prompt_blocks);
    const Tokens behind = options_.block * blocks;
    const Tokens cached = std::min(behind, wanted.prompt);
    // A partial last block has no point.
    const Tokens whole_end = std::min(behind, options_.block * keys_.full_blocks);
    const Tokens point = interval_ > Tokens{0} ? round_down(whole_end, interval_) : Tokens{0};
    const Resume resume = policy_.resume(cached, point);
    count_hit(layout_, policy_, options_.block, wanted, resume, totals);
    totals.written += layout_.blocks(held, keys_.blocks, window_) + points_between(held, whole);
  }

  void count_evicted(Bytes memory, CacheTotals& totals) {
    std::int64_t room = memory.value;
    KindBytes kept;
    for (std::size_t r = left_.size(); r-- > 0;) {
      const Left& left = left_[r];
      std::int64_t end = left.end;
      while (end > left.begin && weight(left.begin, end, left.whole) > room) --end;
      const std::int64_t whole = std::min(end, left.whole);
      kept += layout_.blocks(left.begin, end, window_);
      kept += points_between(left.begin, whole);
      totals.points += interval_ > Tokens{0}
                           ? std::max<std::int64_t>(0, point_count(whole) - point_count(left.begin))
                           : 0;
      if (end < left.end) break;
      room -= weight(left.begin, end, left.whole);
    }
    totals.evicted = totals.written - kept;
  }

  std::int64_t point_count(std::int64_t blocks) const {
    return (options_.block * blocks) / interval_;
  }

  KindBytes points_between(std::int64_t begin, std::int64_t end) const {
    KindBytes bytes;
    if (interval_ == Tokens{0} || end <= begin) return bytes;
    for (std::int64_t n = point_count(begin) + 1; n <= point_count(end); ++n) {
      bytes += layout_.point(interval_ * n);
    }
    return bytes;
  }

  // Bytes of blocks [begin, end) and of the points that end those before `whole`.
  std::int64_t weight(std::int64_t begin, std::int64_t end, std::int64_t whole) const {
    const auto at = [](std::int64_t n) { return static_cast<std::size_t>(n); };
    const std::int64_t points_end = std::max(begin, std::min(end, whole));
    return block_sums_[at(end)] - block_sums_[at(begin)] + point_sums_[at(points_end)] -
           point_sums_[at(begin)];
  }

  void grow_sums(std::int64_t blocks) {
    while (static_cast<std::int64_t>(block_sums_.size()) <= blocks) {
      const auto n = static_cast<std::int64_t>(block_sums_.size());
      block_sums_.push_back(block_sums_.back() + layout_.blocks(n - 1, n, window_).total().value);
      point_sums_.push_back(point_sums_.back() + points_between(n - 1, n).total().value);
    }
  }

  const Trace& trace_;
  const Layout& layout_;
  const SwaPolicy& policy_;
  ReplayOptions options_;
  Tokens interval_;
  bool window_;
  std::span<const Bytes> memories_;
  std::vector<CacheTotals> totals_;
  std::vector<Left> left_;                 // by request
  Fenwick stack_;                          // bytes left of each request
  std::vector<std::uint32_t> user_of_id_;  // last user of a block
  boost::unordered_flat_map<std::int64_t, std::uint32_t, KeyHash> user_of_key_;
  std::vector<std::int64_t> block_sums_{0}, point_sums_{0};  // of the first n blocks
  std::vector<Known> known_;
  std::vector<std::uint32_t> users_;
  std::vector<IdRun> scratch_;
  ReplayKeys keys_;
};

}  // namespace

std::vector<CacheTotals> hit_curve(const Trace& trace, const Layout& layout,
                                   const SwaPolicy& policy, const ReplayOptions& options,
                                   std::span<const Bytes> memories) {
  V4CAP_CHECK(policy.interval_by_position().has_value(), "a policy without inclusion");
  V4CAP_CHECK(layout.pools().size() == 1, "inclusion needs one pool");
  return Curve(trace, layout, policy, options, memories).run();
}

}  // namespace v4cap
