// Which of several takes a request: an attention rank of a deployment, or a replica of a cluster.
// One file per rule, registered by name, for both. A rule sees what everyone that may be chosen
// holds at the moment of arrival and keeps what memory of its own it needs.
#pragma once

#include <cstddef>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "sim/core/registry.h"
#include "sim/engine/route_target.h"

namespace v4cap {

// One that may be chosen. Its number stays the same while others come and go.
struct Candidate {
  std::size_t number = 0;
  const RouteTarget* target = nullptr;
};
using Candidates = std::span<const Candidate>;  // in order of their numbers

class Router {
 public:
  virtual ~Router() = default;
  // The position in `candidates`, which is never empty, of the one for a request that arrives now.
  virtual std::size_t choose(const RequestSpec& request, Candidates candidates) = 0;
  // Whether it looks at what candidates hold or at a request's keys. One that does not may be asked
  // ahead of time, in order of arrival, while candidates are as they were and the request has no
  // keys yet.
  virtual bool looks() const { return true; }
};

// Factories get what stands behind '=' in the router's name, "" when there is nothing.
using RouterRegistry = Registry<std::unique_ptr<Router> (*)(const std::string& argument)>;

// `name` or `name=argument`. Throws InputError (without a place) for an unknown name or an argument
// that the rule does not take.
std::unique_ptr<Router> make_router(const std::string& name);

// The one with the fewest requests in it; of equal ones that with the fewest prompt tokens, then
// the first.
std::size_t shortest_queue(Candidates candidates);

}  // namespace v4cap
