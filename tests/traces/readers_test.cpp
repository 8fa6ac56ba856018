// Readers on small files: what a line becomes, and the decisions that each reader's head states.
#include <doctest/doctest.h>

#include "tests/traces/files.h"
#include "tests/traces/gzip.h"
#include "traces/reader.h"

namespace v4cap {
namespace {

Trace read_text(std::string_view text, const TraceReadOptions& options = {}) {
  const TestFile file("inline", text);
  return read_trace(file.path(), options);
}

std::vector<std::uint32_t> after(const Trace& trace, std::size_t request) {
  const auto span = trace.after_of(trace.requests[request]);
  return {span.begin(), span.end()};
}

std::vector<IdRun> runs(const Trace& trace, std::size_t request) {
  const auto span = trace.runs_of(trace.requests[request]);
  return {span.begin(), span.end()};
}

bool has_note(const Trace& trace, std::string_view fragment) {
  for (const std::string& note : trace.notes) {
    if (note.find(fragment) != std::string::npos) return true;
  }
  return false;
}

TEST_CASE("csv: columns in any order, times from the first row, or none") {
  const Trace timed =
      read_text("output_tokens,arrival_s,prompt_tokens\n80,1700000000.5,1200\n0,1700000000.75,7\n");
  CHECK(timed.format == "csv");
  CHECK(timed.has_arrivals);
  CHECK_FALSE(timed.has_sessions);
  CHECK(timed.block == Tokens{0});
  REQUIRE(timed.requests.size() == 2);
  CHECK(timed.requests[0].prompt == Tokens{1200});
  CHECK(timed.requests[0].output == Tokens{80});
  CHECK(timed.requests[0].arrival == Duration{});
  CHECK(timed.requests[1].arrival == std::chrono::milliseconds{250});
  CHECK(timed.requests[1].output == Tokens{0});
  const Trace batch = read_text("prompt_tokens,output_tokens\n5,6\n");
  CHECK_FALSE(batch.has_arrivals);
  CHECK(has_note(batch, "no times recorded"));
}

const std::string kMooncake =
    R"({"timestamp": 0, "input_length": 1025, "output_length": 5, "hash_ids": [0, 1, 7]})"
    "\n"
    R"({"timestamp": 0, "input_length": 512, "output_length": 0, "hash_ids": [0]})"
    "\n"
    R"({"timestamp": 0, "input_length": 511, "output_length": 1, "hash_ids": [9]})"
    "\n"
    R"({"timestamp": 3000, "input_length": 513, "output_length": 2, "hash_ids": [0, 8], "extra": 1})"
    "\n";

TEST_CASE("mooncake: milliseconds, partial last blocks, runs") {
  const Trace trace = read_text(kMooncake);
  CHECK(trace.format == "mooncake");
  CHECK(trace.block == Tokens{512});
  CHECK(trace.partial_last_block);
  CHECK(trace.has_arrivals);
  CHECK_FALSE(trace.has_sessions);
  REQUIRE(trace.requests.size() == 4);
  CHECK(trace.requests[3].arrival == std::chrono::seconds{3});
  CHECK(runs(trace, 0) == std::vector<IdRun>{{0, 2}, {7, 1}});
  CHECK(trace.next_free_id == 10);
  CHECK(has_note(trace, "2 requests share the instant"));
  CHECK(has_note(trace, "keys that were not used: extra (1)"));
}

TEST_CASE(
    "mooncake: an instant's requests are spread up to the next instant, the last over the gap "
    "before") {
  TraceReadOptions options;
  options.spread_instants = true;
  const Trace trace = read_text(
      kMooncake + R"({"timestamp":3000,"input_length":1,"output_length":2,"hash_ids":[11]})" + "\n",
      options);
  const std::vector<std::int64_t> expected_ms = {0, 1000, 2000, 3000, 4500};
  for (std::size_t i = 0; i < expected_ms.size(); ++i) {
    CHECK(trace.requests[i].arrival == std::chrono::milliseconds{expected_ms[i]});
  }
}

TEST_CASE("a stated block size is checked against the ids") {
  TraceReadOptions options;
  options.block_tokens = Tokens{512};
  CHECK(read_text(kMooncake, options).block == Tokens{512});
  options.block_tokens = Tokens{256};
  CHECK_THROWS_AS(read_text(kMooncake, options), InputError);
  const Trace other = read_text(
      R"({"timestamp":0,"input_length":1025,"output_length":5,"hash_ids":[0,1,7,8,9]})", options);
  CHECK(other.block == Tokens{256});
}

TEST_CASE("max_requests stops reading") {
  TraceReadOptions options;
  options.max_requests = 2;
  const Trace trace = read_text(kMooncake, options);
  CHECK(trace.requests.size() == 2);
  CHECK(has_note(trace, "stopped after 2 requests"));
}

TEST_CASE("azure: wall clock with seven decimals, across midnight, other decimals and zone") {
  const Trace trace = read_text(
      "TIMESTAMP,ContextTokens,GeneratedTokens\n"
      "2023-11-16 23:59:59.9799600,4808,10\n"
      "2023-11-17 00:00:00.4799601,3180,8\n"
      "2023-11-17 00:00:01,1,0\n"
      "2023-11-17 00:00:01.5+00:00,1,1");
  CHECK(trace.format == "azure");
  REQUIRE(trace.requests.size() == 4);
  CHECK(trace.requests[0].arrival == Duration{});
  CHECK(trace.requests[1].arrival == Duration{500'000'100});
  CHECK(trace.requests[2].arrival == Duration{1'020'040'000});
  CHECK(trace.requests[3].arrival == Duration{1'520'040'000});
  CHECK(trace.requests[0].prompt == Tokens{4808});
  CHECK(trace.requests[0].output == Tokens{10});
  CHECK(trace.block == Tokens{0});
}

TEST_CASE("lmcache: sessions interleave, calls follow each other, think is the gap of starts") {
  const Trace trace = read_text(
      R"({"session_id":"a","turn":1,"timestamp":0.0,"input_length":33,"output_length":2,"hash_ids":[1,2]}
{"session_id":"b","turn":1,"timestamp":1.5,"input_length":16,"output_length":2,"hash_ids":[1]}
{"session_id":"a","turn":2,"timestamp":4.25,"input_length":64,"output_length":2,"hash_ids":[1,2,3,4]}
)");
  CHECK(trace.session_names == std::vector<std::string>{"a", "b"});
  CHECK_FALSE(trace.has_arrivals);
  CHECK(trace.requests[2].session == 0);
  CHECK(trace.requests[2].turn == 1);
  CHECK(after(trace, 0).empty());
  CHECK(after(trace, 1).empty());
  CHECK(after(trace, 2) == std::vector<std::uint32_t>{0});
  CHECK(trace.requests[2].think == std::chrono::milliseconds{4250});
  CHECK(trace.requests[0].continued_by == 2);
  CHECK(trace.requests[1].continued_by == kNoRequest);
}

TEST_CASE("taubench: rollouts of a task form a group") {
  const Trace trace = read_text(
      R"({"group_id":3,"sample":0,"session_id":"t3-s0","turn":1,"input_length":16,"output_length":2,"ends_with_tool_call":false,"hash_ids":[1],"n_turns":1,"reward":0.0}
{"group_id":3,"sample":1,"session_id":"t3-s1","turn":1,"input_length":16,"output_length":2,"ends_with_tool_call":false,"hash_ids":[1],"n_turns":2,"reward":1.0}
{"group_id":3,"sample":1,"session_id":"t3-s1","turn":2,"input_length":32,"output_length":2,"ends_with_tool_call":false,"hash_ids":[1,2],"n_turns":2,"reward":1.0}
)");
  CHECK(trace.format == "taubench");
  CHECK(trace.session_names.size() == 2);
  for (const TraceRequest& request : trace.requests) CHECK(request.group == 3);
  CHECK(after(trace, 2) == std::vector<std::uint32_t>{1});
  CHECK_FALSE(has_note(trace, "not used"));
}

TEST_CASE("math-lengths and length-table: batches") {
  const Trace math = read_text(
      "group_id,sample_model,input_length,output_length,max_tokens\n"
      "0,Athene-70B,132,286,4096\n"
      "1,m@x,10,0,2048\n");
  CHECK(math.format == "math-lengths");
  CHECK(math.requests[1].group == 1);
  CHECK(has_note(math, "1 requests have output 0"));
  const Trace table = read_text(
      "num_prefill_tokens,num_decode_tokens,num_total_tokens,pd_ratio\r\n"
      "74,918,992,0.0806100217864923\r\n");
  CHECK(table.format == "length-table");
  CHECK(table.requests[0].output == Tokens{918});
}

// Two sessions. The first: main, two sub-agents in parallel of which the second has two requests,
// one in the background, main that waited, main of type s.
const std::string kWeka =
    R"({"id":"one","block_size":64,"requests":[)"
    R"({"t":0,"type":"n","in":130,"out":9,"api_time":5,"think_time":0,"hash_runs":[[1,2]]},)"
    R"({"t":20,"type":"subagent","duration_ms":13000,"requests":[{"t":0,"type":"s","in":64,"out":1,"think_time":0,"api_time":4,"hash_runs":[[50,1]]}]},)"
    R"({"t":25,"type":"subagent","duration_ms":18500,"requests":[{"t":0,"type":"s","in":64,"out":1,"think_time":0,"hash_runs":[[60,1]]},{"t":8,"type":"n","in":128,"out":1,"api_time":2,"think_time":5,"hash_runs":[[60,2]]}]},)"
    R"({"t":30,"type":"subagent","status":"async_launched","requests":[{"t":0,"type":"s","in":63,"out":0,"hash_runs":[]}]},)"
    R"({"t":40,"type":"n","in":200,"out":3,"api_time":10,"think_time":35,"hash_runs":[[1,3]]},)"
    R"({"t":60,"type":"s","in":210,"out":3,"api_time":10,"think_time":7.5,"hash_runs":[[1,3]]}]})"
    "\n"
    R"({"id":"two","block_size":64,"requests":[)"
    R"({"t":0,"type":"subagent","duration_ms":10,"requests":[{"t":0,"type":"p","in":64,"out":1,"think_time":3,"hash_runs":[[1,1]]}]},)"
    R"({"t":5,"type":"p","in":128,"out":1,"api_time":9,"think_time":4,"dup_api_time":1,"hash_runs":[[1,2]]}]})"
    "\n";

TEST_CASE("weka: sessions, sub-agents in parallel, think times") {
  const Trace trace = read_text(kWeka);
  CHECK(trace.format == "weka");
  CHECK(trace.session_names == std::vector<std::string>{"one", "two"});
  REQUIRE(trace.requests.size() == 9);
  using After = std::vector<std::uint32_t>;
  CHECK(after(trace, 0) == After{});
  CHECK(after(trace, 1) == After{0});
  CHECK(after(trace, 2) == After{0});
  CHECK(after(trace, 3) == After{2});
  CHECK(after(trace, 4) == After{0});
  CHECK(after(trace, 5) == After{0, 1, 3});
  CHECK(after(trace, 6) == After{5});
  CHECK(after(trace, 7) == After{});
  CHECK(after(trace, 8) == After{7});
  const auto think_ms = [&](std::size_t i) {
    return trace.requests[i].think / std::chrono::milliseconds{1};
  };
  CHECK(think_ms(1) == 2000);   // 20 - 13, after 5
  CHECK(think_ms(2) == 1500);   // 25 - 18.5, after 5
  CHECK(think_ms(3) == 3000);   // type n: 5 - 2
  CHECK(think_ms(4) == 25000);  // in the background at 30, after 5
  CHECK(think_ms(5) == 5000);   // type n: 35 - 10 = 25, of which 20 were spent waiting from 5 to 25
  CHECK(think_ms(6) == 7500);
  CHECK(think_ms(7) == 0);
  CHECK(think_ms(8) == 4000);
  for (std::int32_t i = 0; i < 7; ++i) CHECK(trace.requests[static_cast<std::size_t>(i)].turn == i);
  CHECK(trace.requests[3].arrival == std::chrono::milliseconds{14500});
}

TEST_CASE("weka: ids of sessions never meet and stay runs") {
  const Trace trace = read_text(kWeka);
  CHECK(runs(trace, 5) == std::vector<IdRun>{{1, 3}});
  CHECK(runs(trace, 4).empty());
  // The first session uses ids up to 61.
  CHECK(runs(trace, 8) == std::vector<IdRun>{{62 + 1, 2}});
  CHECK(trace.next_free_id == 62 + 3);
  CHECK(trace.requests[0].continued_by == 5);
}

TEST_CASE("weka: a sub-agent behind a stop is cut with it") {
  for (std::int64_t n = 1; n <= 8; ++n) {
    TraceReadOptions options;
    options.max_requests = n;
    const Trace trace = read_text(kWeka, options);
    REQUIRE(trace.requests.size() == static_cast<std::size_t>(n));
    for (const std::uint32_t before : trace.after) CHECK(before < trace.requests.size());
  }
}

TEST_CASE("servegen-clients: sampling follows seed, windows and periods") {
  std::string windows, lengths;
  for (int i = 0; i < 12; ++i) {
    windows += (i == 0 ? "" : ",") + std::string("[") + std::to_string(600 * i) +
               (i == 3 ? ",0.0,0.0,null,0.0,0.0]" : ",0.5,1.0,\"Gamma\",1.0,2.0]");
  }
  const std::string text =
      R"({"client":4,"windows":[)" + windows + R"(],"lengths":{)" +
      R"("0":{"input_tokens":[[100,0.5],[200,0.5]],"output_tokens":[[7,1.0]],"reason_ratio":[]},)" +
      R"("3600":{"input_tokens":[[300,1.0]],"output_tokens":[[8,1.0]],"reason_ratio":[]}}})" + "\n";
  const Trace trace = read_text(text);
  CHECK(trace.format == "servegen-clients");
  CHECK(static_cast<double>(trace.requests.size()) ==
        doctest::Approx(0.5 * 600 * 11).epsilon(0.06));
  CHECK(has_note(trace, "3300 are expected"));
  std::int64_t hundreds = 0, first_hour = 0;
  for (const TraceRequest& request : trace.requests) {
    const double at_s = to_seconds(request.arrival);
    CHECK_FALSE((at_s > 1800 && at_s < 2400));
    CHECK(request.output == Tokens{at_s < 3600 ? 7 : 8});
    first_hour += at_s < 3600;
    hundreds += request.prompt == Tokens{100};
  }
  CHECK(static_cast<double>(hundreds) ==
        doctest::Approx(0.5 * static_cast<double>(first_hour)).epsilon(0.1));
  TraceReadOptions other;
  other.seed = 2;
  CHECK(read_text(text, other).requests[0].arrival != trace.requests[0].arrival);
  CHECK(read_text(text).requests.size() == trace.requests.size());
}

TEST_CASE("every format is told from its content and read when compressed") {
  for (const std::string& text : {kMooncake, kWeka}) {
    CHECK(read_text(gzip(text)).requests.size() == read_text(text).requests.size());
  }
  const TestFile file("unknown", "hello\n");
  CHECK_THROWS_AS(sniff_format(file.path()), InputError);
}

}  // namespace
}  // namespace v4cap
