#include "sim/plan/trace_sample.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <chrono>
#include <set>

#include "sim/core/error.h"

namespace v4cap {
namespace {

using std::chrono::seconds;

// `sessions` of `turns` each; turn t of session s has prompt 100 s + t + 1, so that it can be told.
Trace sessions_trace(int sessions, int turns) {
  Trace trace;
  trace.name = "made";
  trace.block = Tokens{16};
  trace.has_sessions = true;
  for (int s = 0; s < sessions; ++s) {
    trace.session_names.push_back("s" + std::to_string(s));
    for (int t = 0; t < turns; ++t) {
      TraceRequest r;
      r.prompt = Tokens{100 * s + t + 1};
      r.output = Tokens{5};
      r.session = s;
      r.turn = t;
      r.runs_begin = static_cast<std::uint32_t>(trace.runs.size());
      trace.runs.push_back({s, 1});
      r.runs_end = static_cast<std::uint32_t>(trace.runs.size());
      r.after_begin = static_cast<std::uint32_t>(trace.after.size());
      if (t > 0) trace.after.push_back(static_cast<std::uint32_t>(trace.requests.size()) - 1);
      r.after_end = static_cast<std::uint32_t>(trace.after.size());
      trace.requests.push_back(r);
    }
  }
  trace.next_free_id = sessions;
  return trace;
}

TEST_CASE("closed sample: whole sessions in the order of the seed, with what they wait for") {
  const Trace whole = sessions_trace(10, 3);
  CHECK(unit_count(whole) == 10);
  const Trace sample = closed_sample(whole, {.units = 4, .seed = 7});
  REQUIRE(sample.requests.size() == 12);
  REQUIRE(sample.session_names.size() == 4);
  for (std::size_t i = 0; i < sample.requests.size(); ++i) {
    const TraceRequest& r = sample.requests[i];
    CHECK(r.turn == static_cast<std::int32_t>(i % 3));
    CHECK(r.session == static_cast<std::int32_t>(i / 3));
    // Named after the session that its prompt tells.
    CHECK(sample.session_names[i / 3] == "s" + std::to_string(r.prompt.value / 100));
    REQUIRE(sample.after_of(r).size() == (i % 3 == 0 ? 0U : 1U));
    if (i % 3 > 0) CHECK(sample.after_of(r).front() == i - 1);
  }
  const Trace again = closed_sample(whole, {.units = 4, .seed = 7});
  const Trace other = closed_sample(whole, {.units = 4, .seed = 8});
  CHECK(again.session_names == sample.session_names);
  CHECK(other.session_names != sample.session_names);
}

TEST_CASE("closed sample: a session that comes again has ids of its own") {
  const Trace whole = sessions_trace(3, 1);
  const Trace sample = closed_sample(whole, {.units = 7, .seed = 1});
  std::set<std::int64_t> ids;
  for (const TraceRequest& r : sample.requests) ids.insert(sample.runs_of(r).front().first);
  CHECK(ids.size() == 7);
  CHECK(*ids.rbegin() < sample.next_free_id);
  std::set<std::string> names(sample.session_names.begin(), sample.session_names.end());
  CHECK(names.size() == 7);
}

TEST_CASE("closed sample: rollouts of a group stay together") {
  Trace whole = sessions_trace(12, 1);
  for (std::size_t i = 0; i < whole.requests.size(); ++i) {
    whole.requests[i].group = static_cast<std::int32_t>(i % 3);
  }
  const Trace sample = closed_sample(whole, {.units = 12, .seed = 3});
  for (std::size_t i = 0; i < 12; ++i) {
    CHECK(sample.requests[i].group == sample.requests[i / 4 * 4].group);
  }
}

TEST_CASE("closed sample: the first sessions begin over the ramp") {
  const Trace whole = sessions_trace(8, 2);
  const Trace sample =
      closed_sample(whole, {.units = 6, .seed = 1, .ramp = seconds(40), .at_once = 4});
  for (std::size_t i = 0; i < sample.requests.size(); ++i) {
    const bool waits = i % 2 == 0 && i / 2 < 4;
    CHECK(sample.requests[i].think == (waits ? Duration(seconds(10 * (i / 2))) : Duration{}));
  }
}

TEST_CASE("closed sample: sessions that wait for each other are refused") {
  Trace whole = sessions_trace(2, 1);
  whole.after.push_back(0);
  whole.requests[1].after_begin = 0;
  whole.requests[1].after_end = 1;
  CHECK_THROWS_AS(closed_sample(whole, {.units = 2}), InputError);
}

Trace timed_trace() {
  Trace trace;
  trace.name = "timed";
  trace.has_arrivals = true;
  for (int i = 0; i < 10; ++i) {
    TraceRequest r;
    r.prompt = Tokens{i + 1};
    r.arrival = seconds(i * i);
    trace.requests.push_back(r);
  }
  return trace;
}

TEST_CASE("open sample: the trace from a random request on, gaps as recorded") {
  const Trace whole = timed_trace();
  std::set<std::int64_t> begins;
  for (std::uint64_t seed = 1; seed <= 40; ++seed) {
    const Trace sample = open_sample(whole, 6, seed);
    REQUIRE(sample.requests.size() == 6);
    begins.insert(sample.requests.front().prompt.value);
    CHECK(sample.requests.front().arrival == Duration{});
    for (std::size_t i = 1; i < 6; ++i) {
      const std::int64_t before = sample.requests[i - 1].prompt.value - 1;
      const std::int64_t here = sample.requests[i].prompt.value - 1;
      CHECK(here == (before + 1) % 10);
      const Duration gap = sample.requests[i].arrival - sample.requests[i - 1].arrival;
      // Around its end: one mean gap.
      CHECK(gap == (here > 0 ? Duration(seconds(here * here - before * before))
                             : Duration(seconds(81)) / 10));
    }
  }
  CHECK(begins.size() >= 8);
  CHECK(open_sample(whole, 1000, 1).requests.size() == 10);
  CHECK(recorded_rate(whole) == doctest::Approx(9.0 / 81));
}

}  // namespace
}  // namespace v4cap
