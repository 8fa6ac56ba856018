// A set of block ids kept as disjoint runs, so that an agent's prompt of thousands of blocks costs
// a handful of look-ups.
#pragma once

#include <algorithm>
#include <cstdint>
#include <iterator>
#include <map>

#include "traces/trace.h"

namespace v4cap {

class IdSet {
 public:
  // How many of the run's ids are in the set, counted from its first until one is missing.
  std::int64_t known_prefix(const IdRun& run) const {
    auto after = ends_.upper_bound(run.first);
    if (after == ends_.begin()) return 0;
    const std::int64_t end = std::prev(after)->second;
    return end <= run.first ? 0 : std::min(end - run.first, run.count);
  }

  void insert(const IdRun& run) {
    std::int64_t first = run.first, end = run.first + run.count;
    auto it = ends_.upper_bound(first);
    if (it != ends_.begin() && std::prev(it)->second >= first) --it;
    while (it != ends_.end() && it->first <= end) {
      if (it->first <= first && it->second >= end) return;
      first = std::min(first, it->first);
      end = std::max(end, it->second);
      it = ends_.erase(it);
    }
    ends_.emplace_hint(it, first, end);
  }

 private:
  std::map<std::int64_t, std::int64_t>
      ends_;  // first id of a run -> one past its last; runs do not touch
};

}  // namespace v4cap
