#include "sim/config/engine_file.h"

#include <doctest/doctest.h>

#include <algorithm>

#include "sim/cache/layout.h"
#include "sim/config/data_files.h"
#include "sim/config/scenario_file.h"
#include "tests/temp_dir.h"

namespace v4cap {
namespace {

TEST_CASE("versions compare by their numbers") {
  CHECK(compare_versions("0.9", "0.10") == -1);
  CHECK(compare_versions("0.5.13", "0.5.13") == 0);
  CHECK(compare_versions("2026-11", "2026-04") == 1);
  CHECK_FALSE(compare_versions("0.26", "2026-04").has_value());
  CHECK_FALSE(compare_versions("main", "0.26").has_value());
}

TEST_CASE("a version is found by release, by date and by name of a build") {
  const EngineData vllm = *load_engine("vllm", "");
  const auto release = [&](const std::string& text) {
    const EngineVersion* found = vllm.find(text);
    return found == nullptr ? std::string("none") : found->release;
  };
  const std::string newest = vllm.versions.back().release;
  CHECK(release("0.22") == vllm.versions[0].release);
  CHECK(release("0.1") == vllm.versions[0].release);
  CHECK(release("0.25.1rc2") == "0.23");
  CHECK(release("v0.26.0") == "0.26");
  CHECK(release("0.26.1.post1") == "0.26");
  CHECK(release("2026-07") == "0.23");
  CHECK(release("2026-08-11") == "0.26");
  CHECK(release("main") == newest);
  CHECK(release("99") == newest);
  for (const std::string text : {"", "newest", "0..26", "x0.26", "2026-"}) {
    CAPTURE(text);
    CHECK(release(text) == "none");
  }
}

TEST_CASE("every engine file sets parameters that its layout declares, within their range") {
  const auto names = data_names(DataKind::engine, "");
  CHECK(names.size() >= 3);
  for (const std::string& name : names) {
    CAPTURE(name);
    const auto engine = load_engine(name, "");
    REQUIRE(engine.has_value());
    CHECK(engine->name == name);
    const auto* parameters = LayoutParameters::find(name);
    REQUIRE(parameters != nullptr);
    CHECK(engine->scheduler.has_value() == (SchedulerTraitsRegistry::find(name) != nullptr));
    if (engine->scheduler) {
      CHECK(engine->scheduler->options.size() == scheduler_traits(name).parameters.size());
    }
    for (const EngineVersion& version : engine->versions) {
      for (const auto& [key, value] : version.values) {
        CAPTURE(key);
        const auto it = std::find_if(parameters->begin(), parameters->end(),
                                     [&](const LayoutParameter& p) { return p.name == key; });
        REQUIRE(it != parameters->end());
        CHECK(value >= it->min);
        CHECK(value <= it->max);
        CHECK(refused_value(*it, value).empty());
      }
    }
  }
}

std::string scenario(const std::string& kv) {
  return "model: deepseek-v4-pro\nhardware: hgx-b200\nworkload: {trace: t}\nkv_cache: {" + kv +
         "}\n";
}

Scenario parsed(const std::string& text) {
  ScenarioOptions options;
  options.find_traces = false;
  return parse_scenario(text, "s.yaml", options);
}

std::string errors_of(const std::string& text) {
  try {
    parsed(text);
  } catch (const InputError& e) {
    return e.what();
  }
  return "accepted";
}

TEST_CASE("a layout's version and options end in the resolved copy and read the same") {
  for (const std::string layout : {"vllm", "sglang", "trtllm"}) {
    CAPTURE(layout);
    const Scenario s = parsed(scenario("layout: " + layout));
    CHECK(!s.kv_cache.layout_version.empty());
    CHECK(s.kv_cache.layout_options.size() == LayoutParameters::find(layout)->size());
    CHECK(s.kv_cache.memory_rules.size() == kMemoryRules.size());
    CHECK(s.engine.scheduler == (layout == "trtllm" ? "fcfs" : layout));
    CHECK(parsed(s.resolved_yaml).resolved_yaml == s.resolved_yaml);
  }
  const Scenario old = parsed(scenario("layout: vllm, layout_version: 0.22"));
  CHECK(old.kv_cache.layout_options.at("packing") == 0);
  const Scenario over =
      parsed(scenario("layout: vllm, layout_version: 0.22, layout_options: {packing: 1}"));
  CHECK(over.kv_cache.layout_options.at("packing") == 1);
  CHECK(over.kv_cache.layout_options.at("indexer_row_min_bytes") == 132);
}

TEST_CASE("versions that nobody has looked at are said to be so") {
  const EngineData vllm = *load_engine("vllm", "");
  REQUIRE(vllm.versions.back().release == "0.26");
  for (const char* later : {"0.27", "0.33.1", "9.9.9", "v1.0rc1", "2030-01", "2030-01-31"}) {
    CAPTURE(later);
    CHECK(vllm.beyond(later) == "the newest rules known are 0.26's");
  }
  for (const char* earlier : {"0.5", "0.19.9", "2024-12"}) {
    CAPTURE(earlier);
    CHECK(vllm.beyond(earlier) == "the oldest rules known are 0.20's");
  }
  const std::string of_newest = vllm.versions.back().date;
  const std::vector<std::string> between = {
      "0.20",    "0.24.1",          "0.26", "0.26.3", "v0.26.0rc1",
      of_newest, of_newest + "-31", "main", "newest"};
  for (const std::string& known : between) {
    CAPTURE(known);
    CHECK(vllm.beyond(known).empty());
  }
}

TEST_CASE("wrong versions and options are refused with the nearest name") {
  CHECK(errors_of(scenario("layout: vllm, layout_version: newest"))
            .find("s.yaml:4:42: kv_cache.layout_version: expected a release such as") !=
        std::string::npos);
  CHECK(errors_of(scenario("layout: vllm, layout_options: {packin: 1}"))
            .find("did you mean 'packing'?") != std::string::npos);
  CHECK(errors_of(scenario("layout: vllm, layout_options: {packing: 3}")).find("from 0 to 2") !=
        std::string::npos);
  CHECK(errors_of(scenario("layout: sglang, layout_options: {packing: 1}"))
            .find("unknown key 'packing'") != std::string::npos);
  CHECK(errors_of(scenario("layout: ideal, memory_rules: {fixed_bytes: 1}"))
            .find("unknown key 'memory_rules'") != std::string::npos);
}

std::string with_engine(const std::string& engine, const std::string& kv) {
  return scenario(kv) + "engine: {" + engine + "}\n";
}

TEST_CASE("a scheduler's numbers come from its engine's file, whatever the layout") {
  const Scenario ideal = parsed(with_engine("scheduler: sglang", "layout: ideal"));
  CHECK(ideal.engine.scheduler_options.at("new_token_ratio") == 0.7);
  CHECK(ideal.engine.scheduler_options.size() == scheduler_traits("sglang").parameters.size());
  CHECK_FALSE(ideal.engine.mixed_chunk);
  CHECK(parsed(ideal.resolved_yaml).resolved_yaml == ideal.resolved_yaml);
  const Scenario over =
      parsed(with_engine("mixed_chunk: true, prefill_delayer: true, scheduler_options: "
                         "{conservativeness: 0.5}",
                         "layout: sglang"));
  CHECK(over.engine.mixed_chunk);
  CHECK(over.engine.prefill_delayer);
  CHECK(over.engine.scheduler_options.at("conservativeness") == 0.5);
  CHECK(over.engine.scheduler_options.at("clip_max_new_tokens") == 4096);
  CHECK(parsed(over.resolved_yaml).resolved_yaml == over.resolved_yaml);
  const Scenario vllm = parsed(with_engine("long_prefill_token_threshold: 512", "layout: vllm"));
  CHECK(vllm.engine.long_prefill_token_threshold == Tokens{512});
  CHECK(vllm.engine.scheduler_options.empty());
  CHECK(parsed(with_engine("scheduler: fcfs", "layout: sglang")).engine.scheduler == "fcfs");
}

TEST_CASE("what a scheduler's rules do not know is refused") {
  const auto error = [](const std::string& engine, const std::string& kv) {
    return errors_of(with_engine(engine, kv));
  };
  const auto has = [](const std::string& text, const std::string& part) {
    CAPTURE(text);
    CHECK(text.find(part) != std::string::npos);
  };
  has(error("mixed_chunk: true", "layout: ideal"),
      "s.yaml:5:23: engine.mixed_chunk: expected false, scheduler fcfs has no such rule");
  has(error("prefill_delayer: true", "layout: vllm"),
      "engine.prefill_delayer: expected false, scheduler vllm has no such rule");
  has(error("long_prefill_token_threshold: 1", "layout: sglang"),
      "engine.long_prefill_token_threshold: expected 0, scheduler sglang has no such rule");
  has(error("scheduler_options: {x: 1}", "layout: vllm"),
      "engine.scheduler_options: expected none, scheduler vllm has no parameters");
  has(error("scheduler_options: {new_token_rate: 1}", "layout: sglang"),
      "did you mean 'new_token_ratio'?");
  has(error("scheduler_options: {new_token_ratio: 1.1}", "layout: sglang"), "from 0 to 1");
  has(error("scheduler_options: {clip_max_new_tokens: 0.5}", "layout: sglang"),
      "expected a whole number, got 0.5 (output tokens that");
}

TEST_CASE("a version may override its engine's scheduler") {
  const std::string head =
      "name: sglang\nblock_tokens: 256\nmemory_fraction: 0.5\nstep_tokens: 99\n"
      "max_running: 7\n";
  const std::string numbers =
      "max_prefill_tokens: 1, clip_max_new_tokens: 2, conservativeness: 3, "
      "conservativeness_of_ranks: 4, new_token_ratio: 0.5, new_token_ratio_least: 0.6, "
      "new_token_ratio_decay_steps: 7, prefill_delay_steps: 9, rebuild_whole: 1";
  const std::string versions =
      "versions:\n  - {release: 0.1, date: 2026-01}\n"
      "  - {release: 0.2, date: 2026-02, scheduler: {mixed_chunk: true, conservativeness: 9}}\n";
  const TempDir dir;
  std::filesystem::create_directory(dir.path() + "/engines");
  ScenarioOptions options;
  options.find_traces = false;
  const auto loaded = [&](const std::string& scheduler, const std::string& kv) {
    dir.write("engines/sglang.yaml", head + scheduler + versions);
    return load_scenario(dir.write("s.yaml", scenario(kv)), options).engine;
  };
  const std::string whole = "scheduler: {" + numbers + ", retract_decode_steps: 8}\n";
  const EngineConfig older = loaded(whole, "layout: sglang, layout_version: 0.1");
  CHECK(older.scheduler_options.at("conservativeness") == 3);
  CHECK_FALSE(older.mixed_chunk);
  const EngineConfig newer = loaded(whole, "layout: sglang");
  CHECK(newer.scheduler_options.at("conservativeness") == 9);
  CHECK(newer.scheduler_options.at("retract_decode_steps") == 8);
  CHECK(newer.mixed_chunk);
  // A number that nobody gives has no default.
  CHECK_THROWS_WITH_AS(
      loaded("scheduler: {" + numbers + "}\n", "layout: sglang"),
      doctest::Contains("engine.scheduler_options.retract_decode_steps: expected a value"),
      InputError);
  CHECK_THROWS_WITH_AS(loaded("scheduler: {mixed_chunks: true}\n", "layout: sglang"),
                       doctest::Contains("sglang.yaml:6:13: unknown key 'mixed_chunks'"),
                       InputError);
  // Without the section in the engine's file there is no scheduler of its own to override.
  CHECK_THROWS_WITH_AS(loaded("", "layout: sglang"), doctest::Contains("unknown key 'scheduler'"),
                       InputError);
}

TEST_CASE("a scenario's own folder may bring an engine file") {
  const TempDir dir;
  std::filesystem::create_directory(dir.path() + "/engines");
  dir.write("engines/vllm.yaml",
            "name: vllm\nblock_tokens: 512\nmemory_fraction: 0.5\nstep_tokens: 99\n"
            "max_running: 7\nversions:\n  - {release: 0.1, date: 2026-01, values: {packing: 1}}\n");
  const std::string file = dir.write("s.yaml", scenario("layout: vllm"));
  ScenarioOptions options;
  options.find_traces = false;
  const Scenario s = load_scenario(file, options);
  CHECK(s.kv_cache.block == Tokens{512});
  CHECK(s.kv_cache.memory_fraction == 0.5);
  CHECK(s.engine.step_tokens == Tokens{99});
  CHECK(s.engine.max_running == 7);
  dir.write("engines/vllm.yaml",
            "name: vllm\nblock_tokens: 512\nmemory_fraction: 0.5\n"
            "step_tokens: 99\nmax_running: 7\nversions:\n"
            "  - {release: 0.2, date: 2026-02}\n"
            "  - {release: 0.1, date: 2026-03}\n");
  CHECK_THROWS_WITH_AS(load_scenario(file, options), doctest::Contains("expected the oldest first"),
                       InputError);
}

}  // namespace
}  // namespace v4cap
