// The ideal hit rate of a trace: how many prompt tokens an infinite prefix cache that starts cold
// would have known, request by request in file order. It bounds what any cache can reach.
#pragma once

#include <vector>

#include "traces/trace.h"

namespace v4cap {

enum class GeneratedTokens : bool {
  forgotten,  // only prompts are known afterwards: the figure that trace publishers give
  kept,  // a request's output is known too, to the exact token, for the request that continues it
};

// Tokens of each prompt that are known when it arrives: its longest prefix of known blocks, at most
// the prompt. An engine computes at least one token of every prompt, which is not subtracted here.
// Empty when the trace carries no ids.
std::vector<Tokens> ideal_hits(const Trace& trace, GeneratedTokens generated);

// Sum of ideal_hits over the sum of prompts; 0 without ids.
double ideal_hit_rate(const Trace& trace, GeneratedTokens generated);

}  // namespace v4cap
