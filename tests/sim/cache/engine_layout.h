// Engine layouts of the known models with chosen memory, options and engine settings.
#pragma once

#include <map>
#include <memory>
#include <string>

#include "sim/cache/layout.h"
#include "tests/models.h"

namespace v4cap {

struct LayoutSetting {
  std::string model = "deepseek-v4-pro";
  IndexerFormat indexer = IndexerFormat::fp8;
  Bytes memory{44 * kGiB};
  std::map<std::string, double> options{};
  Tokens block{256};
  Tokens step_tokens{8192};
  std::int64_t steps_in_flight = 1, draft_tokens = 0, max_running = 256;
  Tokens max_context{1 << 20};
  std::optional<double> window_pool_ratio{};
  bool window_of_every_token = false;
};

inline std::unique_ptr<Layout> engine_layout(const std::string& name, const LayoutSetting& s) {
  const ModelData& data = known_model(s.model);
  const EntryFormat entry = s.indexer == IndexerFormat::fp4 ? *data.entry_fp4 : data.entry_fp8;
  const CacheGeometry geometry(data.spec, entry);
  LayoutContext context{geometry, data.spec, s.block, s.memory, s.window_pool_ratio};
  context.options = s.options;
  context.entry = entry;
  context.step_tokens = s.step_tokens;
  context.steps_in_flight = s.steps_in_flight;
  context.draft_tokens = s.draft_tokens;
  context.max_running = s.max_running;
  context.max_context = s.max_context;
  context.window_of_every_token = s.window_of_every_token;
  return make_layout(name, context);
}

// A figure of the layout's log; fails the test when there is none.
inline double figure(const Layout& layout, const std::string& key) {
  const auto figures = layout.engine_log();
  const LogFigure* found = find_figure(figures, key);
  REQUIRE(found != nullptr);
  return found->value;
}

// What every layout promises: sums of parts are the whole, more tokens in flight never take less,
// and every kind belongs to exactly one pool.
inline void check_promises(const Layout& layout) {
  for (const bool window : {false, true}) {
    CHECK(layout.blocks(0, 3, window) + layout.blocks(3, 11, window) ==
          layout.blocks(0, 11, window));
    CHECK(layout.blocks(5, 5, window) == KindBytes{});
    Bytes last;
    for (const std::int64_t flight : {1, 2, 100, 4096, 100000}) {
      const Bytes now = layout.running(window, Tokens{flight}).total();
      CHECK(now >= last);
      last = now;
    }
  }
  CHECK(layout.windows(2, 4) + layout.windows(4, 9) == layout.windows(2, 9));
  CHECK(layout.point(Tokens{0}) == KindBytes{});
  for (std::size_t k = 0; k < kCacheKinds; ++k) {
    int holders = 0;
    for (const PoolSpec& pool : layout.pools()) holders += pool.holds[k] ? 1 : 0;
    CHECK(holders == 1);
  }
}

}  // namespace v4cap
