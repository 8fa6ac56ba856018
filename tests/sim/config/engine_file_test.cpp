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
    CHECK(parsed(s.resolved_yaml).resolved_yaml == s.resolved_yaml);
  }
  const Scenario old = parsed(scenario("layout: vllm, layout_version: 0.22"));
  CHECK(old.kv_cache.layout_options.at("packing") == 0);
  const Scenario over =
      parsed(scenario("layout: vllm, layout_version: 0.22, layout_options: {packing: 1}"));
  CHECK(over.kv_cache.layout_options.at("packing") == 1);
  CHECK(over.kv_cache.layout_options.at("indexer_row_min_bytes") == 132);
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
