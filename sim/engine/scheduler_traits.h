// What can be known of a scheduler without running it, by its name: which keys of a launch its rules
// honour and which numbers they need. Scenarios and engine files are checked against it. A scheduler
// that need not say any of it need not be there.
#pragma once

#include <string>
#include <vector>

#include "sim/core/registry.h"

namespace v4cap {

// A number of a scheduler's rules. Its values are data: scenarios/engines/<scheduler>.yaml holds
// them by version, and a scenario may set them (engine.scheduler_options).
struct SchedulerParameter {
  std::string name;
  std::string meaning;  // with its unit, for people
  double min = 0, max = 0;
  bool whole = true;  // false: fractions have a meaning
};

struct SchedulerTraits {
  bool mixes_chunks = false;       // takes SchedulerParameters::mixed_chunk
  bool delays_prefill = false;     // honours Batch::prefill_allowed()
  bool prefill_alone = false;      // with drafts, ranks stand by while another one prefills
  bool caps_long_prompts = false;  // takes SchedulerParameters::long_prefill_token_threshold
  std::vector<SchedulerParameter> parameters{};
};

using SchedulerTraitsRegistry = Registry<SchedulerTraits>;
SchedulerTraits scheduler_traits(const std::string& scheduler);

}  // namespace v4cap
