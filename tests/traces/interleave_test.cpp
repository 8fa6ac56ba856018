#include "traces/interleave.h"

#include <doctest/doctest.h>

#include <string>
#include <vector>

#include "sim/core/error.h"
#include "tests/data_trace.h"
#include "traces/prefix_stats.h"

namespace v4cap {
namespace {

// Sessions of so many requests each; the prompt tells session and turn.
Trace sessions_of(const std::vector<int>& lengths) {
  Trace trace;
  trace.has_sessions = true;
  for (std::size_t s = 0; s < lengths.size(); ++s) {
    trace.session_names.push_back(std::to_string(s));
    for (int turn = 0; turn < lengths[s]; ++turn) {
      TraceRequest r;
      r.session = static_cast<std::int32_t>(s);
      r.turn = turn;
      r.prompt = Tokens{static_cast<std::int64_t>(s) * 10 + turn};
      if (turn > 0) {
        r.after_begin = static_cast<std::uint32_t>(trace.after.size());
        trace.after.push_back(static_cast<std::uint32_t>(trace.requests.size() - 1));
        trace.requests.back().continued_by = static_cast<std::uint32_t>(trace.requests.size());
      }
      r.after_end = static_cast<std::uint32_t>(trace.after.size());
      if (turn == 0) r.after_begin = r.after_end;
      trace.requests.push_back(r);
    }
  }
  return trace;
}

std::vector<std::int64_t> prompts(const Trace& trace) {
  std::vector<std::int64_t> out;
  for (const TraceRequest& r : trace.requests) out.push_back(r.prompt.value);
  return out;
}

TEST_CASE("sessions take turns, and one that has ended makes place for the next") {
  const Trace trace = sessions_of({3, 1, 2, 2});
  using Prompts = std::vector<std::int64_t>;
  CHECK(prompts(interleave_sessions(trace, 1)) == Prompts{0, 1, 2, 10, 20, 21, 30, 31});
  CHECK(prompts(interleave_sessions(trace, 2)) == Prompts{0, 10, 1, 20, 2, 21, 30, 31});
  CHECK(prompts(interleave_sessions(trace, 9)) == Prompts{0, 10, 20, 30, 1, 21, 31, 2});
}

TEST_CASE("in another order requests still name those they follow") {
  const Trace mixed = interleave_sessions(sessions_of({4, 3, 5}), 2);
  for (std::uint32_t r = 0; r < mixed.requests.size(); ++r) {
    const TraceRequest& request = mixed.requests[r];
    for (const std::uint32_t earlier : mixed.after_of(request)) {
      CHECK(earlier < r);
      CHECK(mixed.requests[earlier].session == request.session);
      CHECK(mixed.requests[earlier].turn + 1 == request.turn);
      CHECK(mixed.requests[earlier].continued_by == r);
    }
  }
}

TEST_CASE("a trace without sessions has no turns to take") {
  CHECK_THROWS_AS(interleave_sessions(Trace{}, 2), InputError);
}

DATA_TEST_CASE("in any order of sessions an endless cache hits the same") {
  const Trace trace = data_trace("weka-agentic-v8", 5'000);
  const double rate = ideal_hit_rate(trace, GeneratedTokens::kept);
  for (const std::int64_t n : {1, 3, 16, 1000}) {
    CHECK(ideal_hit_rate(interleave_sessions(trace, n), GeneratedTokens::kept) ==
          doctest::Approx(rate).epsilon(1e-9));
  }
}

}  // namespace
}  // namespace v4cap
