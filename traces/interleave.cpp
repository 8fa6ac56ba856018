#include "traces/interleave.h"

#include <algorithm>
#include <vector>

#include "sim/core/error.h"

namespace v4cap {

namespace {

// Old indices in the new order.
std::vector<std::uint32_t> take_turns(const Trace& trace, std::int64_t at_a_time) {
  std::vector<std::vector<std::uint32_t>> sessions(trace.session_names.size());
  for (std::uint32_t r = 0; r < trace.requests.size(); ++r) {
    const std::int32_t session = trace.requests[r].session;
    if (session == kNoSession) {
      throw InputError(Place{}, "expected every request to belong to a session");
    }
    sessions[static_cast<std::size_t>(session)].push_back(r);
  }
  std::erase_if(sessions, [](const auto& requests) { return requests.empty(); });
  std::vector<std::uint32_t> order;
  order.reserve(trace.requests.size());
  struct Active {
    std::size_t session, next = 0;
  };
  std::vector<Active> active;
  std::size_t waiting = 0;
  for (; waiting < std::min(sessions.size(), static_cast<std::size_t>(at_a_time)); ++waiting) {
    active.push_back({waiting});
  }
  while (!active.empty()) {
    for (std::size_t slot = 0; slot < active.size();) {
      Active& turn = active[slot];
      order.push_back(sessions[turn.session][turn.next++]);
      if (turn.next < sessions[turn.session].size()) {
        ++slot;
      } else if (waiting < sessions.size()) {
        turn = {waiting++};
        ++slot;
      } else {
        active.erase(active.begin() + static_cast<std::ptrdiff_t>(slot));
      }
    }
  }
  return order;
}

}  // namespace

Trace interleave_sessions(const Trace& trace, std::int64_t at_a_time) {
  V4CAP_CHECK(at_a_time >= 1, "no session at a time");
  if (!trace.has_sessions) throw InputError(Place{}, "expected a trace of sessions, found none");
  const std::vector<std::uint32_t> order = take_turns(trace, at_a_time);
  std::vector<std::uint32_t> place(order.size());  // old index to new
  for (std::uint32_t n = 0; n < order.size(); ++n) place[order[n]] = n;
  Trace out = trace;
  for (std::uint32_t n = 0; n < order.size(); ++n) {
    TraceRequest& request = out.requests[n];
    request = trace.requests[order[n]];
    if (request.continued_by != kNoRequest) request.continued_by = place[request.continued_by];
  }
  for (std::uint32_t& earlier : out.after) earlier = place[earlier];
  return out;
}

}  // namespace v4cap
