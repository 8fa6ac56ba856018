// Random sessions under memory pressure, for tests that look at conservation rather than at figures.
#pragma once

#include <boost/random/uniform_int_distribution.hpp>
#include <string>

#include "sim/core/random.h"
#include "tests/sim/cluster/toy_world.h"

namespace v4cap {

// Sessions of some turns, each continuing the last with its output, behind one of three shared
// prefixes; now and then a last request that is too long for any memory.
inline Trace random_sessions(std::uint64_t seed, int sessions) {
  RandomEngine random = RandomStreams(seed).stream("random sessions");
  const auto draw = [&](std::int64_t low, std::int64_t high) {
    return boost::random::uniform_int_distribution<std::int64_t>(low, high)(random);
  };
  Trace trace;
  trace.block = Tokens{64};
  trace.has_sessions = true;
  std::int64_t id = 1'000'000, time_ms = 0;
  for (int s = 0; s < sessions; ++s) {
    trace.session_names.push_back(std::to_string(s));
    const std::int64_t prefix = draw(0, 4), own_ids = id;
    std::int64_t prompt = 64 * prefix + draw(1, 400);
    id += 10'000;
    const auto turns = draw(1, 6);
    for (std::int64_t turn = 0; turn < turns; ++turn) {
      std::int64_t output = draw(0, 9) == 0 ? 0 : draw(1, 150);
      if (turn == turns - 1 && draw(0, 19) == 0) output = 100'000;
      if (turn > 0) trace.after.push_back(static_cast<std::uint32_t>(trace.requests.size() - 1));
      TraceRequest& r = add_request(trace, prompt, output,
                                    kSimStart + Duration{1'000'000} * (time_ms += draw(0, 20)));
      r.session = s;
      r.turn = static_cast<std::int32_t>(turn);
      r.after_begin = r.after_end - (turn > 0 ? 1 : 0);
      r.think = Duration{draw(0, 50) * 1'000'000};
      const std::int64_t full = prompt / 64;
      if (prefix > 0) trace.runs.push_back({(s % 3) * 1000, prefix});
      if (full > prefix) trace.runs.push_back({own_ids, full - prefix});
      r.runs_end = static_cast<std::uint32_t>(trace.runs.size());
      prompt += output + draw(1, 100);
    }
  }
  trace.next_free_id = id;
  link_continuations(trace);
  return trace;
}

// An engine whose cache is far too small for them.
inline ToyEngine tight_engine(const std::string& policy) {
  ToyEngine settings;
  settings.policy = policy;
  settings.costs = {150, 2, 1, 3, 4};
  if (policy == "pool=0.3") settings.costs.windows = 12;
  settings.step_tokens = Tokens{128};
  return settings;
}

inline WorkloadConfig closed_loop(std::int64_t sessions) {
  WorkloadConfig config;
  config.arrivals = ArrivalMode::closed_loop;
  config.sessions_at_a_time = sessions;
  return config;
}

}  // namespace v4cap
