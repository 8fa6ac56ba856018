#include "sim/app/expectations.h"

#include <fmt/format.h>

#include <cmath>
#include <map>

#include "sim/output/humanise.h"
#include "sim/output/text_width.h"

namespace v4cap {

namespace {

constexpr std::size_t kColumns = 110;

// The scenario under one list of overrides, asked for capacity and run at most once each.
class Asked {
 public:
  Asked(std::vector<std::string> set, const ScenarioLoader& load, const ScenarioRun& run)
      : load_([set = std::move(set), &load](const std::vector<std::string>& more) {
          std::vector<std::string> all = set;
          all.insert(all.end(), more.begin(), more.end());
          return load(all);
        }),
        run_(run) {}

  double figure(const FigureName& name) {
    if (name.kind->needs_run()) {
      if (!run_) throw RunError("a figure of v4cap simulate");
      if (!result_) result_ = run_(load_({}));
      return name.kind->of_run(*result_, name);
    }
    if (!option_) option_.emplace(load_({}));
    return name.kind->of_capacity({*option_, load_, name});
  }

 private:
  ScenarioLoader load_;
  const ScenarioRun& run_;
  std::optional<CapacityOption> option_;
  std::optional<RunResult> result_;
};

std::string shown_value(double value) {
  if (std::abs(value) >= 1000)
    return grouped(value, std::abs(value) < 1e5 && value != std::floor(value) ? 1 : 0);
  return fmt::format("{:.4g}", value);
}

std::string shown_difference(const ExpectationResult& r) {
  if (!r.found) return "-";
  const double d = r.difference();
  switch (r.expected.within.unit) {
    case Tolerance::Unit::share:
      return r.expected.value == 0 ? shown_value(d)
                                   : fmt::format("{:+.2f} %", 100 * d / r.expected.value);
    case Tolerance::Unit::points:
      return fmt::format("{:+.1f} points", 100 * d);
    case Tolerance::Unit::absolute:
      return (d > 0 ? "+" : "") + shown_value(d);
  }
  return "";
}

std::string joined(const std::vector<std::string>& texts) {
  std::string out;
  for (const std::string& text : texts) out += (out.empty() ? "" : " ") + text;
  return out;
}

}  // namespace

bool ExpectationResult::within() const {
  return found && std::abs(difference()) <= expected.within.around(expected.value);
}

void check_expectations(const Scenario& scenario, const ScenarioLoader& load) {
  std::vector<Diagnostic> errors;
  for (const Expectation& e : scenario.expect) {
    try {
      parse_figure(e.figure);
      if (!e.set.empty()) load(e.set);
    } catch (const InputError& error) {
      for (const Diagnostic& d : error.diagnostics()) {
        const bool of_set = d.place.file.starts_with("--set ");
        errors.push_back(
            {e.place, "expect: " + (of_set ? d.place.file.substr(2) + ": " : "") + d.message});
      }
    }
  }
  if (!errors.empty()) throw InputError(std::move(errors));
}

Scenario load_checked_scenario(const std::string& path, const ScenarioOptions& options) {
  Scenario scenario = load_named_scenario(path, options);
  check_expectations(scenario, scenario_loader(path, options));
  return scenario;
}

std::vector<ExpectationResult> find_expected(const Scenario& scenario, const ScenarioLoader& load,
                                             const ScenarioRun& run) {
  std::map<std::vector<std::string>, Asked> asked;
  std::vector<ExpectationResult> results;
  for (const Expectation& e : scenario.expect) {
    ExpectationResult result{e, parse_figure(e.figure), {}, {}};
    Asked& one = asked.try_emplace(e.set, e.set, load, run).first->second;
    try {
      result.found = one.figure(result.figure);
    } catch (const RunError& error) {
      result.why_not = error.what();
    }
    results.push_back(std::move(result));
  }
  return results;
}

std::string expectations_text(const std::vector<ExpectationResult>& results,
                              const TextStyle& style) {
  if (results.empty()) return "";
  Table table({"expected figure", "expected", "found", "difference", "at most", "within"});
  std::string sources;
  for (std::size_t i = 0; i < results.size(); ++i) {
    const ExpectationResult& r = results[i];
    const std::string number = fmt::format("{:2} ", i + 1);
    const std::string unit = r.figure.kind->unit.empty() ? "" : ' ' + r.figure.kind->unit;
    table.row({number + r.expected.figure, shown_value(r.expected.value) + unit,
               r.found ? shown_value(*r.found) + unit : r.why_not, shown_difference(r),
               r.expected.within.text(),
               !r.found     ? "-"
               : r.within() ? "yes"
                            : "NO"});
    const std::string with = r.expected.set.empty() ? "" : "with " + joined(r.expected.set) + ": ";
    sources += number + wrapped(printable(with + r.expected.source), kColumns) + '\n';
  }
  return '\n' + table.text(style) + style.dim(sources);
}

void write_expectations(JsonWriter& json, const std::vector<ExpectationResult>& results) {
  if (results.empty()) return;
  json.key("expectations").begin_array();
  for (const ExpectationResult& r : results) {
    json.begin_object().member("figure", r.expected.figure).member("unit", r.figure.kind->unit);
    json.key("set").begin_array();
    for (const std::string& text : r.expected.set) json.value(text);
    json.end_array();
    json.member("expected", r.expected.value).member("within", r.expected.within.text());
    json.member("found", r.found);
    if (r.found) {
      json.member("difference", r.difference()).member("ok", r.within());
    } else {
      json.member("difference", nullptr).member("ok", nullptr).member("reason", r.why_not);
    }
    json.member("source", r.expected.source).end_object();
  }
  json.end_array();
}

}  // namespace v4cap
