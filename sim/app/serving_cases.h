// Predictions of published serving runs. Every row becomes a scenario with the row's launch and the
// client that was used; the only free numbers are those of scenarios/serving_cases.yaml and the
// host's of the engine version, and they are printed with the table.
#pragma once

#include <string>
#include <vector>

#include "sim/app/case_report.h"
#include "sim/app/case_rows.h"
#include "sim/output/table.h"

namespace v4cap {

struct ServingRequest {
  std::string explain, scenario;  // ids of rows; "" = none
  std::string only;               // rows whose id contains it
  std::vector<std::string> set;   // overrides of every row's scenario
  unsigned threads = 0;
};

// Throws InputError for a cell that cannot be, RunError for an id that is not in the table.
CaseReport predict_serving(const CaseRows& rows, const ServingRequest& request,
                           const TextStyle& style);

// The row `request.scenario` as a scenario with every default written out.
std::string serving_scenario(const CaseRows& rows, const ServingRequest& request);

}  // namespace v4cap
