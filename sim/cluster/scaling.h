// How many replicas a cluster should have. One file per policy, registered by name; what a policy
// wants is kept within the scenario's bounds, and fewer only when that holds for a while.
#pragma once

#include <cstddef>
#include <memory>
#include <string>

#include "sim/core/registry.h"

namespace v4cap {

struct ClusterLoad {
  std::size_t up = 0, starting = 0;      // replicas
  std::size_t running = 0, waiting = 0;  // requests, those included that no replica has yet
};

class ScalingPolicy {
 public:
  virtual ~ScalingPolicy() = default;
  // Replicas that there should be, up and starting.
  virtual std::size_t wanted(const ClusterLoad& load) = 0;
};

// Factories get what stands behind '=' in the policy's name, "" when there is nothing.
using ScalingRegistry = Registry<std::unique_ptr<ScalingPolicy> (*)(const std::string& argument)>;

// `name` or `name=argument`. Throws InputError (without a place) for an unknown name or an argument
// that the policy does not take.
std::unique_ptr<ScalingPolicy> make_scaling(const std::string& name);

}  // namespace v4cap
