#include "sim/cache/write_policy.h"

namespace v4cap {

std::unique_ptr<WritePolicy> make_write_policy(const std::string& text) {
  const auto equals = text.find('=');
  const std::string name = text.substr(0, equals);
  const auto* factory = WritePolicyRegistry::find(name);
  if (factory == nullptr) {
    throw InputError(Place{}, "unknown write policy '" + name + "'" +
                                  suggestion(name, WritePolicyRegistry::names()));
  }
  return (*factory)(equals == std::string::npos ? "" : text.substr(equals + 1));
}

void refuse_argument(const std::string& name, const std::string& argument) {
  if (argument.empty()) return;
  throw InputError(Place{},
                   "write policy '" + name + "' takes no argument, got '" + argument + "'");
}

}  // namespace v4cap
