#include "sim/compare/comparison_text.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "sim/output/humanise.h"
#include "sim/output/json_writer.h"
#include "sim/output/text_width.h"
#include "sim/output/version.h"

namespace v4cap {

namespace {

std::string value_text(const ComparedFigure& figure, std::optional<double> value) {
  if (!value) return "-";
  const double shown = figure.is_rate ? 100 * *value : *value;
  const bool counted = figure.unit.empty() || figure.unit == "tokens";
  return grouped(shown,
                 counted && shown == std::trunc(shown) ? 0 : std::max(1, decimals_for(shown)));
}

std::string signed_text(double error, const char* unit) {
  const int decimals = std::abs(error) < 100 ? 2 : 0;
  std::string digits = grouped(error, decimals);
  if (error > 0 && digits.find_first_not_of("0.") != std::string::npos) digits.insert(0, 1, '+');
  return digits + ' ' + unit;
}

const char* unit_of_error(const ComparedFigure& figure) {
  return figure.is_rate ? "points" : "%";
}

std::string limit_text(const ErrorLimit& limit) {
  if (!limit.limit) return "";
  const std::string within = fmt::format("{:g}", *limit.limit);
  switch (limit.state) {
    case LimitState::held:
      return within + " held";
    case LimitState::exceeded:
      return within + " EXCEEDED";
    case LimitState::unknown:
      return within + " NOT KNOWN";
    case LimitState::none:
      break;
  }
  return "";
}

// Kinds of memory that neither run has are not worth a line.
bool is_worth_a_line(const FigureError& row) {
  if (row.limit.state != LimitState::none && row.limit.state != LimitState::held) return true;
  const bool nothing = row.a.value_or(0) == 0 && row.b.value_or(0) == 0;
  return (row.a || row.b) && !(nothing && row.figure->name.starts_with("kv_peak_"));
}

std::vector<std::string> with_limit(std::vector<std::string> cells, bool limits,
                                    const std::string& limit) {
  if (limits) cells.push_back(limit);
  return cells;
}

std::string figures_table(const Comparison& c, bool limits, const TextStyle& style) {
  Table table(with_limit({"", "A", "B", "error of B"}, limits, "limit"));
  std::string group;
  for (const FigureError& row : c.figures) {
    if (!is_worth_a_line(row)) continue;
    if (row.figure->group != group) table.group(group = row.figure->group);
    const std::string error =
        row.error ? signed_text(*row.error, unit_of_error(*row.figure)) : row.why;
    table.row(with_limit(
        {row.figure->label, value_text(*row.figure, row.a), value_text(*row.figure, row.b), error},
        limits, limit_text(row.limit)));
  }
  return table.text(style);
}

std::string paired_table(const Comparison& c, bool limits, const TextStyle& style) {
  Table table(with_limit({"Single requests, %", "pairs", "median", "median |error|", "p90 |error|",
                          "worst", "of request"},
                         limits, "limit"));
  for (const PairedError& row : c.paired) {
    const auto size = [&](double pct) { return row.count > 0 ? grouped(pct, 2) : "-"; };
    table.row(with_limit({std::string(label_of(row.latency)), grouped(row.count),
                          size(row.median_signed_pct), size(row.median_pct), size(row.p90_pct),
                          size(row.worst_pct), row.count > 0 ? row.worst_id : "-"},
                         limits, limit_text(row.limit)));
  }
  return table.text(style);
}

std::string side_text(const char* side, const MeasuredRun& run) {
  std::string text = fmt::format("{}  {} ({})", side, printable(run.path), run.format);
  for (const std::string& note : run.notes) text += "; " + printable(note);
  return text + '\n';
}

void write_limit(JsonWriter& json, const ErrorLimit& limit) {
  if (!limit.limit) return;
  const bool held = limit.state == LimitState::held;
  json.member("limit", *limit.limit);
  json.member("state", held                                  ? "held"
                       : limit.state == LimitState::exceeded ? "exceeded"
                                                             : "unknown");
}

void write_side(JsonWriter& json, const char* side, const MeasuredRun& run) {
  json.key(side).begin_object().member("path", run.path).member("format", run.format);
  json.key("notes").begin_array();
  for (const std::string& note : run.notes) json.value(note);
  json.end_array().end_object();
}

void write_figures(JsonWriter& json, const Comparison& c) {
  json.key("figures").begin_object();
  for (const FigureError& row : c.figures) {
    json.key(row.figure->name).begin_object().member("unit", row.figure->unit);
    json.member("a", row.a).member("b", row.b).member("error", row.error);
    json.member("error_unit", unit_of_error(*row.figure));
    json.key("why");
    if (row.why.empty()) {
      json.value(nullptr);
    } else {
      json.value(row.why);
    }
    write_limit(json, row.limit);
    json.end_object();
  }
  json.end_object();
}

void write_paired(JsonWriter& json, const Comparison& c) {
  json.key("paired").begin_object();
  for (const PairedError& row : c.paired) {
    const auto if_any = [&](double value) {
      return row.count > 0 ? std::optional<double>{value} : std::nullopt;
    };
    json.key(row.name).begin_object().member("requests", row.count);
    json.member("median_error_pct", if_any(row.median_signed_pct));
    json.member("median_abs_error_pct", if_any(row.median_pct));
    json.member("p90_abs_error_pct", if_any(row.p90_pct));
    json.member("worst_abs_error_pct", if_any(row.worst_pct));
    json.member("worst_request", row.worst_id);
    write_limit(json, row.limit);
    json.end_object();
  }
  json.end_object();
}

void write_errors(JsonWriter& json, const StepErrors& row) {
  const auto if_any = [&](double pct) {
    return row.steps > 0 ? std::optional<double>{pct} : std::nullopt;
  };
  json.begin_object().member("name", row.name).member("steps", row.steps);
  json.member("total_error_pct", if_any(row.total_pct));
  json.member("median_error_pct", if_any(row.median_signed_pct));
  json.member("median_abs_error_pct", if_any(row.median_pct));
  json.member("p90_abs_error_pct", if_any(row.p90_pct));
  json.member("worst_abs_error_pct", if_any(row.worst_pct)).end_object();
}

void write_steps(JsonWriter& json, const StepComparison* steps,
                 const std::vector<StepLimit>& limits) {
  json.key("steps");
  if (steps == nullptr) {
    json.value(nullptr);
  } else {
    json.begin_object().member("how", steps->how);
    write_errors(json.key("all"), steps->all);
    const auto rows = [&](const char* name, const std::vector<StepErrors>& group) {
      json.key(name).begin_array();
      for (const StepErrors& row : group) write_errors(json, row);
      json.end_array();
    };
    rows("by_kind", steps->by_kind);
    rows("by_batch", steps->by_batch);
    rows("by_context", steps->by_context);
    json.end_object();
  }
  json.key("step_limits").begin_object();
  for (const StepLimit& step : limits) {
    json.key(step.name).begin_object().member("error_pct", step.error);
    write_limit(json, step.limit);
    json.end_object();
  }
  json.end_object();
}

void write_exceeded(JsonWriter& json, const std::vector<std::string>& names) {
  json.key("exceeded").begin_array();
  for (const std::string& name : names) json.value(name);
  json.end_array();
}

}  // namespace

std::string steps_text(const StepComparison& steps, const std::vector<StepLimit>& limits,
                       const TextStyle& style) {
  Table table({"Step times, error of B in %", "steps", "of the sum", "median", "median |error|",
               "p90 |error|", "worst"});
  const auto add = [&](const StepErrors& row) {
    const auto shown = [&](double pct) { return row.steps > 0 ? grouped(pct, 2) : "-"; };
    table.row({row.name, grouped(row.steps), shown(row.total_pct), shown(row.median_signed_pct),
               shown(row.median_pct), shown(row.p90_pct), shown(row.worst_pct)});
  };
  const auto group = [&](const char* title, const std::vector<StepErrors>& rows) {
    if (rows.empty()) return;
    table.group(title);
    for (const StepErrors& row : rows) add(row);
  };
  add(steps.all);
  group("by kind", steps.by_kind);
  group("by sequences in the step", steps.by_batch);
  group("by mean context, tokens", steps.by_context);
  std::string text = table.text(style) + printable(steps.how) + '\n';
  for (const StepLimit& step : limits) {
    const std::string error = step.error ? signed_text(*step.error, "%") : "-";
    text += fmt::format("{}: {}, limit {}\n", step.name, error, limit_text(step.limit));
  }
  return text;
}

std::string steps_json(const std::string& path, const StepComparison& steps,
                       const std::vector<StepLimit>& limits) {
  JsonWriter json{2};
  json.begin_object().member("definitions_version", kDefinitionsVersion);
  json.key("a").begin_object().member("path", path).end_object();
  write_steps(json, &steps, limits);
  std::vector<std::string> exceeded;
  for (const StepLimit& step : limits) {
    if (step.limit.state != LimitState::held) exceeded.push_back(step.name);
  }
  write_exceeded(json, exceeded);
  json.end_object();
  return json.text() + '\n';
}

std::string comparison_text(const Comparison& c, const TextStyle& style) {
  const auto has_limit = [](const auto& row) { return row.limit.limit.has_value(); };
  const bool on_figures = std::ranges::any_of(c.figures, has_limit);
  const bool on_paired = std::ranges::any_of(c.paired, has_limit);
  std::string text = side_text("A", c.a) + side_text("B", c.b) + c.pairing + "\n\n";
  text += figures_table(c, on_figures, style);
  if (!c.paired.empty()) text += '\n' + paired_table(c, on_paired, style);
  if (c.steps) text += '\n' + steps_text(*c.steps, c.step_limits, style);
  if (on_figures || on_paired || !c.step_limits.empty()) {
    text += c.exceeded.empty() ? "\nEvery limit is held.\n"
                               : fmt::format("\n{} not held: {}\n",
                                             c.exceeded.size() == 1
                                                 ? "One limit is"
                                                 : fmt::format("{} limits are", c.exceeded.size()),
                                             fmt::join(c.exceeded, ", "));
  }
  return text;
}

std::string comparison_json(const Comparison& c) {
  JsonWriter json{2};
  json.begin_object().member("definitions_version", kDefinitionsVersion);
  write_side(json, "a", c.a);
  write_side(json, "b", c.b);
  json.key("pairing").begin_object().member("text", c.pairing);
  json.member("requests", c.paired_requests).member("only_in_a", c.only_in_a);
  json.member("only_in_b", c.only_in_b).end_object();
  write_figures(json, c);
  write_paired(json, c);
  write_steps(json, c.steps ? &*c.steps : nullptr, c.step_limits);
  write_exceeded(json, c.exceeded);
  json.end_object();
  return json.text() + '\n';
}

}  // namespace v4cap
