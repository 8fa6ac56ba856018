#include "sim/cache/layout.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "sim/model/compression.h"

namespace v4cap {

std::int64_t PoolSpec::bytes_of(const KindBytes& bytes) const {
  std::int64_t sum = 0;
  for (std::size_t k = 0; k < kCacheKinds; ++k) sum += holds[k] ? bytes.bytes[k] : 0;
  return sum;
}

bool separates_windows(const Layout& layout) {
  return std::any_of(layout.pools().begin(), layout.pools().end(), [](const PoolSpec& pool) {
    return pool.has(CacheKind::swa) && !pool.has_blocks();
  });
}

std::int64_t point_budget(const Layout& layout, std::optional<double> retention) {
  if (!retention) return std::numeric_limits<std::int64_t>::max();
  const std::int64_t blocks = kHcaTokensPerEntry;  // whole entries whatever the block
  const double compressed = static_cast<double>(layout.blocks(0, blocks, false).total().value);
  const double both = static_cast<double>(layout.blocks(0, blocks, true).total().value);
  const double windows = (both - compressed) * *retention;
  double memory = 0;
  for (const PoolSpec& pool : layout.pools()) memory += static_cast<double>(pool.capacity.value);
  return static_cast<std::int64_t>(memory * (windows / (compressed + windows)));
}

LayoutTraits layout_traits(const std::string& layout) {
  const auto* traits = LayoutTraitsRegistry::find(layout);
  return traits == nullptr ? LayoutTraits{} : *traits;
}

std::string lacks_window_pool(const std::string& layout) {
  if (layout_traits(layout).window_pool) return "";
  std::string having;
  for (const std::string& name : LayoutTraitsRegistry::names()) {
    if (layout_traits(name).window_pool) having += (having.empty() ? "" : ", ") + name;
  }
  return "layout " + layout + " has no pool for windows (" + having + " have one)";
}

std::string refused_value(const LayoutParameter& p, double value) {
  const bool fits = value >= p.min && value <= p.max && (!p.whole || value == std::floor(value));
  if (fits) return "";
  return fmt::format("expected a {} from {:g} to {:g}, got {:g}",
                     p.whole ? "whole number" : "number", p.min, p.max, value);
}

std::unique_ptr<Layout> make_layout(const std::string& name, const LayoutContext& context) {
  const auto* factory = LayoutRegistry::find(name);
  if (factory == nullptr) {
    throw InputError(Place{}, "unknown engine layout '" + name + "'" +
                                  suggestion(name, LayoutRegistry::names()));
  }
  if (context.window_pool_ratio && !layout_traits(name).window_pool) {
    throw InputError(Place{}, "expected no pool=r, " + lacks_window_pool(name));
  }
  return (*factory)(context);
}

const LogFigure* find_figure(const std::vector<LogFigure>& figures, const std::string& key) {
  const auto it = std::find_if(figures.begin(), figures.end(),
                               [&](const LogFigure& f) { return f.key == key; });
  return it == figures.end() ? nullptr : &*it;
}

double layout_option(const LayoutContext& context, const std::string& layout,
                     const std::string& name) {
  const auto set = context.options.find(name);
  if (set != context.options.end()) return set->second;
  const auto* parameters = LayoutParameters::find(layout);
  V4CAP_CHECK(parameters != nullptr, "layout " + layout + " declares no parameters");
  const auto it = std::find_if(parameters->begin(), parameters->end(),
                               [&](const LayoutParameter& p) { return p.name == name; });
  V4CAP_CHECK(it != parameters->end(), "layout " + layout + " does not declare " + name);
  return it->fallback;
}

}  // namespace v4cap
