// What a person reads on the terminal: first the verdict, then one table, then where the times come
// from. Several runs stand side by side as columns, so that a row is read across policies.
#pragma once

#include <string>
#include <vector>

#include "sim/output/run_summary.h"
#include "sim/output/table.h"

namespace v4cap {

// One run: verdict, table, footnotes and a last line that says what would repeat it.
std::string run_report(const RunSummary& run, const TextStyle& style);

// Runs of one workload that differ in their policy, at least one. Columns are headed by the policy.
std::string comparison_report(const std::vector<RunSummary>& runs, const TextStyle& style);

}  // namespace v4cap
