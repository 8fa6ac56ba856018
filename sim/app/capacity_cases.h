// Predictions of what engines logged about their KV cache.
#pragma once

#include "sim/app/case_report.h"
#include "sim/app/case_rows.h"
#include "sim/output/table.h"

namespace v4cap {

// Throws InputError for a cell that cannot be.
CaseReport predict_capacity(const CaseRows& rows, const TextStyle& style);

}  // namespace v4cap
