// `v4cap compare A B`: how far B, a simulated run, is from A, a measured one or another reference.
// Figures with signed errors as a table or as JSON, a picture with --out, thresholds with --limit.
// Where A has a log of its steps, the time of each is compared too: with B's log where B made the
// same steps, else with the cost model of --scenario or of B's own scenario. `compare A --scenario`
// does only that.
#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdlib>
#include <filesystem>

#include "sim/app/command.h"
#include "sim/app/expectations.h"
#include "sim/app/recorded_run.h"
#include "sim/app/scenario_options.h"
#include "sim/cluster/run_scenario.h"
#include "sim/compare/comparison.h"
#include "sim/compare/comparison_chart.h"
#include "sim/compare/comparison_text.h"
#include "sim/compare/step_times.h"
#include "sim/output/run_directory.h"
#include "sim/output/table.h"

namespace v4cap {

namespace {

std::string limits_help() {
  std::string text =
      "NAME=PERCENT: exit with 1 unless |error| is at most that (points for hit_rate); "
      "may be repeated. Names, each also for those that go on after it with _:";
  for (const std::string& name : limit_names()) text += ' ' + name;
  return text;
}

std::string sets_help() {
  std::string text = "A set of limits by name, before those of --limit:";
  for (const LimitSet& set : limit_sets()) {
    text += ' ' + set.name + " (";
    for (const std::string& limit : set.limits) text += (text.back() == '(' ? "" : " ") + limit;
    text += ')';
  }
  return text;
}

class CompareCommand final : public Command {
 public:
  std::string summary() const override {
    return "how far one run is from another: a simulated from a measured one";
  }

  std::vector<std::string> values(std::string_view option) const override {
    if (option == "--limit") return limit_names();
    std::vector<std::string> sets;
    if (option == "--limits") {
      for (const LimitSet& set : limit_sets()) sets.push_back(set.name);
    }
    return sets;
  }

  void add_options(CLI::App& app) override {
    app.add_option(
           "A", a_,
           "What was measured, or the reference: directory of a run, AIPerf's "
           "profile_export.jsonl or profile_export_aiperf.json, result of vllm bench serve or "
           "of SGLang's bench_serving, row of InferenceX")
        ->required();
    app.add_option("B", b_, "What was simulated: any of the same");
    app.add_option("--scenario", scenario_file_,
                   "Scenario whose cost model times the steps that A has logged; without B nothing "
                   "else is compared");
    app.add_option("--limit", limits_, limits_help())
        ->allow_extra_args(false)
        ->type_name("NAME=PERCENT");
    app.add_option("--limits", limit_set_, sets_help())->type_name("SET");
    app.add_option("--out", out_directory_,
                   "Write compare.json, compare.svg and, of logged steps, compare_steps.csv into "
                   "this directory");
    app.add_flag("--overwrite", overwrite_, "Replace files of an earlier comparison in --out");
  }

  ExitCode run(CommandContext& context) override {
    const ErrorLimits limits = parse_limits(limit_set_, limits_);
    if (b_.empty()) return run_steps(limits, context);
    MeasuredRun a = read_measured_run(a_), b = read_measured_run(b_);
    const Comparison comparison = compare_runs(std::move(a), std::move(b), steps(context), limits);
    if (context.options.dry_run) return ExitCode::done;
    const std::string json = comparison_json(comparison);
    write_files(json, comparison_chart(comparison), comparison.steps, context);
    print(json, comparison_text(comparison, style(context)), context);
    return comparison.exceeded.empty() ? ExitCode::done : ExitCode::failed;
  }

 private:
  ExitCode run_steps(const ErrorLimits& limits, CommandContext& context) const {
    if (scenario_file_.empty()) {
      throw InputError(Place{"v4cap compare"}, "expected a second run B, or --scenario FILE");
    }
    for (const auto& [name, limit] : limits) {
      if (name.starts_with("step_")) continue;
      throw InputError(Place{"--limit"}, "'" + name + "' is known only with a second run B");
    }
    const StepComparison compared = *steps(context);
    const std::vector<StepLimit> judged = judge_steps(&compared, limits);
    if (context.options.dry_run) return ExitCode::done;
    const std::string json = steps_json(a_, compared, judged);
    write_files(json, steps_chart(a_, compared), compared, context);
    print(json, steps_text(compared, judged, style(context)), context);
    const bool held = std::ranges::all_of(
        judged, [](const StepLimit& step) { return step.limit.state == LimitState::held; });
    return held ? ExitCode::done : ExitCode::failed;
  }

  // Empty when nothing says how long B's steps take, or A has no log of its own.
  std::optional<StepComparison> steps(const CommandContext& context) const {
    std::string scenario_file = scenario_file_;
    if (!has_step_log(a_)) {
      if (scenario_file.empty()) return std::nullopt;
      throw InputError(Place{a_},
                       "expected the directory of a run with a log of its steps "
                       "(steps.csv) for --scenario, found none");
    }
    if (scenario_file.empty()) {
      if (has_step_log(b_)) {
        if (auto equal = compare_equal_steps(a_, b_)) return equal;
      }
      scenario_file = b_ + "/scenario.resolved.yaml";
      if (!std::filesystem::exists(scenario_file)) return std::nullopt;
    }
    const Scenario scenario =
        load_checked_scenario(scenario_file, scenario_options(context.options));
    const std::string other = other_than_recorded(a_, identify(scenario), std::nullopt);
    if (!other.empty()) context.err << scenario_file << other << '\n';
    return compare_steps(a_, *make_cost(scenario).model, scenario_file);
  }

  static TextStyle style(const CommandContext& context) {
    return text_style(context.out_is_terminal, context.options.no_color, std::getenv("NO_COLOR"));
  }

  static void print(const std::string& json, const std::string& text, CommandContext& context) {
    context.out << (context.options.json ? json : text);
  }

  void write_files(const std::string& json, const std::string& svg,
                   const std::optional<StepComparison>& steps, CommandContext& context) const {
    if (out_directory_.empty()) return;
    RunDirectory directory(out_directory_, overwrite_);
    // Without steps the file has its header alone: none of an earlier comparison stays.
    directory.write(
        {{"compare.json", [&](const TextSink& sink) { sink(json); }},
         {"compare.svg", [&](const TextSink& sink) { sink(svg); }},
         {"compare_steps.csv", [&](const TextSink& sink) { write_step_pairs(steps, sink); }}});
    if (!context.options.quiet) context.err << "wrote " << directory.path() << '\n';
  }

  std::string a_, b_, scenario_file_, limit_set_, out_directory_;
  std::vector<std::string> limits_;
  bool overwrite_ = false;
};

const bool registered = CommandRegistry::add(
    "compare", []() -> std::unique_ptr<Command> { return std::make_unique<CompareCommand>(); });

}  // namespace

}  // namespace v4cap
