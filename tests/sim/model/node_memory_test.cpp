#include "sim/model/node_memory.h"

#include <doctest/doctest.h>

#include <cmath>
#include <string>

#include "sim/config/engine_file.h"
#include "sim/core/error.h"
#include "tests/models.h"

namespace v4cap {
namespace {

// V4-Pro in TP8 on B200: 180 GiB x 0.9 = 162 GiB, less 105.2 GiB of weights (113.0 GB) and 12 GiB.
TEST_CASE("KV memory is what weights and reserve leave") {
  const NodeMemory m = node_memory(known_model("deepseek-v4-pro").spec,
                                   known_hardware("hgx-b200").gpu, 8, 0.9, Bytes{12 * kGiB});
  CHECK(to_gib(m.usable) == doctest::Approx(162));
  CHECK(to_gib(m.weights) == doctest::Approx(105.2).epsilon(0.002));
  CHECK(to_gib(m.kv) == doctest::Approx(44.8).epsilon(0.005));
  CHECK(m.kv == m.usable - m.weights - m.reserve);
}

TEST_CASE("a model that does not fit says how much is missing and from which width it would") {
  const ModelSpec& pro = known_model("deepseek-v4-pro").spec;
  const GpuSpec& h100 = known_hardware("hgx-h100").gpu;
  std::string message;
  try {
    node_memory(pro, h100, 8, 0.9, Bytes{6 * kGiB});
  } catch (const RunError& e) {
    message = e.what();
  }
  CAPTURE(message);
  CHECK(message.find("does not fit on H100 at tensor_parallel 8") != std::string::npos);
  CHECK(message.find("GiB are missing") != std::string::npos);
  CHECK(message.find("tensor_parallel 16") != std::string::npos);
}

TEST_CASE("no way out is promised when repeated weights alone are too many") {
  GpuSpec small;
  small.name = "small";
  small.memory = Bytes{4 * kGiB};
  std::string message;
  try {
    node_memory(known_model("deepseek-v4-pro").spec, small, 8, 1.0, Bytes{0});
  } catch (const RunError& e) {
    message = e.what();
  }
  CHECK(message.find("missing") != std::string::npos);
  CHECK(message.find("weights fit from") == std::string::npos);
}

// Rules of an engine's newest version.
MemoryRules rules_of(const std::string& engine) {
  const EngineData data = *load_engine(engine, "");
  return memory_rules(data, data.versions.back());
}

MemoryQuestion question(const std::string& model, const std::string& hardware,
                        const EngineWidths& widths, const std::string& engine) {
  MemoryQuestion q{known_model(model).spec, known_hardware(hardware).gpu};
  q.widths = widths;
  q.rules = rules_of(engine);
  q.memory_fraction = 0.95;
  return q;
}

// vllm issue 40821: V4-Flash in TP2; InferenceX issue 2128: V4-Pro in TP8 on H200 with SGLang.
TEST_CASE("weights are loaded as engines log them") {
  const NodeMemory flash =
      node_memory(question("deepseek-v4-flash", "hgx-h20-96gb", {2, 1, 1}, "vllm"));
  CHECK(to_gib(flash.weights) == doctest::Approx(74.85).epsilon(0.002));
  MemoryQuestion q = question("deepseek-v4-pro", "hgx-h200", {8, 1, 1}, "sglang");
  const EngineData sglang = *load_engine("sglang", "");
  q.rules = memory_rules(sglang, *sglang.find("0.5.14"));
  CHECK(to_gib(node_memory(q).weights) == doctest::Approx(125.65).epsilon(0.005));
  // SGLang 0.5.15 runs V4-Pro there at fraction 0.83, with drafts (its cookbook): it must fit.
  q.rules = memory_rules(sglang, *sglang.find("0.5.15"));
  q.memory_fraction = 0.83;
  q.draft = true;
  CHECK(to_gib(node_memory(q).kv) > 7.9);  // what the slots of 256 requests take
}

TEST_CASE("only experts of four bits grow on GPUs without FP4 units") {
  ModelSpec model = known_model("deepseek-v4-pro").spec;
  const auto grown = [&](const char* hardware) {
    MemoryQuestion q{model, known_hardware(hardware).gpu};
    q.widths = {8, 1, 1};
    const double before = to_gib(node_memory(q).weights);
    q.rules["expert_factor_without_fp4"] = 1.01;
    return to_gib(node_memory(q).weights) > before;
  };
  CHECK(grown("hgx-h200"));
  CHECK_FALSE(grown("hgx-b200"));
  model.weights.expert_bytes = 1.0;
  model.layers.resize(8);  // FP8 experts are too many for eight H200 otherwise
  CHECK_FALSE(grown("hgx-h200"));
}

TEST_CASE("items add up to what is taken") {
  for (const std::string engine : {"vllm", "sglang", "trtllm"}) {
    for (const EngineWidths& widths : {EngineWidths{8, 1, 1}, EngineWidths{1, 8, 8}}) {
      CAPTURE(engine);
      CAPTURE(widths.data_parallel);
      MemoryQuestion q = question("deepseek-v4-pro", "hgx-b200", widths, engine);
      q.draft = true;
      const NodeMemory m = node_memory(q);
      Bytes sum;
      for (const MemoryItem& item : m.items) {
        sum += item.bytes;
        CHECK_FALSE(item.source.empty());
      }
      CHECK(sum + m.kv == m.memory);
      CHECK(m.kv == m.usable - m.weights - m.reserve);
    }
  }
}

TEST_CASE("attention ranks repeat attention and share experts") {
  const auto weights = [](const EngineWidths& widths) {
    MemoryQuestion q = question("deepseek-v4-pro", "hgx-b200", widths, "vllm");
    q.rules.clear();
    return to_gib(node_memory(q).weights);
  };
  // 765.6 GiB of experts and 26.7 of the rest, of which 19.7 are divided by tensor parallelism.
  CHECK(weights({1, 8, 8}) == doctest::Approx(765.6 / 8 + 26.7).epsilon(0.002));
  CHECK(weights({8, 1, 1}) == doctest::Approx(765.6 / 8 + 26.7 - 19.7 * 7 / 8).epsilon(0.002));
  CHECK(weights({1, 8, 1}) == weights({1, 8, 8}));  // cut or whole, an eighth is an eighth
}

TEST_CASE("a reserve of the scenario takes the place of predicted buffers") {
  MemoryQuestion q = question("deepseek-v4-flash", "hgx-b200", {8, 1, 1}, "vllm");
  const NodeMemory predicted = node_memory(q);
  q.step_tokens = Tokens{16384};
  // 8,192 tokens more x 50 vectors x 4,096 x 2 B.
  CHECK(node_memory(q).reserve - predicted.reserve == Bytes{8192LL * 50 * 4096 * 2});
  q.reserve = Bytes{5 * kGiB};
  CHECK(node_memory(q).reserve == Bytes{5 * kGiB});
}

// SGLang's rule by hand. H200, 141 GiB = 144,384 MiB, TP8: 512 + 1.5 x 8,192 + 128 x 8 + 2 x 512 +
// 1,536 = 16,384. Eight ranks of one GPU are TP8 to the rule: + 3 x 512 x 8 + 1.5 x 512 x 8 = 34,816.
TEST_CASE("the default memory fraction follows the engine's rule") {
  const FractionRule rule = load_engine("sglang", "")->fraction_rule;
  const Bytes h200{141 * kGiB};
  CHECK(default_memory_fraction(rule, h200, {8, 1, 1}, Tokens{8192}) == 0.887);
  CHECK(default_memory_fraction(rule, h200, {1, 8, 8}, Tokens{8192}) ==
        std::round((144384.0 - 34816) / 144384 * 1000) / 1000);
  CHECK(default_memory_fraction(rule, h200, {1, 8, 8}, Tokens{8192}) == 0.759);
  // Chunks count as 2,048 tokens at least.
  CHECK(default_memory_fraction(rule, h200, {1, 8, 8}, Tokens{512}) ==
        default_memory_fraction(rule, h200, {1, 8, 8}, Tokens{2048}));
  // At least 10,240 MiB on large GPUs: 65,536 MiB with the smallest chunk.
  CHECK(default_memory_fraction(rule, Bytes{64 * kGiB}, {1, 1, 1}, Tokens{1}) == 0.844);
}

}  // namespace
}  // namespace v4cap
