// `v4cap plan PLAN.yaml...`: the most load that a deployment carries within the SLO, and of several
// deployments the cheapest that carries what is asked for, with what binds it, what would help, what
// it costs and how to launch it. Of several plans also what each one's answer costs under the
// traffic of the others.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdlib>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "sim/app/command.h"
#include "sim/app/interrupt.h"
#include "sim/output/humanise.h"
#include "sim/output/json_writer.h"
#include "sim/output/run_directory.h"
#include "sim/plan/plan_estimate.h"
#include "sim/plan/plan_report.h"

namespace v4cap {

namespace {

class PlanCommand final : public Command {
 public:
  std::string summary() const override {
    return "find the cheapest deployment that keeps the SLO, and the most load that it carries";
  }

  void add_options(CLI::App& app) override {
    app.add_option("FILE", paths_,
                   "Plan files (YAML); of several, the profile of each is tried under the traffic "
                   "of the others")
        ->required();
    app.add_option("--out", out_, "Directory for plan.json and the tables as CSV");
    app.add_flag("--overwrite", overwrite_, "Replace files of an earlier plan in it");
    app.add_option("--jobs", jobs_, "Threads (default: one per core)")
        ->check(CLI::Range(1U, 4096U));
  }

  ExitCode run(CommandContext& context) override {
    const GlobalOptions& o = context.options;
    std::vector<PlanFile> files;
    for (const std::string& path : paths_) {
      files.push_back(read_plan_file(path, o.set, o.seed, o.trace_dir));
    }
    check_crossing(files);
    const PointOptions options{o.trace_dir, jobs_};
    if (o.dry_run) return dry_run(files, options, context);
    // Before the search: a directory that cannot be used is known at once.
    std::unique_ptr<RunDirectory> directory;
    if (!out_.empty()) directory = std::make_unique<RunDirectory>(out_, overwrite_);
    try {
      return files.size() == 1 ? one(files.front(), options, directory.get(), context)
                               : several(std::move(files), options, directory.get(), context);
    } catch (const Simulation::Interrupted&) {
      throw InterruptedCommand("nothing is written");
    }
  }

 private:
  // Progress is told under `name`, which is empty for a single plan.
  static PlanHooks hooks_for(const std::string& name, CommandContext& context) {
    PlanHooks hooks;
    hooks.go_on = [] { return !InterruptGuard::interrupted(); };
    hooks.says = [&context, name](const std::string& text) {
      if (context.options.quiet) return;
      context.err << name << (name.empty() ? "" : ": ") << text << '\n' << std::flush;
    };
    return hooks;
  }

  static TextStyle style_of(const CommandContext& context) {
    return text_style(context.out_is_terminal, context.options.no_color, std::getenv("NO_COLOR"));
  }

  static ExitCode one(const PlanFile& file, const PointOptions& options, RunDirectory* directory,
                      CommandContext& context) {
    const InterruptGuard guard;
    const PlanAnswer answer = search_deployments(file, options, hooks_for("", context));
    if (directory != nullptr) {
      directory->write(plan_report_files(file, answer));
      say_written(*directory, kPlanAnswerFile, context);
    }
    context.out << (context.options.json ? plan_report_json(file, answer)
                                         : plan_report_text(file, answer, style_of(context)));
    return answer.best ? ExitCode::done : ExitCode::failed;
  }

  ExitCode several(std::vector<PlanFile> files, const PointOptions& options,
                   RunDirectory* directory, CommandContext& context) const {
    const InterruptGuard guard;
    std::vector<AnsweredPlan> plans;
    for (PlanFile& file : files) {
      const PlanHooks hooks = hooks_for(file.sweep.name, context);
      PlanAnswer answer = search_deployments(file, options, hooks);
      plans.push_back({std::move(file), std::move(answer)});
    }
    const CrossPlan cross = cross_plans(plans, options, hooks_for("", context));
    if (directory != nullptr) {
      for (const AnsweredPlan& plan : plans) {
        RunDirectory folder(out_ + '/' + plan.file.sweep.name, overwrite_);
        folder.write(plan_report_files(plan.file, plan.answer));
      }
      directory->write(plans_report_files(plans, cross));
      say_written(*directory, kPlansAnswerFile, context);
    }
    context.out << (context.options.json ? plans_report_json(plans, cross)
                                         : plans_report_text(plans, cross, style_of(context)));
    const bool all =
        std::ranges::all_of(plans, [](const AnsweredPlan& p) { return p.answer.best.has_value(); });
    return all ? ExitCode::done : ExitCode::failed;
  }

  static void say_written(const RunDirectory& directory, const std::string& file,
                          CommandContext& context) {
    if (!context.options.quiet) {
      context.err << "wrote " << directory.path() << '/' << file << '\n';
    }
  }

  // What there is to search, every deployment checked, and how long it may take.
  static ExitCode dry_run(const std::vector<PlanFile>& files, const PointOptions& options,
                          CommandContext& context) {
    JsonWriter json;
    if (files.size() > 1) json.begin_array();
    for (const PlanFile& file : files) {
      const SweepPlan plan = make_plan(file.sweep, options);
      const PlanEstimate e = estimate_plan(file, plan, options, files.size());
      const bool exact = plan.points.size() <= static_cast<std::size_t>(file.search.exact_up_to);
      if (context.options.json) {
        json.begin_object().member("plan", plan.name).member("deployments", plan.points.size());
        json.member("left_out", plan.left_out).member("seeds", file.seeds.size());
        json.member("exact", exact).member("sampled", e.sampled);
        json.member("estimated_runs", e.runs).member("estimated_run_s", e.run_s);
        json.member("estimated_wall_s", e.wall_s).end_object();
        continue;
      }
      const auto counted = [](std::size_t count, const std::string& what) {
        return std::to_string(count) + ' ' + what + (count == 1 ? "" : "s");
      };
      context.out << plan.name << ": " << counted(plan.points.size(), "deployment") << ", "
                  << counted(file.seeds.size(), "seed") << ", "
                  << (exact ? "each at full length" : "by halving") << '\n';
      context.out << fmt::format("about {} for {} runs, from {} that were begun ({} each)\n",
                                 human(duration_from_seconds(e.wall_s)), grouped(e.runs), e.sampled,
                                 human(duration_from_seconds(e.run_s)));
    }
    if (files.size() > 1) json.end_array();
    if (context.options.json) context.out << json.text() << '\n';
    return ExitCode::done;
  }

  std::vector<std::string> paths_;
  std::string out_;
  bool overwrite_ = false;
  unsigned jobs_ = 0;
};

const bool registered = CommandRegistry::add(
    "plan", []() -> std::unique_ptr<Command> { return std::make_unique<PlanCommand>(); });

}  // namespace

}  // namespace v4cap
