// Suites by the names that a user gave; an unknown one is refused with the nearest.
#pragma once

#include <string>
#include <vector>

#include "exec/suite.h"

namespace v4cap::exec {

// Of all suites, in their order.
std::vector<std::string> suite_names();

// No names: all suites.
std::vector<Suite> select_suites(const std::vector<std::string>& names);

// InputError when `version` is given and no operator has a version of that name.
void refuse_unknown_version(const std::string& version);

}  // namespace v4cap::exec
