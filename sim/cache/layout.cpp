#include "sim/cache/layout.h"

#include <algorithm>

namespace v4cap {

std::unique_ptr<Layout> make_layout(const std::string& name, const LayoutContext& context) {
  const auto* factory = LayoutRegistry::find(name);
  if (factory == nullptr) {
    throw InputError(Place{}, "unknown engine layout '" + name + "'" +
                                  suggestion(name, LayoutRegistry::names()));
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
