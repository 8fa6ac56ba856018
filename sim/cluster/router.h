// Which attention rank of a deployment takes a request. One file per rule, registered by name. A
// rule sees what every rank holds at the moment of arrival and keeps what memory of its own it
// needs.
#pragma once

#include <cstddef>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "sim/core/registry.h"
#include "sim/engine/engine.h"

namespace v4cap {

using Ranks = std::span<const std::unique_ptr<Engine>>;

class Router {
 public:
  virtual ~Router() = default;
  // The rank for a request that arrives now; `ranks` is never empty.
  virtual std::size_t choose(const RequestSpec& request, Ranks ranks) = 0;
};

// Factories get what stands behind '=' in the router's name, "" when there is nothing.
using RouterRegistry = Registry<std::unique_ptr<Router> (*)(const std::string& argument)>;

// `name` or `name=argument`. Throws InputError (without a place) for an unknown name or an argument
// that the rule does not take.
std::unique_ptr<Router> make_router(const std::string& name);

// The rank with the fewest requests in it; of equal ones that with the fewest prompt tokens, then
// the lowest.
std::size_t shortest_queue(Ranks ranks);

}  // namespace v4cap
