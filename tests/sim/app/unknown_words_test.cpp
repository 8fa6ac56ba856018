// Whatever a person can misspell is answered with what is nearest, and with exit code 2: commands,
// options, their values, keys, and the names of everything that has one.
#include <doctest/doctest.h>

#include "tests/sim/app/program_run.h"
#include "tests/temp_dir.h"

using namespace v4cap;

namespace {

const std::string kSource = V4CAP_SOURCE_DIR;
const std::string kScenario = kSource + "/scenarios/quickstart.yaml";
const std::string kTrace = kSource + "/traces/sample/agents_small.jsonl.gz";

struct Row {
  std::vector<std::string> arguments;
  std::string meant;
};

std::vector<std::string> set(const std::string& assignment) {
  return {"check", kScenario, "--set", assignment};
}

void check(const std::vector<Row>& rows) {
  for (const Row& row : rows) {
    std::string typed = "v4cap";
    for (const std::string& word : row.arguments) typed += ' ' + word;
    CAPTURE(typed);
    const ProgramRun run = run_v4cap(row.arguments);
    CHECK(run.code == ExitCode::bad_input);
    CHECK(run.out == "");
    CHECK(run.err.find("; did you mean '" + row.meant + "'?") != std::string::npos);
  }
}

}  // namespace

TEST_CASE("unknown words: commands, options and what they are given") {
  const TempDir folder;
  const std::string steps = folder.write("steps.jsonl", "{\"prefil\": 1}\n");
  check({
      {{"simulte", kScenario}, "simulate"},
      {{"trace", "inf", kTrace}, "info"},
      {{"simulate", kScenario, "--ovrwrite"}, "--overwrite"},
      {{"trace", "info", kTrace, "--formt", "weka"}, "--format"},
      {{"trace", "info", kTrace, "--format", "mooncak"}, "mooncake"},
      {{"trace", "synth", "--sessions", "3", "-o", folder / "t.jsonl", "--arrivals", "poison"},
       "poisson"},
      {{"trace", "synth", "--sessions", "3", "-o", folder / "t.jsonl", "--output", "uniorm:1..2"},
       "uniform"},
      {{"cache", kTrace, "--policy", "ful"}, "full"},
      {{"cache", kTrace, "--layout", "sglan"}, "sglang"},
      {{"cache", kTrace, "--model", "deepsek-v4-pro"}, "deepseek-v4-pro"},
      {{"simulate", kScenario, "--compare", "recompte"}, "recompute"},
      {{"simulate", kScenario, "--out", folder / "run", "--export", "vllm-bnch"}, "vllm-bench"},
      {{"capacity", kScenario, "--compare", "checkpont=2048"}, "checkpoint"},
      {{"compare", "a", "b", "--limit", "ttft_p5=3"}, "ttft_p50"},
      {{"compare", "a", "b", "--limits", "repla"}, "replay"},
      {{"fit", steps}, "prefill"},
      {{"fit", "--transfer", "h100-vllm-0.24", "--to", "hgx-b200"}, "h100-vllm-0.24.0"},
      {{"fit", "--transfer", "h100-vllm-0.24.0", "--to", "hgx-b20"}, "hgx-b200"},
      {{"import", "--command", "vllm serv deepseek-ai/DeepSeek-V4-Pro"}, "vllm serve"},
      {{"import", "--command", "trtlm-serve deepseek-ai/DeepSeek-V4-Pro"}, "trtllm-serve"},
      {{"import", "--command", "vllm serve deepseek-ai/DeepSek-V4-Pro"}, "DeepSeek-V4-Pro"},
      {{"import", "--command", "vllm serve deepseek-ai/DeepSeek-V4-Pro", "--hardware", "hgx-b20"},
       "hgx-b200"},
      {{"import", "--command", "vllm serve deepseek-ai/DeepSeek-V4-Pro", "--model",
        "deepsek-v4-pro"},
       "deepseek-v4-pro"},
      {{"schema", "scenari"}, "scenario"},
      {{"completion", "zhs"}, "zsh"},
      {{"man", "capcity"}, "capacity"},
  });
}

TEST_CASE("unknown words: keys and values of a scenario") {
  check({
      {set("kv_cahe.layout=vllm"), "kv_cache"},
      {set("kv_cache.layou=vllm"), "layout"},
      {set("kv_cache.layout=vlm"), "vllm"},
      {set("kv_cache.swa_policy=checkpont=4"), "checkpoint"},
      {set("kv_cache.tails=storred"), "stored"},
      {set("kv_cache.indexer=fp88"), "fp8"},
      {set("kv_cache.memory=46 Gib"), "GiB"},
      {set("engine.scheduler=fcf"), "fcfs"},
      {set("engine.expert_distribution=power_law_1.1"), "power_law_1.01"},
      {set("deployment.router=rund_robin"), "round_robin"},
      {set("deployment.collectives=skiped"), "skipped"},
      {set("model=deepsek-v4-pro"), "deepseek-v4-pro"},
      {set("model.attention.hads=1"), "heads"},
      {set("model.layers=[csaa]"), "csa"},
      {set("hardware=hgx-b20"), "hgx-b200"},
      {set("hardware.gpu.memry=1 GiB"), "memory"},
      {set("profile=b200-vlm-0.24.0"), "b200-vllm-0.24.0"},
      {set("workload.format=mooncak"), "mooncake"},
      {set("workload.arrivals.mode=brst"), "burst"},
      {set("workload.trace=agents_smal.jsonl.gz"), "agents_small.jsonl.gz"},
      {set("slo.ttft_p99=5 m"), "ms"},
      {set("expect=[{figure: hit_rat, value: 1, within: 5 %, source: x}]"), "hit_rate"},
      {set("expect=[{figre: hit_rate, value: 1, within: 5 %, source: x}]"), "figure"},
  });
}

TEST_CASE("unknown words: files that are nearly there") {
  const TempDir folder;
  const std::string file = folder.write("run.yaml", "model: x\n");
  folder.write("measured.json", "{}\n");
  check({
      {{"check", folder / "rn.yaml"}, "run.yaml"},
      {{"simulate", folder / "run.yml"}, "run.yaml"},
      {{"check", kScenario, "--set", "model=" + (folder / "runn.yaml")}, "run.yaml"},
      {{"trace", "info", folder / "measurd.json"}, "measured.json"},
      {{"compare", folder / "measure.json", folder / "measured.json"}, "measured.json"},
  });
}
