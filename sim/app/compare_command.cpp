// `v4cap compare A B`: how far B, a simulated run, is from A, a measured one or another reference.
// Figures with signed errors as a table or as JSON, a picture with --out, thresholds with --limit.
#include <CLI/CLI.hpp>
#include <cstdlib>

#include "sim/app/command.h"
#include "sim/compare/comparison.h"
#include "sim/compare/comparison_chart.h"
#include "sim/compare/comparison_text.h"
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

  void add_options(CLI::App& app) override {
    app.add_option("A", a_,
                   "What was measured, or the reference: directory of a run, AIPerf's "
                   "profile_export.jsonl or profile_export_aiperf.json, result of vllm bench serve")
        ->required();
    app.add_option("B", b_, "What was simulated: any of the same")->required();
    app.add_option("--limit", limits_, limits_help())
        ->allow_extra_args(false)
        ->type_name("NAME=PERCENT");
    app.add_option("--limits", limit_set_, sets_help())->type_name("SET");
    app.add_option("--out", out_directory_,
                   "Write compare.json and compare.svg into this directory");
    app.add_flag("--overwrite", overwrite_, "Replace files of an earlier comparison in --out");
  }

  ExitCode run(CommandContext& context) override {
    const ErrorLimits limits = parse_limits(limit_set_, limits_);
    const Comparison comparison =
        compare_runs(read_measured_run(a_), read_measured_run(b_), {}, limits);
    if (context.options.dry_run) return ExitCode::done;
    const std::string json = comparison_json(comparison);
    write_files(json, comparison_chart(comparison), context);
    if (context.options.json) {
      context.out << json;
    } else {
      const TextStyle style =
          text_style(context.out_is_terminal, context.options.no_color, std::getenv("NO_COLOR"));
      context.out << comparison_text(comparison, style);
    }
    return comparison.exceeded.empty() ? ExitCode::done : ExitCode::failed;
  }

 private:
  void write_files(const std::string& json, const std::string& svg, CommandContext& context) const {
    if (out_directory_.empty()) return;
    RunDirectory directory(out_directory_, overwrite_);
    directory.write({{"compare.json", [&](const TextSink& sink) { sink(json); }},
                     {"compare.svg", [&](const TextSink& sink) { sink(svg); }}});
    if (!context.options.quiet) context.err << "wrote " << directory.path() << '\n';
  }

  std::string a_, b_, limit_set_, out_directory_;
  std::vector<std::string> limits_;
  bool overwrite_ = false;
};

const bool registered = CommandRegistry::add(
    "compare", []() -> std::unique_ptr<Command> { return std::make_unique<CompareCommand>(); });

}  // namespace

}  // namespace v4cap
