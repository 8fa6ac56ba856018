// Wrong sweep files, one fault each: every one is refused with its line, its column and what was
// expected, before anything runs, and the program ends with 2.
#include "sim/sweep/sweep_file.h"

#include <doctest/doctest.h>

#include "sim/output/version.h"
#include "sim/sweep/plan.h"
#include "tests/sim/app/program_run.h"
#include "tests/temp_dir.h"

namespace v4cap {
namespace {

// The base has four lines, sweeps begin with one.
const std::string kBase =
    "model: deepseek-v4-pro\nhardware: hgx-b200\n"
    "workload: {synthetic: {sessions: 2, first_prompt: {mean: 500}, output: {mean: 20}}}\n"
    "kv_cache: {swa_policy: full}\n";
const std::string kHead = "base: base.yaml\n";

struct Row {
  std::string name, text;  // text: after kHead
  std::int64_t line, column;
  std::string fragment;
};

std::vector<Row> rows() {
  return {
      {"no axes", "", 1, 1, "axes: expected axes:"},
      {"axes that are a list", "axes: [a]\n", 2, 7,
       "expected a map (key.path: values), got a list"},
      {"unknown key", "axis: {seed: [1]}\naxes: {kv_cache.swa_policy: [full]}\n", 2, 1,
       "unknown key 'axis' at the top level; did you mean 'axes'?"},
      {"seed as an axis", "axes: {seed: [1, 2]}\n", 2, 8, "expected 'seed' under 'seeds:'"},
      {"an axis without values", "axes:\n  kv_cache.swa_policy: []\n", 3, 24,
       "expected a list of values"},
      {"a key that scenarios do not have", "axes:\n  kv_cache.swa_polcy: [full]\n", 3, 24,
       "unknown key 'swa_polcy' in 'kv_cache'; did you mean 'swa_policy'?"},
      {"a value that the key does not take", "axes:\n  engine.max_running: [8, many]\n", 3, 27,
       "engine.max_running: expected a whole number from 1 to 1000000, got \"many\" (in 1 of 2 "
       "points"},
      {"an unknown policy", "axes:\n  kv_cache.swa_policy: [full, recomput]\n", 3, 31,
       "unknown name \"recomput\"; did you mean 'recompute'?"},
      {"a policy's argument", "axes:\n  kv_cache.swa_policy: [checkpoint=1000]\n", 3, 25,
       "multiple of the block of 256 tokens"},
      {"an unknown model", "axes:\n  model: [deepseek-v4-pro, deepseek-v4-flsh]\n", 3, 28,
       "deepseek-v4-flash"},
      {"a unit that is missing", "axes:\n  kv_cache.memory: {from: 8, to: 16, step: 8}\n", 3, 20,
       "the unit is missing"},
      {"a trace that is not there", "axes:\n  workload: [null]\n  workload.trace: [a.jsonl]\n", 3,
       14, "expected each key once, got 'workload' beside 'workload.trace'"},
      {"a key on two axes",
       "axes:\n  kv_cache.swa_policy: [full]\n  pair: {keys: [kv_cache.swa_policy], rows: "
       "[[tail]]}\n",
       4, 47, "expected each key once, got 'kv_cache.swa_policy'"},
      {"widths that no node has", "axes:\n  deployment.tensor_parallel: [8, 3]\n", 3, 35,
       "a divisor of the model's heads (128), got 3 (in 1 of 2 points"},
      {"seeds that are none", "axes: {kv_cache.swa_policy: [full]}\nseeds: [1, x]\n", 3, 12,
       "expected a whole number"},
      {"a seed twice", "axes: {kv_cache.swa_policy: [full]}\nseeds: [1, 1]\n", 3, 12,
       "expected each value once"},
      {"constraints that are a map", "axes: {kv_cache.swa_policy: [full]}\nconstraints: {a: 1}\n",
       3, 14, "expected a list of comparisons, got a map"},
      {"a constraint that is a list", "axes: {kv_cache.swa_policy: [full]}\nconstraints: [[1]]\n",
       3, 15, "expected a comparison such as 'a <= 5', got a list"},
      {"a constraint without spaces",
       "axes: {kv_cache.swa_policy: [full]}\nconstraints: [seed<=1]\n", 3, 15,
       "with spaces between"},
      {"a constraint on an unknown key",
       "axes: {kv_cache.swa_policy: [full]}\nconstraints: [kv_cache.swa_polic == full]\n", 3, 15,
       "unknown key 'kv_cache.swa_polic', which neither an axis nor the base sets; did you mean "
       "'kv_cache.swa_policy'?"},
      {"a constraint on a part of the scenario",
       "axes: {engine.max_running: [8]}\nconstraints: [kv_cache == 1]\n", 3, 15,
       "'kv_cache' is no single value"},
      {"a constraint that names no value",
       "axes: {kv_cache.swa_policy: [full, tail]}\nconstraints: [kv_cache.swa_policy != tial]\n", 3,
       15, "'tial' is no value of the axis; did you mean 'tail'?"},
      {"a constraint of two units",
       "axes: {kv_cache.memory: [8 GiB]}\nconstraints: [kv_cache.memory <= 5]\n", 3, 15,
       "expected numbers of the same unit, got \"8 GiB\" and \"5\""},
      {"constraints that leave nothing",
       "axes: {engine.max_running: [8, 16]}\nconstraints: [engine.max_running > 16]\n", 3, 15,
       "expected points to keep them, all 2 are left out"},
      {"an unknown figure", "axes: {kv_cache.swa_policy: [full]}\nthresholds: [ttft_ms.p9 <= 5]\n",
       3, 14, "unknown figure 'ttft_ms.p9'; did you mean 'ttft_ms.p90'?"},
      {"a threshold against a text",
       "axes: {kv_cache.swa_policy: [full]}\nthresholds: [hit_rate >= half]\n", 3, 14,
       "expected a number on the right"},
      {"a threshold with a unit of time",
       "axes: {kv_cache.swa_policy: [full]}\nthresholds: [ttft_ms.p90 < 3 s]\n", 3, 14,
       "\"ttft_ms.p90 < 3 s\": 'ttft_ms.p90' is a plain number in ms: expected 3000 in place of "
       "'3 s'"},
      {"a threshold with a unit of memory",
       "axes: {kv_cache.swa_policy: [full]}\nthresholds: [kv_peak_gib.swa <= 512 MiB]\n", 3, 14,
       "'kv_peak_gib.swa' is a plain number in GiB: expected 0.5 in place of '512 MiB'"},
      {"a threshold with a unit that its figure has not",
       "axes: {kv_cache.swa_policy: [full]}\nthresholds: [hit_rate >= 1 s]\n", 3, 14,
       "'hit_rate' is a plain number: expected a number without a unit in place of '1 s'"},
      {"too many points",
       "axes:\n  engine.max_running: {from: 1, to: 2000, step: 1}\n"
       "  engine.step_tokens: {from: 1, to: 2000, step: 1}\n",
       3, 23, "expected at most 1000000 combinations, got 4000000"},
      {"not YAML", "axes: {a: [1\n", 3, 1, ""},
  };
}

TEST_CASE("sweep file: one fault each is refused at its place") {
  const TempDir dir;
  dir.write("base.yaml", kBase);
  for (const Row& row : rows()) {
    CAPTURE(row.name);
    const std::string path = dir.write("sweep.yaml", kHead + row.text);
    try {
      make_plan(read_sweep(path, {}, {}), {});
      FAIL("was accepted");
    } catch (const InputError& error) {
      const Diagnostic& d = error.diagnostics().front();
      CAPTURE(to_string(d));
      CHECK(d.place.file == path);
      CHECK(d.place.line == row.line);
      CHECK(d.place.column == row.column);
      CHECK(d.message.find(row.fragment) != std::string::npos);
    }
    const ProgramRun run = run_v4cap({"sweep", path, "--out", dir / "out"});
    CHECK(run.code == ExitCode::bad_input);
    CHECK(run.out.empty());
    CHECK_FALSE(std::filesystem::exists(dir / "out"));
  }
}

TEST_CASE("sweep file: several faults are told at once") {
  const TempDir dir;
  dir.write("base.yaml", kBase);
  const std::string path = dir.write(
      "sweep.yaml", kHead + "axes:\n  kv_cache.swa_policy: []\nthresholds: [hitrate > 1]\nx: 1\n");
  try {
    read_sweep(path, {}, {});
    FAIL("was accepted");
  } catch (const InputError& error) {
    CHECK(error.diagnostics().size() == 3);
  }
}

TEST_CASE("sweep file: a base that is missing, wrong, or has its own fault") {
  const TempDir dir;
  const std::string axes = "axes: {engine.max_running: [8]}\n";
  const auto message = [&](const std::string& text) {
    const ProgramRun run = run_v4cap({"sweep", dir.write("sweep.yaml", text), "--dry-run"});
    CHECK(run.code == ExitCode::bad_input);
    return run.err;
  };
  CHECK(message(axes).find("base: expected a value, the key is missing") != std::string::npos);
  CHECK(message("base: nowhere.yaml\n" + axes).find("sweep.yaml:1:7: base: expected a scenario") !=
        std::string::npos);
  dir.write("base.yaml", kBase + "sol: {}\n");
  CHECK(message(kHead + axes).find("base.yaml:5:1: unknown key 'sol'") != std::string::npos);
}

TEST_CASE("sweep file: the last axis varies fastest, seeds faster still") {
  const TempDir dir;
  dir.write("base.yaml", kBase);
  const std::string path =
      dir.write("sweep.yaml", kHead +
                                  "axes:\n  kv_cache.swa_policy: [full, recompute]\n"
                                  "  engine.max_running: [8, 16]\nseeds: [1, 2]\n"
                                  "constraints: [kv_cache.swa_policy != recompute]\n");
  const SweepPlan plan = make_plan(read_sweep(path, {}, {}), {});
  CHECK(plan.left_out == 4);
  REQUIRE(plan.points.size() == 4);
  using Texts = std::vector<std::string>;
  CHECK(paths_of_axes(plan) == Texts{"kv_cache.swa_policy", "engine.max_running", "seed"});
  CHECK(values_of(plan, plan.points[0]) == Texts{"full", "8", "1"});
  CHECK(values_of(plan, plan.points[1]) == Texts{"full", "8", "2"});
  CHECK(values_of(plan, plan.points[2]) == Texts{"full", "16", "1"});
}

TEST_CASE("sweep file: --set changes the base, and an axis is not overridden") {
  const TempDir dir;
  dir.write("base.yaml", kBase);
  const std::string path = dir.write("sweep.yaml", kHead + "axes: {engine.max_running: [8]}\n");
  const auto key = [&](const std::vector<std::string>& set, std::optional<std::uint64_t> seed) {
    return make_plan(read_sweep(path, set, seed), {}).points.front().key;
  };
  CHECK(key({}, {}) == key({}, {}));
  CHECK(key({}, {}) == key({}, 1));
  CHECK(key({}, {}) != key({}, 2));
  CHECK(key({}, {}) != key({"kv_cache.swa_policy=recompute"}, {}));
  CHECK_THROWS_WITH_AS(read_sweep(path, {"engine.max_running=4"}, {}),
                       doctest::Contains("is an axis of the sweep"), InputError);
}

TEST_CASE("plan: a key depends on the trace's content, not on its name alone") {
  const TempDir dir;
  const std::string row =
      "{\"timestamp\": 0, \"input_length\": 512, \"output_length\": 8, "
      "\"hash_ids\": [1]}\n";
  dir.write("base.yaml",
            "model: deepseek-v4-pro\nhardware: hgx-b200\n"
            "kv_cache: {block_tokens: 512}\nworkload: {trace: t.jsonl}\n");
  const std::string path = dir.write("sweep.yaml", kHead + "axes: {engine.max_running: [8]}\n");
  const auto key = [&](const std::string& trace) {
    dir.write("t.jsonl", trace);
    return make_plan(read_sweep(path, {}, {}), {}).points.front().key;
  };
  const std::string once = key(row);
  CHECK(once == key(row));
  CHECK(once != key(row + row));
}

TEST_CASE("plan: its file reads back to the same, and changes are noticed") {
  const TempDir dir;
  dir.write("base.yaml", kBase);
  const std::string path = dir.write(
      "sweep.yaml", kHead +
                        "axes:\n  kv_cache.swa_policy: [full, recompute]\n"
                        "  kv_cache.memory: [null, 20 GiB]\nthresholds: [hit_rate >= 0]\n");
  const SweepPlan plan = make_plan(read_sweep(path, {}, {}), {});
  const std::string text = plan_text(plan);
  const std::string file = dir.write("plan.json", text);
  CHECK(is_plan(file));
  CHECK_FALSE(is_plan(path));
  const SweepPlan read = read_plan(file);
  CHECK(plan_text(read) == text);
  check_unchanged(read, {0, 1, 2, 3}, {});

  std::string changed = text;
  changed.replace(changed.find("recompute"), 9, "tail     ");
  CHECK_THROWS_WITH_AS(read_plan(dir.write("plan.json", changed)),
                       doctest::Contains("expected the hash of the plan's content"), InputError);
  CHECK_THROWS_AS(read_plan(dir.write("plan.json", text.substr(0, text.size() / 2))), InputError);
  CHECK_THROWS_AS(read_plan(dir.write("plan.json", "{}")), InputError);
  const std::string sources(simulator_sources());
  CHECK(sources.size() == 32);
  changed = text;
  changed.replace(changed.find(sources), 8, "00000000");
  CHECK_THROWS_WITH_AS(read_plan(dir.write("plan.json", changed)),
                       doctest::Contains("this one is of 0.1.0 with sources 00000000"), InputError);
  SweepPlan other = plan;
  other.points[2].key[0] = other.points[2].key[0] == '0' ? '1' : '0';
  CHECK_THROWS_WITH_AS(check_unchanged(other, {0, 1, 2, 3}, {}),
                       doctest::Contains("for 1 of 4 points"), InputError);
}

}  // namespace
}  // namespace v4cap
