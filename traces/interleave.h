// Another order of a trace's requests.
#pragma once

#include "traces/trace.h"

namespace v4cap {

// The requests of a trace of sessions as `at_a_time` sessions would take turns: one request of each
// in a round, in the order of the file; a session that has ended makes place for the next one.
// Times are left as they are and mean nothing in the new order. Throws InputError (without a place)
// for a trace without sessions. at_a_time >= 1.
Trace interleave_sessions(const Trace& trace, std::int64_t at_a_time);

}  // namespace v4cap
