// Scenarios at random, for tests that compare one way to run with another: every SWA policy, layout and
// scheduler, ranks and how they divide GPUs, drafts, tiers below GPU memory, and memory that is mostly
// too small for what runs.
#pragma once

#include <cstdint>
#include <string>

namespace v4cap {

// YAML of a scenario that runs; the same for the same seed.
std::string random_scenario(std::uint64_t seed);

}  // namespace v4cap
