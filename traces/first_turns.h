// A trace cut down to how its sessions begin.
#pragma once

#include <cstdint>

#include "traces/trace.h"

namespace v4cap {

// The first `turns` requests of every session in file order, sub-agents' among them (requests
// without a session are kept), and of those the first `max_requests`; 0 = all. What waited for a
// request that is gone waits for the others only.
Trace first_turns(Trace trace, std::int64_t turns, std::int64_t max_requests);

}  // namespace v4cap
