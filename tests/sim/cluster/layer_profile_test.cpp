// A scenario on times of whole layers: which cost model and host it gets, and what is refused.
#include <doctest/doctest.h>

#include <cmath>
#include <string>
#include <utility>
#include <vector>

#include "sim/cluster/run_scenario.h"
#include "sim/config/profile_writer.h"
#include "sim/config/scenario_file.h"
#include "sim/output/run_summary.h"
#include "tests/layer_profile.h"
#include "tests/temp_dir.h"

namespace v4cap {
namespace {

const std::string kHead =
    "model: deepseek-v4-flash\nhardware: hgx-h100\nprofile: h100-v4exec-test\n"
    "workload: {trace: none}\n";
const std::string kRank =
    "deployment: {tensor_parallel: 4, expert_parallel: 4, collectives: skipped}\n";

Profile flash_profile() {
  Profile p = layer_profile("deepseek-v4-flash", "4", "4");
  p.host->eager_layer = Duration{21'500};
  p.host->eager_step = Duration{130'000};
  return p;
}

// A folder with the profile and scenarios on it.
struct World {
  explicit World(const Profile& profile = flash_profile()) : text(profile_text(profile)) {
    put(text.yaml, text.csv);
  }
  void put(const std::string& yaml, const std::string& csv) const {
    dir.write("profiles/h100-v4exec-test.yaml", yaml);
    dir.write("profiles/h100-v4exec-test.csv", csv);
  }
  Scenario load(const std::string& scenario) const {
    ScenarioOptions options;
    options.find_traces = false;
    return load_scenario(dir.write("s.yaml", scenario), options);
  }
  // The message of what `run` throws, with the folder left out of its places.
  template <class Run>
  std::string error(Run run) const {
    try {
      run();
    } catch (const InputError& e) {
      std::string message = e.what();
      for (std::size_t at = 0; (at = message.find(dir.path() + '/', at)) != std::string::npos;) {
        message.erase(at, dir.path().size() + 1);
      }
      return message;
    }
    return "accepted";
  }

  TempDir dir;
  ProfileText text;
};

StepPlan decode_plan(std::size_t sequences) {
  StepPlan plan;
  plan.pieces.assign(
      sequences,
      {.kind = PieceKind::decode, .emits_token = true, .past = Tokens{2'000}, .tokens = Tokens{1}});
  return plan;
}

TEST_CASE("a scenario whose profile is of v4exec is timed by its layers, with the profile's host") {
  const World world;
  // Of a GPU whose roofline is far below these times.
  const Scenario s = world.load(
      "model: deepseek-v4-flash\nprofile: h100-v4exec-test\nworkload: {trace: none}\n"
      "hardware: {base: hgx-h100, gpu: {memory_bandwidth: 1000 TB/s}}\n"
      "kv_cache: {layout: sglang}\n" +
      kRank);
  CHECK(s.engine.host == *flash_profile().host);
  const ScenarioCost cost = make_cost(s);
  REQUIRE(dynamic_cast<const LayerCost*>(cost.model.get()) != nullptr);
  CHECK(cost.missing.empty());
  // 43 layers: three whose experts a table chooses (two of windows, one CSA), then 20 of each kind.
  REQUIRE(s.model.layer_count() == 43);
  CHECK(s.model.moe.hash_layers == 3);
  double us = ends_decode_us(8) + 7;
  for (const auto& [layer, count] : std::vector<std::pair<std::string, int>>{
           {"window_hash", 2}, {"csa_hash", 1}, {"csa", 20}, {"hca", 20}}) {
    const double past = layer == "window_hash" ? 128 : 2000, none = 0;
    us += count * (5 * times_of(layer).decode(8, past) + 3 * times_of(layer).decode(8, none)) / 8;
  }
  const StepTime time = cost.model->step_time(decode_plan(5));
  CHECK_FALSE(time.clamped);
  // Times of a file have four digits.
  CHECK(std::abs(1e6 * to_seconds(time.total) / us - 1) < 1e-3);
}

TEST_CASE("what a scenario says of its host goes before its profile, and the copy reads the same") {
  const World world;
  const Scenario s = world.load(kHead + kRank + "engine: {host: {eager_step: 9 us}}\n");
  CHECK(s.engine.host.eager_step == Duration{9'000});
  CHECK(s.engine.host.eager_layer == Duration{21'500});
  CHECK(s.engine.host.graph_sizes == flash_profile().host->graph_sizes);
  CHECK(s.resolved_yaml.find("collectives: skipped") != std::string::npos);
  const Scenario again = world.load(s.resolved_yaml);
  CHECK(again.resolved_yaml == s.resolved_yaml);
  CHECK(again.engine.host == s.engine.host);
  CHECK_FALSE(again.deployment.collectives);
  // A profile without a host leaves the engine's.
  const Scenario other = world.load(
      "model: deepseek-v4-flash\nhardware: hgx-h100\nworkload: {trace: none}\n"
      "kv_cache: {layout: sglang}\nprofile: h100-sglang-0.5.14\n");
  CHECK(other.engine.host.eager_step == Duration{});
  CHECK(other.engine.host.eager_layer > Duration{1'000'000});
  CHECK(other.deployment.collectives);
}

TEST_CASE("a report names the profile and the rank that was timed") {
  const World world;
  CHECK(identify(world.load(kHead + kRank)).times ==
        "h100-v4exec-test, collectives skipped: one rank of TP4 EP4");
  CHECK(identify(world.load(kHead)).times == "h100-v4exec-test");
}

TEST_CASE("times of layers are neither taken to another GPU nor to several ranks") {
  const World world;
  const auto refused = [&](const std::string& scenario) {
    const Scenario s = world.load(scenario);
    return world.error([&] { make_cost(s); });
  };
  CHECK(refused("model: deepseek-v4-flash\nhardware: hgx-h200\nprofile: h100-v4exec-test\n"
                "workload: {trace: none}\n" +
                kRank) ==
        "s.yaml:3:10: profile: expected one of H200, times of v4exec are not transferred between "
        "GPUs, h100-v4exec-test is of H100");
  CHECK(refused(kHead + "deployment: {tensor_parallel: 4, data_parallel: 2}\n") ==
        "s.yaml:5:49: deployment.data_parallel: expected 1, as h100-v4exec-test holds times of one "
        "rank, got 2");
}

TEST_CASE("a pyramid is told from the policy") {
  const World world;
  const auto is_pyramid = [&](const std::string& policy) {
    const Scenario s = world.load(kHead + kRank + "kv_cache: {swa_policy: " + policy + "}\n");
    return step_setting(s).pyramid_rebuild;
  };
  CHECK(is_pyramid("recompute=pyramid"));
  CHECK_FALSE(is_pyramid("recompute"));
  CHECK_FALSE(is_pyramid("recompute=rectangle"));
  CHECK_FALSE(is_pyramid("checkpoint=2048"));
}

TEST_CASE("a profile of v4exec that is not as it must be is refused with place") {
  const World world;
  struct Broken {
    std::string from, to, message;
  };
  const std::vector<Broken> table = {
      {"  eager_layer: 21500 ns\n", "",
       "12:3: host.eager_layer: expected a value, the key is missing"},
      {"graph_step: 7 us", "graph_step: 7",
       "14:15: host.graph_step: expected a time with its unit"},
      {"graph_sizes: \"1-4:1 8-32:8\"", "graph_sizes: 1 2 4 8",
       "18:16: host.graph_sizes: expected ascending ranges first-last:step"},
      {"  overlapped: false\n", "  overlaped: false\n",
       "16:3: unknown key 'overlaped' in 'host'; did you mean 'overlapped'?"},
      {"keys: [model, tp, ep, layer]", "keys: [model, tp, layer]",
       "26:11: keys: expected [model, tp, ep, layer] of layer_decode of v4exec, got [model, tp, "
       "layer]"},
      {"      - {name: past, unit: tokens, interpolation: linear}\n", "",
       "28:7: axes: expected [batch, past] of layer_decode of v4exec, got [batch]"},
      {"{name: sequences", "{name: batch",
       "axes: expected [sequences, tokens, past] of layer_prefill of v4exec, got [batch, tokens, "
       "past]"},
  };
  for (const Broken& b : table) {
    CAPTURE(b.from);
    std::string yaml = world.text.yaml;
    const std::size_t at = yaml.find(b.from);
    REQUIRE(at != std::string::npos);
    world.put(yaml.replace(at, b.from.size(), b.to), world.text.csv);
    const std::string got = world.error([&] { make_cost(world.load(kHead + kRank)); });
    CAPTURE(got);
    CHECK(got.find("profiles/h100-v4exec-test.yaml:") == 0);
    CHECK(got.find(b.message) != std::string::npos);
  }
  const std::size_t host = world.text.yaml.find("host:"),
                    families = world.text.yaml.find("families:");
  world.put(world.text.yaml.substr(0, host) + world.text.yaml.substr(families), world.text.csv);
  const std::string got = world.error([&] { make_cost(world.load(kHead + kRank)); });
  CAPTURE(got);
  CHECK(got.find("yaml:1:1: host: expected") != std::string::npos);
}

}  // namespace
}  // namespace v4cap
