#include "sim/cache/layout.h"

namespace v4cap {

std::unique_ptr<Layout> make_layout(const std::string& name, const LayoutContext& context) {
  const auto* factory = LayoutRegistry::find(name);
  if (factory == nullptr) {
    throw InputError(Place{}, "unknown engine layout '" + name + "'" +
                                  suggestion(name, LayoutRegistry::names()));
  }
  return (*factory)(context);
}

}  // namespace v4cap
