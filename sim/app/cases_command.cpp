// v4cap cases FILE.csv: predicts published measurements and says how far off it is. What a table is
// about is told by its header.
#include <CLI/CLI.hpp>

#include <cstdlib>

#include "sim/app/capacity_cases.h"
#include "sim/app/capacity_table.h"
#include "sim/app/command.h"
#include "sim/app/serving_cases.h"
#include "sim/app/serving_table.h"
#include "sim/config/yaml_tree.h"

namespace v4cap {

namespace {

class CasesCommand final : public Command {
 public:
  std::string summary() const override {
    return "predict published measurements (CSV) and say how far off";
  }

  void add_options(CLI::App& app) override {
    app.add_option("FILE", file_, "table of published figures (CSV); scenarios/cases has examples")
        ->required();
    app.add_option("--explain", explain_, "of one row: where the time of its steps goes");
    app.add_option("--scenario", scenario_, "print one row as a scenario, and run nothing");
    app.add_option("--only", only_, "rows whose id contains this text");
    app.add_option("--threads", threads_, "rows at a time; 0 = as many as there are cores")
        ->check(CLI::Range(0, 1024));
  }

  ExitCode run(CommandContext& context) override {
    const CaseRows rows = read_case_rows(file_);
    const TextStyle style =
        text_style(context.out_is_terminal, context.options.no_color, std::getenv("NO_COLOR"));
    CaseReport report;
    if (!explain_.empty() && context.options.json) {
      throw InputError(Place{}, "--explain: expected it without --json, it is for people");
    }
    if (is_serving_table(rows)) {
      const ServingRequest request{explain_, scenario_, only_, context.options.set, threads_};
      if (!scenario_.empty()) {
        context.out << serving_scenario(rows, request);
        return ExitCode::done;
      }
      report = predict_serving(rows, request, style);
    } else if (is_capacity_table(rows)) {
      refuse_serving_options(context.options.set);
      report = predict_capacity(rows, style);
    } else {
      throw InputError(Place{file_, 1, 1},
                       "expected the header of a capacity table (id,engine,engine_version,...,"
                       "metric,value,...) or of a serving table (...,ttft_ms_mean,tpot_ms_mean,"
                       "...), got " +
                           shown(rows.header.front()) +
                           "; scenarios/cases/README.md describes both");
    }
    context.out << (context.options.json ? report.json + '\n' : report.text);
    return report.predicted ? ExitCode::done : ExitCode::failed;
  }

 private:
  // What nothing looks at would be a wrong answer.
  void refuse_serving_options(const std::vector<std::string>& set) const {
    for (const auto& [option, given] :
         {std::pair{"--explain", !explain_.empty()}, std::pair{"--scenario", !scenario_.empty()},
          std::pair{"--only", !only_.empty()}, std::pair{"--set", !set.empty()}}) {
      if (!given) continue;
      throw InputError(Place{file_}, std::string(option) +
                                         ": expected a table of serving runs with it, got one of "
                                         "capacities");
    }
  }

  std::string file_, explain_, scenario_, only_;
  unsigned threads_ = 0;
};

[[maybe_unused]] const bool registered = CommandRegistry::add(
    "cases", []() -> std::unique_ptr<Command> { return std::make_unique<CasesCommand>(); });

}  // namespace

}  // namespace v4cap
