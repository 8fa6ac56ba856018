// Everything that a report shows, and as the JSON document that its page carries.
//
//   report_version, simulator_version
//   runs       [{label, path, summary (summary.json as text), scenario (YAML), comparison
//              (compare.json as text), steady {holds, why}, slo {ttft_p99_ms, tpot_p99_ms},
//              profile {name, device, date, source, families [...]}, requests, timeline, replicas,
//              ranks, windows, steps, events [{time_s, replica, what, disturbs, lost_requests}],
//              events_left_out}]
//   measured   [{label, path, format, notes, figures {name: value}, samples {ttft: column, ...}}]
//   comparisons [{label, text (compare.json)}]
//   sweeps     [{label, path, rows, columns [{name, axis, values}]}]
//
// requests, timeline, replicas, ranks, windows and steps are {rows, kept, columns {name: packed column}}, see packed_column.h.
// A sweep is one row a point: columns of the axes, then those of the figures.
#pragma once

#include <string>
#include <vector>

#include "sim/compare/measured_run.h"
#include "sim/report/data_table.h"
#include "sim/report/report_run.h"

namespace v4cap {

struct ReportComparison {
  std::string label{};
  std::string json{};  // as sim/compare/comparison_text.h writes it
};

struct ReportSweep {
  std::string label{}, path{};
  DataTable table{};
};

// The answer of a plan, of whose folder are two of the sweeps.
struct ReportPlan {
  std::string label{};
  std::string json{};  // as sim/plan/plan_report.h writes it
};

struct Report {
  std::vector<ReportRun> runs{};
  std::vector<MeasuredRun> measured{};
  std::vector<ReportComparison> comparisons{};
  std::vector<ReportSweep> sweeps{};
  std::vector<ReportPlan> plans{};
};

// What `paths` name: directories of runs, directories of such directories (`simulate --compare
// --out`), of a sweep (points.csv), of a plan (deployments.csv) or of several (plans.json),
// compare.json or a directory with one, and exports of sweeps (.csv, .jsonl). Runs get their labels.
// Throws InputError.
Report read_report(const std::vector<std::string>& paths);

// Adds what was measured, in any format that `v4cap compare` reads, and how far each run is from it.
void add_measured(Report& report, const std::string& path);

// Places of the columns of a sweep that are axes: those before the first that is a status or a figure
// of a run; the number and the key of a point are none.
std::vector<std::size_t> axes_of(const DataTable& sweep);

// What tells a sweep's axis from the others: the last of the words between its dots, or as many of
// them as no other axis ends with.
std::string short_axis_name(const DataTable& sweep, std::size_t axis);

std::string report_json(const Report& report);

}  // namespace v4cap
