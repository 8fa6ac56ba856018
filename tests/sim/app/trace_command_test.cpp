// v4cap trace, run as the program would: its own option parser, streams in memory.
#include "sim/app/trace_command.h"

#include <doctest/doctest.h>

#include <CLI/CLI.hpp>
#include <sstream>

#include "sim/core/json.h"
#include "tests/data.h"
#include "tests/traces/files.h"
#include "traces/native.h"
#include "traces/reader.h"

namespace v4cap {
namespace {

struct Outcome {
  ExitCode code;
  std::string out, err;
};

Outcome run_trace(std::vector<std::string> arguments, GlobalOptions options = {}) {
  const std::unique_ptr<Command> command = (*CommandRegistry::find("trace"))();
  CLI::App app;
  command->add_options(app);
  std::reverse(arguments.begin(), arguments.end());
  app.parse(arguments);
  std::ostringstream out, err;
  CommandContext context{out, err, std::move(options)};
  const ExitCode code = command->run(context);
  return {code, out.str(), err.str()};
}

TEST_CASE("trace info: no minute is less busy than the mean, however short the trace") {
  const std::string head = "TIMESTAMP,ContextTokens,GeneratedTokens\n";
  // Three requests in two seconds; then 120 at once and as many 90 s later.
  std::string halves = head;
  for (const char* time : {"2024-01-01 00:00:00.0,5,1\n", "2024-01-01 00:01:30.0,5,1\n"}) {
    for (int i = 0; i < 120; ++i) halves += time;
  }
  const TestFile brief("brief.csv", head +
                                        "2024-01-01 00:00:00.0,5,1\n2024-01-01 00:00:01.0,5,1\n"
                                        "2024-01-01 00:00:02.0,5,1\n");
  const TestFile longer("longer.csv", halves);
  CHECK(run_trace({"info", brief.path()})
            .out.find("1.50 requests/s over 2 s, busiest minute 1.50/s") != std::string::npos);
  CHECK(run_trace({"info", longer.path()})
            .out.find("2.67 requests/s over 90 s, busiest minute 2.67/s") != std::string::npos);
}

const std::string kTwoTurns =
    R"({"session_id":"a","turn":1,"timestamp":0,"input_length":32,"output_length":16,"hash_ids":[1,2]})"
    "\n"
    R"({"session_id":"a","turn":2,"timestamp":2.5,"input_length":64,"output_length":4,"hash_ids":[1,2,3,4]})"
    "\n";

TEST_CASE("trace info prints the figures, as JSON and as text") {
  const TestFile file("two.jsonl", kTwoTurns);
  GlobalOptions json;
  json.json = true;
  const Outcome found = run_trace({"info", file.path()}, json);
  CHECK(found.code == ExitCode::done);
  JsonLine line;
  const JsonValue document = line.parse(found.out, Place{"stdout"});
  CHECK(document.at("requests").integer(0, 99) == 2);
  CHECK(document.at("sessions").integer(0, 99) == 1);
  CHECK(document.at("block_tokens").integer(0, 99) == 16);
  CHECK(document.at("ideal_hit_rate").number(0, 1) == doctest::Approx(32.0 / 96));
  CHECK(document.at("ideal_hit_rate_with_output").number(0, 1) == doctest::Approx(48.0 / 96));
  CHECK(document.at("prompt_tokens").at("max").integer(0, 99) == 64);
  CHECK(document.at("output_tokens").at("mean").number(0, 99) == 10);
  CHECK(!document.find("arrivals"));
  const Outcome text = run_trace({"info", file.path()});
  CHECK(text.out.find("33.3 %, with reuse of generated tokens 50.0 %") != std::string::npos);
  CHECK(text.out.find("requests        2 in 1 sessions") != std::string::npos);
}

TEST_CASE("trace info finds a relative path below the trace folder, and a folder's only trace") {
  const TestFile file("folder/two.jsonl", kTwoTurns);
  GlobalOptions options;
  options.trace_dir = TestFile::root();
  CHECK(run_trace({"info", "folder"}, options).code == ExitCode::done);
  CHECK(run_trace({"info", "folder/two.jsonl"}, options).code == ExitCode::done);
  try {
    run_trace({"info", "nowhere.jsonl"}, options);
    FAIL("a missing trace was accepted");
  } catch (const InputError& error) {
    CHECK(std::string(error.what()).find("kvcache-ai/Mooncake") != std::string::npos);
  }
}

TEST_CASE("trace convert writes what can be read back and overwrites only when told") {
  const TestFile file("two.jsonl", kTwoTurns);
  const TestFile target("two.v4cap.jsonl.gz", "occupied");
  CHECK_THROWS_AS(run_trace({"convert", file.path(), "--out", target.path()}), InputError);
  CHECK(run_trace({"convert", file.path(), "--out", target.path(), "--overwrite"}).code ==
        ExitCode::done);
  CHECK(native_text(read_trace(target.path())) == native_text(read_trace(file.path())));
}

TEST_CASE("trace convert --block-tokens reads Mooncake ids of blocks of another size") {
  const TestFile file("blocks16.jsonl",
                      R"({"timestamp":0,"input_length":40,"output_length":1,"hash_ids":[1,2,3]})"
                      "\n"
                      R"({"timestamp":7,"input_length":64,"output_length":1,"hash_ids":[1,2,4,5]})"
                      "\n");
  const TestFile target("native.jsonl", "");
  CHECK_THROWS_WITH_AS(run_trace({"convert", file.path(), "--overwrite", "--out", target.path()}),
                       doctest::Contains("is read by 'v4cap trace convert --block-tokens 16'"),
                       InputError);
  CHECK(run_trace(
            {"convert", file.path(), "--block-tokens", "16", "--overwrite", "--out", target.path()})
            .code == ExitCode::done);
  const Trace trace = read_trace(target.path());
  CHECK(trace.format == "mooncake");
  CHECK(trace.block == Tokens{16});
  CHECK(trace.requests.size() == 2);
  CHECK(run_trace({"info", target.path()}).out.find("16 tokens") != std::string::npos);
}

TEST_CASE("trace synth takes its parameters and its seed") {
  const TestFile target("synth.jsonl", "");
  const std::vector<std::string> arguments = {
      "synth",   "--out", target.path(),    "--overwrite",      "--sessions", "5",
      "--turns", "2..3",  "--first-prompt", "uniform:100..200", "--output",   "10"};
  GlobalOptions seeded;
  seeded.seed = 7;
  run_trace(arguments, seeded);
  const std::string first = native_text(read_trace(target.path()));
  run_trace(arguments, seeded);
  CHECK(native_text(read_trace(target.path())) == first);
  seeded.seed = 8;
  run_trace(arguments, seeded);
  CHECK(native_text(read_trace(target.path())) != first);
  CHECK(read_trace(target.path()).session_names.size() == 5);
  CHECK_THROWS_AS(run_trace({"synth", "--sessions", "1", "--turns", "x", "--out", target.path(),
                             "--overwrite"}),
                  InputError);
}

DATA_TEST_CASE("trace info prints the rates of a rate table") {
  const Outcome found = run_trace(
      {"info", (data_dir() / "traces/servegen-m-large-arrivals/windows.csv.gz").string()});
  CHECK(found.out.find("mean 195.8, lowest 48.4, highest 583.0 requests/s") != std::string::npos);
  CHECK(found.out.find("2016 of 600 s") != std::string::npos);
}

}  // namespace
}  // namespace v4cap
