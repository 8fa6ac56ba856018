// The section `engine` of a scenario.
#pragma once

#include <optional>

#include "sim/config/engine_file.h"
#include "sim/config/scenario.h"
#include "sim/config/section.h"

namespace v4cap {

// `s` holds model, hardware and deployment already. Defaults come from the layout's engine where
// there is one, and from what it states of its scheduler and its host.
const std::vector<KeySpec>& engine_section_keys();

EngineConfig read_engine(Section section, const Scenario& s,
                         const std::optional<EngineData>& engine, const SchedulerStated& scheduler,
                         const HostStated& host);

}  // namespace v4cap
