// The GPU as the performer of a scenario's steps.
#pragma once

#include <memory>

#include "exec/device.h"
#include "exec/replay/step_performer.h"
#include "sim/cluster/replica.h"
#include "sim/config/scenario.h"

namespace v4cap::exec {

// For a scenario that check_can_replay() lets pass and its replica, which has not run yet: the
// performer learns from its cache where state lies. Both must outlive it. Throws RunError when the
// device has no room.
std::unique_ptr<StepPerformer> make_device_performer(const Scenario& scenario, Replica& replica,
                                                     const Device& device);

}  // namespace v4cap::exec
