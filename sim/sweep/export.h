// The results of a plan as files, in the order of its points: points.csv with a column for every
// axis and figure, points.jsonl with the whole summaries. Equal plans and results give equal bytes,
// wherever and in whatever order the points ran.
//
//   position   of the point in the plan, from 0
//   key        of its result (plan.h)
//   ...        the axes' key paths, the seed last
//   status     done, or infeasible with its reason
//   met        whether all thresholds were kept; empty without thresholds
//   ...        figures (figures.h)
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "sim/output/json_writer.h"
#include "sim/output/run_directory.h"
#include "sim/sweep/plan.h"
#include "sim/sweep/point_result.h"

namespace v4cap {

inline constexpr const char* kCsvFile = "points.csv";
inline constexpr const char* kJsonlFile = "points.jsonl";

// Figures that are columns: all but those that an axis is (hardware, seed).
std::vector<std::string> figure_columns(const SweepPlan& plan);

// Finds the result of a key; every point of the plan must have one.
using FindResult = std::function<PointResult(const std::string& key)>;

// The two files. The arguments must outlive the result.
std::vector<RunFile> export_files(const SweepPlan& plan, const FindResult& find);

// A point and its result as one JSON object.
std::string row_json(const SweepPlan& plan, std::size_t position, const PointResult& result);

// Whether the result keeps every threshold; empty without thresholds. What cannot run, and a figure
// that the run does not have, keeps none.
std::optional<bool> meets(const SweepPlan& plan, const PointResult& result);

// A line of a CSV file with its end. A text that a spreadsheet would run as a formula begins with an
// apostrophe. At least one field.
std::string csv_line(const std::vector<std::string>& fields);

// A value of an axis as JSON: a number or truth value where it reads as one, else a text.
void write_typed(JsonWriter& json, const std::string& text);

}  // namespace v4cap
