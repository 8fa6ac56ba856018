// A trace cut down to the first turns of its sessions.
#include "traces/first_turns.h"

#include <doctest/doctest.h>

#include <string>
#include <vector>

namespace v4cap {
namespace {

// Two sessions, a and b, whose requests alternate: a0 b0 a1 b1 a2 b2; each waits for the one before
// in its session, a2 also for b0; and a request of nobody at the end.
Trace alternating() {
  Trace trace;
  trace.session_names = {"a", "b"};
  trace.has_sessions = true;
  for (int i = 0; i < 6; ++i) {
    TraceRequest& r = trace.requests.emplace_back();
    r.prompt = Tokens{100 + i};
    r.session = i % 2;
    r.turn = i / 2;
    r.after_begin = static_cast<std::uint32_t>(trace.after.size());
    if (i >= 2) {
      trace.after.push_back(static_cast<std::uint32_t>(i - 2));
      trace.requests[static_cast<std::size_t>(i - 2)].continued_by = static_cast<std::uint32_t>(i);
    }
    if (i == 4) trace.after.push_back(1);
    r.after_end = static_cast<std::uint32_t>(trace.after.size());
  }
  TraceRequest& alone = trace.requests.emplace_back();
  alone.prompt = Tokens{106};
  alone.after_begin = alone.after_end = static_cast<std::uint32_t>(trace.after.size());
  return trace;
}

std::vector<std::int64_t> prompts(const Trace& trace) {
  std::vector<std::int64_t> out;
  for (const TraceRequest& r : trace.requests) out.push_back(r.prompt.value);
  return out;
}

TEST_CASE("first turns: later turns go, and what is left knows its place") {
  const Trace trace = first_turns(alternating(), 2, 0);
  CHECK(prompts(trace) == std::vector<std::int64_t>{100, 101, 102, 103, 106});
  CHECK(trace.requests[0].continued_by == 2);
  CHECK(trace.requests[2].continued_by == kNoRequest);  // by the third turn
  REQUIRE(trace.after_of(trace.requests[3]).size() == 1);
  CHECK(trace.after_of(trace.requests[3])[0] == 1);
  CHECK(trace.after_of(trace.requests[4]).empty());
  REQUIRE(trace.notes.size() == 1);
  CHECK(trace.notes[0].starts_with("2 requests behind the first 2 turns"));
}

TEST_CASE("first turns: the number of requests counts those that stay") {
  CHECK(prompts(first_turns(alternating(), 1, 2)) == std::vector<std::int64_t>{100, 101});
  CHECK(prompts(first_turns(alternating(), 1, 3)) == std::vector<std::int64_t>{100, 101, 106});
  CHECK(prompts(first_turns(alternating(), 0, 5)).size() == 5);
  const Trace all = first_turns(alternating(), 0, 0);
  CHECK(all.requests.size() == 7);
  CHECK(all.after_of(all.requests[4]).size() == 2);
}

TEST_CASE("first turns: what waited for a request that is gone waits for the others") {
  Trace trace = alternating();
  trace.requests[1].turn = 9;  // b0
  const Trace cut = first_turns(trace, 3, 0);
  REQUIRE(prompts(cut) == std::vector<std::int64_t>{100, 102, 103, 104, 105, 106});
  CHECK(cut.after_of(cut.requests[2]).empty());        // b1 waited for b0 alone
  REQUIRE(cut.after_of(cut.requests[3]).size() == 1);  // a2 waited for a1 and b0
  CHECK(cut.after_of(cut.requests[3])[0] == 1);
}

}  // namespace
}  // namespace v4cap
