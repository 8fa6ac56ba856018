// What an imported command leaves to its engine: the same defaults as a scenario has.
#include <doctest/doctest.h>

#include <cmath>
#include <string>

#include "sim/config/scenario_file.h"
#include "sim/config/yaml_tree.h"
#include "sim/import/launch_report.h"
#include "tests/sim/import/import_helpers.h"
#include "tests/temp_dir.h"

namespace v4cap {
namespace {

TEST_CASE("SGLang's fraction follows its rule where none is given") {
  // 512 + 1.5 x 16384 + 128 x 8 + 2 x 512 + 1536 = 28,672 MiB of 184,320.
  const ImportedLaunch tp = import_text("sglang serve --model-path DeepSeek-V4-Pro --tp 8");
  CHECK(tp.scenario.kv_cache.memory_fraction == doctest::Approx(0.844));
  // + 3 x 128 x 8 with attention ranks; decode graphs to 128: 28,672 - 768 + 3,072 = 30,976.
  const ImportedLaunch dp = import_text(
      "sglang serve --model-path DeepSeek-V4-Pro --tp 8 --dp 8 --enable-dp-attention "
      "--cuda-graph-max-bs-decode 128");
  CHECK(dp.scenario.kv_cache.memory_fraction == doctest::Approx(0.832));
}

// The same deployment as a scenario says it and as a command says it.
TEST_CASE("a scenario and a command have the same defaults of SGLang") {
  struct Deployed {
    std::string command, scenario;
  };
  const std::vector<Deployed> deployed = {
      {"--tp 8 --dp 8 --enable-dp-attention", "{tensor_parallel: 1, data_parallel: 8}"},
      {"--tp 8 --dp 2 --enable-dp-attention", "{tensor_parallel: 4, data_parallel: 2}"},
      {"--tp 8", "{tensor_parallel: 8}"},
      {"--tp 4", "{tensor_parallel: 4}"},
      {"--tp 2 --dp 2 --enable-dp-attention", "{tensor_parallel: 1, data_parallel: 2}"}};
  for (const std::string hardware : {"hgx-h100", "hgx-h200", "hgx-b200"}) {
    for (const Deployed& d : deployed) {
      CAPTURE(hardware);
      CAPTURE(d.command);
      ImportRequest request;
      request.command = text("sglang serve --model-path DeepSeek-V4-Flash " + d.command);
      request.hardware = hardware;
      const Scenario command = import_launch(request).scenario;
      const Scenario scenario = parse_scenario(
          "model: deepseek-v4-flash\nhardware: " + hardware + "\nworkload: {trace: none}\n" +
              "kv_cache: {layout: sglang}\ndeployment: " + d.scenario + "\n",
          "scenario", no_traces());
      CHECK(scenario.deployment.expert_parallel == command.deployment.expert_parallel);
      CHECK(scenario.engine.max_running == command.engine.max_running);
      CHECK(scenario.engine.step_tokens == command.engine.step_tokens);
      CHECK(scenario.kv_cache.memory_fraction == command.kv_cache.memory_fraction);
    }
  }
}

// By hand, in MiB: 144,384 - (512 + 12,288 + 1,024 + 1,024 + 1,536 + 12,288 + 6,144) on H200, the
// chunk 12,288 more on B200 of 184,320.
TEST_CASE("eight attention ranks share SGLang's chunk and running requests") {
  const auto scenario = [](const std::string& hardware, const std::string& engine) {
    return parse_scenario("model: deepseek-v4-pro\nhardware: " + hardware +
                              "\nworkload: {trace: none}\nkv_cache: {layout: sglang}\n" +
                              "deployment: {tensor_parallel: 1, data_parallel: 8}\n" + engine,
                          "scenario", no_traces());
  };
  const Scenario h200 = scenario("hgx-h200", "");
  CHECK(h200.engine.step_tokens == Tokens{1024});
  CHECK(h200.engine.max_running == 32);
  CHECK(h200.kv_cache.memory_fraction == 0.759);
  CHECK(h200.deployment.expert_parallel == 1);
  const Scenario b200 = scenario("hgx-b200", "");
  CHECK(b200.engine.step_tokens == Tokens{2048});
  CHECK(b200.kv_cache.memory_fraction == 0.744);
  // A rank's step of another size is an eighth of a chunk too; one of a whole prompt is no chunk.
  CHECK(scenario("hgx-b200", "engine: {step_tokens: 1024}").kv_cache.memory_fraction ==
        doctest::Approx(0.811));
  CHECK(scenario("hgx-b200", "engine: {step_tokens: 1048576}").kv_cache.memory_fraction == 0.744);
}

TEST_CASE("a rank of vLLM has running requests and a step for itself") {
  const auto scenario = [](const std::string& deployment) {
    return parse_scenario(
        "model: deepseek-v4-flash\nhardware: hgx-b200\nworkload: {trace: none}\n"
        "kv_cache: {layout: vllm}\ndeployment: " +
            deployment + "\n",
        "scenario", no_traces());
  };
  const Scenario one = scenario("{tensor_parallel: 8}");
  const Scenario ranks = scenario("{tensor_parallel: 1, data_parallel: 8}");
  CHECK(ranks.engine.max_running == one.engine.max_running);
  CHECK(ranks.engine.step_tokens == one.engine.step_tokens);
  CHECK(ranks.deployment.expert_parallel == 1);
}

TEST_CASE("a chunk of 0 and below is no chunk, with attention ranks and without") {
  for (const std::string chunk : {"-1", "0", "-5"}) {
    for (const std::string ranks : {"", " --dp 8 --enable-dp-attention"}) {
      CAPTURE(chunk);
      CAPTURE(ranks);
      const ImportedLaunch launch =
          import_text("sglang serve --model-path DeepSeek-V4-Pro --tp 8 --chunked-prefill-size " +
                      chunk + ranks);
      CHECK(launch.scenario.engine.step_tokens == launch.scenario.model.max_context);
      CHECK(launch.draft.find("engine.step_tokens")->reason ==
            "--chunked-prefill-size " + chunk + ": prompts are not cut");
      // The reserve then counts 16,384 tokens, as many as B200's default chunk.
      CHECK(launch.scenario.kv_cache.memory_fraction == (ranks.empty() ? 0.844 : 0.744));
    }
  }
}

TEST_CASE("data parallelism without attention ranks is engines beside each other") {
  const ImportedLaunch launch =
      import_text("sglang serve --model-path DeepSeek-V4-Flash --tp 4 --dp 2");
  CHECK(launch.scenario.deployment.data_parallel == 1);
  CHECK(launch.scenario.deployment.tensor_parallel == 4);
  CHECK(mentions(launch.draft.omissions(), "--dp 2"));
}

}  // namespace
}  // namespace v4cap
