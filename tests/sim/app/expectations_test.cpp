// Figures by name, and whether the scenarios of claims and incidents show what they say: the
// expected figures are in the files, and which of them are missed is listed here.
#include "sim/app/expectations.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <boost/json.hpp>
#include <cmath>
#include <filesystem>
#include <set>
#include <sstream>

#include "sim/app/scenario_options.h"
#include "sim/cluster/run_scenario.h"
#include "sim/output/metrics.h"
#include "tests/data.h"
#include "tests/sim/app/program_run.h"
#include "tests/temp_dir.h"

namespace v4cap {

namespace {

const std::string kScenarios = std::string(V4CAP_SOURCE_DIR) + "/scenarios/";

bool says(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

std::string refusal(const std::string& figure) {
  try {
    parse_figure(figure);
  } catch (const InputError& e) {
    return e.what();
  }
  return "accepted";
}

// Every expected figure of a file, runs included.
std::vector<ExpectationResult> results_of(const std::string& name) {
  const std::string path = kScenarios + name;
  const ScenarioOptions options;
  return find_expected(load_checked_scenario(path, options), scenario_loader(path, options),
                       [](const Scenario& s) { return run_scenario(s, load_workload(s)); });
}

// Figures of the file that are out of what the file allows, by number from 1.
std::set<std::size_t> missed(const std::vector<ExpectationResult>& results) {
  std::set<std::size_t> out;
  for (std::size_t i = 0; i < results.size(); ++i) {
    if (!results[i].within()) out.insert(i + 1);
  }
  return out;
}

double found(const std::vector<ExpectationResult>& results, std::size_t number) {
  REQUIRE(results.size() >= number);
  REQUIRE(results[number - 1].found.has_value());
  return *results[number - 1].found;
}

}  // namespace

TEST_CASE("a figure's name has a kind, a part and a number") {
  const FigureName plain = parse_figure("kv_tokens");
  CHECK(plain.kind->name == "kv_tokens");
  CHECK(plain.part.empty());
  CHECK(parse_figure("bytes_per_token.swa").part == "swa");
  const FigureName full = parse_figure("ratio.deepseek-v3.2@1048576");
  CHECK(full.part == "deepseek-v3.2");
  CHECK(full.at == 1048576);
  CHECK(parse_figure("log.kv_cache_tokens").part == "kv_cache_tokens");
  CHECK(parse_figure("hit_rate_from@9").kind->needs_run());
  CHECK_FALSE(full.kind->needs_run());
}

TEST_CASE("a figure that is none is refused with the nearest name") {
  CHECK(says(refusal("kv_token"), "did you mean 'kv_tokens'"));
  CHECK(says(refusal("bytes_per_token.swe"), "did you mean 'swa'"));
  CHECK(says(refusal("ratio.deepseek-v3.3@4096"), "deepseek-v3.2"));
  CHECK(says(refusal("ratio@4096"), "expected ratio.NAME"));
  CHECK(says(refusal("ratio.deepseek-v3.2"), "expected @N"));
  CHECK(says(refusal("kv_tokens@5"), "expected no '@'"));
  CHECK(says(refusal("kv_tokens.x"), "has no parts"));
  CHECK(says(refusal("hit_rate_from@0"), "above 0"));
}

TEST_CASE("every kind of figure is found by exactly one way and says what it is") {
  for (const FigureKind& kind : figure_kinds()) {
    CAPTURE(kind.name);
    CHECK((kind.of_capacity == nullptr) != (kind.of_run == nullptr));
    CHECK_FALSE(kind.meaning.empty());
  }
}

TEST_CASE("wrong figures and overrides of a scenario are refused where it names them") {
  const TempDir dir;
  const auto checked = [&](const std::string& expectation) {
    const std::string text =
        "model: deepseek-v4-pro\nhardware: hgx-b200\n"
        "workload: {trace: agents_small.jsonl.gz}\nexpect:\n  - " +
        expectation + "\n";
    return run_v4cap({"check", dir.write("s.yaml", text)});
  };
  const ProgramRun figure = checked("{figure: kv_tokns, value: 1, within: 1, source: x}");
  CHECK(figure.code == ExitCode::bad_input);
  CHECK(says(figure.err, "s.yaml:5:14: expect: unknown figure 'kv_tokns'; did you mean"));
  const ProgramRun set = checked(
      "{figure: kv_tokens, value: 1, within: 1, source: x, set: [kv_cache.swa_polcy=full]}");
  CHECK(set.code == ExitCode::bad_input);
  CHECK(says(set.err, "s.yaml:5:14: expect: "));
  CHECK(says(set.err, "did you mean 'swa_policy'"));
  CHECK(checked("{figure: kv_tokens, value: 1, within: 1, source: x}").code == ExitCode::done);
}

// Claims 1 and 2: both ends from one memory, with the retention as the only change.
TEST_CASE("retention: 1.2 M and 3.7 M tokens within 5 % on one memory") {
  const auto results = results_of("claims/retention.yaml");
  CHECK(missed(results) == std::set<std::size_t>{3});  // 40.2 KiB, not 38: told in the file
  CHECK(found(results, 1) == doctest::Approx(1.17e6).epsilon(0.01));
  CHECK(found(results, 2) == doctest::Approx(3.60e6).epsilon(0.01));
  CHECK(found(results, 4) == 35136);
}

TEST_CASE("retention in SGLang's formula: 38.0 KiB, and the ratio 0.021 triples what fits") {
  const auto results = results_of("claims/retention_sglang.yaml");
  CHECK(missed(results) == std::set<std::size_t>{});
  CHECK(found(results, 1) / 1024 == doctest::Approx(38.02).epsilon(1e-3));
  CHECK(found(results, 3) / found(results, 2) == doctest::Approx(3.09).epsilon(0.01));
}

// Claim 3, and claim 9 as far as bytes go.
TEST_CASE("against V3.2: 10.5 % of the bytes and 26.5 % of the FLOPs at 1 Mi tokens") {
  const auto results = results_of("claims/against_v32.yaml");
  CHECK(missed(results) == std::set<std::size_t>{});
  CHECK(found(results, 1) == doctest::Approx(0.105).epsilon(0.005));
  CHECK(found(results, 2) == doctest::Approx(0.265).epsilon(0.005));
  CHECK(found(results, 3) == doctest::Approx(0.268).epsilon(0.005));
}

TEST_CASE("breakeven is the last length at which V4 takes more, and nothing where it never wins") {
  const Scenario s = load_checked_scenario(kScenarios + "claims/against_v32.yaml", {});
  const Tokens n = breakeven(s, "deepseek-v3.2").value();
  const auto ratio = [&](Tokens length) {
    return model_bytes(s, {"deepseek-v3.2"}, {length}).back().ratio_to_first;
  };
  CHECK(ratio(n) > 1);
  CHECK(ratio(n - Tokens{1}) <= 1);
  ScenarioOptions reversed;
  reversed.set = {"model=deepseek-v3.2", "kv_cache.indexer=fp8", "kv_cache.swa_policy=full"};
  reversed.set.emplace_back("expect=null");
  const Scenario v32 = load_checked_scenario(kScenarios + "claims/against_v32.yaml", reversed);
  CHECK_FALSE(breakeven(v32, "deepseek-v4-pro").has_value());
}

TEST_CASE("compression: strides, entries, window and top-k from the models' files") {
  CHECK(missed(results_of("claims/compression.yaml")) == std::set<std::size_t>{});
}

TEST_CASE("baselines: GQA, MLA and DSA by the same command, to the byte") {
  CHECK(missed(results_of("claims/baselines.yaml")) == std::set<std::size_t>{});
  CHECK(run_v4cap({"capacity", kScenarios + "claims/baselines.yaml"}).code == ExitCode::done);
}

// Claim 6. The sum of the tables for 8 Ki tokens from nothing is 161 ms of attention.
TEST_CASE("rebuild: what a hit costs behind 64 Ki and 1 Mi tokens") {
  const auto results = results_of("claims/rebuild.yaml");
  CHECK(missed(results) == std::set<std::size_t>{});
  CHECK(found(results, 1) == doctest::Approx(161.5).epsilon(0.01));
  CHECK(found(results, 3) > 1.4 * found(results, 2));
  CHECK(found(results, 4) < 0.65 * found(results, 2));  // half the tokens, not half the time
}

// Claim 9, as far as time goes.
TEST_CASE("decode against V3.2: the advantage grows with context and load") {
  const auto results = results_of("claims/decode_against_v32.yaml");
  CHECK(missed(results) == std::set<std::size_t>{});
  CHECK(found(results, 1) < found(results, 2));
  CHECK(found(results, 2) < found(results, 3));
  CHECK(found(results, 4) < found(results, 5));
  CHECK(found(results, 5) < found(results, 6));
  const ProgramRun o = run_v4cap({"capacity", kScenarios + "claims/decode_against_v32.yaml",
                                  "--compare", "deepseek-v3.2", "--json"});
  const auto speeds = boost::json::parse(o.out).at("decode_speeds").as_array();
  REQUIRE(speeds.size() == 8);  // five lengths of V4-Pro, three that V3.2 takes
  CHECK(speeds[1].at("model").as_string() == "deepseek-v3.2");
  CHECK(speeds[1].at("first_over_this").to_number<double>() ==
        doctest::Approx(1.033).epsilon(0.01));
}

// Incident i2: 1.65 within 15 % is asked for. What was measured without rebuilding is matched, the
// gain is the miss that the file tells of: 3.77.
TEST_CASE("a rebuilt window keeps the hit that an evicted one loses, for more than was measured") {
  const auto results = results_of("incidents/window_rebuild.yaml");
  CHECK(missed(results) == std::set<std::size_t>{8, 9});
  CHECK(found(results, 4) == found(results, 1));  // a second run like the first
  CHECK(found(results, 8) / found(results, 4) == doctest::Approx(3.77).epsilon(0.01));
  CHECK(found(results, 9) / found(results, 5) == doctest::Approx(0.271).epsilon(0.01));
}

// What the file says it may be: two ranks, and a burst in no order of its own. A guess, so all that
// is held is that the ratio is in reach of it.
TEST_CASE(
    "a rebuilt window on two ranks: half of a shuffled burst comes to the rank that read it") {
  const auto ttft_p99 = [](const std::vector<std::string>& sets) {
    std::vector<std::string> args = {"simulate",
                                     kScenarios + "incidents/window_rebuild.yaml",
                                     "--json",
                                     "--set",
                                     "deployment.tensor_parallel=4",
                                     "--set",
                                     "deployment.data_parallel=2"};
    for (const std::string& set : sets) args.insert(args.end(), {"--set", set});
    const ProgramRun o = run_v4cap(args);
    CAPTURE(o.err);
    REQUIRE(o.code == ExitCode::done);
    return boost::json::parse(o.out).at("ttft_ms").at("p99").to_number<double>();
  };
  const double cold = ttft_p99({"workload.bench_serving.earlier=[]"});
  std::vector<double> ratios;
  for (int seed = 1; seed <= 12; ++seed) {
    ratios.push_back(cold / ttft_p99({"kv_cache.swa_policy=recompute",
                                      "workload.bench_serving.burst_order=shuffled",
                                      "workload.bench_serving.seed=" + std::to_string(seed)}));
  }
  std::ranges::sort(ratios);
  CHECK(ratios.front() == doctest::Approx(1.39).epsilon(0.01));
  CHECK(ratios[6] == doctest::Approx(1.48).epsilon(0.01));
  CHECK(ratios.back() == doctest::Approx(1.72).epsilon(0.01));
}

// Claim 5.
TEST_CASE("all strategies for windows run on one trace and say what they are") {
  const ProgramRun o =
      run_v4cap({"simulate", kScenarios + "claims/strategies.yaml", "--compare", "full",
                 "checkpoint=2048", "checkpoint=8192+ends", "tail", "pool=0.1", "recompute",
                 "recompute=pyramid", "replay", "reuse", "--json"});
  CAPTURE(o.err);
  REQUIRE(o.code == ExitCode::done);
  const boost::json::value document = boost::json::parse(o.out);
  const auto& runs = document.at("runs").as_array();
  REQUIRE(runs.size() == 9);
  for (const auto& run : runs) {
    const std::string policy = run.at("policy").as_string().c_str();
    const std::string caveat = run.at("caveat").as_string().c_str();
    CAPTURE(policy);
    CHECK(run.at("finished").to_number<int>() == 829);
    CHECK(says(caveat, "approximate") == (policy == "replay"));
    CHECK(says(caveat, "hypothetical") == (policy == "recompute=pyramid"));
    CHECK_FALSE(run.at("fallback").as_string().empty());
    if (policy == "full") {
      CHECK(run.at("rebuilt_tokens").to_number<int>() == 0);
      CHECK(says(run.at("fallback").as_string().c_str(), "none"));
    }
    if (policy == "recompute") CHECK(run.at("rebuilt_tokens").to_number<double>() > 0);
  }
  CHECK(document.at("expectations").at(0).at("ok").as_bool());
}

// Incident i4.
TEST_CASE("window pool: no revisit hits in the stated pools, all of them with one line changed") {
  const auto results = results_of("incidents/window_pool.yaml");
  CHECK(missed(results) == std::set<std::size_t>{6});
  CHECK(found(results, 4) == 0);
  CHECK(found(results, 5) > 0.9);
  CHECK(found(results, 6) == 0);  // the miss that the file tells of
}

// Incident i3.
TEST_CASE(
    "sparse windows: between the measured 0 and 90 %, and the misses that the file tells of") {
  const auto results = results_of("incidents/sparse_windows.yaml");
  CHECK(missed(results) == std::set<std::size_t>{2, 4, 5, 6});
  CHECK(found(results, 1) == 0);
  CHECK(found(results, 3) == 0);
  CHECK(found(results, 4) == doctest::Approx(0.995).epsilon(0.001));
  CHECK(found(results, 6) == doctest::Approx(0.7405).epsilon(0.001));
}

// Incident i1: both within the 3 points of hit rate that are asked for, and faster in the measured
// order. What a tree drops with its windows decides nothing here.
DATA_TEST_CASE(
    "a store of prefixes: hits end where no window is kept, and checkpoints lengthen them") {
  const std::string path = kScenarios + "incidents/checkpointed_store.yaml";
  ScenarioOptions options;
  options.trace_dir = (data_dir() / "traces").string();
  std::vector<Metrics> runs;
  const auto results = find_expected(load_checked_scenario(path, options),
                                     scenario_loader(path, options), [&](const Scenario& s) {
                                       RunResult result = run_scenario(s, load_workload(s));
                                       runs.push_back(compute_metrics(result));
                                       return result;
                                     });
  CHECK(missed(results) == std::set<std::size_t>{});
  CHECK(found(results, 1) == doctest::Approx(0.758).epsilon(0.005));
  CHECK(found(results, 2) == doctest::Approx(0.919).epsilon(0.005));
  REQUIRE(runs.size() == 2);
  const auto faster = [&](const Distribution& before, const Distribution& after) {
    CHECK(after.p50 < before.p50);
    CHECK(after.p90 < before.p90);
    CHECK(after.p99 < before.p99);
  };
  faster(runs[0].time_to_first_token_ms, runs[1].time_to_first_token_ms);
  CHECK(runs[1].inter_token_latency_ms.mean < runs[0].inter_token_latency_ms.mean);
  options.set = {"kv_cache.layout_options.dead_ends_dropped=0"};
  const Scenario stay = load_checked_scenario(path, options);
  const Metrics kept = compute_metrics(run_scenario(stay, load_workload(stay)));
  CHECK(kept.hit_rate.value() == doctest::Approx(runs[0].hit_rate.value()).epsilon(0.0005));
}

// Incident i6.
TEST_CASE("prefill reserve: both logged sizes within 5 % from the issue's own memory") {
  const auto results = results_of("incidents/prefill_reserve.yaml");
  CHECK(missed(results) == std::set<std::size_t>{4});
  CHECK(found(results, 2) / found(results, 1) == doctest::Approx(4.23).epsilon(0.01));
  CHECK(found(results, 3) / found(results, 1) == doctest::Approx(2.33).epsilon(0.01));
}

// Incident i5: what is asked for are the ratios, 7.7 within 5 % and 3.7 within 20 %.
TEST_CASE("long prompts: eight ranks hold what one engine does eightfold, and answer sooner") {
  const auto results = results_of("incidents/long_prompts.yaml");
  CHECK(missed(results) == std::set<std::size_t>{3, 4});  // the misses that the file tells of
  const double kv = 8 * found(results, 1) / found(results, 2);
  CHECK(std::abs(kv / 7.7 - 1) <= 0.05);
  const double ttft = found(results, 4) / found(results, 3);
  CHECK(std::abs(ttft / 3.7 - 1) <= 0.2);
}

TEST_CASE("no scenario of claims and incidents is left without a test") {
  const std::set<std::string> tested = {
      "retention",      "retention_sglang",   "against_v32",        "compression",     "baselines",
      "strategies",     "window_pool",        "sparse_windows",     "prefill_reserve", "rebuild",
      "window_rebuild", "decode_against_v32", "checkpointed_store", "long_prompts"};
  std::set<std::string> files;
  for (const std::string folder : {"claims", "incidents"}) {
    for (const auto& entry : std::filesystem::directory_iterator(kScenarios + folder)) {
      if (entry.path().extension() == ".yaml") files.insert(entry.path().stem().string());
    }
  }
  CHECK(files == tested);
}

// From another folder, so that no expectation may lean on where the scenario lies.
TEST_CASE("resolved copies of claims and incidents read back and show the same elsewhere") {
  const TempDir dir;
  for (const std::string name :
       {"claims/retention", "claims/retention_sglang", "claims/against_v32", "claims/compression",
        "claims/baselines", "claims/strategies", "incidents/window_pool",
        "incidents/sparse_windows", "incidents/prefill_reserve", "incidents/window_rebuild",
        "claims/rebuild", "claims/decode_against_v32", "incidents/long_prompts"}) {
    CAPTURE(name);
    const Scenario s = load_checked_scenario(kScenarios + name + ".yaml", {});
    REQUIRE_FALSE(s.expect.empty());
    const std::string path = dir.write("copy.yaml", s.resolved_yaml);
    const Scenario copy = load_checked_scenario(path, {});
    CHECK(copy.resolved_yaml == s.resolved_yaml);
    REQUIRE(copy.expect.size() == s.expect.size());
    // Without runs: those of the original are tested above.
    const auto own = find_expected(s, scenario_loader(s.file, {}));
    const auto copied = find_expected(copy, scenario_loader(path, {}));
    for (std::size_t i = 0; i < own.size(); ++i) {
      CAPTURE(own[i].expected.figure);
      CHECK(copied[i].found == own[i].found);
    }
  }
}

TEST_CASE("capacity prints expected beside found, the note, and what simulate must be asked for") {
  const ProgramRun o =
      run_v4cap({"capacity", kScenarios + "claims/retention.yaml", "--compare", "deepseek-v3"});
  CAPTURE(o.err);
  REQUIRE(o.code == ExitCode::done);
  CAPTURE(o.out);
  CHECK(says(o.out, "expected figure"));
  CHECK(says(o.out, "with kv_cache.swa_policy=reuse=0.22"));
  CHECK(says(o.out, "Note: press reports"));
  CHECK(says(o.out, "a kept token on each GPU"));
  CHECK(says(o.out, "34.312"));

  const ProgramRun unknown =
      run_v4cap({"capacity", kScenarios + "claims/strategies.yaml", "--json"});
  const boost::json::value doc = boost::json::parse(unknown.out);
  const auto& one = doc.at("expectations").at(0);
  CHECK(one.at("found").is_null());
  CHECK(one.at("ok").is_null());
  CHECK(says(one.at("reason").as_string().c_str(), "simulate"));
}

TEST_CASE("a figure that the layout does not log is said to be missing, not dropped") {
  const ProgramRun o =
      run_v4cap({"capacity", kScenarios + "claims/retention_sglang.yaml", "--json", "--set",
                 "kv_cache.layout=ideal", "--set", "kv_cache.layout_version=null"});
  CAPTURE(o.err);
  REQUIRE(o.code == ExitCode::done);
  const boost::json::value doc = boost::json::parse(o.out);
  CHECK(says(doc.at("expectations").at(0).at("reason").as_string().c_str(), "has no log"));
}

TEST_CASE("capacity prints what must be known of a policy") {
  const ProgramRun o = run_v4cap(
      {"capacity", kScenarios + "quickstart.yaml", "--compare", "replay", "recompute=pyramid"});
  CHECK(says(o.out, "replay: approximate"));
  CHECK(says(o.out, "recompute=pyramid: hypothetical"));
}

}  // namespace v4cap
