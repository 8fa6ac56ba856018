// `v4cap simulate SCENARIO`: one run, or with --compare one run for each of several SWA policies on
// the same workload. Verdict first, then a table; --json prints one document, --out DIR writes the
// run's files.
#include <CLI/CLI.hpp>
#include <atomic>
#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <set>

#include "sim/app/command.h"
#include "sim/app/expectations.h"
#include "sim/app/interrupt.h"
#include "sim/app/scenario_options.h"
#include "sim/cluster/run_scenario.h"
#include "sim/config/scenario_file.h"
#include "sim/output/progress.h"
#include "sim/output/run_directory.h"
#include "sim/output/run_summary.h"
#include "sim/output/summary_json.h"
#include "sim/output/terminal.h"

namespace v4cap {

namespace {

struct FinishedRun {
  Scenario scenario;
  RunResult result;
  RunSummary summary;
  std::string fallback, caveat;  // of the policy, in words
};

// What a policy computes again and what must be known of it, a line each.
std::string policy_words(const std::vector<FinishedRun>& runs) {
  std::string out = "Computed again when a hit finds no window where it needs one:\n";
  for (const FinishedRun& run : runs) {
    out += "  " + run.scenario.kv_cache.swa_policy + ": " + run.fallback;
    out += (run.caveat.empty() ? "" : "; " + run.caveat) + '\n';
  }
  return out;
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
    app.add_flag("--overwrite", overwrite_, "Replace files of an earlier run in --out");
  }

  ExitCode run(CommandContext& context) override {
    std::vector<Scenario> scenarios = load_scenarios(context);
    if (context.options.dry_run) return dry_run(scenarios, context);

    // Before the run, so that a directory that cannot be used costs no waiting.
    const auto directories = open_directories(scenarios);
    check_expected_runs(scenarios.front(), context);
    std::vector<FinishedRun> runs;
    std::vector<ExpectationResult> expectations;
    try {
      runs = simulate(std::move(scenarios), context);
      expectations = expected_of(runs, context);
    } catch (const Simulation::Interrupted&) {
      context.err << "interrupted: nothing was written\n";
      return ExitCode::interrupted;
    }
    for (std::size_t i = 0; i < directories.size(); ++i) {
      directories[i]->write(
          run_files(runs[i].result, runs[i].summary, runs[i].scenario.resolved_yaml));
      if (!context.options.quiet) context.err << "wrote " << directories[i]->path() << '\n';
    }
    print(runs, expectations, context);
    return exit_code(runs, context);
  }

 private:
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

  // --out for one run, one folder below it for each policy of a comparison; empty without --out.
  std::vector<std::unique_ptr<RunDirectory>> open_directories(
      const std::vector<Scenario>& scenarios) const {
    std::vector<std::unique_ptr<RunDirectory>> directories;
    if (out_directory_.empty()) return directories;
    for (const Scenario& scenario : scenarios) {
      std::filesystem::path path = out_directory_;
      if (!policies_.empty()) path /= scenario.kv_cache.swa_policy;
      directories.push_back(std::make_unique<RunDirectory>(path.string(), overwrite_));
    }
    return directories;
  }

  std::vector<FinishedRun> simulate(std::vector<Scenario> scenarios,
                                    CommandContext& context) const {
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
      RunResult result = run_scenario(scenarios[i], trace, progress);
      RunSummary summary = summarise(result, identify(scenarios[i]));
      const auto engine = make_engine(scenarios[i]);
      const SwaPolicy& policy = engine->cache().policy();
      runs.push_back({std::move(scenarios[i]), std::move(result), std::move(summary),
                      policy.fallback(), policy.caveat()});
    }
    return runs;
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
                  CommandContext& context) const {
    const auto words = [](const FinishedRun& run, JsonWriter& json) {
      json.member("fallback", run.fallback).member("caveat", run.caveat);
    };
    if (policies_.empty()) {
      context.out << summary_json(runs.front().summary, WallTime::included, [&](JsonWriter& json) {
        words(runs.front(), json);
        write_expectations(json, expectations);
      });
      return;
    }
    JsonWriter json(2);
    json.begin_object().key("runs").begin_array();
    for (const FinishedRun& run : runs) {
      write_summary(json, run.summary, WallTime::included,
                    [&](JsonWriter& more) { words(run, more); });
    }
    json.end_array();
    write_expectations(json, expectations);
    json.end_object();
    context.out << json.text() << '\n';
  }

  void print(const std::vector<FinishedRun>& runs,
             const std::vector<ExpectationResult>& expectations, CommandContext& context) const {
    if (context.options.json) return print_json(runs, expectations, context);
    const TextStyle style =
        text_style(context.out_is_terminal, context.options.no_color, std::getenv("NO_COLOR"));
    if (policies_.empty()) {
      context.out << run_report(runs.front().summary, style);
      if (!runs.front().caveat.empty()) context.out << runs.front().caveat << '\n';
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
                << trace.requests.size() << " requests would be simulated\n";
    context.out << scenarios.front().resolved_yaml;
    return ExitCode::done;
  }

  // 99 when an SLO was asked for and missed, 1 when nothing could be served at all.
  static ExitCode exit_code(const std::vector<FinishedRun>& runs, CommandContext& context) {
    ExitCode code = ExitCode::done;
    for (const FinishedRun& run : runs) {
      const Slo& slo = run.scenario.slo;
      const Metrics& m = run.summary.metrics;
      if (m.finished == 0) return ExitCode::failed;
      const auto missed = [&](const char* name, Duration limit, const Distribution& measured) {
        if (limit == Duration{0} || measured.p99 <= to_ms(limit)) return;
        code = ExitCode::slo_missed;
        context.err << run.summary.identity.policy << ": SLO missed: p99 " << name << ' '
                    << measured.p99 << " ms > " << to_ms(limit) << " ms\n";
      };
      missed("TTFT", slo.ttft_p99, m.time_to_first_token_ms);
      missed("TPOT", slo.tpot_p99, m.inter_token_latency_ms);
    }
    return code;
  }

  std::string scenario_file_, out_directory_;
  std::vector<std::string> policies_;
  bool overwrite_ = false;
};

const bool registered = CommandRegistry::add(
    "simulate", []() -> std::unique_ptr<Command> { return std::make_unique<SimulateCommand>(); });

}  // namespace

}  // namespace v4cap
