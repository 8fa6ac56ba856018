// A rank's share of a model, and what its pools take.
#include "exec/step/rank.h"

#include <doctest/doctest.h>

#include <string>

#include "exec/step/device_pools.h"
#include "sim/config/model_file.h"
#include "sim/core/error.h"

namespace v4cap::exec {
namespace {

ModelSpec model_named(const std::string& name) {
  return load_model(std::string(V4CAP_SOURCE_DIR) + "/scenarios/models/" + name + ".yaml").spec;
}

TEST_CASE("rank: V4-Flash over four GPUs and V4-Pro over eight") {
  const Rank flash = make_rank(model_named("deepseek-v4-flash"), 4, 4);
  CHECK(flash.shape.hidden == 4096);
  CHECK(flash.shape.heads == 16);
  CHECK(flash.shape.padded_heads == 64);
  CHECK(flash.shape.output_groups == 2);
  CHECK(flash.shape.group_in() == 4096);
  CHECK(flash.shape.experts == 256);
  CHECK(flash.shape.local_experts == 64);
  CHECK(flash.shape.vocab == 129280 / 4);
  const Rank pro = make_rank(model_named("deepseek-v4-pro"), 8, 8);
  CHECK(pro.shape.heads == 16);
  CHECK(pro.shape.local_experts == 48);
  CHECK(pro.layers() == 61);
  CHECK(make_rank(model_named("deepseek-v4-pro"), 1, 1).shape.padded_heads == 128);
}

TEST_CASE("rank: widths that divide nothing, cut experts and other models are refused") {
  const ModelSpec flash = model_named("deepseek-v4-flash");
  CHECK_THROWS_AS(make_rank(flash, 3, 4), InputError);
  CHECK_THROWS_AS(make_rank(flash, 4, 3), InputError);
  CHECK_THROWS_AS(make_rank(flash, 4, 1), InputError);
  CHECK_THROWS_AS(make_rank(model_named("deepseek-v3.2"), 4, 4), InputError);
}

TEST_CASE("rank: pools take what their pages, slots and points take") {
  const Rank flash = make_rank(model_named("deepseek-v4-flash"), 4, 4);
  const PoolBytes none = pool_bytes(flash, {});
  const PoolBytes page = pool_bytes(flash, {.pages = 1});
  // 21 CSA layers of 64 entries in 65 x 576 B and 64 keys of 132 B, 20 HCA layers of 2 in 3 x 576 B.
  CHECK(page.entries - none.entries == 21 * 65 * 576 + 20 * 3 * 576);
  CHECK(page.keys - none.keys == 21 * 64 * 132);
  CHECK(page.windows == none.windows);
  const PoolBytes full = pool_bytes(flash, {.pages = 1, .windows_in_pages = true});
  const PoolBytes slot = pool_bytes(flash, {.slots = 1});
  CHECK(full.windows == 2 * 43 * 260 * 576);
  CHECK(slot.windows - none.windows == 43 * 260 * 576);
  CHECK(slot.states - none.states == 21 * 81'920 + 20 * 3 * 512 * 4);
  const PoolBytes point = pool_bytes(flash, {.points = 1});
  CHECK(point.points - none.points == 43 * 130 * 576 + 21 * 40'960);
}

}  // namespace
}  // namespace v4cap::exec
