// Profiles rescaled to a GPU that has none (sim/cost/transfer.h), by the names of their donors.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "sim/core/error.h"
#include "sim/cost/transfer.h"

namespace v4cap {

// Of profiles called `donors` (at least one, the nearest first) to `target`. Names and the donors'
// hardware files are looked for as scenarios in `scenario_dir` do. Throws InputError, also for
// donors of different engines and for one whose GPU no hardware file describes.
Profile load_transferred(const std::vector<std::string>& donors, const std::string& scenario_dir,
                         const HardwareSpec& target, std::span<const TransferModel> models,
                         const Place& place = {});

}  // namespace v4cap
