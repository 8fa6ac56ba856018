#include "sim/app/run_report.h"

#include <algorithm>
#include <cstdlib>
#include <iterator>
#include <utility>

#include "sim/cluster/run_scenario.h"
#include "sim/output/terminal.h"

namespace v4cap {

FinishedRun finished_run(Scenario scenario, RunResult result, const std::string& times) {
  RunIdentity identity = identify(scenario);
  if (!times.empty()) identity.times = times;
  RunSummary summary = summarise(result, std::move(identity));
  const auto engine = make_engine(scenario);
  const SwaPolicy& policy = engine->cache().policy();
  return {std::move(scenario), std::move(result), std::move(summary), policy.fallback(),
          policy.caveat()};
}

void write_policy_words(JsonWriter& json, const FinishedRun& run) {
  json.member("fallback", run.fallback).member("caveat", run.caveat);
}

void print_run(const FinishedRun& run, CommandContext& context, const MoreMembers& more) {
  if (context.options.json) {
    context.out << summary_json(run.summary, WallTime::included, [&](JsonWriter& json) {
      write_policy_words(json, run);
      if (more) more(json);
    });
    return;
  }
  const TextStyle style =
      text_style(context.out_is_terminal, context.options.no_color, std::getenv("NO_COLOR"));
  context.out << run_report(run.summary, style);
  if (!run.caveat.empty()) context.out << run.caveat << '\n';
}

void write_run(RunDirectory& directory, const FinishedRun& run, CommandContext& context,
               std::vector<RunFile> more) {
  std::vector<RunFile> files = run_files(run.result, run.summary, run.scenario.resolved_yaml);
  std::ranges::move(more, std::back_inserter(files));
  directory.write(files, optional_run_files());
  if (!context.options.quiet) context.err << "wrote " << directory.path() << '\n';
}

ExitCode exit_code(const FinishedRun& run, CommandContext& context) {
  const Slo& slo = run.scenario.slo;
  const Metrics& m = run.summary.metrics;
  if (m.finished == 0) return ExitCode::failed;
  ExitCode code = ExitCode::done;
  const auto missed = [&](const char* name, Duration limit, const Distribution& measured) {
    if (limit == Duration{0} || measured.p99 <= to_ms(limit)) return;
    code = ExitCode::slo_missed;
    context.err << run.summary.identity.policy << ": SLO missed: p99 " << name << ' '
                << measured.p99 << " ms > " << to_ms(limit) << " ms\n";
  };
  missed("TTFT", slo.ttft_p99, m.time_to_first_token_ms);
  missed("TPOT", slo.tpot_p99, m.inter_token_latency_ms);
  return code;
}

}  // namespace v4cap
