#include "sim/sweep/export.h"

#include <algorithm>

#include "sim/config/tiers_section.h"
#include "sim/config/value.h"
#include "sim/sweep/figures.h"
#include "sim/sweep/sweep_file.h"

namespace v4cap {

namespace {

// A field of a CSV file. A spreadsheet would run what begins like a formula, so that such texts
// begin with an apostrophe; numbers may begin with a minus.
std::string csv_field(const std::string& text) {
  std::string hint, out = text;
  const bool formula =
      !text.empty() && std::string_view("=+-@\t\r").find(text[0]) != std::string::npos;
  if (formula && !parse_value<double>(text, hint)) out.insert(out.begin(), '\'');
  if (out.find_first_of(",\"\r\n") == std::string::npos) return out;
  std::string quoted = "\"";
  for (const char c : out) {
    quoted += c;
    if (c == '"') quoted += c;
  }
  return quoted + '"';
}

}  // namespace

std::string csv_line(const std::vector<std::string>& fields) {
  std::string line;
  for (const std::string& field : fields) line += csv_field(field) + ',';
  line.back() = '\n';
  return line;
}

namespace {

std::vector<std::string> header(const SweepPlan& plan) {
  std::vector<std::string> fields = {"position", "key"};
  std::ranges::copy(paths_of_axes(plan), std::back_inserter(fields));
  fields.insert(fields.end(), {"status", "reason", "met"});
  std::ranges::copy(figure_columns(plan), std::back_inserter(fields));
  return fields;
}

std::string csv_row(const SweepPlan& plan, std::size_t position, const PointResult& result,
                    const std::vector<std::string>& columns) {
  std::vector<std::string> fields = {std::to_string(position), result.key};
  std::ranges::copy(values_of(plan, plan.points[position]), std::back_inserter(fields));
  fields.push_back(result.feasible ? "done" : "infeasible");
  fields.push_back(result.feasible ? "" : result.document);
  const std::optional<bool> met = meets(plan, result);
  fields.push_back(!met ? "" : *met ? "true" : "false");
  const Figures figures = result.feasible ? figures_of(result.document) : Figures{};
  // Both are in the order of a summary.
  auto next = figures.begin();
  for (const std::string& column : columns) {
    const auto found = std::find_if(next, figures.end(),
                                    [&](const auto& figure) { return figure.first == column; });
    fields.push_back(found == figures.end() ? "" : found->second);
    if (found != figures.end()) next = found;  // else this point has none of it
  }
  return csv_line(fields);
}

}  // namespace

namespace {

// What not every run has and some point may: tiers below GPU memory, several replicas.
FiguresOf figures_of_points(const SweepPlan& plan) {
  const YamlNode base = base_tree(plan.base_text, plan.base_file, plan.set);
  const YamlNode* cache = base.find("kv_cache");
  const YamlNode* tiers = cache == nullptr ? nullptr : cache->find("tiers");
  const std::vector<std::string> axes = paths_of_axes(plan);
  FiguresOf out;
  const auto may_have = [&](const std::string& section) {
    return base.find(section) != nullptr || std::ranges::any_of(axes, [&](const std::string& axis) {
             return axis == section || axis.starts_with(section + '.');
           });
  };
  out.transfer = may_have("prefill");
  out.replicas = out.transfer || may_have("cluster");
  for (const std::string& tier : tier_names()) {
    const std::string path = "kv_cache.tiers." + tier + ".";
    const bool there = tiers != nullptr && tiers->find(tier) != nullptr;
    if (there || std::ranges::any_of(
                     axes, [&](const std::string& axis) { return axis.starts_with(path); })) {
      out.tiers.push_back(tier);
    }
  }
  return out;
}

}  // namespace

std::vector<std::string> figure_columns(const SweepPlan& plan) {
  const std::vector<std::string> axes = paths_of_axes(plan);
  std::vector<std::string> columns;
  for (const std::string& name : figure_names(figures_of_points(plan))) {
    if (std::ranges::find(axes, name) == axes.end()) columns.push_back(name);
  }
  return columns;
}

void write_typed(JsonWriter& json, const std::string& text) {
  std::string hint;
  if (text == "null") {
    json.value(nullptr);
  } else if (const auto truth = parse_value<bool>(text, hint)) {
    json.value(*truth);
  } else if (const auto whole = parse_value<std::int64_t>(text, hint)) {
    json.value(*whole);
  } else if (const auto number = parse_value<double>(text, hint)) {
    json.value(*number);
  } else {
    json.value(text);
  }
}

std::optional<bool> meets(const SweepPlan& plan, const PointResult& result) {
  if (plan.thresholds.empty()) return std::nullopt;
  if (!result.feasible) return false;
  const Figures figures = figures_of(result.document);
  const auto lookup = [&](const std::string& name) -> std::optional<std::string> {
    const auto it = std::ranges::find(figures, name, &Figures::value_type::first);
    return it == figures.end() ? std::nullopt : std::optional(it->second);
  };
  return std::ranges::all_of(plan.thresholds, [&](const Condition& threshold) {
    const auto there = [&](const std::string& name) { return !lookup(name).value_or("").empty(); };
    return std::ranges::all_of(threshold.left_names(), there) && threshold.holds(lookup);
  });
}

std::string row_json(const SweepPlan& plan, std::size_t position, const PointResult& result) {
  JsonWriter json;
  json.begin_object().member("position", position).key("values").begin_object();
  const std::vector<std::string> paths = paths_of_axes(plan);
  const std::vector<std::string> values = values_of(plan, plan.points[position]);
  for (std::size_t j = 0; j < paths.size(); ++j) write_typed(json.key(paths[j]), values[j]);
  json.end_object().member("met", meets(plan, result)).end_object();
  // The members of the result follow, as they were written.
  std::string text = json.text();
  text.back() = ',';
  return text + result_line(result).substr(1);
}

std::vector<RunFile> export_files(const SweepPlan& plan, const FindResult& find) {
  const auto csv = [&plan, find](const TextSink& sink) {
    sink(csv_line(header(plan)));
    const std::vector<std::string> columns = figure_columns(plan);
    for (std::size_t i = 0; i < plan.points.size(); ++i) {
      sink(csv_row(plan, i, find(plan.points[i].key), columns));
    }
  };
  const auto jsonl = [&plan, find](const TextSink& sink) {
    for (std::size_t i = 0; i < plan.points.size(); ++i) {
      sink(row_json(plan, i, find(plan.points[i].key)) + '\n');
    }
  };
  return {{kCsvFile, csv}, {kJsonlFile, jsonl}};
}

}  // namespace v4cap
