#include "sim/report/report_run.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <initializer_list>
#include <limits>
#include <set>

#include "sim/compare/measured_run.h"
#include "sim/config/profile_file.h"
#include "sim/config/value.h"
#include "sim/config/yaml_tree.h"
#include "sim/core/json.h"
#include "sim/core/text_file.h"
#include "sim/output/humanise.h"
#include "sim/output/text_width.h"
#include "sim/report/data_table.h"

namespace v4cap {

namespace {

constexpr double kFigureMax = 1e18;
constexpr double kNothing = std::numeric_limits<double>::quiet_NaN();

// Keeps every k-th row.
void thin(ColumnSet& set) {
  const std::int64_t stride =
      std::max<std::int64_t>(1, (set.rows + kReportRowsMax - 1) / kReportRowsMax);
  for (ColumnSet::Column& column : set.columns) {
    std::vector<double> kept;
    for (std::size_t i = 0; i < column.figures.size(); i += static_cast<std::size_t>(stride)) {
      kept.push_back(column.figures[i]);
    }
    column.figures = std::move(kept);
  }
  set.kept = (set.rows + stride - 1) / stride;
}

// summary.json -----------------------------------------------------------------------------------

std::string text_at(JsonValue object, const char* key) {
  const JsonValue value = object.find(key);
  return value ? valid_utf8(value.string()) : "";
}

std::optional<double> number_at(JsonValue object, const char* key) {
  const JsonValue value = object.find(key);
  return value ? std::optional<double>{value.number(-kFigureMax, kFigureMax)} : std::nullopt;
}

std::optional<double> number_at(JsonValue object, const char* outer, const char* inner) {
  const JsonValue value = object.find(outer);
  return value ? number_at(value, inner) : std::nullopt;
}

void read_summary(const std::string& path, ReportRun& run, bool& saturated) {
  run.summary_json = read_document(path);
  JsonLine line;
  const JsonValue summary = line.parse(run.summary_json, Place{path, 1, 0});
  if (summary.kind() != JsonKind::object) summary.fail("expected the summary of a run, an object");
  run.scenario = text_at(summary, "scenario");
  run.model = text_at(summary, "model");
  run.hardware = text_at(summary, "hardware");
  run.policy = text_at(summary, "policy");
  run.layout = text_at(summary, "layout");
  run.scheduler = text_at(summary, "scheduler");
  run.times = text_at(summary, "times");
  run.gpus = static_cast<std::int64_t>(number_at(summary, "gpus").value_or(1));
  run.seed = static_cast<std::int64_t>(number_at(summary, "seed").value_or(0));
  run.tpot_p50_ms = number_at(summary, "tpot_ms", "p50");
  run.output_tok_s_per_gpu = number_at(summary, "tok_s_per_gpu", "output");
  run.kv_capacity_gib = number_at(summary, "kv_capacity_gib").value_or(0);
  const JsonValue flag = summary.find("saturated");
  saturated = flag && flag.boolean();
}

// scenario.resolved.yaml --------------------------------------------------------------------------

std::string scalar_at(const YamlNode& root, const char* section, const char* key) {
  const YamlNode* const outer = section == nullptr ? &root : root.find(section);
  const YamlNode* const node = outer == nullptr ? nullptr : outer->find(key);
  return node != nullptr && node->kind == YamlNode::Kind::scalar ? node->text : "";
}

std::optional<double> ms_at(const YamlNode& root, const char* section, const char* key) {
  std::string hint;
  const auto time = parse_value<Duration>(scalar_at(root, section, key), hint);
  return time ? std::optional<double>{to_ms(*time)} : std::nullopt;
}

// Nothing when the profile is no longer where the run had it.
std::optional<ProfileErrors> profile_errors(const std::string& name) {
  if (name.empty() || name == "none" || name == "roofline") return {};
  Profile profile;
  try {
    profile = load_profile(name, "");
  } catch (const InputError&) {
    return {};
  }
  ProfileErrors errors{profile.name, profile.device, profile.date, profile.source, {}};
  for (const ProfileFamily& family : profile.families) {
    if (family.held_out.samples == 0) continue;
    const char* const grain = family.grain == ProfileGrain::kernel   ? "kernel"
                              : family.grain == ProfileGrain::module ? "module"
                                                                     : "step";
    errors.families.push_back({family.name, grain, family.held_out.median_pct,
                               family.held_out.p90_pct, family.held_out.worst_pct,
                               family.held_out.samples});
  }
  return errors;
}

void read_scenario(const std::string& path, ReportRun& run) {
  run.scenario_yaml = read_text_file(path);
  const YamlNode root = parse_yaml(run.scenario_yaml, path);
  run.slo_ttft_p99_ms = ms_at(root, "slo", "ttft_p99");
  run.slo_tpot_p99_ms = ms_at(root, "slo", "tpot_p99");
  const YamlNode* const workload = root.find("workload");
  if (workload != nullptr) run.arrivals = scalar_at(*workload, "arrivals", "mode");
  run.profile = profile_errors(scalar_at(root, nullptr, "profile"));
}

// profile_export.jsonl ----------------------------------------------------------------------------

struct RequestColumn {
  const char* name;
  const char* tag;  // AIPerf's
};
// After start_s.
constexpr RequestColumn kRequestColumns[] = {{"queue_ms", "request_queue_time"},
                                             {"ttft_ms", "time_to_first_token"},
                                             {"tpot_ms", "inter_token_latency"},
                                             {"e2el_ms", "request_latency"},
                                             {"isl", "input_sequence_length"},
                                             {"osl", "output_sequence_length"},
                                             {"hit", "hit_tokens"},
                                             {"computed", "computed_tokens"},
                                             {"rebuilt", "rebuilt_tokens"},
                                             {"preemptions", "preemptions"},
                                             {"replica", "replica"},
                                             {"retries", "retries"}};

// First start, last start, last start of a session and last end, in seconds.
struct RequestSpan {
  double first_start = kFigureMax, last_start = 0, last_session = 0, last_end = 0;
  std::int64_t finished = 0;
};

double metric_at(JsonValue metrics, const char* tag) {
  const JsonValue metric = metrics.find(tag);
  return metric ? metric.at("value").number(0, kFigureMax) : kNothing;
}

void add_request(JsonValue line, ColumnSet& set, RequestSpan& span) {
  const JsonValue metadata = line.at("metadata"), metrics = line.at("metrics");
  if (const JsonValue phase = metadata.find("benchmark_phase")) {
    if (phase.string() == "warmup") return;
  }
  constexpr std::int64_t kNsMax = std::numeric_limits<std::int64_t>::max();
  constexpr double kPerNs = 1e-9;
  const double start =
      static_cast<double>(metadata.at("request_start_ns").integer(0, kNsMax)) * kPerNs;
  span.first_start = std::min(span.first_start, start);
  span.last_start = std::max(span.last_start, start);
  const JsonValue turn = metadata.find("turn_index");
  if (!turn || turn.number(0, kFigureMax) == 0) {
    span.last_session = std::max(span.last_session, start);
  }
  auto column = set.columns.begin();
  (column++)->figures.push_back(start);
  const bool failed = static_cast<bool>(line.find("error"));
  for (const RequestColumn& wanted : kRequestColumns) {
    (column++)->figures.push_back(failed ? kNothing : metric_at(metrics, wanted.tag));
  }
  if (failed) set.columns[5].figures.back() = metric_at(metrics, "error_isl");
  const JsonValue session = metadata.find("session_num");
  column->figures.push_back(
      session && session.kind() == JsonKind::integer ? session.number(0, kFigureMax) : kNothing);
  ++set.rows;
  if (failed) return;
  ++span.finished;
  const JsonValue end = metadata.at("request_end_ns");
  span.last_end = std::max(span.last_end, static_cast<double>(end.integer(0, kNsMax)) * kPerNs);
}

RequestSpan read_requests(const std::string& path, ColumnSet& set) {
  set.columns.push_back({"start_s", {}});
  for (const RequestColumn& column : kRequestColumns) set.columns.push_back({column.name, {}});
  set.columns.push_back({"session", {}});
  RequestSpan span;
  TextFile file(path, {.line_bytes = std::int64_t{1} << 28});
  JsonLine line;
  while (file.next()) {
    add_request(parse_json_object(line, file.line(), file.place(), !file.line_is_terminated()), set,
                span);
  }
  // A run of one replica says nothing of replicas.
  std::erase_if(set.columns, [](const ColumnSet::Column& column) {
    return (column.name == "replica" || column.name == "retries") &&
           std::ranges::all_of(column.figures, [](double x) { return std::isnan(x); });
  });
  thin(set);
  return span;
}

SteadyState steady_state(bool saturated, const std::string& arrivals, const RequestSpan& span) {
  constexpr std::int64_t kFewest = 20;
  constexpr double kBurstShare = 0.5;
  if (saturated) {
    return {false,
            "the run is saturated: its queue grew as long as requests came, so latencies say how "
            "long the load lasted, not what a user would see"};
  }
  if (span.finished < kFewest) {
    return {false,
            fmt::format("only {} requests finished: too few for percentiles", span.finished)};
  }
  const bool by_session = arrivals == "poisson";
  const double coming = (by_session ? span.last_session : span.last_start) - span.first_start;
  const double all = span.last_end - span.first_start;
  if (arrivals == "burst") {
    return {false,
            "the run is a finite burst: all of its requests or sessions came at once, so it "
            "shows how they are worked off"};
  }
  if (coming < kBurstShare * all) {
    return {false,
            fmt::format("the run is a finite burst: its {} came within {} of the {} that it "
                        "took, so it shows how they are worked off",
                        by_session ? "sessions" : "requests", human(duration_from_seconds(coming)),
                        human(duration_from_seconds(all)))};
  }
  return {};
}

// Files over time ----------------------------------------------------------------------

constexpr std::int64_t kFileRowsMax = 50'000'000;

void add_column(ColumnSet& set, std::string name, const DataColumn& column, double factor) {
  std::vector<double> figures;
  figures.reserve(column.numbers.size());
  for (const double number : column.numbers) figures.push_back(number * factor);
  set.columns.push_back({std::move(name), std::move(figures)});
}

const DataColumn& number_column(const DataTable& table, const char* name, const std::string& path) {
  const DataColumn* const column = table.find(name);
  if (column == nullptr) {
    throw InputError(Place{path, 1, 0}, fmt::format("expected a column '{}' of numbers", name));
  }
  return *column;
}

void read_timeline(const std::string& path, ColumnSet& set,
                   std::initializer_list<const char*> also = {}) {
  const DataTable table =
      read_number_table(path, kFileRowsMax, [](std::string_view) { return true; });
  number_column(table, "time_s", path);
  for (const char* const name : also) number_column(table, name, path);
  for (const DataColumn& column : table.columns) {
    add_column(set, column.name, column, 1);
  }
  set.rows = table.rows;
  thin(set);
}

const DataColumn& text_column(const DataTable& table, const char* name, const std::string& path) {
  const DataColumn* const column = table.find(name);
  if (column == nullptr || column->is_number) {
    throw InputError(Place{path, 1, 0}, fmt::format("expected a column '{}' of texts", name));
  }
  return *column;
}

void read_events(const std::string& path, ReportRun& run) {
  const DataTable table = read_data_table(path, kFileRowsMax);
  if (table.rows == 0) return;
  const auto numbers = [&](const char* name) -> const std::vector<double>& {
    const DataColumn& column = number_column(table, name, path);
    if (!column.is_number) {
      throw InputError(Place{path, 1, 0}, fmt::format("expected a column '{}' of numbers", name));
    }
    return column.numbers;
  };
  const auto &time = numbers("time_s"), &replica = numbers("replica"),
             &lost = numbers("lost_requests"), &disturbs = numbers("disturbs");
  const DataColumn& what = text_column(table, "what", path);
  const auto rows = static_cast<std::size_t>(table.rows);
  for (std::size_t i = 0; i < std::min(rows, kReportEventsMax); ++i) {
    run.events.push_back({time[i], static_cast<std::int64_t>(replica[i]),
                          static_cast<std::int64_t>(lost[i]), valid_utf8(what.texts[i]),
                          disturbs[i] > 0});
  }
  run.events_left_out = table.rows - static_cast<std::int64_t>(run.events.size());
}

void read_steps(const std::string& path, ColumnSet& set) {
  const DataTable table = read_number_table(path, kFileRowsMax, [](std::string_view name) {
    return name == "begin_ns" || name == "time_ns" || name == "decode_past" ||
           (name.ends_with("_tokens") && !name.starts_with("points"));
  });
  add_column(set, "begin_s", number_column(table, "begin_ns", path), 1e-9);
  add_column(set, "time_ms", number_column(table, "time_ns", path), 1e-6);
  for (const char* const name :
       {"decode_tokens", "decode_past", "prefill_tokens", "rebuild_tokens"}) {
    add_column(set, name, number_column(table, name, path), 1);
  }
  set.rows = table.rows;
  thin(set);
}

}  // namespace

const std::vector<double>* ColumnSet::find(std::string_view name) const {
  const auto it = std::ranges::find(columns, name, &Column::name);
  return it == columns.end() ? nullptr : &it->figures;
}

ReportRun read_report_run(const std::string& directory) {
  ReportRun run;
  run.path = directory;
  while (run.path.size() > 1 && run.path.ends_with('/')) run.path.pop_back();
  const auto file = [&](const char* name) { return run.path + '/' + name; };
  const auto there = [&](const char* name) { return std::filesystem::exists(file(name)); };
  bool saturated = false;
  read_summary(file("summary.json"), run, saturated);
  if (there("scenario.resolved.yaml")) read_scenario(file("scenario.resolved.yaml"), run);
  if (there("profile_export.jsonl")) {
    const RequestSpan span = read_requests(file("profile_export.jsonl"), run.requests);
    run.steady = steady_state(saturated, run.arrivals, span);
  } else if (saturated) {
    run.steady = steady_state(true, run.arrivals, {});
  }
  if (there("timeline.csv")) read_timeline(file("timeline.csv"), run.timeline);
  if (there("timeline_replicas.csv")) {
    read_timeline(file("timeline_replicas.csv"), run.replicas, {"replica"});
  }
  if (there("timeline_ranks.csv")) {
    read_timeline(file("timeline_ranks.csv"), run.ranks, {"replica", "rank"});
  }
  if (there("windows.csv")) read_timeline(file("windows.csv"), run.windows);
  if (there("cluster_events.csv")) read_events(file("cluster_events.csv"), run);
  if (there("steps.csv")) read_steps(file("steps.csv"), run.steps);
  if (there("compare.json")) run.comparison_json = read_document(file("compare.json"));
  return run;
}

void label_runs(std::vector<ReportRun>& runs) {
  using Name = std::string (*)(const ReportRun&);
  constexpr Name kNames[] = {[](const ReportRun& r) { return r.scenario; },
                             [](const ReportRun& r) { return r.model; },
                             [](const ReportRun& r) { return r.hardware; },
                             [](const ReportRun& r) { return fmt::format("{} GPUs", r.gpus); },
                             [](const ReportRun& r) { return r.policy; },
                             [](const ReportRun& r) { return r.layout; },
                             [](const ReportRun& r) { return r.scheduler; },
                             [](const ReportRun& r) { return r.times; },
                             [](const ReportRun& r) { return fmt::format("seed {}", r.seed); }};
  for (ReportRun& run : runs) run.label.clear();
  for (const Name name : kNames) {
    std::set<std::string> values;
    for (const ReportRun& run : runs) values.insert(name(run));
    if (values.size() < 2) continue;
    for (ReportRun& run : runs) run.label += (run.label.empty() ? "" : ", ") + name(run);
  }
  if (runs.size() == 1) runs.front().label = runs.front().scenario;
  std::set<std::string> labels;
  for (const ReportRun& run : runs) labels.insert(run.label);
  if (labels.size() < runs.size()) {
    for (ReportRun& run : runs) {
      run.label = valid_utf8(std::filesystem::path(run.path).filename().string());
    }
  }
  // Folders may be called alike too.
  labels.clear();
  for (ReportRun& run : runs) {
    const std::string label = run.label;
    for (int i = 2; !labels.insert(run.label).second; ++i) {
      run.label = fmt::format("{} ({})", label, i);
    }
  }
}

}  // namespace v4cap
