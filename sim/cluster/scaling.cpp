#include "sim/cluster/scaling.h"

#include "sim/core/named.h"

namespace v4cap {

std::unique_ptr<ScalingPolicy> make_scaling(const std::string& name) {
  return make_named<ScalingRegistry>("scaling policy", name);
}

}  // namespace v4cap
