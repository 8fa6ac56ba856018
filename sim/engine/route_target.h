// What a router may ask of those that could take a request: attention ranks of one replica, or
// replicas of a cluster.
#pragma once

#include <cstddef>

#include "sim/core/units.h"
#include "sim/engine/request.h"

namespace v4cap {

class RouteTarget {
 public:
  virtual ~RouteTarget() = default;
  virtual std::size_t requests() const = 0;  // running and waiting
  virtual Tokens prompt_tokens() const = 0;  // of all of them
  // Where a request that arrived now could resume.
  virtual Tokens would_hit(const RequestSpec& spec) const = 0;
};

}  // namespace v4cap
