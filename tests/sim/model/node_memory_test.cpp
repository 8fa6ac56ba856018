#include "sim/model/node_memory.h"

#include <doctest/doctest.h>

#include <string>

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

}  // namespace
}  // namespace v4cap
