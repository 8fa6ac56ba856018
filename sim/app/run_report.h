// What every command that makes runs says of them at the end, in both programs: the policy's words,
// missed SLOs, one document or one report.
#pragma once

#include <string>

#include "sim/app/command.h"
#include "sim/config/scenario.h"
#include "sim/output/record.h"
#include "sim/output/run_directory.h"
#include "sim/output/run_summary.h"
#include "sim/output/summary_json.h"

namespace v4cap {

struct FinishedRun {
  Scenario scenario;
  RunResult result;
  RunSummary summary;
  std::string fallback, caveat;  // of the policy, in words
};

// RunIdentity::times of runs whose steps were performed, and of those that have their times from
// such a run.
inline constexpr const char* kMeasuredSteps = "measured steps";

// `times`: in place of the scenario's, where it is given.
FinishedRun finished_run(Scenario scenario, RunResult result, const std::string& times = "");

// Members "fallback" and "caveat".
void write_policy_words(JsonWriter& json, const FinishedRun& run);

// One run on standard output: with --json a document with members of the caller's at its end.
void print_run(const FinishedRun& run, CommandContext& context, const MoreMembers& more = {});

// Writes the run's files and says where, unless --quiet.
void write_run(RunDirectory& directory, const FinishedRun& run, CommandContext& context,
               std::vector<RunFile> more = {});

// 99 when an SLO was asked for and missed, 1 when nothing could be served at all.
ExitCode exit_code(const FinishedRun& run, CommandContext& context);

}  // namespace v4cap
