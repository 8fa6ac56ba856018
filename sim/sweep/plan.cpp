#include "sim/sweep/plan.h"

#include <algorithm>
#include <atomic>
#include <fstream>
#include <map>
#include <mutex>
#include <sstream>
#include <tuple>

#include "sim/app/scenario_options.h"
#include "sim/cluster/run_scenario.h"
#include "sim/config/scenario_file.h"
#include "sim/core/json.h"
#include "sim/core/parallel.h"
#include "sim/output/json_writer.h"
#include "sim/output/version.h"
#include "sim/sweep/point_key.h"

namespace v4cap {

namespace {

constexpr const char* kFormat = "v4cap-sweep-plan";
constexpr std::int64_t kFormatVersion = 1;
constexpr double kPointsMax = 1e6;

// The first of all combinations, then each next one; the last axis turns fastest.
bool next(std::vector<std::uint32_t>& rows, const std::vector<Axis>& axes) {
  for (std::size_t a = axes.size(); a-- > 0;) {
    if (++rows[a] < axes[a].rows.size()) return true;
    rows[a] = 0;
  }
  return false;
}

void check_size(const SweepFile& sweep) {
  double combinations = 1;
  for (const Axis& axis : sweep.axes) combinations *= static_cast<double>(axis.rows.size());
  if (combinations <= kPointsMax) return;
  throw InputError(sweep.axes.front().rows.front().front().place,
                   "axes: expected at most 1000000 combinations, got " +
                       std::to_string(static_cast<std::int64_t>(combinations)));
}

// Policy and layout say themselves what they cannot take; whether memory is enough is a result.
void check_point(const Scenario& scenario) {
  check_can_run(scenario);
  make_cache_parts(scenario, Bytes{std::int64_t{1} << 50});
}

// What was wrong in some points, each mistake once.
class Mistakes {
 public:
  void add(const InputError& error) {
    const std::lock_guard lock(mutex_);
    for (const Diagnostic& d : error.diagnostics()) {
      ++counts_[{d.place.file, d.place.line, d.place.column, d.message}];
    }
  }
  void checkpoint(std::size_t points) const {
    if (counts_.empty()) return;
    std::vector<Diagnostic> errors;
    for (const auto& [what, count] : counts_) {
      const auto& [file, line, column, message] = what;
      std::string text = message;
      if (count < points) {
        text += " (in " + std::to_string(count) + " of " + std::to_string(points) +
                " points; 'constraints:' can leave them out)";
      }
      errors.push_back({{file, line, column}, std::move(text)});
    }
    throw InputError(std::move(errors));
  }

 private:
  std::mutex mutex_;
  std::map<std::tuple<std::string, std::int64_t, std::int64_t, std::string>, std::size_t> counts_;
};

std::string build_of(std::string_view version, std::string_view sources) {
  return std::string(version) + " with sources " + std::string(sources.substr(0, 8));
}

JsonWriter plan_json(const SweepPlan& plan, const std::string& hash) {
  JsonWriter json(1);
  json.begin_object().member("format", kFormat).member("format_version", kFormatVersion);
  json.member("plan", hash).member("simulator_version", simulator_version());
  json.member("simulator_sources", simulator_sources());
  json.member("definitions_version", kDefinitionsVersion).member("name", plan.name);
  json.member("base_file", plan.base_file).member("base_text", plan.base_text);
  json.key("set").begin_array();
  for (const std::string& option : plan.set) json.value(option);
  json.end_array().key("axes").begin_array();
  for (const Axis& axis : plan.axes) {
    json.begin_object().member("name", axis.name).key("keys").begin_array();
    for (const std::string& path : axis.paths) json.value(path);
    json.end_array().key("rows").begin_array();
    for (const auto& row : axis.rows) {
      json.begin_array();
      for (const YamlNode& value : row) {
        if (value.kind == YamlNode::Kind::null) {
          json.value(nullptr);
        } else {
          json.value(value.text);
        }
      }
      json.end_array();
    }
    json.end_array().end_object();
  }
  json.end_array().key("thresholds").begin_array();
  for (const Condition& threshold : plan.thresholds) json.value(threshold.text());
  json.end_array().member("left_out", plan.left_out).key("points").begin_array();
  for (const PlannedPoint& point : plan.points) {
    // A point a line: its key, then its row on each axis.
    std::string line = point.key;
    for (const std::uint32_t row : point.rows) line += ' ' + std::to_string(row);
    json.value(line);
  }
  json.end_array().end_object();
  return json;
}

Axis axis_of(JsonValue value, const Place& place) {
  Axis axis;
  axis.name = value.at("name").string();
  for (const JsonValue path : value.at("keys").array()) axis.paths.emplace_back(path.string());
  for (const JsonValue row : value.at("rows").array()) {
    if (static_cast<std::size_t>(row.size()) != axis.paths.size())
      row.fail("expected a value a key");
    auto& values = axis.rows.emplace_back();
    for (const JsonValue cell : row.array()) {
      const bool null = cell.kind() == JsonKind::null;
      YamlNode node = YamlNode::made(null ? YamlNode::Kind::null : YamlNode::Kind::scalar, place);
      if (!null) node.text = cell.string();
      values.push_back(std::move(node));
    }
  }
  return axis;
}

PlannedPoint point_of(JsonValue value, const std::vector<Axis>& axes) {
  std::istringstream line{std::string(value.string())};
  PlannedPoint point;
  line >> point.key;
  for (std::uint32_t row = 0; line >> row;) point.rows.push_back(row);
  bool good = line.eof() && point.rows.size() == axes.size();
  for (std::size_t a = 0; good && a < axes.size(); ++a) good = point.rows[a] < axes[a].rows.size();
  if (!good) value.fail("expected a key and a row of every axis");
  return point;
}

std::string whole_file(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) throw InputError(Place{path}, "expected a plan, found no file that can be read");
  return {std::istreambuf_iterator<char>(file), {}};
}

}  // namespace

PlannedScenarios::PlannedScenarios(const SweepPlan& plan, std::string trace_dir)
    : plan_(plan),
      trace_dir_(std::move(trace_dir)),
      base_(base_tree(plan.base_text, plan.base_file, plan.set)) {}

Scenario PlannedScenarios::scenario(const PlannedPoint& point) const {
  YamlNode root = base_;
  for (std::size_t a = 0; a < plan_.axes.size(); ++a) {
    const Axis& axis = plan_.axes[a];
    for (std::size_t j = 0; j < axis.paths.size(); ++j) {
      set_path(root, axis.paths[j], axis.rows[point.rows[a]][j], named_keys());
    }
  }
  ScenarioOptions options;
  options.trace_dir = trace_dir_;
  Scenario scenario = scenario_of_tree(std::move(root), plan_.base_file, options);
  check_names(scenario);
  return scenario;
}

SweepPlan make_plan(const SweepFile& sweep, const PointOptions& options) {
  check_size(sweep);
  SweepPlan plan{
      sweep.name, sweep.base_file, sweep.base_text, sweep.set, sweep.axes, sweep.thresholds, {}, 0};
  const YamlNode base = base_tree(sweep.base_text, sweep.base_file, sweep.set);
  std::vector<std::uint32_t> rows(sweep.axes.size(), 0);
  do {
    const auto lookup = [&](const std::string& name) {
      return value_at(name, sweep.axes, rows, base);
    };
    const bool kept = std::ranges::all_of(
        sweep.constraints, [&](const Condition& constraint) { return constraint.holds(lookup); });
    if (kept) {
      plan.points.push_back({rows, ""});
    } else {
      ++plan.left_out;
    }
  } while (next(rows, sweep.axes));
  if (plan.points.empty()) {
    throw InputError(sweep.constraints.front().place(),
                     "constraints: expected points to keep them, all " +
                         std::to_string(plan.left_out) + " are left out");
  }

  const PlannedScenarios scenarios(plan, options.trace_dir);
  PointKeys keys;
  Mistakes mistakes;
  parallel_for(
      plan.points.size(),
      [&](std::size_t i) {
        try {
          const Scenario scenario = scenarios.scenario(plan.points[i]);
          check_point(scenario);
          plan.points[i].key = keys.key_of(scenario);
        } catch (const InputError& error) {
          mistakes.add(error);
        }
      },
      options.threads);
  mistakes.checkpoint(plan.points.size());
  return plan;
}

void check_unchanged(const SweepPlan& plan, const std::vector<std::size_t>& points,
                     const PointOptions& options) {
  const PlannedScenarios scenarios(plan, options.trace_dir);
  PointKeys keys;
  std::atomic<std::size_t> changed{0};
  parallel_for(
      points.size(),
      [&](std::size_t i) {
        const PlannedPoint& point = plan.points[points[i]];
        if (keys.key_of(scenarios.scenario(point)) != point.key) ++changed;
      },
      options.threads);
  if (changed == 0) return;
  throw InputError(Place{plan.base_file},
                   "expected what the plan was made from; models, hardware, engines, traces, "
                   "profiles or the simulator have changed since, for " +
                       std::to_string(changed) + " of " + std::to_string(points.size()) +
                       " points; make the plan again");
}

std::string plan_hash(const SweepPlan& plan) {
  return content_key(plan_json(plan, "").text());
}

std::string plan_text(const SweepPlan& plan) {
  return plan_json(plan, plan_hash(plan)).text() + '\n';
}

SweepPlan read_plan(const std::string& path) {
  const std::string text = whole_file(path);
  const Place place{path};
  JsonLine line;
  const JsonValue root = line.parse(text, Place{path, 1});
  if (root.at("format").string() != kFormat) root.fail("expected a sweep's plan");
  if (const JsonValue version = root.at("format_version");
      version.integer(0, 1000) != kFormatVersion) {
    version.fail("expected a plan of format version " + std::to_string(kFormatVersion));
  }
  const JsonValue version = root.at("simulator_version"), sources = root.at("simulator_sources");
  if (version.string() != simulator_version() || sources.string() != simulator_sources()) {
    version.fail("expected a plan of v4cap " + build_of(simulator_version(), simulator_sources()) +
                 ", this one is of " + build_of(version.string(), sources.string()));
  }
  SweepPlan plan;
  plan.name = root.at("name").string();
  plan.base_file = root.at("base_file").string();
  plan.base_text = root.at("base_text").string();
  for (const JsonValue option : root.at("set").array()) plan.set.emplace_back(option.string());
  for (const JsonValue axis : root.at("axes").array()) plan.axes.push_back(axis_of(axis, place));
  for (const JsonValue threshold : root.at("thresholds").array()) {
    plan.thresholds.emplace_back(std::string(threshold.string()), place);
  }
  plan.left_out = root.at("left_out").integer(0, INT64_MAX);
  for (const JsonValue point : root.at("points").array()) {
    plan.points.push_back(point_of(point, plan.axes));
  }
  if (const JsonValue hash = root.at("plan"); hash.string() != plan_hash(plan)) {
    hash.fail(
        "expected the hash of the plan's content; a plan is not to be changed, make a new one");
  }
  return plan;
}

bool is_plan(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  char first = 0;
  return file >> first && first == '{';
}

std::vector<std::string> paths_of_axes(const SweepPlan& plan) {
  std::vector<std::string> paths;
  for (const Axis& axis : plan.axes)
    paths.insert(paths.end(), axis.paths.begin(), axis.paths.end());
  return paths;
}

std::vector<std::string> values_of(const SweepPlan& plan, const PlannedPoint& point) {
  std::vector<std::string> values;
  for (std::size_t a = 0; a < plan.axes.size(); ++a) {
    for (const YamlNode& value : plan.axes[a].rows[point.rows[a]]) values.push_back(text_of(value));
  }
  return values;
}

}  // namespace v4cap
