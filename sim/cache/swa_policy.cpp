#include "sim/cache/swa_policy.h"

namespace v4cap {

std::unique_ptr<SwaPolicy> make_policy(const std::string& text, const CacheGeometry& geometry,
                                       Tokens block, std::optional<Tokens> recompute_threshold) {
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
  return (*factory)({text, argument, geometry, block, recompute_threshold});
}

}  // namespace v4cap
