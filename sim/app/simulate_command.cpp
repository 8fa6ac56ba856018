// `v4cap simulate SCENARIO`: one run, or with --compare one run for each of several SWA policies on
// the same workload. Verdict first, then a table; --json prints one document, --out DIR writes the
// run's files. With --steps the times of its steps are those of a run that was performed (v4exec
// replay), whose decisions it must then make again.
#include <CLI/CLI.hpp>
#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <optional>
#include <set>
#include <thread>

#include "sim/app/command.h"
#include "sim/app/expectations.h"
#include "sim/app/interrupt.h"
#include "sim/app/margin.h"
#include "sim/app/recorded_run.h"
#include "sim/app/run_report.h"
#include "sim/app/scenario_options.h"
#include "sim/cache/swa_policy.h"
#include "sim/cluster/run_log.h"
#include "sim/cluster/run_scenario.h"
#include "sim/config/scenario_file.h"
#include "sim/cost/recorded_cost.h"
#include "sim/output/aiperf.h"
#include "sim/output/export_format.h"
#include "sim/output/progress.h"
#include "sim/output/run_directory.h"
#include "sim/output/run_summary.h"
#include "sim/output/summary_json.h"
#include "sim/output/terminal.h"

namespace v4cap {

namespace {

constexpr const char* kMarginFile = "margin.json";
constexpr const char* kSummaryFile = "summary.json";  // what every folder of a run has

// What a policy computes again and what must be known of it, a line each.
std::string policy_words(const std::vector<FinishedRun>& runs) {
  std::string out = "Computed again when a hit finds no window where it needs one:\n";
  for (const FinishedRun& run : runs) {
    out += "  " + run.scenario.kv_cache.swa_policy + ": " + run.fallback;
    out += (run.caveat.empty() ? "" : "; " + run.caveat) + '\n';
  }
  return out;
}

std::string exports_help() {
  std::string text = "Write the result in the form of other tools, too (AIPerf's is always there):";
  for (const std::string& name : ExportFormats::names()) {
    text += ' ' + name + " (" + std::string(ExportFormats::find(name)->file) + ')';
  }
  return text;
}

class SimulateCommand final : public Command {
 public:
  std::string summary() const override {
    return "simulate a scenario: what its traffic costs on its hardware under its cache policy";
  }

  void add_options(CLI::App& app) override {
    app.add_option("SCENARIO", scenario_file_, "Scenario file (YAML)")->required();
    app.add_option("--compare", policies_,
                   "Run once per SWA policy, e.g. --compare full checkpoint=2048 recompute")
        ->expected(1, 64);
    app.add_option("--out", out_directory_,
                   "Write records, summary and time line into this directory");
    app.add_option("--export", exports_, exports_help())
        ->delimiter(',')
        ->expected(1, 64)
        ->type_name("FORMAT,...");
    app.add_option(
        "--steps", steps_directory_,
        "Take the times of steps from this directory of a replay, and make its decisions");
    app.add_option("--margin", margin_percent_,
                   "Also with all steps up to so many percent shorter and longer: how far figures "
                   "move")
        ->check(CLI::Range(0.001, kMostMarginPercent));
    app.add_flag("--overwrite", overwrite_, "Replace files of an earlier run in --out");
    app.add_option("--threads", threads_,
                   "Threads for replicas of a cluster (default: one per core); no result depends "
                   "on it")
        ->check(CLI::Range(1U, 4096U));
  }

  std::vector<std::string> values(std::string_view option) const override {
    if (option == "--export") return ExportFormats::names();
    return option == "--compare" ? PolicyRegistry::names() : std::vector<std::string>{};
  }

  ExitCode run(CommandContext& context) override {
    check_exports();
    std::vector<Scenario> scenarios = load_scenarios(context);
    if (margin_percent_ && (!policies_.empty() || !steps_directory_.empty())) {
      throw InputError(Place{"--margin"}, "expected one run, without --compare and --steps");
    }
    if (!steps_directory_.empty()) return run_recorded(std::move(scenarios.front()), context);
    if (context.options.dry_run) return dry_run(scenarios, context);

    // Before the run, so that a directory that cannot be used costs no waiting.
    const auto directories = open_directories(scenarios);
    check_expected_runs(scenarios.front(), context);
    std::vector<FinishedRun> runs;
    std::vector<ExpectationResult> expectations;
    std::optional<Margin> margin;
    try {
      runs = simulate(std::move(scenarios), directories, margin, context);
      expectations = expected_of(runs, context);
    } catch (const Simulation::Interrupted&) {
      std::string partial;
      for (const auto& directory : directories) {
        for (const std::string& file : directory->partial_files()) partial += ' ' + file;
      }
      throw InterruptedCommand(partial.empty() ? "nothing was written"
                                               : "left unfinished:" + partial);
    }
    for (std::size_t i = 0; i < directories.size(); ++i) {
      write_run(*directories[i], runs[i], context, files_of(runs[i], margin));
    }
    print(runs, expectations, margin, context);
    ExitCode code = ExitCode::done;
    for (const FinishedRun& run : runs) {
      const ExitCode one = exit_code(run, context);
      if (one == ExitCode::failed) return one;
      if (one != ExitCode::done) code = one;
    }
    return code;
  }

 private:
  void check_exports() const {
    if (!exports_.empty() && out_directory_.empty()) {
      throw InputError(Place{"--export"}, "expected --out DIR, the folder to write into");
    }
    for (const std::string& name : exports_) {
      if (ExportFormats::find(name) != nullptr) continue;
      throw InputError(Place{"--export"},
                       "unknown format '" + name + "'" + suggestion(name, ExportFormats::names()));
    }
  }

  // The files of --export; they refer to `run`.
  std::vector<RunFile> exported(const FinishedRun& run) const {
    std::vector<RunFile> files;
    for (const std::string& name : std::set<std::string>(exports_.begin(), exports_.end())) {
      const ExportFormat format = *ExportFormats::find(name);
      files.push_back({std::string(format.file), [format, &run](const TextSink& sink) {
                         sink(format.write({run.scenario, run.result, run.summary}));
                       }});
    }
    return files;
  }

  // Beside those of every run.
  std::vector<RunFile> files_of(const FinishedRun& run, const std::optional<Margin>& margin) const {
    std::vector<RunFile> files = exported(run);
    if (!margin) return files;
    files.push_back({kMarginFile, [&margin](const TextSink& sink) {
                       JsonWriter json(2);
                       json.begin_object();
                       write_margin(json, *margin);
                       sink(json.end_object().text() + '\n');
                     }});
    return files;
  }

  std::vector<Scenario> load_scenarios(const CommandContext& context) const {
    const ScenarioOptions options = scenario_options(context.options);
    const std::set<std::string> distinct(policies_.begin(), policies_.end());
    if (distinct.size() < policies_.size()) {
      throw InputError(Place{"--compare"}, "expected each policy once");
    }
    std::vector<Scenario> scenarios;
    Scenario own = load_checked_scenario(scenario_file_, options);
    for (const std::string& policy : policies_) {
      scenarios.push_back(loader(context)({"kv_cache.swa_policy=" + policy}));
    }
    if (policies_.empty()) scenarios.push_back(std::move(own));
    return scenarios;
  }

  // A folder is that of one run, or has those of a comparison: with both in it nobody could tell
  // which of them are current.
  void refuse_other_layout() const {
    namespace fs = std::filesystem;
    const auto holds_run = [](const fs::path& path) {
      std::error_code ignored;
      return fs::exists(path / kSummaryFile, ignored);
    };
    const auto refuse = [&](const fs::path& what, const std::string& beside) {
      throw InputError(Place{out_directory_}, "expected a folder for " + beside + ", found " +
                                                  what.string() +
                                                  "; name another one, or remove that run");
    };
    if (!policies_.empty()) {
      if (holds_run(out_directory_)) refuse(kSummaryFile, "the runs of a comparison");
      return;
    }
    std::error_code ignored;
    for (const fs::directory_entry& entry : fs::directory_iterator(out_directory_, ignored)) {
      if (!holds_run(entry.path())) continue;
      refuse(entry.path().filename() / kSummaryFile, "one run");
    }
  }

  // --out for one run, one folder below it for each policy of a comparison; empty without --out.
  std::vector<std::unique_ptr<RunDirectory>> open_directories(
      const std::vector<Scenario>& scenarios) const {
    std::vector<std::unique_ptr<RunDirectory>> directories;
    if (out_directory_.empty()) return directories;
    refuse_other_layout();
    for (const Scenario& scenario : scenarios) {
      std::filesystem::path path = out_directory_;
      if (!policies_.empty()) path /= scenario.kv_cache.swa_policy;
      directories.push_back(std::make_unique<RunDirectory>(path.string(), overwrite_));
    }
    return directories;
  }

  // The times of steps, and with them the decisions, of a run that was performed.
  ExitCode run_recorded(Scenario scenario, CommandContext& context) const {
    if (!policies_.empty()) {
      throw InputError(Place{"--steps"},
                       "expected one run, recorded steps are not those of several "
                       "policies (--compare)");
    }
    check_can_run(scenario);
    check_steps_one_by_one(scenario);
    StepsReader reader(steps_file());
    const RecordedCost cost([&] { return reader.next(); });
    const auto replica = make_replica(scenario);
    const Trace trace = load_workload(scenario);
    if (context.options.dry_run) {
      context.out << scenario.resolved_yaml;
      return ExitCode::done;
    }
    std::unique_ptr<RunDirectory> directory;
    std::unique_ptr<RunLog> log;
    HostRules host;
    if (!out_directory_.empty()) {
      refuse_other_layout();
      directory = std::make_unique<RunDirectory>(out_directory_, overwrite_);
      const TextSink steps = directory->stream(kStepsFile);
      log = std::make_unique<RunLog>(*replica, steps, directory->stream(kDecisionsFile));
      host.step_timed = [&](SimTime begin, std::span<const StepPlan* const> ranks,
                            const StepTime& time) { log->step_timed(begin, ranks, time); };
    }
    const InterruptGuard guard;
    RunResult result;
    try {
      result = run_parts(scenario, trace, *replica, cost, std::move(host),
                         [](double) { return !InterruptGuard::interrupted(); });
      cost.check_finished();
    } catch (const Simulation::Interrupted&) {
      throw InterruptedCommand("nothing was written");
    } catch (const RunError& error) {
      const auto requests = static_cast<std::int64_t>(
          trace.phases.empty() ? trace.played()
                               : trace.phases.back().end - trace.phases.back().begin);
      throw RunError(
          error.what() + other_than_recorded(steps_directory_, identify(scenario), requests),
          error.kind(), error.details());
    }
    const FinishedRun run = finished_run(std::move(scenario), std::move(result), kMeasuredSteps);
    if (directory) write_run(*directory, run, context, exported(run));
    print_run(run, context);
    return exit_code(run, context);
  }

  std::string steps_file() const {
    const std::filesystem::path file = std::filesystem::path(steps_directory_) / kStepsFile;
    const std::string partial = file.string() + ".partial";
    if (!std::filesystem::exists(file) && std::filesystem::exists(partial)) {
      throw InputError(Place{file.string()},
                       "expected the steps of a whole run; this one was "
                       "stopped, " +
                           partial + " is what it had performed");
    }
    return file.string();
  }

  // What figures or another tool's file need every record for keeps all of them.
  RecordRules record_rules(const Scenario& scenario, RunDirectory* directory,
                           std::optional<RecordStream>& stream) const {
    RecordRules rules;
    if (!scenario.expect.empty() || !exports_.empty()) return rules;
    rules.most_kept = kMostKeptRecords;
    if (directory == nullptr) return rules;
    const RecordOf of = scenario.cluster.asked() ? RecordOf::cluster : RecordOf::replica;
    rules.not_kept = [&stream, directory, of](const RequestRecord& record) {
      if (!stream) stream.emplace(directory->stream(kRecordsFile), of);
      stream->add(record);
    };
    return rules;
  }

  std::vector<FinishedRun> simulate(std::vector<Scenario> scenarios,
                                    const std::vector<std::unique_ptr<RunDirectory>>& directories,
                                    std::optional<Margin>& margin, CommandContext& context) const {
    // Every engine is built once before the first run, so that a mistake in the last costs no
    // waiting.
    for (const Scenario& scenario : scenarios) {
      check_can_run(scenario);
      make_replica(scenario);
    }
    const Trace trace = load_workload(scenarios.front());
    const InterruptGuard guard;
    const auto start = std::chrono::steady_clock::now();
    ProgressBar bar(context.err, context.err_is_terminal && !context.options.quiet);
    std::vector<FinishedRun> runs;
    for (std::size_t i = 0; i < scenarios.size(); ++i) {
      const auto progress = [&](double done) {
        const double all = (static_cast<double>(i) + done) / static_cast<double>(scenarios.size());
        bar.update(all, std::chrono::steady_clock::now() - start);
        return !InterruptGuard::interrupted();
      };
      std::optional<RecordStream> stream;
      RunDirectory* const directory = directories.empty() ? nullptr : directories[i].get();
      RunResult result = run_scenario(scenarios[i], trace, progress, nullptr,
                                      record_rules(scenarios[i], directory, stream), threads());
      if (stream) stream->flush();
      runs.push_back(finished_run(std::move(scenarios[i]), std::move(result)));
    }
    if (margin_percent_) {
      margin = margin_of(runs.front(), trace, *margin_percent_, threads(),
                         [](double) { return !InterruptGuard::interrupted(); });
    }
    return runs;
  }

  unsigned threads() const {
    return threads_ > 0 ? threads_ : std::max(1U, std::thread::hardware_concurrency());
  }

  ScenarioLoader loader(const CommandContext& context) const {
    return scenario_loader(scenario_file_, scenario_options(context.options));
  }

  // Before the first run, so that a mistake in what is expected costs no waiting.
  void check_expected_runs(const Scenario& scenario, const CommandContext& context) const {
    for (const Expectation& e : scenario.expect) {
      if (!parse_figure(e.figure).kind->needs_run()) continue;
      const Scenario one = loader(context)(e.set);
      check_can_run(one);
      make_replica(one);
    }
  }

  // What is expected of the scenario as the file and --set have it, whatever is compared. Runs that
  // were made already are not made again.
  std::vector<ExpectationResult> expected_of(const std::vector<FinishedRun>& runs,
                                             CommandContext& context) const {
    const InterruptGuard guard;
    const auto run = [&](const Scenario& scenario) {
      for (const FinishedRun& done : runs) {
        if (done.scenario.resolved_yaml == scenario.resolved_yaml) return done.result;
      }
      return run_scenario(scenario, load_workload(scenario),
                          [](double) { return !InterruptGuard::interrupted(); });
    };
    return find_expected(runs.front().scenario, loader(context), run);
  }

  void print_json(const std::vector<FinishedRun>& runs,
                  const std::vector<ExpectationResult>& expectations,
                  const std::optional<Margin>& margin, CommandContext& context) const {
    if (policies_.empty()) {
      return print_run(runs.front(), context, [&](JsonWriter& json) {
        if (margin) write_margin(json, *margin);
        write_expectations(json, expectations);
      });
    }
    JsonWriter json(2);
    json.begin_object().key("runs").begin_array();
    for (const FinishedRun& run : runs) {
      write_summary(json, run.summary, WallTime::included,
                    [&](JsonWriter& more) { write_policy_words(more, run); });
    }
    json.end_array();
    write_expectations(json, expectations);
    json.end_object();
    context.out << json.text() << '\n';
  }

  void print(const std::vector<FinishedRun>& runs,
             const std::vector<ExpectationResult>& expectations,
             const std::optional<Margin>& margin, CommandContext& context) const {
    if (context.options.json) return print_json(runs, expectations, margin, context);
    const TextStyle style =
        text_style(context.out_is_terminal, context.options.no_color, std::getenv("NO_COLOR"));
    if (policies_.empty()) {
      print_run(runs.front(), context);
      if (margin) context.out << '\n' << margin_text(*margin, style);
      context.out << expectations_text(expectations, style);
      return;
    }
    std::vector<RunSummary> summaries;
    for (const FinishedRun& run : runs) summaries.push_back(run.summary);
    context.out << comparison_report(summaries, style) << policy_words(runs);
    context.out << expectations_text(expectations, style);
  }

  static ExitCode dry_run(const std::vector<Scenario>& scenarios, CommandContext& context) {
    const Trace trace = load_workload(scenarios.front());
    for (const Scenario& scenario : scenarios) {
      check_can_run(scenario);
      make_replica(scenario);
    }
    context.err << scenarios.size() << (scenarios.size() == 1 ? " run" : " runs") << " of "
                << trace.played() << " requests would be simulated\n";
    context.out << scenarios.front().resolved_yaml;
    return ExitCode::done;
  }

  std::string scenario_file_, out_directory_, steps_directory_;
  std::vector<std::string> policies_, exports_;
  std::optional<double> margin_percent_;
  bool overwrite_ = false;
  unsigned threads_ = 0;  // as many as there are cores
};

const bool registered = CommandRegistry::add(
    "simulate", []() -> std::unique_ptr<Command> { return std::make_unique<SimulateCommand>(); });

}  // namespace

}  // namespace v4cap
