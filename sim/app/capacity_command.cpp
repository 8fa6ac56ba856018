// v4cap capacity SCENARIO: what fits into the memory of a node, per SWA policy, without any
// traffic: bytes per token and per running request by cache kind, tokens, and sequences of given
// lengths; what the layout's engine will log; where a GPU's memory goes; the other deployments of
// the same GPUs; with --compare other models, with --sensitivity what single changes are worth.
#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdlib>

#include "sim/app/capacity_report.h"
#include "sim/app/capacity_study.h"
#include "sim/app/command.h"
#include "sim/app/expectations.h"
#include "sim/app/scenario_options.h"
#include "sim/cache/swa_policy.h"
#include "sim/cluster/run_scenario.h"
#include "sim/config/data_files.h"
#include "sim/output/table.h"

namespace v4cap {

namespace {

using Option = CapacityOption;

class CapacityCommand final : public Command {
 public:
  std::string summary() const override {
    return "what fits in memory: bytes by cache kind, tokens and sequences, per SWA policy";
  }

  std::vector<std::string> values(std::string_view option) const override {
    if (option == "--compare") return PolicyRegistry::names();
    return {};
  }

  void add_options(CLI::App& app) override {
    app.add_option("SCENARIO", file_, "scenario file (YAML)")->required();
    app.add_option("--compare", compared_,
                   "SWA policies to show beside the scenario's (default: full, checkpoint=2048, "
                   "reuse and recompute); models, such as deepseek-v3.2, to compare its bytes with")
        ->expected(1, 64);
    app.add_flag("--sensitivity", sensitivity_, "show what single changes are worth in tokens");
  }

  ExitCode run(CommandContext& context) override {
    const std::vector<Option> options = load(context);
    const CapacityStudy study = examine(options.front(), context);
    if (context.options.json) {
      context.out << capacity_json(options, study) << '\n';
    } else {
      const TextStyle style =
          text_style(context.out_is_terminal, context.options.no_color, std::getenv("NO_COLOR"));
      context.out << capacity_text(options, study, style);
    }
    return ExitCode::done;
  }

 private:
  // --compare names policies and models alike.
  std::vector<std::string> compared(bool models) const {
    const std::vector<std::string> known = data_names(DataKind::model, "");
    std::vector<std::string> out;
    for (const std::string& name : compared_) {
      const bool is_model = std::find(known.begin(), known.end(), name) != known.end();
      if (is_model == models) out.push_back(name);
    }
    return out;
  }

  CapacityStudy examine(const Option& base, const CommandContext& context) const {
    ScenarioOptions scenario = scenario_options(context.options);
    scenario.find_traces = false;
    const ScenarioLoader loader = scenario_loader(file_, scenario);
    CapacityStudy out;
    if (!base.scenario.kv_cache.memory) out.memory = memory_of_gpu(base.scenario).items;
    if (base.scenario.deployment.gpus() > 1) out.deployments = deployments(base.scenario, loader);
    out.fit = request_fit(base, loader);
    if (sensitivity_) out.sensitivity = sensitivity(base, loader);
    const auto models = compared(true);
    if (!models.empty()) {
      out.models = compare_models(base.scenario, models);
      out.cached = cached_tokens(base, models);
      out.speeds = decode_speeds(base, loader, models);
    }
    out.expectations = find_expected(base.scenario, loader);
    return out;
  }

  // The scenario as it is first, then once for every other policy.
  std::vector<Option> load(const CommandContext& context) const {
    ScenarioOptions options = scenario_options(context.options);
    options.find_traces = false;  // nothing here depends on traffic
    std::vector<Option> out;
    out.emplace_back(load_checked_scenario(file_, options));
    const Scenario& own = out.front().scenario;
    std::vector<std::string> wanted = compared(false);
    if (wanted.empty() && compared(true).empty() && own.model.window > Tokens{0}) {
      wanted = {"full", "checkpoint=2048", "reuse", "recompute"};
    }
    const ScenarioLoader loader = scenario_loader(file_, options);
    std::vector<std::string> shown = {own.kv_cache.swa_policy};
    for (const std::string& policy : wanted) {
      if (std::find(shown.begin(), shown.end(), policy) != shown.end()) continue;
      shown.push_back(policy);
      out.emplace_back(loader({"kv_cache.swa_policy=" + policy}));
    }
    return out;
  }

  std::string file_;
  std::vector<std::string> compared_;
  bool sensitivity_ = false;
};

[[maybe_unused]] const bool registered = CommandRegistry::add(
    "capacity", []() -> std::unique_ptr<Command> { return std::make_unique<CapacityCommand>(); });

}  // namespace

}  // namespace v4cap
