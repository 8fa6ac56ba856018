#include "sim/app/scenario_options.h"

#include "sim/cache/layout.h"
#include "sim/cache/swa_policy.h"
#include "sim/cluster/run_scenario.h"
#include "sim/engine/scheduler.h"

namespace v4cap {

ScenarioOptions scenario_options(const GlobalOptions& options) {
  return {options.set, options.seed, options.trace_dir};
}

void check_names(const Scenario& scenario) {
  validate_names(scenario, {SchedulerRegistry::names(), LayoutRegistry::names(),
                            PolicyRegistry::names(), RouterRegistry::names()});
  check_layout_options(scenario);
  check_router(scenario);
}

Scenario load_named_scenario(const std::string& path, const ScenarioOptions& options) {
  Scenario scenario = load_scenario(path, options);
  check_names(scenario);
  return scenario;
}

ScenarioOptions with_overrides(ScenarioOptions options, const std::vector<std::string>& set) {
  options.set.insert(options.set.end(), set.begin(), set.end());
  return options;
}

ScenarioLoader scenario_loader(const std::string& path, const ScenarioOptions& options) {
  return [=](const std::vector<std::string>& set) {
    return load_named_scenario(path, with_overrides(options, set));
  };
}

}  // namespace v4cap
