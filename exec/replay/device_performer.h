// The GPU as the performer of a scenario's steps.
#pragma once

#include <memory>
#include <string>

#include "exec/device.h"
#include "exec/replay/step_performer.h"
#include "sim/cluster/replica.h"
#include "sim/config/scenario.h"

namespace v4cap::exec {

// This process among those that perform a run, a GPU each. Of several the sums within layers go
// through NCCL.
struct RankOfRun {
  int rank = 0, ranks = 1;
  std::string id = "";  // Communicator::new_id(), the same for all; of several only
};

// For a scenario that check_can_replay() lets pass and its replica, which has not run yet: the
// performer learns from its cache where state lies. Both must outlive it. Of several ranks it
// returns when all have come. Throws RunError when the device has no room.
std::unique_ptr<StepPerformer> make_device_performer(const Scenario& scenario, Replica& replica,
                                                     const Device& device,
                                                     const RankOfRun& rank = {});

// An id for RankOfRun. Throws RunError no_nccl or nccl.
std::string new_run_id();

}  // namespace v4cap::exec
