#include "traces/prefix_stats.h"

#include <algorithm>

#include "traces/id_set.h"

namespace v4cap {

namespace {

Tokens known_tokens(const Trace& trace, const TraceRequest& request, const IdSet& known) {
  std::int64_t blocks = 0;
  for (const IdRun& run : trace.runs_of(request)) {
    const std::int64_t prefix = known.known_prefix(run);
    blocks += prefix;
    if (prefix < run.count) break;
  }
  return std::min(blocks * trace.block, request.prompt);
}

}  // namespace

std::vector<Tokens> ideal_hits(const Trace& trace, GeneratedTokens generated) {
  std::vector<Tokens> hits;
  if (trace.block.value == 0) return hits;
  hits.reserve(trace.requests.size());
  IdSet known;
  std::vector<Tokens> continued(
      trace.requests.size());  // prompt + output of the request it continues
  std::vector<IdRun> output;
  for (std::size_t i = 0; i < trace.requests.size(); ++i) {
    const TraceRequest& request = trace.requests[i];
    hits.push_back(std::max(known_tokens(trace, request, known), continued[i]));
    for (const IdRun& run : trace.runs_of(request)) known.insert(run);
    if (generated == GeneratedTokens::forgotten || request.continued_by == kNoRequest) continue;
    output.clear();
    append_output_ids(trace, request, output);
    for (const IdRun& run : output) known.insert(run);
    Tokens& length = continued[request.continued_by];
    length = std::max(length, request.prompt + request.output);
  }
  return hits;
}

double ideal_hit_rate(const Trace& trace, GeneratedTokens generated) {
  Tokens hit, prompt;
  for (const Tokens tokens : ideal_hits(trace, generated)) hit += tokens;
  for (const TraceRequest& request : trace.requests) prompt += request.prompt;
  return prompt.value == 0 ? 0 : static_cast<double>(hit.value) / static_cast<double>(prompt.value);
}

}  // namespace v4cap
