#include <doctest/doctest.h>

#include <algorithm>
#include <boost/json.hpp>

#include "tests/sim/app/program_run.h"
#include "tests/temp_dir.h"

using namespace v4cap;

namespace {

const std::string kHead = "model: deepseek-v4-pro\nhardware: hgx-b200\n";
const std::string kWork = "workload: {trace: agents_small.jsonl.gz}\n";

bool has(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

}  // namespace

TEST_CASE("check: one sound scenario is printed with its defaults, several are named") {
  const TempDir dir;
  const std::string a = dir.write("a.yaml", kHead + kWork);
  const std::string b = dir.write("b.yaml", kHead + kWork + "seed: 2\n");
  const ProgramRun one = run_v4cap({"check", a});
  CHECK(one.code == ExitCode::done);
  CHECK(has(one.out, "swa_policy: full\n"));
  CHECK(one.err == a + ": ok\n");
  const ProgramRun both = run_v4cap({"check", a, b});
  CHECK(both.code == ExitCode::done);
  CHECK(both.out == "");
  CHECK(both.err == a + ": ok\n" + b + ": ok\n");
}

TEST_CASE("check: all that is wrong is said at once, of every scenario") {
  const TempDir dir;
  const std::string good = dir.write("good.yaml", kHead + kWork);
  const std::string keys = dir.write(
      "keys.yaml", kHead + "kv_cache: {layot: vllm, memory: 46}\nslo: {ttft_p99: 0 s}\n" + kWork);
  // Each of these is found by another check: the figure's name, the policy's argument.
  const std::string later = dir.write(
      "later.yaml", kHead + "kv_cache: {swa_policy: checkpoint=0}\n" + kWork +
                        "expect: [{figure: ttft_p9, value: 1, within: 5 %, source: x}]\n");
  const ProgramRun run = run_v4cap({"check", keys, good, later});
  CHECK(run.code == ExitCode::bad_input);
  CHECK(has(run.err, good + ": ok\n"));
  CHECK(has(run.err, keys + ":3:12: unknown key 'layot' in 'kv_cache'; did you mean 'layout'?\n"));
  CHECK(has(run.err, keys + ":3:33: kv_cache.memory: expected bytes with their unit"));
  CHECK(has(run.err, keys + ":4:17: slo.ttft_p99: expected"));
  CHECK(has(run.err, "unknown figure 'ttft_p9'"));
  CHECK(has(run.err, "checkpoint"));
}

TEST_CASE("check: a file of another kind is called what it is") {
  const std::string folder = std::string(V4CAP_SOURCE_DIR) + "/scenarios/";
  struct Row {
    std::string file, kind, use;
  };
  const Row rows[] = {{"plan_quickstart.yaml", "plan", "--dry-run' checks it"},
                      {"sweep_swa_policies.yaml", "sweep", "--dry-run' checks it"},
                      {"hardware/hgx-b200.yaml", "hardware", "names it under 'hardware'"},
                      {"models/deepseek-v4-pro.yaml", "model", "names it under 'model'"},
                      {"engines/vllm.yaml", "engine", "names it under kv_cache.layout"},
                      {"profiles/b200-vllm-0.24.0.yaml", "profile", "names it under 'profile'"}};
  for (const Row& row : rows) {
    CAPTURE(row.file);
    const std::string path = folder + row.file;
    const ProgramRun run = run_v4cap({"check", path});
    CAPTURE(run.err);
    CHECK(run.code == ExitCode::bad_input);
    CHECK(std::ranges::count(run.err, '\n') == 1);
    CHECK(has(run.err, ": expected a scenario, got a file of kind '" + row.kind + "' ("));
    CHECK(has(run.err, row.use));
  }
  CHECK(has(run_v4cap({"simulate", folder + "plan_quickstart.yaml"}).err,
            "'v4cap plan " + folder + "plan_quickstart.yaml --dry-run' checks it"));
  // Keys that a plan has too do not make a scenario one.
  const TempDir dir;
  const ProgramRun slip = run_v4cap({"check", dir.write("a.yaml", kHead + kWork + "load: {}\n")});
  CHECK(has(slip.err, "unknown key 'load' at the top level"));
}

TEST_CASE("check: --json has a document for each of several scenarios") {
  const TempDir dir;
  const std::string good = dir.write("good.yaml", kHead + kWork);
  const std::string bad = dir.write("bad.yaml", kHead + kWork + "sed: 1\n");
  const ProgramRun run = run_v4cap({"check", good, bad, "--json"});
  CHECK(run.code == ExitCode::bad_input);
  const boost::json::value document = boost::json::parse(run.out);
  CHECK_FALSE(document.at("ok").as_bool());
  const auto& scenarios = document.at("scenarios").as_array();
  REQUIRE(scenarios.size() == 2);
  CHECK(scenarios[0].at("ok").as_bool());
  CHECK_FALSE(scenarios[1].at("ok").as_bool());
  CHECK(scenarios[1].at("errors").at(0).at("line").as_int64() == 4);
}
