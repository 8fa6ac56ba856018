// What the tables of published measurements have in common on the way to a scenario.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace v4cap {

// Draft tokens of a step: "eagle-3-1-4" verifies four tokens, of which the first is no draft;
// "mtp-3" drafts three; "mtp" drafts what the engine's file says. Throws RunError.
std::int64_t draft_tokens(const std::string& engine, const std::string& speculative);

// The file of the GPU that a row names, as "H20-96GB" or with the memory left out ("H200-141GB" is
// H200); "" when there is none.
std::string hardware_named(const std::string& gpu);

// Throws RunError with the nearest name.
void check_known(const std::string& what, const std::string& name,
                 const std::vector<std::string>& known);

}  // namespace v4cap
