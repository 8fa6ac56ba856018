#include "traces/cycle.h"

#include <doctest/doctest.h>

#include <string>

#include "sim/cache/block_keys.h"
#include "sim/core/error.h"

namespace v4cap {
namespace {

Trace lengths(const std::vector<std::pair<std::int64_t, std::int64_t>>& prompt_output) {
  Trace trace;
  trace.name = "lengths.csv";
  for (const auto& [prompt, output] : prompt_output) {
    TraceRequest request;
    request.prompt = Tokens{prompt};
    request.output = Tokens{output};
    trace.requests.push_back(request);
  }
  return trace;
}

template <class Function>
std::string refusal(Function change) {
  try {
    change();
  } catch (const InputError& error) {
    return error.diagnostics().front().message;
  }
  return "";
}

TEST_CASE("cycled trace: requests come over and over, each with keys of its own") {
  Trace trace = lengths({{100, 10}, {200, 20}, {300, 30}});
  CHECK(trace.played() == 3);
  cycle_requests(trace, 8);
  CHECK(trace.played() == 8);
  CHECK(trace.requests.size() == 3);
  for (std::uint32_t r = 0; r < 8; ++r) {
    CHECK(trace.played(r).prompt == trace.requests[r % 3].prompt);
  }
  std::vector<IdRun> ids;
  std::vector<KeyRun> first, again;
  sequence_keys(trace, 1, Tokens{64}, ids, first);
  sequence_keys(trace, 4, Tokens{64}, ids, again);
  REQUIRE(first.size() == 1);
  REQUIRE(again.size() == 1);
  CHECK(first[0].count == again[0].count);
  CHECK(first[0].first + first[0].count <= again[0].first);
}

TEST_CASE("cycled trace: fewer than the trace has are its first") {
  Trace trace = lengths({{100, 10}, {200, 20}, {300, 30}});
  cycle_requests(trace, 2);
  CHECK(trace.played() == 2);
  CHECK(trace.played(1).prompt == Tokens{200});
}

TEST_CASE("cycled trace: what would hit by accident is refused") {
  Trace ids = lengths({{100, 10}});
  ids.block = Tokens{16};
  CHECK(refusal([&] { cycle_requests(ids, 2); }).find("lengths.csv names the blocks") !=
        std::string::npos);
  CHECK(refusal([&] { clip_prompts(ids, Tokens{50}); }).find("names the blocks") !=
        std::string::npos);
  Trace sessions = lengths({{100, 10}});
  sessions.session_names.emplace_back("a");
  CHECK(refusal([&] { cycle_requests(sessions, 2); }).find("has sessions") != std::string::npos);
}

TEST_CASE("clipped trace: prompt and output fit, outputs stay") {
  Trace trace = lengths({{100, 10}, {90, 10}, {91, 10}, {5000, 99}});
  clip_prompts(trace, Tokens{100});
  CHECK(trace.requests[0].prompt == Tokens{90});
  CHECK(trace.requests[1].prompt == Tokens{90});
  CHECK(trace.requests[2].prompt == Tokens{90});
  CHECK(trace.requests[3].prompt == Tokens{1});
  CHECK(trace.requests[3].output == Tokens{99});
  CHECK(refusal([&] {
          clip_prompts(trace, Tokens{99});
        }).find("request 3 of lengths.csv generates 99") != std::string::npos);
}

}  // namespace
}  // namespace v4cap
