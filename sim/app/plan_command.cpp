// `v4cap plan PLAN.yaml`: the most load that a deployment carries within the SLO, and of several
// deployments the cheapest that carries what is asked for, with what binds it, what would help, what
// it costs and how to launch it.
#include <CLI/CLI.hpp>
#include <cstdlib>
#include <optional>

#include "sim/app/command.h"
#include "sim/app/interrupt.h"
#include "sim/output/json_writer.h"
#include "sim/output/run_directory.h"
#include "sim/plan/deployment_search.h"
#include "sim/plan/plan_report.h"

namespace v4cap {

namespace {

class PlanCommand final : public Command {
 public:
  std::string summary() const override {
    return "find the cheapest deployment that keeps the SLO, and the most load that it carries";
  }

  void add_options(CLI::App& app) override {
    app.add_option("FILE", file_, "Plan file (YAML)")->required();
    app.add_option("--out", out_, "Directory for plan.json and the tables as CSV");
    app.add_flag("--overwrite", overwrite_, "Replace files of an earlier plan in it");
    app.add_option("--jobs", jobs_, "Threads (default: one per core)")
        ->check(CLI::Range(1U, 4096U));
  }

  ExitCode run(CommandContext& context) override {
    const GlobalOptions& o = context.options;
    const PlanFile file = read_plan_file(file_, o.set, o.seed, o.trace_dir);
    const PointOptions options{o.trace_dir, jobs_};
    if (o.dry_run) return dry_run(file, options, context);
    // Before the search: a directory that cannot be used is known at once.
    std::optional<RunDirectory> directory;
    if (!out_.empty()) directory.emplace(out_, overwrite_);
    PlanAnswer answer;
    try {
      answer = search(file, options, context);
    } catch (const Simulation::Interrupted&) {
      context.err << "interrupted: nothing is written\n";
      return ExitCode::interrupted;
    }
    if (directory) directory->write(plan_report_files(file, answer));
    if (o.json) {
      context.out << plan_report_json(file, answer);
    } else {
      context.out << plan_report_text(
          file, answer, text_style(context.out_is_terminal, o.no_color, std::getenv("NO_COLOR")));
    }
    if (directory && !o.quiet) context.err << "wrote " << directory->path() << "/plan.json\n";
    return answer.best ? ExitCode::done : ExitCode::failed;
  }

 private:
  static PlanAnswer search(const PlanFile& file, const PointOptions& options,
                           CommandContext& context) {
    const InterruptGuard guard;
    PlanHooks hooks;
    hooks.go_on = [] { return !InterruptGuard::interrupted(); };
    hooks.says = [&](const std::string& text) {
      if (!context.options.quiet) context.err << text << '\n' << std::flush;
    };
    return search_deployments(file, options, hooks);
  }

  // What there is to search, every deployment checked.
  static ExitCode dry_run(const PlanFile& file, const PointOptions& options,
                          CommandContext& context) {
    const SweepPlan plan = make_plan(file.sweep, options);
    const bool exact = plan.points.size() <= static_cast<std::size_t>(file.search.exact_up_to);
    if (context.options.json) {
      JsonWriter json;
      json.begin_object().member("plan", plan.name).member("deployments", plan.points.size());
      json.member("left_out", plan.left_out).member("seeds", file.seeds.size());
      json.member("exact", exact).end_object();
      context.out << json.text() << '\n';
      return ExitCode::done;
    }
    const auto counted = [](std::size_t count, const std::string& what) {
      return std::to_string(count) + ' ' + what + (count == 1 ? "" : "s");
    };
    context.out << plan.name << ": " << counted(plan.points.size(), "deployment") << ", "
                << counted(file.seeds.size(), "seed") << ", "
                << (exact ? "each at full length" : "by halving") << '\n';
    return ExitCode::done;
  }

  std::string file_, out_;
  bool overwrite_ = false;
  unsigned jobs_ = 0;
};

const bool registered = CommandRegistry::add(
    "plan", []() -> std::unique_ptr<Command> { return std::make_unique<PlanCommand>(); });

}  // namespace

}  // namespace v4cap
