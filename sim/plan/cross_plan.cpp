#include "sim/plan/cross_plan.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <set>
#include <sstream>

#include "sim/app/scenario_options.h"
#include "sim/config/scenario_file.h"
#include "sim/core/parallel.h"

namespace v4cap {

namespace {

namespace fs = std::filesystem;

// Sections of a resolved scenario that are not the endpoint's.
const std::set<std::string> kTraffic = {"workload", "slo", "seed", "note", "expect"};

// Lines of the top-level sections of a resolved scenario that are, or are not, in kTraffic.
std::string sections(const std::string& resolved, bool of_traffic) {
  std::string out, line;
  bool taken = false;
  for (std::istringstream lines(resolved); std::getline(lines, line);) {
    if (!line.empty() && line.front() != ' ') {
      taken = kTraffic.contains(line.substr(0, line.find(':'))) == of_traffic;
    }
    if (taken) out += line + '\n';
  }
  return out;
}

Scenario base_of(const PlanFile& file) {
  ScenarioOptions options;
  options.find_traces = false;
  return scenario_of_tree(base_tree(file.sweep.base_text, file.sweep.base_file, file.sweep.set),
                          file.sweep.base_file, options);
}

std::string folder_of(const PlanFile& file) {
  return fs::path(file.sweep.base_file).parent_path().string();
}

std::string prices_of(const PlanFile& file) {
  return file.prices ? file.prices->file : "no prices";
}

void fill(const PlanFile& traffic, const PlanFile& crossed, const PlanAnswer& answer,
          CrossCell& cell) {
  const DeploymentResult& d = answer.deployments.front();
  cell.gpus = d.scenario.deployment.gpus();
  cell.reason = why_not(crossed, d);
  if (!answer.best) return;
  cell.held = d.held;
  cell.held_of_seeds = answer.held;
  if (traffic.asked) {
    cell.engines = static_cast<std::int64_t>(std::ceil(*traffic.asked / d.held - 1e-9));
  }
  cell.gpus *= cell.engines;
  cell.hour = answer.money.replica_hour * static_cast<double>(cell.engines);
  cell.task = task_name(traffic.rules.sample, answer.at_load.front());
  cell.cheapest_load = answer.replica_load;
  for (const Trial& t : answer.at_load) {
    cell.task_cost.push_back(task_cost(t, answer.money.gpu_hour));
  }
  cell.task_interval = interval_of(cell.task_cost);
  cell.million_tokens = answer.money.all_tokens;
}

// Cells of one traffic, whose own profile comes first.
void compare(const std::vector<CrossCell*>& cells) {
  const CrossCell& own = *cells.front();
  if (own.profile != own.traffic || !own.reason.empty()) return;
  for (CrossCell* cell : cells) {
    if (cell == &own || !cell->reason.empty()) continue;
    std::vector<double> extra;
    for (std::size_t i = 0; i < own.task_cost.size(); ++i) {
      extra.push_back(cell->task_cost[i] / own.task_cost[i] - 1);
    }
    cell->extra = interval_of(extra);
  }
}

}  // namespace

void check_crossing(const std::vector<PlanFile>& files) {
  std::set<std::string> names;
  for (const PlanFile& file : files) {
    const std::string& name = file.sweep.name;
    const Place place{file.sweep.base_file};
    if (!names.insert(name).second) {
      throw InputError(Place{name}, "expected plans of different names, got two of this one");
    }
    if (folder_of(file) != folder_of(files.front())) {
      throw InputError(place,
                       "expected bases of one folder, as a profile's files are looked for "
                       "beside its base, got one in '" +
                           folder_of(files.front()) + "' too");
    }
    if (prices_of(file) != prices_of(files.front())) {
      throw InputError(place, "expected the same prices in all plans, got " + prices_of(file) +
                                  " and " + prices_of(files.front()));
    }
  }
}

PlanFile crossed_plan(const PlanFile& traffic, const Scenario& profile) {
  PlanFile out = traffic;
  out.sweep.base_text =
      sections(profile.resolved_yaml, false) + sections(base_of(traffic).resolved_yaml, true);
  out.sweep.set.clear();
  out.sweep.axes.clear();
  out.sweep.constraints.clear();
  out.asked.reset();
  out.levers.emplace();
  out.search.vary_steps = false;
  out.search.fill_front = false;
  return out;
}

CrossPlan cross_plans(const std::vector<AnsweredPlan>& plans, const PointOptions& options,
                      const PlanHooks& hooks) {
  CrossPlan out;
  out.unit = plans.front().file.prices ? plans.front().file.prices->currency : "GPU-hours";
  for (std::size_t t = 0; t < plans.size(); ++t) {
    const auto add = [&](std::size_t p) {
      CrossCell cell;
      cell.profile = p;
      cell.traffic = t;
      if (plans[p].answer.best) out.cells.push_back(cell);
    };
    add(t);
    for (std::size_t p = 0; p < plans.size(); ++p) {
      if (p != t) add(p);
    }
  }
  if (hooks.says) {
    hooks.says(fmt::format("{} pairs of a profile and a traffic", out.cells.size()));
  }
  parallel_for(
      out.cells.size(),
      [&](std::size_t i) {
        CrossCell& cell = out.cells[i];
        const AnsweredPlan& own = plans[cell.profile];
        const PlanFile& traffic = plans[cell.traffic].file;
        try {
          const PlanFile crossed =
              crossed_plan(traffic, own.answer.deployments[*own.answer.best].scenario);
          fill(traffic, crossed,
               search_deployments(crossed, {options.trace_dir, 1}, {hooks.go_on, {}}), cell);
        } catch (const InputError& error) {
          // The endpoint and the traffic do not go together: blocks of different sizes, say.
          cell.reason = error.diagnostics().front().message;
        }
      },
      options.threads);
  for (std::size_t t = 0; t < plans.size(); ++t) {
    std::vector<CrossCell*> of_traffic;
    for (CrossCell& cell : out.cells) {
      if (cell.traffic == t) of_traffic.push_back(&cell);
    }
    if (!of_traffic.empty()) compare(of_traffic);
  }
  return out;
}

}  // namespace v4cap
