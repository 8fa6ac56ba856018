#include "sim/config/host_section.h"

#include <doctest/doctest.h>

#include <filesystem>

#include "sim/config/engine_file.h"
#include "sim/config/profile_file.h"
#include "sim/config/scenario_file.h"
#include "tests/temp_dir.h"

namespace v4cap {
namespace {

Scenario parsed(const std::string& engine, const std::string& kv = "layout: sglang") {
  ScenarioOptions options;
  options.find_traces = false;
  return parse_scenario(
      "model: deepseek-v4-pro\nhardware: hgx-b200\nworkload: {trace: t}\n"
      "kv_cache: {" +
          kv + "}\nengine: {" + engine + "}\n",
      "s.yaml", options);
}

TEST_CASE("captured sizes are read as ascending ranges and written the same") {
  for (const std::string text : {"1-8:1", "1-1:1", "1-8:1 10-32:2 40-64:4", "3-1000000:999997"}) {
    CAPTURE(text);
    const auto sizes = parse_graph_sizes(text);
    REQUIRE(sizes.has_value());
    CHECK(graph_sizes_text(*sizes) == text);
  }
  CHECK(graph_sizes_text(*parse_graph_sizes("  1-8:1\t 10-32:2 ")) == "1-8:1 10-32:2");
  CHECK(graph_sizes_text({}) == "all");
}

TEST_CASE("text that is no list of captured sizes is refused") {
  for (const std::string text : {"",
                                 " ",
                                 "8",
                                 "1-8",
                                 "1:8",
                                 "8:1-2",
                                 "-8:1",
                                 "1-:1",
                                 "1-8:",
                                 "0-8:1",
                                 "1-8:0",
                                 "8-1:1",
                                 "1-8:3",
                                 "1-8:1 8-16:8",
                                 "10-12:1 1-2:1",
                                 "1-8:1,10-32:2",
                                 "1-8:1:1",
                                 "+1-8:1",
                                 "1.5-8:1",
                                 "1-1000001:1",
                                 "1-8:1 all",
                                 "1-99999999999999999999:1"}) {
    CAPTURE(text);
    CHECK_FALSE(parse_graph_sizes(text).has_value());
  }
}

TEST_CASE("a batch runs at the least captured size that holds it, at the edges of every range") {
  HostCost host;
  host.graph_max_batch = 64;
  host.graph_sizes = *parse_graph_sizes("2-8:2 12-32:4 64-128:64");
  struct Row {
    std::int64_t sequences, padded;
  };
  for (const auto& [sequences, padded] : {Row{1, 2},
                                          {2, 2},
                                          {3, 4},
                                          {7, 8},
                                          {8, 8},
                                          {9, 12},
                                          {12, 12},
                                          {13, 16},
                                          {29, 32},
                                          {32, 32},
                                          {33, 64},
                                          {63, 64},
                                          {64, 64}}) {
    CAPTURE(sequences);
    CHECK(host.captured(sequences));
    CHECK(host.padded(sequences) == padded);
  }
  CHECK_FALSE(host.captured(65));
}

TEST_CASE("the size above a count, and behind the last one the count itself") {
  const std::vector<GraphSizes> sizes = *parse_graph_sizes("16-64:16 128-1024:64");
  for (const auto& [count, size] :
       std::vector<std::pair<std::int64_t, std::int64_t>>{{0, 16},
                                                          {1, 16},
                                                          {16, 16},
                                                          {17, 32},
                                                          {64, 64},
                                                          {65, 128},
                                                          {129, 192},
                                                          {1024, 1024},
                                                          {1025, 1025}}) {
    CAPTURE(count);
    CHECK(size_above(sizes, count) == size);
  }
  CHECK(size_above({}, 7) == 7);
}

TEST_CASE("no step is padded above the largest batch that has a graph") {
  HostCost host;
  host.graph_max_batch = 30;
  host.graph_sizes = *parse_graph_sizes("1-8:1 12-32:4");
  CHECK(host.padded(28) == 28);
  CHECK(host.padded(29) == 30);
  CHECK(host.padded(30) == 30);
  CHECK_FALSE(host.captured(31));
  host.graph_max_batch = 10;  // less than where the next range begins
  CHECK(host.padded(9) == 10);
  CHECK(host.padded(10) == 10);
}

TEST_CASE("a batch that no captured size holds has no graph") {
  HostCost host;
  host.graph_max_batch = 1000;
  host.graph_sizes = *parse_graph_sizes("1-8:1 12-32:4");
  CHECK(host.captured(32));
  CHECK_FALSE(host.captured(33));
  host.graph_sizes.clear();
  CHECK(host.captured(1000));
  CHECK_FALSE(host.captured(1001));
  CHECK(host.padded(999) == 999);
  CHECK_FALSE(HostCost{}.captured(1));
}

TEST_CASE("what a version states goes before its engine, and what a scenario states before both") {
  HostStated engine, version;
  engine.eager_layer = Duration{1};
  engine.graph_step = Duration{2};
  engine.overlapped = true;
  engine.graph_sizes = parse_graph_sizes("1-8:1");
  version.graph_step = Duration{3};
  version.overlapped = false;
  version.graph_max_batch = 0;
  const HostStated both = overlaid(engine, version);
  CHECK(both.eager_layer == Duration{1});
  CHECK(both.graph_step == Duration{3});
  CHECK(both.overlapped == false);
  CHECK(both.graph_max_batch == 0);
  CHECK(graph_sizes_text(*both.graph_sizes) == "1-8:1");
  CHECK_FALSE(both.prompt_token.has_value());

  // SGLang: its oldest version has a slower host, and the same graphs as all.
  const EngineData sglang = known_engine("sglang");
  REQUIRE(sglang.host.eager_layer.has_value());
  const std::string oldest = sglang.versions.front().release;
  REQUIRE(sglang.versions.front().host.eager_layer.has_value());
  REQUIRE(sglang.versions.front().host.eager_layer != sglang.host.eager_layer);
  const HostCost of_engine = parsed("").engine.host;
  CHECK(of_engine.eager_layer == sglang.host.eager_layer);
  CHECK(of_engine.graph_max_batch == sglang.host.graph_max_batch);
  const std::string old = "layout: sglang, layout_version: " + oldest;
  const HostCost of_version = parsed("", old).engine.host;
  CHECK(of_version.eager_layer == sglang.versions.front().host.eager_layer);
  CHECK(of_version.prompt_token == sglang.host.prompt_token);
  CHECK(graph_sizes_text(of_version.graph_sizes) == graph_sizes_text(*sglang.host.graph_sizes));
  const HostCost own =
      parsed("host: {eager_layer: 7 us, graph_sizes: all, overlapped: false}", old).engine.host;
  CHECK(own.eager_layer == Duration{7'000});
  CHECK(own.graph_step == sglang.versions.front().host.graph_step);
  CHECK(own.graph_sizes.empty());
  CHECK_FALSE(own.overlapped);
}

TEST_CASE("a layout without an engine has a host that costs the node's fixed time a step") {
  const Scenario s = parsed("", "layout: ideal");
  CHECK(s.engine.host.eager_layer == Duration{});
  CHECK(s.engine.host.graph_step == s.hardware.efficiency.fixed_per_step);
  CHECK(s.engine.host.captured(100'000));
  CHECK(s.engine.host.graph_sizes.empty());
}

TEST_CASE("host, distribution and profile end in the resolved copy and read the same") {
  for (const std::string engine :
       {"", "expert_distribution: balanced",
        "host: {eager_layer: 0 ns, graph_step: 1 ms, prompt_token: 2 us, overlapped: false, "
        "graph_max_batch: 0, graph_sizes: '1-8:1 10-32:2'}"}) {
    for (const std::string layout : {"sglang", "vllm", "ideal"}) {
      CAPTURE(engine);
      CAPTURE(layout);
      const Scenario s = parsed(engine, "layout: " + layout);
      const Scenario again = [&] {
        ScenarioOptions options;
        options.find_traces = false;
        return parse_scenario(s.resolved_yaml, "s.yaml", options);
      }();
      CHECK(again.resolved_yaml == s.resolved_yaml);
      CHECK(again.engine.host.graph_step == s.engine.host.graph_step);
      CHECK(again.engine.host.overlapped == s.engine.host.overlapped);
      CHECK(again.engine.host.graph_max_batch == s.engine.host.graph_max_batch);
      CHECK(graph_sizes_text(again.engine.host.graph_sizes) ==
            graph_sizes_text(s.engine.host.graph_sizes));
      CHECK(again.engine.expert_distribution == s.engine.expert_distribution);
      CHECK(again.profile == s.profile);
    }
  }
  CHECK(parsed("").engine.expert_distribution == "power_law_1.01");
  CHECK(parsed("expert_distribution: balanced").engine.expert_distribution == "balanced");
  CHECK(parsed("").profile == "b200-sglang-0.5.14");
}

TEST_CASE("the newest profile of a GPU and an engine is chosen by its numbers") {
  const std::vector<std::string> names = {"b200-sglang-0.5.14", "b200-sglang-0.5.9",
                                          "b200-vllm-0.24.0",   "h20-sglang-0.5.10",
                                          "h200-sglang-0.5.14", "h200-sglang-0.5.14-night"};
  CHECK(default_profile(names, "B200", "sglang") == "b200-sglang-0.5.14");
  CHECK(default_profile({names.rbegin(), names.rend()}, "B200", "sglang") == "b200-sglang-0.5.14");
  CHECK(default_profile(names, "B200", "vllm") == "b200-vllm-0.24.0");
  CHECK(default_profile(names, "H20", "sglang") == "h20-sglang-0.5.10");
  CHECK(default_profile(names, "H20", "vllm").empty());
  CHECK(default_profile(names, "MI300X", "sglang").empty());
  CHECK(default_profile({}, "B200", "sglang").empty());
  CHECK(any_profile(names, "B200") == "b200-sglang-0.5.14");
  CHECK(any_profile({"h200-v4exec-a", "h200-vllm-0.24.0", "h200-vllm-0.9", "gh200-sglang-1"},
                    "H200") == "h200-vllm-0.24.0");
  CHECK(any_profile({"h200-v4exec-a"}, "H200").empty());
  CHECK(is_profile_of("h200-vllm-0.24.0", "H200"));
  CHECK_FALSE(is_profile_of("h200-vllm-0.24.0", "H20"));
}

}  // namespace
}  // namespace v4cap
