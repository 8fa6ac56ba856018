#include "sim/app/scenario_options.h"

#include "sim/cache/layout.h"
#include "sim/cache/swa_policy.h"
#include "sim/engine/scheduler.h"

namespace v4cap {

ScenarioOptions scenario_options(const GlobalOptions& options) {
  return {options.set, options.seed, options.trace_dir};
}

void check_names(const Scenario& scenario) {
  validate_names(scenario,
                 {SchedulerRegistry::names(), LayoutRegistry::names(), PolicyRegistry::names()});
}

Scenario load_checked_scenario(const std::string& path, const ScenarioOptions& options) {
  Scenario scenario = load_scenario(path, options);
  check_names(scenario);
  return scenario;
}

}  // namespace v4cap
