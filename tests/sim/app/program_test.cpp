// The program as its users meet it: arguments in, text and an exit code out.
#include <doctest/doctest.h>

#include <CLI/CLI.hpp>
#include <filesystem>
#include <new>
#include <sstream>

#include "tests/sim/app/program_run.h"
#include "tests/temp_dir.h"

using namespace v4cap;

namespace {

// Of a library, known to the program only through ProgramInfo::explain.
struct ForeignError : std::runtime_error {
  using std::runtime_error::runtime_error;
};

// Fails in the way its argument says, and shows which options reached it.
class FailingCommand final : public Command {
 public:
  std::string summary() const override { return "for tests"; }
  void add_options(CLI::App& app) override {
    CLI::App* part = app.add_subcommand("part", "a part");
    part->add_option("HOW", how_, "how to fail");
    part->add_option("--count", count_, "a number");
  }
  ExitCode run(CommandContext& context) override {
    if (how_ == "input") throw InputError(Place{"f.csv", 3, 7}, "expected a number, got \"x\"");
    if (how_ == "placeless") throw InputError(Place{}, "expected better");
    if (how_ == "run") throw RunError("the model does not fit");
    if (how_ == "kind") {
      throw RunError("no memory", "out_of_memory",
                     {{"asked_bytes", std::int64_t{7}}, {"share", 0.5}, {"device", "a \"B\""}});
    }
    if (how_ == "answered") {
      context.out << "{\"ok\":false}\n";
      context.answered = true;
      throw RunError("the model does not fit");
    }
    if (how_ == "foreign") throw ForeignError("a library failed");
    if (how_ == "memory") throw std::bad_alloc();
    if (how_ == "other") throw std::logic_error("surprise");
    if (how_ == "slo") return ExitCode::slo_missed;
    if (how_ == "stream") context.out.setstate(std::ios::badbit);
    const GlobalOptions& o = context.options;
    for (const std::string& text : o.set) context.out << "set " << text << '\n';
    context.out << "seed " << (o.seed ? std::to_string(*o.seed) : "none") << " traces "
                << o.trace_dir << " json " << o.json << " quiet " << o.quiet << " no_color "
                << o.no_color << " dry_run " << o.dry_run << '\n';
    return ExitCode::done;
  }

 private:
  std::string how_;
  int count_ = 0;
};

[[maybe_unused]] const bool registered = CommandRegistry::add(
    "zz-test", []() -> std::unique_ptr<Command> { return std::make_unique<FailingCommand>(); });

class PlainCommand final : public Command {
 public:
  std::string summary() const override { return "for tests"; }
  void add_options(CLI::App&) override {}
  bool reads_scenario() const override { return false; }
  ExitCode run(CommandContext& context) override {
    context.out << "seed " << context.options.seed.value_or(0) << '\n';
    return ExitCode::done;
  }
};

[[maybe_unused]] const bool registered_plain = CommandRegistry::add(
    "zz-plain", []() -> std::unique_ptr<Command> { return std::make_unique<PlainCommand>(); });

const std::string kSource = V4CAP_SOURCE_DIR;

TEST_CASE("check reads the tables of a scenario's profile") {
  const TempDir dir;
  std::filesystem::create_directory(dir.path() + "/profiles");
  const std::string shipped = std::string(V4CAP_SOURCE_DIR) + "/scenarios/profiles/";
  std::filesystem::copy_file(shipped + "b200-sglang-0.5.14.yaml",
                             dir.path() + "/profiles/b200-sglang-0.5.14.yaml");
  dir.write("profiles/b200-sglang-0.5.14.csv", "v4cap_profile=2\n");
  const std::string scenario =
      dir.write("s.yaml",
                "model: deepseek-v4-pro\nhardware: hgx-b200\nprofile: b200-sglang-0.5.14\n"
                "workload: {trace: agents_small.jsonl.gz, arrivals: {mode: burst}}\n");
  const ProgramRun broken = run_v4cap({"check", scenario});
  CHECK(broken.code == ExitCode::bad_input);
  CAPTURE(broken.err);
  CHECK(broken.err.find("b200-sglang-0.5.14.csv:1:") != std::string::npos);
}

}  // namespace

TEST_CASE("every kind of failure has its exit code and text") {
  struct Row {
    std::string how;
    ExitCode code;
    std::string err;
  };
  const Row rows[] = {{"input", ExitCode::bad_input, "f.csv:3:7: expected a number, got \"x\"\n"},
                      {"placeless", ExitCode::bad_input, "v4cap: expected better\n"},
                      {"run", ExitCode::failed, "v4cap: the model does not fit\n"},
                      {"memory", ExitCode::failed, "v4cap: out of memory\n"},
                      {"kind", ExitCode::failed, "v4cap: no memory\n"},
                      {"other", ExitCode::failed, "v4cap: unexpected failure: surprise\n"},
                      {"stream", ExitCode::failed, "v4cap: cannot write to standard output\n"},
                      {"slo", ExitCode::slo_missed, ""}};
  for (const Row& row : rows) {
    CAPTURE(row.how);
    const ProgramRun r = run_v4cap({"zz-test", "part", row.how});
    CHECK(r.code == row.code);
    CHECK(r.err == row.err);
  }
}

TEST_CASE("with --json a failure is one document, with its exit code as without") {
  struct Row {
    std::string how;
    ExitCode code;
    std::string out;
  };
  const Row rows[] = {
      {"input", ExitCode::bad_input,
       R"({"error":{"kind":"input","message":"f.csv:3:7: expected a number, got \"x\"",)"
       R"("diagnostics":[{"file":"f.csv","line":3,"column":7,)"
       R"("message":"expected a number, got \"x\""}]}})"},
      {"run", ExitCode::failed, R"({"error":{"kind":"run","message":"the model does not fit"}})"},
      {"kind", ExitCode::failed,
       R"({"error":{"kind":"out_of_memory","message":"no memory","asked_bytes":7,"share":0.5,)"
       R"("device":"a \"B\""}})"},
      {"answered", ExitCode::failed, R"({"ok":false})"},
      {"memory", ExitCode::failed,
       R"({"error":{"kind":"out_of_host_memory","message":"out of memory"}})"},
      {"other", ExitCode::failed,
       R"({"error":{"kind":"unexpected","message":"unexpected failure: surprise"}})"},
  };
  for (const Row& row : rows) {
    CAPTURE(row.how);
    const ProgramRun r = run_v4cap({"zz-test", "part", row.how, "--json"});
    CHECK(r.code == row.code);
    CHECK(r.out == row.out + '\n');
    CHECK(!r.err.empty());
  }
  CHECK(run_v4cap({"zz-test", "part", "slo", "--json"}).out == "");
  // Also when the options themselves are wrong.
  const ProgramRun usage = run_v4cap({"zz-test", "part", "--json", "--cuont", "3"});
  CHECK(usage.code == ExitCode::bad_input);
  CHECK(usage.out.find("unknown option \\\"--cuont\\\"; did you mean '--count'?") !=
        std::string::npos);
}

TEST_CASE("a program explains the errors of its libraries and carries its own name") {
  ProgramInfo info{.name = "other", .description = "Another program", .footer = "The end."};
  info.explain = [](const std::exception& error) -> std::optional<RunError> {
    if (dynamic_cast<const ForeignError*>(&error) == nullptr) return {};
    return RunError(std::string("explained: ") + error.what(), "foreign");
  };
  const auto run = [&](const std::vector<std::string>& arguments) {
    std::ostringstream out, err;
    const ExitCode code = run_program(info, arguments, out, err, false, false);
    return ProgramRun{code, out.str(), err.str()};
  };
  const ProgramRun known = run({"zz-test", "part", "foreign", "--json"});
  CHECK(known.code == ExitCode::failed);
  CHECK(known.err == "other: explained: a library failed\n");
  CHECK(known.out ==
        "{\"error\":{\"kind\":\"foreign\",\"message\":\"explained: a library failed\"}}\n");
  CHECK(run({"zz-test", "part", "other"}).err == "other: unexpected failure: surprise\n");
  CHECK(run({"chek"}).err == "other: unknown command \"chek\"; did you mean 'check'?\n");
  const ProgramRun help = run({"--help"});
  CHECK(help.out.find("Another program") != std::string::npos);
  CHECK(help.out.find("The end.") != std::string::npos);
  CHECK(run({"--version"}).out.starts_with("other "));
}

TEST_CASE("a command that reads no scenario takes none of a scenario's options") {
  for (const char* option : {"--set=a=1", "--traces=x"}) {
    const ProgramRun r = run_v4cap({"zz-plain", option});
    CHECK(r.code == ExitCode::bad_input);
    CHECK(r.err.starts_with("v4cap zz-plain: unknown option"));
  }
  CHECK(run_v4cap({"zz-plain", "--seed", "7", "--json"}).out == "seed 7\n");
}

TEST_CASE("options of every command reach it") {
  const ProgramRun r = run_v4cap({"zz-test", "part", "--set", "a=1", "x", "--set=b.c=d=2", "--seed",
                                  "18446744073709551615", "--traces", "dir", "--json", "--quiet",
                                  "--no-color", "--dry-run"});
  CHECK(r.err == "");
  CHECK(r.out ==
        "set a=1\nset b.c=d=2\nseed 18446744073709551615 traces dir json 1 quiet 1 no_color 1 "
        "dry_run 1\n");
}

TEST_CASE("wrong usage is explained and ends with 2") {
  struct Row {
    std::string name;
    std::vector<std::string> arguments;
    std::string err;
  };
  const Row rows[] = {
      {"unknown command", {"chek"}, "v4cap: unknown command \"chek\"; did you mean 'check'?\n"},
      {"unknown option",
       {"check", "--jsn", "x"},
       "v4cap check: unknown option \"--jsn\"; did you mean '--json'?\n"},
      {"unknown option far from any",
       {"check", "--zzzzzzzz", "x"},
       "v4cap check: unknown option \"--zzzzzzzz\"; see 'v4cap check --help'\n"},
      {"unknown option with a value",
       {"check", "--trace=3", "x"},
       "v4cap check: unknown option \"--trace\"; did you mean '--traces'?\n"},
      {"missing argument",
       {"check"},
       "v4cap check: SCENARIO is missing; see 'v4cap check --help'\n"},
      {"argument too many",
       {"capacity", "a", "b"},
       "v4cap capacity: unexpected argument \"b\"; see 'v4cap capacity --help'\n"},
      {"option without its value",
       {"check", "x", "--seed"},
       "v4cap check: --seed: expected a value after it; see 'v4cap check --help'\n"},
      {"option before the command",
       {"--json", "init"},
       "v4cap init: expected options after the command, got \"--json\" before it\n"},
      {"seed that is no number",
       {"check", "x", "--seed", "1x"},
       "v4cap check: --seed: expected a whole number from 0 to 18446744073709551615, got \"1x\"\n"},
      {"negative seed",
       {"check", "x", "--seed=-1"},
       "v4cap check: --seed: expected a whole number from 0 to 18446744073709551615, got \"-1\"\n"},
      {"part that is none",
       {"zz-test", "prt"},
       "v4cap zz-test: unknown command \"prt\"; did you mean 'part'?\n"},
      {"word for a number",
       {"zz-test", "part", "--count", "many"},
       "v4cap zz-test part: --count: expected a number, got \"many\"; see 'v4cap zz-test part "
       "--help'\n"},
      {"file that is not there",
       {"check", "none.yaml"},
       "none.yaml: expected a file, found none of that name\n"},
      {"control bytes", {"\x1b[31m"}, "v4cap: unknown command \"\\x1b[31m\"; one of: "},
  };
  for (const Row& row : rows) {
    CAPTURE(row.name);
    const ProgramRun r = run_v4cap(row.arguments);
    CHECK(r.code == ExitCode::bad_input);
    // One of the rows gives --json.
    CHECK(r.out.starts_with("{\"error\":") == (row.arguments.front() == "--json"));
    CHECK(r.err.substr(0, row.err.size()) == row.err);
  }
}

TEST_CASE("help and version go to standard output") {
  CHECK(run_v4cap({"--version"}).out.starts_with("v4cap "));
  CHECK(run_v4cap({"--version"}).code == ExitCode::done);
  const ProgramRun help = run_v4cap({"--help"});
  CHECK(help.code == ExitCode::done);
  CHECK(help.out.find("check") != std::string::npos);
  CHECK(run_v4cap({"check", "--help"}).out.find("SCENARIO") != std::string::npos);
  CHECK(run_v4cap({"zz-test", "part", "--help"}).out.find("--dry-run") != std::string::npos);
  const ProgramRun nothing = run_v4cap({});
  CHECK(nothing.code == ExitCode::bad_input);
  CHECK(nothing.out == "");
  CHECK(nothing.err == help.out);
}

TEST_CASE("the starter scenario checks cleanly") {
  const ProgramRun init = run_v4cap({"init"});
  REQUIRE(init.code == ExitCode::done);
  const TempDir dir;
  dir.write("agents_small.jsonl.gz", "");
  const std::string file = dir.write("my.yaml", init.out);
  const ProgramRun check = run_v4cap({"check", file});
  CHECK(check.code == ExitCode::done);
  CHECK(check.err == file + ": ok\n");

  // And so does its commented part, put in place of the trace.
  std::string drawn = init.out;
  drawn.erase(drawn.find("  trace: agents"),
              drawn.find("  # In place") - drawn.find("  trace: agents"));
  drawn.erase(drawn.find("  # In place"),
              drawn.find("  # synthetic:") - drawn.find("  # In place"));
  for (std::size_t at = drawn.find("  # synthetic:"); drawn.compare(at, 4, "  # ") == 0;
       at = drawn.find('\n', at) + 1) {
    drawn.erase(at + 2, 2);
  }
  CAPTURE(drawn);
  const ProgramRun other = run_v4cap({"check", dir.write("drawn.yaml", drawn)});
  CHECK(other.err == dir.path() + "/drawn.yaml: ok\n");
  CHECK(other.out.find("shared_prefix_tokens: 2000") != std::string::npos);
}

TEST_CASE("check prints the resolved scenario and it checks the same again") {
  const TempDir dir;
  dir.write("agents_small.jsonl.gz", "");
  const std::string scenario = kSource + "/scenarios/quickstart.yaml";
  const ProgramRun first = run_v4cap(
      {"check", scenario, "--traces", dir.path(), "--set", "engine.max_running=9", "--seed", "5"});
  CHECK(first.code == ExitCode::done);
  CHECK(first.out.find("max_running: 9") != std::string::npos);
  CHECK(first.out.find("seed: 5") != std::string::npos);
  const TempDir elsewhere;
  const std::string copy = elsewhere.write("resolved.yaml", first.out);
  const ProgramRun again = run_v4cap({"check", copy, "--traces", dir.path(), "--quiet"});
  CHECK(again.out == first.out);
  CHECK(again.err == "");
}

TEST_CASE("check refuses what a policy or a layout cannot take") {
  const TempDir dir;
  dir.write("t.jsonl", "");
  const std::string head =
      "model: deepseek-v4-pro\nhardware: hgx-b200\nworkload: {trace: t.jsonl}\n";
  struct Row {
    std::string kv_cache, says;
  };
  const Row rows[] = {
      {"swa_policy: checkpoint=2000", "4:24: kv_cache.swa_policy: the interval"},
      {"swa_policy: recompute=cone", "4:24: kv_cache.swa_policy: expected 'recompute'"},
      {"swa_policy: reuse=2", "4:24: kv_cache.swa_policy: expected 'reuse=F'"},
      {"layout: vllm, swa_policy: pool=0.1", "4:38: kv_cache.swa_policy: "},
  };
  for (const Row& row : rows) {
    CAPTURE(row.kv_cache);
    const ProgramRun found =
        run_v4cap({"check", dir.write("s.yaml", head + "kv_cache: {" + row.kv_cache + "}\n")});
    CAPTURE(found.err);
    CHECK(found.code == ExitCode::bad_input);
    CHECK(found.out.empty());
    CHECK(found.err.find(row.says) != std::string::npos);
  }
}

TEST_CASE("check as JSON is one document whether the scenario is right or wrong") {
  const TempDir dir;
  dir.write("t.jsonl", "");
  const std::string head = "model: gqa-70b\nhardware: hgx-h100\nworkload: {trace: t.jsonl}\n";
  const std::string right = dir.write("right.yaml", head),
                    wrong = dir.write("wrong.yaml", head + "sed: 1\n");
  const ProgramRun ok = run_v4cap({"check", right, "--json"});
  CHECK(ok.out.starts_with("{\"ok\":true,\"scenario\":\"" + right +
                           "\",\"resolved\":\"model:\\n  name: gqa-70b\\n"));
  CHECK(ok.err == "");
  const ProgramRun no = run_v4cap({"check", wrong, "--json"});
  CHECK(no.code == ExitCode::bad_input);
  CHECK(no.out == "{\"ok\":false,\"scenario\":\"" + wrong + "\",\"errors\":[{\"file\":\"" + wrong +
                      "\",\"line\":4,\"column\":1,\"message\":\"unknown key 'sed' at the top "
                      "level; did you mean "
                      "'seed'?\"}],\"error\":{\"kind\":\"input\",\"message\":\"" +
                      wrong +
                      ":4:1: unknown key 'sed' at the top level; did you mean 'seed'?\"}}\n");
  CHECK(no.err == wrong + ":4:1: unknown key 'sed' at the top level; did you mean 'seed'?\n");
}
