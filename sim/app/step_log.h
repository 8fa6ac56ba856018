// A log of an engine's steps, one JSON object a line, that any engine can write:
//   {"ms": 12.4, "prefill": [[tokens, past], ..], "decode_contexts": [tokens, ..]}
//   {"ms": 12.4, "prefill_tokens": 2048, "prefill_past": 0,
//    "decode_tokens": 32, "decode_context": 65536}
// `prefill` lists the chunks of a step with the tokens of their requests before them;
// `prefill_tokens` and `prefill_past` stand for one chunk. `decode_contexts` lists the tokens of
// every request that decodes; `decode_tokens` and `decode_context` are their number and sum. What is
// left out is 0; a step has at least one token. `ranks` and `graph` may be there and are not used.
#pragma once

#include <string>
#include <vector>

#include "sim/cost/step_fit.h"

namespace v4cap {

// Throws InputError with line and column for what is malformed, a key that is not known (with the
// nearest one), both forms of the same thing, or fewer than 20 steps.
std::vector<StepRecord> read_step_log(const std::string& path);

}  // namespace v4cap
