// The scenario loader: defaults, overrides, cross-checks, and the resolved copy.
#include "sim/config/scenario_file.h"

#include <doctest/doctest.h>

#include "sim/config/yaml_tree.h"
#include "tests/temp_dir.h"

using namespace v4cap;

namespace {

const std::string kBundled = std::string(V4CAP_SOURCE_DIR) + "/scenarios/";

// A trace folder with an empty file of every name that the bundled scenarios ask for.
const TempDir& traces() {
  static const TempDir dir;
  static const bool filled = [] {
    for (const char* name : {"agents_small.jsonl.gz", "mooncake-conversation/trace.jsonl.gz",
                             "weka-agentic-v8/sessions.jsonl.gz", "t.jsonl", "lengths.csv"}) {
      dir.write(name, "");
    }
    return true;
  }();
  static_cast<void>(filled);
  return dir;
}

const std::string kHead =
    "model: deepseek-v4-pro\nhardware: hgx-b200\nworkload: {trace: t.jsonl}\n";

Scenario parsed(const std::string& text, std::vector<std::string> set = {}) {
  return parse_scenario(text, "s.yaml", {std::move(set), std::nullopt, traces().path()});
}

std::string errors_of(const std::string& text, std::vector<std::string> set = {}) {
  try {
    parsed(text, std::move(set));
  } catch (const InputError& e) {
    return e.what();
  }
  return "accepted";
}

}  // namespace

TEST_CASE("bundled scenarios load and their resolved copies read the same") {
  for (const std::string name : {"quickstart", "chat_mooncake", "agents_weka_v8"}) {
    CAPTURE(name);
    const Scenario s =
        load_scenario(kBundled + name + ".yaml", {{}, std::nullopt, traces().path()});
    CHECK(s.name == name);
    CHECK(s.model.name == "deepseek-v4-pro");
    CHECK(s.deployment.tensor_parallel == 8);
    CHECK(parsed(s.resolved_yaml).resolved_yaml == s.resolved_yaml);
  }
}

TEST_CASE("quickstart says what it says") {
  const Scenario s =
      load_scenario(kBundled + "quickstart.yaml", {{}, std::nullopt, traces().path()});
  CHECK(s.hardware.gpu.memory == Bytes{180 * kGiB});
  CHECK(s.kv_cache.block == Tokens{256});
  CHECK(s.kv_cache.entry.entry_bytes == 584);
  CHECK(s.kv_cache.entry.indexer_bytes == 132);
  CHECK(s.kv_cache.entry.csa_tail_bytes == 81920);
  CHECK(s.kv_cache.reserve == s.hardware.reserve);
  CHECK_FALSE(s.kv_cache.memory.has_value());
  CHECK(s.workload.trace == traces().path() + "/agents_small.jsonl.gz");
  CHECK(s.workload.arrivals == ArrivalMode::closed_loop);
  CHECK(s.workload.sessions_at_a_time == 16);
  CHECK(s.slo.ttft_p99 == Duration{0});
  CHECK(s.slo.tpot_p99 == Duration{0});
  CHECK(s.seed == 1);
}

TEST_CASE("absent keys have defaults") {
  const Scenario s = parsed(kHead);
  CHECK(s.deployment.tensor_parallel == 8);
  CHECK(s.engine.scheduler == "fcfs");
  CHECK(s.engine.max_context == Tokens{1048576});
  CHECK(s.kv_cache.swa_policy == "full");
  CHECK(s.kv_cache.tails == TailStorage::none);
  CHECK(s.kv_cache.indexer == IndexerFormat::fp8);
  CHECK(s.kv_cache.reuse_generated);
  CHECK(s.kv_cache.rebuild_page == Tokens{1});
  CHECK_FALSE(s.kv_cache.recompute_threshold.has_value());
  CHECK(s.workload.arrivals == ArrivalMode::trace);
  CHECK(s.workload.time_scale == 1);
  CHECK(s.workload.max_requests == 0);
  CHECK(s.workload.clip_to == Tokens{0});
  CHECK(s.workload.cycle_to == 0);
  CHECK(s.slo.ttft_p99 == Duration{0});
  CHECK(parsed(s.resolved_yaml).resolved_yaml == s.resolved_yaml);
}

TEST_CASE("widths of an engine follow from each other") {
  const auto deployment = [](const std::string& keys) {
    return parsed(kHead + "deployment: {" + keys + "}\n").deployment;
  };
  // One attention rank cuts its experts, several spread whole ones over all GPUs.
  CHECK(deployment("data_parallel: 1").expert_parallel == 1);
  CHECK(deployment("data_parallel: 8").tensor_parallel == 1);
  CHECK(deployment("data_parallel: 8").expert_parallel == 8);
  CHECK(deployment("data_parallel: 2").tensor_parallel == 4);
  CHECK(deployment("data_parallel: 2, expert_parallel: 1").expert_parallel == 1);
  CHECK(deployment("tensor_parallel: 8, data_parallel: 2").gpus() == 16);
  CHECK(deployment("tensor_parallel: 16").gpus() == 16);
}

TEST_CASE("expert imbalance is a factor or a histogram, and reads back as written") {
  const auto read = [](const std::string& value) {
    return parsed(kHead + "deployment: {data_parallel: 8}\nengine: {expert_imbalance: " + value +
                  "}\n");
  };
  CHECK(parsed(kHead).engine.expert_imbalance == ExpertImbalance{{1, 1}});
  CHECK(read("1.3").engine.expert_imbalance == ExpertImbalance{{1.3, 1}});
  const Scenario s = read("[{factor: 1.1, share: 0.75}, {factor: 2, share: 0.25}]");
  CHECK(s.engine.expert_imbalance == ExpertImbalance{{1.1, 0.75}, {2, 0.25}});
  CHECK(parsed(s.resolved_yaml).engine.expert_imbalance == s.engine.expert_imbalance);
  CHECK(parsed(s.resolved_yaml).resolved_yaml == s.resolved_yaml);
}

TEST_CASE("drafts have the acceptance of the model, of the scenario, or none that is known") {
  const auto engine = [](const std::string& keys, const std::string& model = "deepseek-v4-pro") {
    const Scenario s =
        parsed("model: " + model + "\nhardware: hgx-b200\nworkload: {trace: t.jsonl}\nengine: {" +
               keys + "}\n");
    CHECK(parsed(s.resolved_yaml).resolved_yaml == s.resolved_yaml);
    CHECK(parsed(s.resolved_yaml).engine.acceptance == s.engine.acceptance);
    return s.engine;
  };
  CHECK(engine("draft_tokens: 0").acceptance == std::vector<double>{1});
  CHECK(engine("draft_tokens: 0").draft_steps == 0);
  CHECK(engine("draft_tokens: 3").draft_steps == 3);
  CHECK(engine("draft_tokens: 3, draft_steps: 1").draft_steps == 1);
  const auto mean = [](const EngineConfig& e) {
    double sum = 0;
    for (std::size_t i = 0; i < e.acceptance.size(); ++i) {
      sum += static_cast<double>(i + 1) * e.acceptance[i];
    }
    return sum;
  };
  CHECK(mean(engine("draft_tokens: 1")) == doctest::Approx(1.92));
  CHECK(mean(engine("draft_tokens: 3")) == doctest::Approx(2.97));
  CHECK(mean(engine("draft_tokens: 3", "deepseek-v4-flash")) == doctest::Approx(2.97));
  CHECK(mean(engine("draft_tokens: 3, acceptance_length: 2.49")) == doctest::Approx(2.49));
  CHECK(engine("draft_tokens: 2, acceptance: [0.2, 0.3, 0.5]").acceptance ==
        std::vector<double>{0.2, 0.3, 0.5});
  CHECK(engine("draft_tokens: 9").acceptance.empty());
  CHECK(engine("draft_tokens: 1", "deepseek-v3.2").acceptance.empty());
}

TEST_CASE("a load client has its concurrency and its warm-up") {
  const auto client = [](const std::string& keys) {
    const Scenario s =
        parsed(kHead.substr(0, kHead.find("workload")) +
               "workload: {trace: t.jsonl, arrivals: {mode: client, " + keys + "}}\n");
    CHECK(parsed(s.resolved_yaml).resolved_yaml == s.resolved_yaml);
    return s.workload;
  };
  CHECK(client("concurrency: 64").arrivals == ArrivalMode::client);
  CHECK(client("concurrency: 64").concurrency == 64);
  CHECK(client("concurrency: 64").warmup_requests == 0);
  CHECK(client("concurrency: 64, warmup_requests: 9").warmup_requests == 9);
}

TEST_CASE("every key is read") {
  const Scenario s = parsed(
      "model: deepseek-v4-flash\nhardware: hgx-h200\ndeployment: {tensor_parallel: 4}\n"
      "engine: {scheduler: fcfs, max_running: 7, step_tokens: 99, max_context_tokens: 1000, "
      "draft_tokens: 3, steps_in_flight: 2, mixed_chunk: false, prefill_delayer: false, "
      "long_prefill_token_threshold: 0}\n"
      "kv_cache: {layout: vllm, swa_policy: checkpoint=2048, block_tokens: 64, tails: stored, "
      "indexer: fp4,\n"
      "  memory: 40 GiB, memory_fraction: 0.8, reserve: 3 GiB, reuse_generated: false,\n"
      "  recompute_threshold_tokens: 9000, rebuild_page_tokens: 128}\n"
      "workload: {trace: t.jsonl, format: mooncake, arrivals: {mode: poisson, rate_per_s: 2.5}, "
      "max_requests: 5, clip_to_tokens: 4096, cycle_to_requests: 70}\n"
      "slo: {ttft_p99: 1 s, tpot_p99: 20 ms}\nseed: 18446744073709551615\n");
  CHECK(s.deployment.tensor_parallel == 4);
  CHECK(s.engine.max_running == 7);
  CHECK(s.engine.step_tokens == Tokens{99});
  CHECK(s.engine.max_context == Tokens{1000});
  CHECK(s.engine.draft_tokens == 3);
  CHECK(s.engine.steps_in_flight == 2);
  CHECK(s.kv_cache.layout == "vllm");
  CHECK(s.kv_cache.swa_policy == "checkpoint=2048");
  CHECK(s.kv_cache.block == Tokens{64});
  CHECK(s.kv_cache.tails == TailStorage::stored);
  CHECK(s.kv_cache.indexer == IndexerFormat::fp4);
  CHECK(s.kv_cache.entry.indexer_bytes == 68);
  CHECK(s.kv_cache.memory == Bytes{40 * kGiB});
  CHECK(s.kv_cache.memory_fraction == 0.8);
  CHECK(s.kv_cache.reserve == Bytes{3 * kGiB});
  CHECK_FALSE(s.kv_cache.reuse_generated);
  CHECK(s.kv_cache.recompute_threshold == Tokens{9000});
  CHECK(s.kv_cache.rebuild_page == Tokens{128});
  CHECK(s.workload.format == "mooncake");
  CHECK(s.workload.arrivals == ArrivalMode::poisson);
  CHECK(s.workload.rate_per_s == 2.5);
  CHECK(s.workload.max_requests == 5);
  CHECK(s.workload.clip_to == Tokens{4096});
  CHECK(s.workload.cycle_to == 70);
  CHECK(s.seed == 18446744073709551615ULL);
  CHECK(parsed(s.resolved_yaml).resolved_yaml == s.resolved_yaml);
}

TEST_CASE("a synthetic workload is read and resolved") {
  const Scenario s = parsed(
      "model: gqa-70b\nhardware: hgx-h100\nworkload:\n  synthetic:\n    sessions: 20\n    "
      "turns_max: 8\n"
      "    shared_prefix_tokens: 2000\n    prefix_groups: 3\n"
      "    first_prompt: {kind: lognormal, mean: 6000, sigma: 1.5, max: 50000}\n"
      "    next_prompt: {kind: table, table: lengths.csv}\n    output: {mean: 100}\n"
      "    think_time_mean: 1500 ms\n    arrivals: gamma\n    rate_per_s: 0.5\n    burstiness: "
      "2\n");
  REQUIRE(s.workload.synthetic.has_value());
  const SyntheticSpec& spec = *s.workload.synthetic;
  CHECK(s.workload.trace.empty());
  CHECK(spec.sessions == 20);
  CHECK(spec.turns_min == 1);
  CHECK(spec.turns_max == 8);
  CHECK(spec.shared_prefix == Tokens{2000});
  CHECK(spec.first_prompt.kind == "lognormal");
  CHECK(spec.first_prompt.sigma == 1.5);
  CHECK(spec.first_prompt.min == 1);
  CHECK(spec.next_prompt.table == traces().path() + "/lengths.csv");
  CHECK(spec.output.kind == "constant");
  CHECK(spec.output.mean == 100);
  CHECK(spec.think_mean_s == 1.5);
  CHECK(spec.burstiness == 2);
  CHECK(spec.block == Tokens{64});
  CHECK(parsed(s.resolved_yaml).resolved_yaml == s.resolved_yaml);
}

TEST_CASE("models and hardware may be named, changed or written out") {
  const Scenario changed = parsed(
      "model: {base: deepseek-v4-pro, cache: {entry: 640 B}}\n"
      "hardware: {base: hgx-b200, gpu: {memory: 192 GiB}}\nworkload: {trace: t.jsonl}\n");
  CHECK(changed.kv_cache.entry.entry_bytes == 640);
  CHECK(changed.kv_cache.entry.indexer_bytes == 132);
  CHECK(changed.hardware.gpu.memory == Bytes{192 * kGiB});

  const TempDir dir;
  dir.write("t.jsonl", "");
  dir.write("models/mine.yaml", read_text_file(kBundled + "models/gqa-70b.yaml"));
  const auto file =
      dir.write("a.yaml", "model: mine\nhardware: hgx-h100\nworkload: {trace: t.jsonl}\n");
  CHECK(load_scenario(file).model.name == "gqa-70b");
  const auto by_path = dir.write(
      "b.yaml", "model: models/mine.yaml\nhardware: hgx-h100\nworkload: {trace: t.jsonl}\n");
  CHECK(load_scenario(by_path).model.name == "gqa-70b");
}

TEST_CASE("a trace beside the scenario wins and is found again from elsewhere") {
  const TempDir dir;
  const auto trace = dir.write("t.jsonl", "");
  const auto file = dir.write("a.yaml", kHead);
  const Scenario s = load_scenario(file, {{}, std::nullopt, traces().path()});
  CHECK(s.workload.trace == trace);
  CHECK(parse_scenario(s.resolved_yaml, "elsewhere.yaml").workload.trace == trace);
}

TEST_CASE("overrides replace, add and remove keys") {
  const Scenario s =
      parsed(kHead, {"kv_cache.swa_policy=checkpoint=2048", "engine.max_running=9",
                     "model.window_tokens=256", "hardware=hgx-h200", "engine.max_running=10"});
  CHECK(s.kv_cache.swa_policy == "checkpoint=2048");
  CHECK(s.engine.max_running == 10);
  CHECK(s.model.window == Tokens{256});
  CHECK(s.hardware.name == "hgx-h200");
  const Scenario removed = parsed(kHead + "seed: 7\n", {"seed=null"});
  CHECK(removed.seed == 1);
  const Scenario seeded = parse_scenario(kHead + "seed: 7\n", "s.yaml", {{}, 9, traces().path()});
  CHECK(seeded.seed == 9);
}

TEST_CASE("errors of overrides name the override") {
  struct Row {
    std::string set, expected;
  };
  const Row rows[] = {
      {"kv_cache.block_token=64",
       "--set kv_cache.block_token=64: unknown key 'block_token' in 'kv_cache'; did you mean "
       "'block_tokens'?"},
      {"kv_cash.block_tokens=64",
       "--set kv_cash.block_tokens=64: unknown key 'kv_cash' at the top level; did you mean "
       "'kv_cache'?"},
      {"kv_cache.block_tokens=", "--set kv_cache.block_tokens=: expected path.to.key=VALUE"},
      {"kv_cache.block_tokens", "--set kv_cache.block_tokens: expected path.to.key=VALUE"},
      {"=3", "--set =3: expected path.to.key=VALUE"},
      {"kv_cache..x=3",
       "--set kv_cache..x=3: expected path.to.key=VALUE, a part of the path is empty"},
      {"kv_cache.memory=46",
       "--set kv_cache.memory=46: kv_cache.memory: expected bytes with their unit"},
      {"seed.x=3",
       "--set seed.x=3: seed: expected a whole number from 0 to 18446744073709551615, got a map"},
      {"workload.trace.x=3",
       "--set workload.trace.x=3: 'workload.trace' is \"t.jsonl\", not a map"},
      {"kv_cache={a: 1", "--set kv_cache={a: 1: the value \"{a: 1\": expected a key"},
      {"model=deepseek-v4-por",
       "--set model=deepseek-v4-por: model: unknown model \"deepseek-v4-por\"; did you"},
      {"kv_cache=&a 1", "--set kv_cache=&a 1: the value \"&a 1\": anchors (&name) are not allowed"},
  };
  for (const Row& row : rows) {
    CAPTURE(row.set);
    CHECK(errors_of(kHead, {row.set}).substr(0, row.expected.size()) == row.expected);
  }
}

TEST_CASE("unknown schedulers, layouts and policies are refused where they stand") {
  const KnownNames known{{"fcfs"},
                         {"ideal", "vllm"},
                         {"full", "checkpoint", "recompute"},
                         {"round_robin", "prefix_affinity"}};
  CHECK_NOTHROW(validate_names(parsed(kHead), known));
  CHECK_NOTHROW(validate_names(parsed(kHead, {"kv_cache.swa_policy=checkpoint=2048"}), known));
  CHECK_NOTHROW(validate_names(parsed(kHead, {"deployment.router=prefix_affinity=0.3,2"}), known));
  const Scenario s = parsed(
      kHead + "engine:\n  scheduler: fcsf\nkv_cache:\n  layout: vlm\n  swa_policy: chekpoint=4\n" +
      "deployment:\n  router: round_robbin\n");
  CHECK_THROWS_WITH_AS(
      validate_names(s, known),
      "s.yaml:5:14: engine.scheduler: unknown name \"fcsf\"; did you mean 'fcfs'?\n"
      "s.yaml:10:11: deployment.router: unknown name \"round_robbin\"; did you mean "
      "'round_robin'?\n"
      "s.yaml:7:11: kv_cache.layout: unknown name \"vlm\"; did you mean 'vllm'?\n"
      "s.yaml:8:15: kv_cache.swa_policy: unknown name \"chekpoint\"; did you mean 'checkpoint'?",
      InputError);
}
