// A run that was performed or simulated before, and whose steps another one takes its times from.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "sim/output/run_summary.h"

namespace v4cap {

// What stands in the summary of the run in `directory` and is otherwise here, for a message: "; the
// recorded run has requests 48 and not 64". "" where nothing is, or there is no summary to read.
// Without `requests` neither these nor seeds are looked at.
std::string other_than_recorded(const std::string& directory, const RunIdentity& identity,
                                std::optional<std::int64_t> requests);

}  // namespace v4cap
