// Things that are named `name` or `name=argument` in a scenario, made by the factories of a
// registry.
#pragma once

#include <string>
#include <vector>

#include "sim/core/registry.h"

namespace v4cap {

// `what` stands in the error: "router". Throws InputError (without a place) for an unknown name,
// or from the factory for an argument that it does not take.
template <class Factories>
auto make_named(const std::string& what, const std::string& name) {
  const std::size_t equals = name.find('=');
  const std::string base = name.substr(0, equals);
  const auto* factory = Factories::find(base);
  if (factory == nullptr) {
    throw InputError(Place{},
                     "unknown " + what + " '" + base + "'" + suggestion(base, Factories::names()));
  }
  return (*factory)(equals == std::string::npos ? "" : name.substr(equals + 1));
}

// For factories: `argument` as `count` numbers with commas between them, in its order; nothing when
// it is anything else.
std::vector<double> numbers_of(const std::string& argument, std::size_t count);

}  // namespace v4cap
