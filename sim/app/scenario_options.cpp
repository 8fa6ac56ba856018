#include "sim/app/scenario_options.h"

#include <algorithm>
#include <array>
#include <filesystem>
#include <system_error>

#include "sim/cache/layout.h"
#include "sim/cache/swa_policy.h"
#include "sim/cluster/run_scenario.h"
#include "sim/engine/scheduler.h"

namespace v4cap {

namespace fs = std::filesystem;

namespace {

// Keys whose value may be the path of a file, which in a scenario is relative to it.
constexpr std::array kPaths = {"model", "hardware", "profile", "workload.trace"};

}  // namespace

std::string override_as_typed(const std::string& set) {
  const std::size_t equals = set.find('=');
  if (equals == std::string::npos || equals + 1 == set.size()) return set;
  if (std::ranges::find(kPaths, set.substr(0, equals)) == kPaths.end()) return set;
  const fs::path path = set.substr(equals + 1);
  std::error_code ignored;
  if (!path.is_relative() || !fs::is_regular_file(path, ignored)) return set;
  const fs::path whole = fs::absolute(path, ignored).lexically_normal();
  return whole.empty() ? set : set.substr(0, equals + 1) + whole.string();
}

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
