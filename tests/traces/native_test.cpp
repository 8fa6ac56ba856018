// v4cap's own format loses nothing.
#include "traces/native.h"

#include <doctest/doctest.h>

#include "tests/data.h"
#include "tests/traces/files.h"
#include "traces/generate.h"
#include "traces/reader.h"

namespace v4cap {
namespace {

void check_equal(const Trace& a, const Trace& b) {
  CHECK(a.name == b.name);
  CHECK(a.format == b.format);
  CHECK(a.block == b.block);
  CHECK(a.has_arrivals == b.has_arrivals);
  CHECK(a.has_sessions == b.has_sessions);
  CHECK(a.partial_last_block == b.partial_last_block);
  CHECK(a.runs == b.runs);
  CHECK(a.after == b.after);
  CHECK(a.session_names == b.session_names);
  CHECK(a.next_free_id == b.next_free_id);
  CHECK(a.notes == b.notes);
  REQUIRE(a.requests.size() == b.requests.size());
  for (std::size_t i = 0; i < a.requests.size(); ++i) {
    const TraceRequest &x = a.requests[i], &y = b.requests[i];
    CHECK_UNARY(x.prompt == y.prompt && x.output == y.output && x.arrival == y.arrival &&
                x.think == y.think && x.session == y.session && x.turn == y.turn &&
                x.group == y.group && x.runs_begin == y.runs_begin && x.runs_end == y.runs_end &&
                x.after_begin == y.after_begin && x.after_end == y.after_end &&
                x.continued_by == y.continued_by);
  }
}

TEST_CASE("a generated trace reads back as it was, plain and compressed") {
  SyntheticSpec spec;
  spec.sessions = 20;
  spec.turns_max = 5;
  spec.shared_prefix = Tokens{100};
  spec.first_prompt = spec.next_prompt = spec.output = parse_length_spec("x", "uniform:1..300");
  spec.think_mean_s = 1;
  Trace trace = generate_trace(spec, 1);
  trace.name = "quotes \" and \\ and \n";
  trace.session_names[3] = "\xc3\xa9\t";
  for (const char* name : {"trace.jsonl", "trace.jsonl.gz"}) {
    CAPTURE(name);
    const TestFile file(name, "");
    write_native(trace, file.path());
    check_equal(read_trace(file.path()), trace);
  }
}

TEST_CASE("a file that cannot be written is a failed run") {
  SyntheticSpec spec;
  spec.sessions = 1;
  spec.first_prompt = spec.output = parse_length_spec("x", "5");
  CHECK_THROWS_AS(write_native(generate_trace(spec, 1), "/nonexistent/folder/trace.jsonl"),
                  RunError);
}

DATA_TEST_CASE("public traces read back as they were") {
  for (const char* name :
       {"weka-agentic-v8/sessions.jsonl.gz", "mooncake-conversation/trace.jsonl.gz",
        "azure-2023-code/trace.csv.gz", "rl-rollout-groups/taubench-airline-x4.jsonl.gz",
        "rl-rollout-groups/math-l5-lengths.csv.gz", "lmcache-agents/magentic-agent.jsonl.gz"}) {
    CAPTURE(name);
    const Trace trace = read_trace((data_dir() / "traces" / name).string());
    const TestFile file("copy.jsonl", "");
    write_native(trace, file.path());
    check_equal(read_trace(file.path()), trace);
  }
}

}  // namespace
}  // namespace v4cap
