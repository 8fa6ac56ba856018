#include "sim/cache/swa_policy.h"

#include <charconv>

#include "sim/cache/point_scores.h"
#include "sim/cache/swa_policy_parts.h"

namespace v4cap {

std::unique_ptr<PointScores> SwaPolicy::make_scores() const {
  return nullptr;
}

double parse_share(const PolicyContext& context, const std::string& form) {
  double value = 0;
  const std::string& text = context.argument;
  const char* end = text.data() + text.size();
  const auto result = std::from_chars(text.data(), end, value);
  if (result.ec == std::errc{} && result.ptr == end && value > 0 && value <= 1) return value;
  throw InputError(Place{}, "expected '" + form + "' with a share above 0 and up to 1, got '" +
                                context.name + "'");
}

Tokens rebuilt_rectangle(const CacheGeometry& geometry, Tokens page) {
  const auto align = [page](Tokens n) { return round_down(n + page - Tokens{1}, page); };
  const Tokens window = geometry.window_tokens();
  return align(align(window) + window * (geometry.layers() - 1));
}

Tokens rebuild_threshold(const PolicyContext& context, Tokens fallback, Tokens reach) {
  const Tokens threshold = context.recompute_threshold.value_or(fallback);
  if (threshold >= reach) return threshold;
  throw InputError(
      Place{}, "recompute_threshold_tokens must be at least the " + std::to_string(reach.value) +
                   " tokens that a hit reaches back, got " + std::to_string(threshold.value));
}

std::unique_ptr<SwaPolicy> make_policy(const std::string& text, const CacheGeometry& geometry,
                                       Tokens block, std::optional<Tokens> recompute_threshold,
                                       Tokens rebuild_page) {
  const auto equals = text.find('=');
  const std::string name = text.substr(0, equals);
  const auto* factory = PolicyRegistry::find(name);
  if (factory == nullptr) {
    throw InputError(Place{}, "unknown sliding-window policy '" + name + "'" +
                                  suggestion(name, PolicyRegistry::names()));
  }
  if (!geometry.has_window() && name != "full") {
    throw InputError(
        Place{},
        "policy '" + text + "' needs sliding-window layers and the model has none; use 'full'");
  }
  const std::string argument = equals == std::string::npos ? "" : text.substr(equals + 1);
  if (equals != std::string::npos && argument.empty()) {
    throw InputError(Place{}, "expected an argument after '=' of policy '" + text + "'");
  }
  return (*factory)({text, argument, geometry, block, recompute_threshold, rebuild_page});
}

}  // namespace v4cap
