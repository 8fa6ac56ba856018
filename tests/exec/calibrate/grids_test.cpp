// Values that grids are made of, and which shares of a model a rank may have.
#include "exec/calibrate/grids.h"

#include <doctest/doctest.h>

#include <algorithm>

#include "tests/models.h"

namespace v4cap::exec::calibrate {
namespace {

TEST_CASE("calibrate grids: ascending, within their bounds, with the edges of tiles in full ones") {
  for (const GridSize size : {GridSize::quick, GridSize::full}) {
    const std::vector<int> tokens = token_grid(size, 8192);
    CHECK(std::ranges::is_sorted(tokens));
    CHECK(std::ranges::adjacent_find(tokens) == tokens.end());
    CHECK(tokens.front() == 1);
    CHECK(tokens.back() == 8192);
    CHECK(token_grid(size, 5).back() == 4);
    bool million = false;
    for (const DecodePoint& p : decode_grid(size, std::int64_t{1} << 23)) {
      CHECK(std::int64_t{p.batch} * p.context <= std::int64_t{1} << 23);
      million = million || p.context == 1 << 20;
    }
    CHECK(million);
    for (const PrefillPoint& p : prefill_grid(size)) CHECK(p.past + p.fresh <= 1 << 20);
  }
  const std::vector<int> full = token_grid(GridSize::full, 8192);
  for (const int edge : {63, 64, 65, 127, 128, 129}) {
    CHECK(std::ranges::find(full, edge) != full.end());
  }
}

TEST_CASE("calibrate grids: shares of a model that no rank can have are refused by option") {
  const auto refused = [](const char* model, int tp, int ep) -> std::string {
    try {
      check_rank({known_model(model).spec, tp, ep});
    } catch (const InputError& error) {
      return error.what();
    }
    return "";
  };
  CHECK(refused("deepseek-v4-pro", 8, 8) == "");
  CHECK(refused("deepseek-v4-flash", 4, 4) == "");
  CHECK(refused("deepseek-v4-flash", 1, 1) == "");
  CHECK(refused("deepseek-v4-flash", 3, 1) ==
        "--tp: expected a number of GPUs that divides the 64 attention heads, found 3");
  CHECK(refused("deepseek-v4-pro", 32, 8)
            .starts_with("--tp: expected a number of GPUs that "
                         "divides the 16 groups"));
  CHECK(refused("deepseek-v4-pro", 8, 7) ==
        "--ep: expected a number of GPUs that divides the 384 routed experts, found 7");
  CHECK(refused("deepseek-v3", 1, 1) == "--model: expected a DeepSeek-V4 model, found deepseek-v3");
  CHECK(padded_heads({known_model("deepseek-v4-pro").spec, 8, 8}) == 64);
  CHECK(padded_heads({known_model("deepseek-v4-pro").spec, 1, 8}) == 128);
}

}  // namespace
}  // namespace v4cap::exec::calibrate
