// The answer of a plan for people, for programs and for spreadsheets.
//
//   plan.json         everything below as one document, the same that --json prints
//   deployments.csv   a line a deployment: what it holds, what it costs, or why it cannot run
//   frontier.csv      throughput of a GPU against interactivity
//   runs.csv          every full-length run of the search
#pragma once

#include <string>
#include <vector>

#include "sim/output/run_directory.h"
#include "sim/output/table.h"
#include "sim/plan/deployment_search.h"

namespace v4cap {

inline constexpr const char* kPlanAnswerFile = "plan.json";

std::string plan_report_text(const PlanFile& file, const PlanAnswer& answer,
                             const TextStyle& style);

// With a newline at its end; equal plans give equal bytes on any number of threads.
std::string plan_report_json(const PlanFile& file, const PlanAnswer& answer);

// The arguments must outlive the result.
std::vector<RunFile> plan_report_files(const PlanFile& file, const PlanAnswer& answer);

}  // namespace v4cap
