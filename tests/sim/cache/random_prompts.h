// A random trace of prompts that share prefixes, for tests of the cache without time: sessions that
// grow turn by turn, documents that are asked again, and forks in the middle of both.
#pragma once

#include <boost/random/uniform_int_distribution.hpp>
#include <vector>

#include "sim/core/random.h"
#include "traces/trace.h"

namespace v4cap {

inline Trace random_prompts(std::uint64_t seed, int requests, bool partial_blocks) {
  RandomEngine random = RandomStreams(seed).stream("random prompts");
  const auto draw = [&](std::int64_t low, std::int64_t high) {
    return boost::random::uniform_int_distribution<std::int64_t>(low, high)(random);
  };
  Trace trace;
  trace.name = "random";
  trace.block = Tokens{256};
  trace.partial_last_block = partial_blocks;
  std::vector<std::vector<std::int64_t>> known;  // ids of whole blocks
  std::int64_t next_id = 0;
  for (int i = 0; i < requests; ++i) {
    std::vector<std::int64_t> ids;
    if (!known.empty() && draw(0, 3) > 0) {
      ids = known[static_cast<std::size_t>(draw(0, static_cast<std::int64_t>(known.size()) - 1))];
      if (draw(0, 2) == 0)
        ids.resize(static_cast<std::size_t>(draw(0, static_cast<std::int64_t>(ids.size()))));
    }
    const std::int64_t more = draw(0, draw(0, 4) == 0 ? 100 : 20);
    for (std::int64_t n = 0; n < more; ++n) ids.push_back(next_id++);
    known.push_back(ids);
    TraceRequest r;
    const std::int64_t rest = draw(ids.empty() ? 1 : 0, 255);
    r.prompt = trace.block * static_cast<std::int64_t>(ids.size()) + Tokens{rest};
    r.output = Tokens{draw(0, 600)};
    if (partial_blocks && rest > 0) ids.push_back(next_id++);
    r.runs_begin = static_cast<std::uint32_t>(trace.runs.size());
    for (const std::int64_t id : ids) {
      if (trace.runs.size() > r.runs_begin &&
          trace.runs.back().first + trace.runs.back().count == id) {
        ++trace.runs.back().count;
      } else {
        trace.runs.push_back({id, 1});
      }
    }
    r.runs_end = static_cast<std::uint32_t>(trace.runs.size());
    trace.requests.push_back(r);
  }
  trace.next_free_id = next_id;
  return trace;
}

}  // namespace v4cap
