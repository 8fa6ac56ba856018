// A trace's lengths for a run of any size: prompts cut to a context, requests played over and over.
// Both are for lengths alone: of a trace with ids or sessions what is cut, or comes again, would be
// found in a cache that has never seen it.
#pragma once

#include <cstdint>

#include "traces/trace.h"

namespace v4cap {

// Cuts prompts so that prompt and output of a request are at most `most` tokens. Throws InputError
// for a trace with block ids, and for an output that leaves no token for a prompt.
void clip_prompts(Trace& trace, Tokens most);

// From here on the trace's requests are played over and over, `requests` of them in all (fewer than
// the trace has: its first). Each is one of its own, though only the trace's are in memory. Throws
// InputError for a trace with block ids, sessions or requests that wait for others.
void cycle_requests(Trace& trace, std::int64_t requests);

}  // namespace v4cap
