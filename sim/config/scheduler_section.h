// What configuration files say of an engine's scheduler: the section `scheduler` of an engine file
// and `engine.scheduler_options` of a scenario.
#pragma once

#include <map>
#include <optional>
#include <string>

#include "sim/config/section.h"
#include "sim/core/units.h"
#include "sim/engine/scheduler_traits.h"

namespace v4cap {

// Keys of the section `scheduler` of an engine file: of every scheduler there is.
const std::vector<KeySpec>& scheduler_keys();
// Those of them that are parameters: keys of engine.scheduler_options.
const std::vector<KeySpec>& scheduler_option_keys();

// What an engine or one of its versions states; empty where it says nothing.
struct SchedulerStated {
  std::optional<bool> mixed_chunk, prefill_delayer;
  std::optional<Tokens> long_prefill_token_threshold;
  std::map<std::string, double> options;  // of the scheduler's parameters
};

// What `base` states where `over` says nothing.
SchedulerStated overlaid(const SchedulerStated& base, const SchedulerStated& over);

// Reads the section of an engine's file. Keys that the scheduler does not know are refused.
SchedulerStated read_scheduler(Section section, const SchedulerTraits& traits);

// Values of all parameters of a scheduler: as set in `section`, else as in `defaults`; one that is
// in neither is an error there.
std::map<std::string, double> read_scheduler_options(Section section, const SchedulerTraits& traits,
                                                     const std::map<std::string, double>& defaults);

}  // namespace v4cap
