#include "sim/report/report_document.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <filesystem>
#include <string_view>

#include "sim/compare/comparison.h"
#include "sim/compare/comparison_text.h"
#include "sim/core/error.h"
#include "sim/core/json.h"
#include "sim/output/json_writer.h"
#include "sim/output/text_width.h"
#include "sim/output/version.h"
#include "sim/report/packed_column.h"

namespace v4cap {

namespace {

namespace fs = std::filesystem;

constexpr int kReportVersion = 1;
constexpr std::int64_t kSweepRowsMax = 1'000'000;

// Begin the columns of figures in a sweep's export: its status, or members of summary.json.
constexpr std::array<std::string_view, 24> kFigures = {"status",
                                                       "reason",
                                                       "met",
                                                       "source",
                                                       "simulator_version",
                                                       "definitions_version",
                                                       "scenario",
                                                       "gpus",
                                                       "requests",
                                                       "finished",
                                                       "steps",
                                                       "duration_s",
                                                       "hit_rate",
                                                       "prompt_tokens",
                                                       "ttft_ms",
                                                       "tpot_ms",
                                                       "e2el_ms",
                                                       "request_s",
                                                       "output_tok_s",
                                                       "total_tok_s",
                                                       "tok_s_per_gpu",
                                                       "kv_capacity_gib",
                                                       "saturated",
                                                       "result_hash"};

bool is_figure(std::string_view name) {
  return std::ranges::any_of(kFigures, [&](std::string_view figure) {
    if (!name.starts_with(figure)) return false;
    // ttft_ms, ttft_ms.p99 and ttft_ms_p99.
    return name.size() == figure.size() || name[figure.size()] == '.' || name[figure.size()] == '_';
  });
}

std::vector<std::string> run_folders(const std::string& path) {
  if (fs::exists(path + "/summary.json")) return {path};
  std::vector<std::string> folders;
  for (const fs::directory_entry& entry : fs::directory_iterator(path)) {
    if (fs::exists(entry.path() / "summary.json")) folders.push_back(entry.path().string());
  }
  std::ranges::sort(folders);
  return folders;
}

std::string folder_name(const std::string& path) {
  const fs::path clean = fs::path(path).lexically_normal();
  const fs::path name = clean.has_filename() ? clean.filename() : clean.parent_path().filename();
  return valid_utf8(name.string());
}

// The text of a file that is JSON.
std::string checked_json(const std::string& file) {
  std::string text = read_document(file);
  JsonLine line;
  line.parse(text, Place{file, 1, 0});
  return text;
}

void read_comparison(const std::string& file, Report& report) {
  std::string text = checked_json(file);
  report.comparisons.push_back(
      {folder_name(fs::path(file).parent_path().string()), std::move(text)});
}

// Lines of JSON hold the axes in an object of their own, and the figures in another.
void drop_outer_names(DataTable& table) {
  for (DataColumn& column : table.columns) {
    for (const std::string_view outer : {"values.", "summary."}) {
      if (column.name.starts_with(outer)) column.name.erase(0, outer.size());
    }
  }
}

void read_sweep(const std::string& path, const std::string& label, Report& report) {
  ReportSweep sweep{label, path, read_data_table(path, kSweepRowsMax)};
  if (sweep.table.rows == 0) {
    throw InputError(Place{path}, "expected points of a sweep, found none");
  }
  drop_outer_names(sweep.table);
  report.sweeps.push_back(std::move(sweep));
}

// The runs of its search, and what its deployments hold and cost; its answer where that is beside
// them.
void read_plan(const std::string& path, Report& report) {
  const std::string label = folder_name(path), answer = path + "/plan.json";
  for (const char* table : {"runs", "deployments"}) {
    read_sweep(path + '/' + table + ".csv", label + ", " + table, report);
  }
  if (fs::exists(answer)) report.plans.push_back({label, checked_json(answer)});
}

// Of several plans each has a folder.
std::vector<std::string> plan_folders(const std::string& path) {
  if (fs::exists(path + "/deployments.csv")) return {path};
  std::vector<std::string> folders;
  if (!fs::exists(path + "/plans.json")) return folders;
  for (const fs::directory_entry& entry : fs::directory_iterator(path)) {
    if (fs::exists(entry.path() / "deployments.csv")) folders.push_back(entry.path().string());
  }
  std::ranges::sort(folders);
  return folders;
}

void read_folder(const std::string& path, Report& report) {
  const std::vector<std::string> folders = run_folders(path);
  for (const std::string& folder : folders) report.runs.push_back(read_report_run(folder));
  const bool sweep = fs::exists(path + "/points.csv");
  const bool comparison = folders.empty() && fs::exists(path + "/compare.json");
  if (sweep) read_sweep(path + "/points.csv", folder_name(path), report);
  if (comparison) read_comparison(path + "/compare.json", report);
  // A sweep has a plan.json of its own, which is no answer.
  const std::vector<std::string> plans = plan_folders(path);
  for (const std::string& plan : plans) read_plan(plan, report);
  if (!folders.empty() || sweep || comparison || !plans.empty()) return;
  throw InputError(Place{path},
                   "expected the directory of a run (summary.json), of several runs, of a sweep "
                   "(points.csv), of a plan (deployments.csv), of several (plans.json) or of a "
                   "comparison (compare.json), found none of them");
}

void read_file(const std::string& path, Report& report) {
  const std::string name = fs::path(path).filename().string();
  if (name.ends_with(".json")) return read_comparison(path, report);
  if (name.starts_with("profile_export")) {
    throw InputError(Place{path},
                     "expected a run's directory or the export of a sweep; records of "
                     "single requests are laid over with --measured");
  }
  read_sweep(path, valid_utf8(name), report);
}

// JSON ----------------------------------------------------------------------------------------------

void write_columns(JsonWriter& json, const char* name, const ColumnSet& set) {
  if (set.columns.empty()) {
    json.member(name, nullptr);
    return;
  }
  json.key(name).begin_object().member("rows", set.rows).member("kept", set.kept);
  json.key("columns").begin_object();
  for (const ColumnSet::Column& column : set.columns) {
    json.member(column.name, packed_column(column.figures));
  }
  json.end_object().end_object();
}

void write_profile(JsonWriter& json, const std::optional<ProfileErrors>& profile) {
  if (!profile) {
    json.member("profile", nullptr);
    return;
  }
  json.key("profile").begin_object().member("name", profile->name);
  json.member("device", profile->device).member("date", profile->date);
  json.member("source", profile->source).key("families").begin_array();
  for (const FamilyError& family : profile->families) {
    json.begin_object().member("family", family.family).member("grain", family.grain);
    json.member("median_pct", family.median_pct).member("p90_pct", family.p90_pct);
    json.member("worst_pct", family.worst_pct).member("samples", family.samples).end_object();
  }
  json.end_array().end_object();
}

void write_run(JsonWriter& json, const ReportRun& run) {
  json.begin_object().member("label", run.label).member("path", run.path);
  json.member("summary", run.summary_json).member("scenario", run.scenario_yaml);
  json.member("comparison", run.comparison_json);
  json.key("steady").begin_object().member("holds", run.steady.holds);
  json.member("why", run.steady.why).end_object();
  json.key("slo").begin_object().member("ttft_p99_ms", run.slo_ttft_p99_ms);
  json.member("tpot_p99_ms", run.slo_tpot_p99_ms).end_object();
  write_profile(json, run.profile);
  write_columns(json, "requests", run.requests);
  write_columns(json, "timeline", run.timeline);
  write_columns(json, "replicas", run.replicas);
  write_columns(json, "ranks", run.ranks);
  write_columns(json, "windows", run.windows);
  write_columns(json, "steps", run.steps);
  json.key("events").begin_array();
  for (const ReportEvent& event : run.events) {
    json.begin_object().member("time_s", event.time_s).member("replica", event.replica);
    json.member("what", event.what).member("disturbs", event.disturbs);
    json.member("lost_requests", event.lost_requests).end_object();
  }
  json.end_array().member("events_left_out", run.events_left_out);
  json.end_object();
}

void write_measured(JsonWriter& json, const MeasuredRun& run) {
  json.begin_object().member("label", folder_name(run.path)).member("path", run.path);
  json.member("format", run.format).key("notes").begin_array();
  for (const std::string& note : run.notes) json.value(note);
  json.end_array().key("figures").begin_object();
  for (const auto& [name, value] : run.figures) json.member(name, value);
  json.end_object().key("samples").begin_object();
  for (const Latency latency : kLatencies) {
    const std::vector<double>& sample = run.sample(latency);
    if (sample.empty()) continue;
    json.member(name_of(latency), packed_column(sample));
  }
  json.end_object().end_object();
}

void write_sweep(JsonWriter& json, const ReportSweep& sweep) {
  json.begin_object().member("label", sweep.label).member("path", sweep.path);
  json.member("rows", sweep.table.rows).key("columns").begin_array();
  const std::vector<std::size_t> axes = axes_of(sweep.table);
  for (std::size_t i = 0; i < sweep.table.columns.size(); ++i) {
    const DataColumn& column = sweep.table.columns[i];
    json.begin_object()
        .member("name", column.name)
        .member("axis", std::ranges::find(axes, i) != axes.end());
    if (std::ranges::find(axes, i) != axes.end()) {
      json.member("short", short_axis_name(sweep.table, i));
    }
    json.key("values").begin_array();
    for (const double number : column.numbers) json.value(number);
    for (const std::string& text : column.texts) json.value(text);
    json.end_array().end_object();
  }
  json.end_array().end_object();
}

}  // namespace

Report read_report(const std::vector<std::string>& paths) {
  Report report;
  for (const std::string& path : paths) {
    if (fs::is_directory(path)) {
      read_folder(path, report);
    } else {
      read_file(path, report);
    }
  }
  label_runs(report.runs);
  return report;
}

void add_measured(Report& report, const std::string& path) {
  const MeasuredRun measured = read_measured_run(path);
  for (const ReportRun& run : report.runs) {
    const Comparison compared = compare_runs(measured, read_measured_run(run.path), {}, {});
    report.comparisons.push_back({run.label, comparison_json(compared)});
  }
  report.measured.push_back(measured);
}

std::vector<std::size_t> axes_of(const DataTable& sweep) {
  std::vector<std::size_t> axes;
  for (std::size_t i = 0; i < sweep.columns.size() && !is_figure(sweep.columns[i].name); ++i) {
    if (sweep.columns[i].name != "position" && sweep.columns[i].name != "key") axes.push_back(i);
  }
  return axes;
}

std::string short_axis_name(const DataTable& sweep, std::size_t axis) {
  const std::string& name = sweep.columns[axis].name;
  const std::vector<std::size_t> axes = axes_of(sweep);
  for (std::size_t dot = name.rfind('.'); dot != std::string::npos && dot > 0;
       dot = name.rfind('.', dot - 1)) {
    const std::string suffix = name.substr(dot);  // with its dot
    const bool is_alone = std::ranges::none_of(axes, [&](std::size_t other) {
      const std::string& its = sweep.columns[other].name;
      return other != axis && (its.ends_with(suffix) || '.' + its == suffix);
    });
    if (is_alone) return suffix.substr(1);
  }
  return name;
}

std::string report_json(const Report& report) {
  JsonWriter json;
  json.begin_object().member("report_version", kReportVersion);
  json.member("simulator_version", simulator_version());
  json.key("runs").begin_array();
  for (const ReportRun& run : report.runs) write_run(json, run);
  json.end_array().key("measured").begin_array();
  for (const MeasuredRun& run : report.measured) write_measured(json, run);
  json.end_array().key("comparisons").begin_array();
  for (const ReportComparison& comparison : report.comparisons) {
    json.begin_object().member("label", comparison.label).member("text", comparison.json);
    json.end_object();
  }
  json.end_array().key("sweeps").begin_array();
  for (const ReportSweep& sweep : report.sweeps) write_sweep(json, sweep);
  json.end_array().key("plans").begin_array();
  for (const ReportPlan& plan : report.plans) {
    json.begin_object().member("label", plan.label).member("text", plan.json).end_object();
  }
  json.end_array().end_object();
  return json.text();
}

}  // namespace v4cap
