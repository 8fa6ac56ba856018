// v4cap cache, run as the program would.
#include <doctest/doctest.h>

#include <sstream>
#include <string>

#include "sim/core/json.h"
#include "tests/sim/app/program_run.h"
#include "tests/traces/files.h"

namespace v4cap {
namespace {

ProgramRun run_cache(std::vector<std::string> arguments) {
  arguments.insert(arguments.begin(), "cache");
  return run_v4cap(arguments);
}

// A prompt of 19,968 + 32 tokens, then the same with 5,000 more.
const std::string kTwoTurns = [] {
  std::string first = "0", second;
  for (int i = 1; i < 1248; ++i) first += ',' + std::to_string(i);
  second = first;
  for (int i = 1248; i < 1562; ++i) second += ',' + std::to_string(i);
  return R"({"session_id":"a","turn":1,"timestamp":0,"input_length":19968,"output_length":16,"hash_ids":[)" +
         first + "]}\n" +
         R"({"session_id":"a","turn":2,"timestamp":2.5,"input_length":25000,"output_length":4,"hash_ids":[)" +
         second + "]}\n";
}();

TEST_CASE("cache prints what each policy hits, as JSON and as text") {
  const TestFile file("two.jsonl", kTwoTurns);
  const ProgramRun found = run_cache({file.path(), "--kv-gib", "inf", "--policy", "full", "tail",
                                      "recompute", "checkpoint=2048", "--json"});
  REQUIRE(found.code == ExitCode::done);
  JsonLine line;
  const JsonValue document = line.parse(found.out, Place{"stdout"});
  CHECK(document.at("block_tokens").integer(0, 99) == 16);
  struct Row {
    std::string policy;
    std::int64_t hit, rebuilt;
    std::string method;
  };
  const Row rows[] = {{"full", 19'968, 0, "one pass"},
                      {"tail", 19'968, 0, "replay"},
                      {"recompute", 19'968, 7936, "one pass"},
                      {"checkpoint=2048", 18'432, 0, "one pass"}};
  std::size_t n = 0;
  for (const JsonValue curve : document.at("curves").array()) {
    REQUIRE(n < std::size(rows));
    const Row& row = rows[n++];
    CAPTURE(row.policy);
    CHECK(curve.at("policy").string() == row.policy);
    CHECK(curve.at("layout").string() == "ideal");
    CHECK(curve.at("kv_gib").string() == "inf");
    CHECK(curve.at("hit_tokens").integer(0, 99'999) == row.hit);
    CHECK(curve.at("rebuilt_tokens").integer(0, 99'999) == row.rebuilt);
    CHECK(curve.at("hit_rate").number(0, 1) ==
          doctest::Approx(static_cast<double>(row.hit) / 44'968));
    CHECK(curve.at("written_bytes").integer(1, 1LL << 40) > 0);
    CHECK(curve.at("read_bytes").integer(1, 1LL << 40) > 0);
    CHECK(curve.at("method").string() == row.method);
  }
  CHECK(n == std::size(rows));
  const ProgramRun text = run_cache({file.path(), "--kv-gib", "0.1,inf"});
  CHECK(text.code == ExitCode::done);
  for (const char* shown : {"net saved", "recompute=pyramid *", "hypothetical", "approximate",
                            "with hindsight", "written GB", "endless"}) {
    CAPTURE(std::string(shown));
    CHECK(text.out.find(shown) != std::string::npos);
  }
}

TEST_CASE("cache takes models, layouts and scenarios") {
  const TestFile file("two.jsonl", kTwoTurns);
  for (const std::vector<std::string>& arguments : {
           std::vector<std::string>{"--model", "deepseek-v4-flash"},
           {"--model", "deepseek-v3.2"},
           {"--model", "gqa-70b"},
           {"--layout", "vllm", "--kv-gib", "20"},
           {"--layout", "sglang", "--kv-gib", "20,inf"},
           {"--layout", "trtllm", "--kv-gib", "20"},
           {"--layout", "sglang"},
           {"--block-tokens", "256"},
           {"--sessions-at-a-time", "2"},
           {"--set", "kv_cache.reuse_generated=true"},
           {"--scenario", std::string(V4CAP_SOURCE_DIR) + "/scenarios/quickstart.yaml"},
       }) {
    std::vector<std::string> all = {file.path()};
    all.insert(all.end(), arguments.begin(), arguments.end());
    CAPTURE(arguments.back());
    const ProgramRun found = run_cache(all);
    CAPTURE(found.err);
    CHECK(found.code == ExitCode::done);
    CHECK(found.out.find("net saved") != std::string::npos);
  }
}

TEST_CASE("cache says when a layout's reserve leaves nothing") {
  const TestFile file("two.jsonl", kTwoTurns);
  const ProgramRun found = run_cache({file.path(), "--layout", "sglang", "--kv-gib", "0.5"});
  CHECK(found.code == ExitCode::failed);
  CHECK(found.err.find("nothing is left") != std::string::npos);
}

TEST_CASE("cache refuses what it cannot do, and says what it expected") {
  const TestFile file("two.jsonl", kTwoTurns);
  const TestFile plain(
      "plain.jsonl",
      "{\"format\":\"v4cap-trace\",\"version\":1,\"name\":\"x\",\"source\":\"test\",\"requests\":1,"
      "\"block_tokens\":0,\"partial_last_block\":false,\"arrivals\":false,\"next_free_id\":0,"
      "\"sessions\":[],\"notes\":[]}\n"
      "{\"prompt\":10,\"output\":1}\n");
  const TestFile lone(
      "lone.jsonl",
      "{\"timestamp\":0,\"input_length\":512,\"output_length\":1,\"hash_ids\":[1]}\n");
  struct Row {
    std::vector<std::string> arguments;
    std::string says;
  };
  const Row rows[] = {
      {{file.path(), "--policy", "ful"}, "--policy: kv_cache.swa_policy: unknown"},
      {{file.path(), "--policy", "tial"}, "did you mean 'tail'?"},
      {{file.path(), "--set", "kv_cache.swa_policy=tail"}, "expected --policy"},
      {{file.path(), "--set", "kv_cache.memory=5 GiB"}, "expected --kv-gib"},
      {{file.path(), "--policy", "checkpoint=100"}, "multiple of the block of 16"},
      {{file.path(), "--kv-gib", "0"}, "expected GiB above 0"},
      {{file.path(), "--kv-gib", "-1"}, "expected GiB above 0"},
      {{file.path(), "--kv-gib", "1e9"}, "expected GiB above 0"},
      {{file.path(), "--kv-gib", "much"}, "expected GiB above 0"},
      {{file.path(), "--kv-gib", "nan"}, "expected GiB above 0"},
      {{file.path(), "--sessions-at-a-time", "0"}, "--sessions-at-a-time"},
      {{file.path(), "--sessions-at-a-time", "two"}, "--sessions-at-a-time"},
      {{lone.path(), "--sessions-at-a-time", "2"}, "expected a trace of sessions"},
      {{file.path(), "--set", "kv_cache.rebuild_page_tokens=0"}, "rebuild_page_tokens"},
      {{file.path(), "--model", "deepseek-v4-pr"}, "deepseek-v4-pro"},
      {{file.path(), "--layout", "vlm"}, "did you mean 'vllm'?"},
      {{file.path(), "--block-tokens", "24"}, "multiple"},
      {{file.path(), "--scenario", "no.yaml"}, "no.yaml"},
      {{file.path(), "--scenario", "x.yaml", "--model", "gqa-70b"}, "use --set"},
      {{file.path() + ".no"}, "no such trace"},
      {{plain.path()}, "expected a trace with block ids"},
      {{}, "TRACE"},
  };
  for (const Row& row : rows) {
    CAPTURE(row.says);
    const ProgramRun found = run_cache(row.arguments);
    CAPTURE(found.err);
    CHECK(found.code == ExitCode::bad_input);
    CHECK(found.out.empty());
    CHECK(found.err.find(row.says) != std::string::npos);
  }
}

}  // namespace
}  // namespace v4cap
