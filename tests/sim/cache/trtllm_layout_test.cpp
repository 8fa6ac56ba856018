#include <doctest/doctest.h>

#include "sim/core/error.h"
#include "tests/sim/cache/engine_layout.h"

namespace v4cap {
namespace {

TEST_CASE("bytes per token of TensorRT-LLM are those of plain FP8 entries") {
  for (const auto& [model, bytes] :
       {std::pair{"deepseek-v4-pro", 4954.0}, std::pair{"deepseek-v4-flash", 3461.0}}) {
    CAPTURE(std::string(model));
    LayoutSetting s;
    s.model = model;
    CHECK(figure(*engine_layout("trtllm", s), "bytes_per_token") ==
          doctest::Approx(bytes).epsilon(2e-4));
  }
}

TEST_CASE("scratch reuse frees the windows of a chunk in flight") {
  LayoutSetting s;
  s.block = Tokens{128};
  s.options = {{"scratch_reuse", 0}};
  const auto held = engine_layout("trtllm", s);
  s.options = {{"scratch_reuse", 1}};
  const auto reused = engine_layout("trtllm", s);
  CHECK(held->running(false, Tokens{1}) == reused->running(false, Tokens{1}));
  CHECK(reused->running(false, Tokens{8192}) == reused->running(false, Tokens{1}));
  // 8,319 tokens of window in 128-token blocks and one more, in every layer.
  CHECK(held->running(false, Tokens{8192})[CacheKind::swa] == 61 * (65 + 1) * 128 * 512);
  check_promises(*held);
  check_promises(*reused);
}

TEST_CASE("TensorRT-LLM's layout takes its own block sizes only") {
  LayoutSetting s;
  s.block = Tokens{384};
  CHECK_THROWS_AS(engine_layout("trtllm", s), InputError);
  s = {};
  s.model = "gqa-70b";
  CHECK_THROWS_AS(engine_layout("trtllm", s), InputError);
}

}  // namespace
}  // namespace v4cap
