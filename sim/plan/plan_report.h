// The answer of a plan for people, for programs and for spreadsheets.
//
//   plan.json         everything below as one document, the same that --json prints
//   deployments.csv   a line a deployment: what it holds, what it costs, or why it cannot run
//   frontier.csv      throughput of a GPU against interactivity
//   runs.csv          every full-length run of the search and of the front
//   profile.yaml      the answer as a scenario: one engine under its part of the load, or, where the
//                     arrivals are a trace's own, at the times of the trace
//
// Of several plans each has these in a folder of its name, and beside the folders
//
//   plans.json        all of them and what each one's profile costs under the others' traffic
//   cross.csv         that table, a line a pair
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "sim/output/json_writer.h"
#include "sim/output/run_directory.h"
#include "sim/output/table.h"
#include "sim/plan/cross_plan.h"

namespace v4cap {

inline constexpr const char* kPlanAnswerFile = "plan.json";
inline constexpr const char* kPlansAnswerFile = "plans.json";

std::string plan_report_text(const PlanFile& file, const PlanAnswer& answer,
                             const TextStyle& style);

// A line of the answer: "" names the first, which says what to run; the others "holds", "binds" ...
struct AnswerLine {
  std::string name, text;
};
std::vector<AnswerLine> plan_answer_lines(const PlanFile& file, const PlanAnswer& answer);

// Its first lines: what is held, what binds, what would help, where the profile is from.
std::string plan_verdict_text(const PlanFile& file, const PlanAnswer& answer,
                              const TextStyle& style);

// With a newline at its end; equal plans give equal bytes on any number of threads.
std::string plan_report_json(const PlanFile& file, const PlanAnswer& answer);

// The same as a value of a document that is being written.
void write_plan(JsonWriter& json, const PlanFile& file, const PlanAnswer& answer);

// {mean, low, high, t95_low, t95_high} of a figure's seeds, or null.
void write_interval(JsonWriter& json, std::string_view name,
                    const std::optional<SeedInterval>& figure);

// The arguments must outlive the result.
std::vector<RunFile> plan_report_files(const PlanFile& file, const PlanAnswer& answer);

// Of several plans: the verdict of each and what a wrong profile costs.
std::string plans_report_text(const std::vector<AnsweredPlan>& plans, const CrossPlan& cross,
                              const TextStyle& style);
std::string plans_report_json(const std::vector<AnsweredPlan>& plans, const CrossPlan& cross);
// The arguments must outlive the result.
std::vector<RunFile> plans_report_files(const std::vector<AnsweredPlan>& plans,
                                        const CrossPlan& cross);

}  // namespace v4cap
