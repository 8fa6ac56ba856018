#include "traces/first_turns.h"

#include <utility>

#include "sim/core/error.h"

namespace v4cap {

Trace first_turns(Trace trace, std::int64_t turns, std::int64_t max_requests) {
  V4CAP_CHECK(trace.phases.empty(), "a client's phases name requests of the whole trace");
  if (turns == 0 && max_requests == 0) return trace;
  const std::vector<TraceRequest> all = std::move(trace.requests);
  const std::vector<std::uint32_t> after = std::move(trace.after);
  trace.requests.clear();
  trace.after.clear();
  std::vector<std::uint32_t> place(all.size(), kNoRequest);  // of those that stay
  std::int64_t later = 0;
  for (std::size_t i = 0; i < all.size(); ++i) {
    const auto kept = static_cast<std::int64_t>(trace.requests.size());
    if (max_requests > 0 && kept >= max_requests) break;
    if (turns > 0 && all[i].turn >= turns) {
      ++later;
      continue;
    }
    place[i] = static_cast<std::uint32_t>(kept);
    TraceRequest& request = trace.requests.emplace_back(all[i]);
    request.after_begin = static_cast<std::uint32_t>(trace.after.size());
    for (std::uint32_t a = all[i].after_begin; a < all[i].after_end; ++a) {
      if (place[after[a]] != kNoRequest) trace.after.push_back(place[after[a]]);
    }
    request.after_end = static_cast<std::uint32_t>(trace.after.size());
  }
  for (TraceRequest& request : trace.requests) {
    if (request.continued_by != kNoRequest) request.continued_by = place[request.continued_by];
  }
  if (later > 0) {
    trace.notes.push_back(std::to_string(later) + " requests behind the first " +
                          std::to_string(turns) + " turns of their sessions were left out");
  }
  return trace;
}

}  // namespace v4cap
