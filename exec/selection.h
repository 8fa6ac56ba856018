// Suites by the names that a user gave; an unknown one is refused with the nearest.
#pragma once

#include <string>
#include <vector>

#include "exec/suite.h"

namespace v4cap::exec {

// No names: all suites.
std::vector<Suite> select_suites(const std::vector<std::string>& names);

}  // namespace v4cap::exec
