#include "sim/plan/deployment_search.h"

#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <cmath>
#include <limits>
#include <set>

#include "sim/cluster/run_scenario.h"
#include "sim/core/parallel.h"

namespace v4cap {

namespace {

// One search of one seed, and its runs.
struct SeedSearch {
  HeldLoad found;
  CheapestLoad cheapest;
  std::vector<Trial> trials;
};

bool is_saturated(const Trial& t) {
  const auto found = std::ranges::find(t.figures, "saturated", &Figures::value_type::first);
  return found != t.figures.end() && found->second == "true";
}

bool was_run(const std::vector<Trial>& runs, double load) {
  return std::ranges::any_of(
      runs, [&](const Trial& t) { return std::abs(t.load - load) <= 1e-9 * load; });
}

class Searcher {
 public:
  Searcher(const PlanFile& file, const PointOptions& options, const PlanHooks& hooks)
      : file_(file), options_(options), hooks_(hooks), runner_(file.rules) {}

  PlanAnswer run() {
    prepare();
    std::vector<std::size_t> left = feasible();
    halve(left);
    search_fully(left);
    choose(left);
    if (out_.best) answer_best();
    if (out_.best && file_.search.fill_front) {
      say("the front of throughput against interactivity");
      complete_frontier();
    } else {
      find_frontier();
    }
    out_.runs = runs_;
    return std::move(out_);
  }

 private:
  DeploymentResult& at(std::size_t i) { return out_.deployments[i]; }
  const DeploymentResult& at(std::size_t i) const { return out_.deployments[i]; }

  void say(const std::string& text) const {
    if (hooks_.says) hooks_.says(text);
  }

  Trial trial(const Scenario& scenario, const TrialQuestion& question) {
    ++runs_;
    return runner_.run(scenario, question, [&](double) { return !hooks_.go_on || hooks_.go_on(); });
  }

  SeedSearch search(const Scenario& scenario, TrialQuestion question, double hint) {
    SeedSearch out;
    const KeepsSlo keeps = [&](double load) {
      question.load = load;
      out.trials.push_back(trial(scenario, question));
      return out.trials.back().met;
    };
    out.found = search_load(file_.load, hint, keeps);
    out.cheapest = cheapest_of(out, gpu_hour(scenario));
    return out;
  }

  static CheapestLoad cheapest_of(const SeedSearch& search, double gpu_hour) {
    CheapestLoad out{search.found.held, std::numeric_limits<double>::infinity()};
    for (const Trial& t : search.trials) {
      if (!t.met || t.load > search.found.held) continue;
      const double cost = task_cost(t, gpu_hour);
      if (cost < out.task_cost) out = {t.load, cost};
    }
    return out;
  }

  // Every deployment, and whether it can run at all: its weights fit, its pools are of some size.
  void prepare() {
    out_.plan = make_plan(file_.sweep, options_);
    const SweepPlan& plan = out_.plan;
    out_.deployments.resize(plan.points.size());
    parallel_for(
        plan.points.size(),
        [&](std::size_t i) {
          DeploymentResult& d = at(i);
          d.point = i;
          d.values = values_of(plan, plan.points[i]);
          d.scenario = scenario_of_point(plan, plan.points[i], options_.trace_dir);
          try {
            make_engine(d.scenario);
          } catch (const RunError& error) {
            d.reason = error.what();
          }
        },
        options_.threads);
    if (!file_.prices) return;
    for (const DeploymentResult& d : out_.deployments) {
      price_of(*file_.prices, d.scenario.hardware.gpu.name, file_.prices_place);
    }
  }

  std::vector<std::size_t> feasible() const {
    std::vector<std::size_t> out;
    for (std::size_t i = 0; i < out_.deployments.size(); ++i) {
      if (out_.deployments[i].reason.empty()) out.push_back(i);
    }
    return out;
  }

  double first_hint() const { return std::sqrt(file_.load.from * file_.load.to); }

  // Searches deployments with one seed; what they hold so far is the hint.
  void search_first_seed(const std::vector<std::size_t>& which, double size) {
    parallel_for(
        which.size(),
        [&](std::size_t i) {
          DeploymentResult& d = at(which[i]);
          const double hint = d.held > 0 ? d.held : first_hint();
          SeedSearch found = search(d.scenario, {.seed = file_.seeds.front(), .size = size}, hint);
          d.size = size;
          d.by_seed = {std::move(found.found)};
          d.cheapest = {found.cheapest};
          if (size >= 1) d.trials = std::move(found.trials);
          settle(d);
        },
        options_.threads);
  }

  void halve(std::vector<std::size_t>& left) {
    const auto exact = static_cast<std::size_t>(file_.search.exact_up_to);
    if (left.size() <= exact) return;
    const std::size_t kept = std::max<std::size_t>(1, exact / 2);
    for (double size = file_.search.first_size; size < 1 && left.size() > kept; size *= 2) {
      say(fmt::format("{} deployments on {:.0f} % of the sample", left.size(), 100 * size));
      search_first_seed(left, size);
      ++out_.rounds;
      rank(left);
      left.resize(std::max(kept, (left.size() + 1) / 2));
    }
    // A first round on nearly all of the sample leaves no second one.
    if (left.size() > kept) left.resize(kept);
  }

  void search_fully(std::vector<std::size_t> left) {
    say(fmt::format("{} deployments at full length, {} seeds", left.size(), file_.seeds.size()));
    search_first_seed(left, 1);
    out_.at_full_length = left.size();
    // Cheapest first, a few at a time whatever the number of threads, until none of the rest can be
    // the answer.
    constexpr std::size_t kAtATime = 2;
    std::vector<std::size_t> searched;
    rank(left);
    for (std::size_t begin = 0; begin < left.size(); begin += kAtATime) {
      std::vector<std::size_t> few;
      for (std::size_t i = begin; i < std::min(left.size(), begin + kAtATime); ++i) {
        if (at(left[i]).held > 0 && can_win(left[i], searched)) few.push_back(left[i]);
      }
      if (few.empty()) break;
      search_further_seeds(few);
      searched.insert(searched.end(), few.begin(), few.end());
    }
    out_.with_every_seed = searched.size();
  }

  // Whether a deployment may still be cheaper than all that were searched with every seed.
  bool can_win(std::size_t i, const std::vector<std::size_t>& searched) const {
    return std::ranges::all_of(searched, [&](std::size_t other) { return is_before(i, other); });
  }

  void search_further_seeds(const std::vector<std::size_t>& which) {
    const std::size_t further = file_.seeds.size() - 1;
    std::vector<SeedSearch> found(which.size() * further);
    parallel_for(
        found.size(),
        [&](std::size_t i) {
          const DeploymentResult& d = at(which[i / further]);
          found[i] = search(d.scenario, {.seed = file_.seeds[1 + i % further]}, d.held);
        },
        options_.threads);
    for (std::size_t i = 0; i < found.size(); ++i) {
      DeploymentResult& d = at(which[i / further]);
      d.by_seed.push_back(std::move(found[i].found));
      d.cheapest.push_back(found[i].cheapest);
      std::ranges::move(found[i].trials, std::back_inserter(d.trials));
      settle(d);
    }
  }

  double gpu_hour(const Scenario& scenario) const {
    return file_.prices ? file_.prices->gpu_hour.at(scenario.hardware.gpu.name).per_hour : 1;
  }

  double hour_of(const DeploymentResult& d) const {
    return gpu_hour(d.scenario) * static_cast<double>(d.scenario.deployment.gpus());
  }

  // What follows from the loads that were found.
  void settle(DeploymentResult& d) const {
    d.held = std::numeric_limits<double>::infinity();
    for (const HeldLoad& one : d.by_seed) d.held = std::min(d.held, one.held);
    d.price = std::numeric_limits<double>::infinity();
    d.replicas = 0;
    if (!(d.held > 0)) return;
    if (file_.asked) {
      d.replicas = static_cast<std::int64_t>(std::ceil(*file_.asked / d.held - 1e-9));
      d.price = hour_of(d) * static_cast<double>(d.replicas);
    } else {
      d.replicas = 1;
      d.price = 0;
      for (const CheapestLoad& one : d.cheapest) d.price = std::max(d.price, one.task_cost);
    }
  }

  bool is_before(std::size_t a, std::size_t b) const {
    const DeploymentResult &x = out_.deployments[a], &y = out_.deployments[b];
    if (x.price != y.price) return x.price < y.price;
    if (x.held != y.held) return x.held > y.held;
    return a < b;
  }

  // Cheapest first.
  void rank(std::vector<std::size_t>& which) const {
    std::ranges::sort(which, [&](std::size_t a, std::size_t b) { return is_before(a, b); });
  }

  // Of those that were searched with every seed: the others are dearer already.
  void choose(const std::vector<std::size_t>& left) {
    std::optional<std::size_t>& best = out_.best;
    for (const std::size_t i : left) {
      const DeploymentResult& d = at(i);
      if (d.held <= 0 || d.by_seed.size() < file_.seeds.size()) continue;
      if (!best || is_before(i, *best)) best = i;
    }
  }

  void answer_best() {
    const DeploymentResult& best = at(*out_.best);
    std::vector<double> held;
    for (const HeldLoad& one : best.by_seed) held.push_back(one.held);
    out_.held = interval_of(held);
    out_.replica_load = best.held;
    for (const CheapestLoad& one : best.cheapest) {
      if (!file_.asked) out_.replica_load = std::min(out_.replica_load, one.load);
    }
    if (file_.asked) {
      const double part = *file_.asked / static_cast<double>(best.replicas);
      out_.replica_load = file_.load.whole ? std::ceil(part) : part;
    }
    out_.error = model_error(best.scenario);
    out_.launch = launch_command(best.scenario);
    out_.profile_yaml = scenario_at_load(best);
    run_at_load(best);
    say("levers and the profile's error");
    std::vector<Lever> levers =
        file_.levers ? *file_.levers : usual_levers(best.scenario, out_.plan.axes);
    vary(best, levers);
    const GpuPrice* gpu =
        file_.prices ? &file_.prices->gpu_hour.at(best.scenario.hardware.gpu.name) : nullptr;
    out_.money = count_money(out_.at_load, file_.prices ? &*file_.prices : nullptr, gpu,
                             best.replicas, out_.replica_load, best.held);
  }

  // The times of a recorded trace stay: by how much they are stretched depends on the part that a
  // seed draws.
  std::string scenario_at_load(const DeploymentResult& best) const {
    Lever at_load{"", {}, Place{"the load"}};
    const auto set = [&](const std::string& key) {
      at_load.set.emplace_back("workload.arrivals." + key, fmt::format("{}", out_.replica_load));
    };
    if (best.scenario.workload.arrivals == ArrivalMode::closed_loop) set("sessions_at_a_time");
    if (best.scenario.workload.arrivals == ArrivalMode::poisson) set("rate_per_s");
    return scenario_of_point(out_.plan, out_.plan.points[best.point], options_.trace_dir, &at_load)
        .resolved_yaml;
  }

  void run_at_load(const DeploymentResult& best) {
    out_.at_load.resize(file_.seeds.size());
    parallel_for(
        file_.seeds.size(),
        [&](std::size_t i) {
          out_.at_load[i] = trial(
              best.scenario, {.load = out_.replica_load, .seed = file_.seeds[i], .explain = true});
        },
        options_.threads);
    // The first failure says what gives way.
    const std::optional<double> failing = best.by_seed.front().failing;
    for (const Trial& t : best.trials) {
      if (failing && t.seed == file_.seeds.front() && t.load == *failing) out_.beyond = t;
    }
  }

  // What the first seed holds with something changed. Where the load at which the deployment fails
  // is not kept either there is no gain to be told from the tolerance, and the search ends there.
  double held_with(const Scenario& scenario, const HeldLoad& before, double step_factor) {
    const TrialQuestion question{.seed = file_.seeds.front(), .step_factor = step_factor};
    return search(scenario, question, before.failing.value_or(before.held)).found.held;
  }

  LeverGain gain_of(const Lever& lever, const DeploymentResult& best) {
    const HeldLoad& before = best.by_seed.front();
    LeverGain out{lever, "", 0, before.held, 0};
    try {
      const Scenario scenario =
          scenario_of_point(out_.plan, out_.plan.points[best.point], options_.trace_dir, &lever);
      TrialQuestion question{.load = before.failing.value_or(before.held),
                             .seed = file_.seeds.front()};
      if (before.failing && !trial(scenario, question).met) {
        out.held = before.held;
        return out;
      }
      out.held = std::max(before.held, held_with(scenario, before, 1));
      out.gain = before.held > 0 ? out.held / before.held - 1 : 0;
    } catch (const RunError& error) {
      out.reason = error.what();
    } catch (const InputError& error) {
      // A lever of the file itself is wrong input; a usual one does not suit this deployment.
      if (file_.levers) throw;
      out.reason = error.diagnostics().front().message;
    }
    return out;
  }

  void vary(const DeploymentResult& best, const std::vector<Lever>& levers) {
    out_.levers.resize(levers.size());
    const std::size_t errors = out_.error.percent && file_.search.vary_steps ? 2 : 0;
    const HeldLoad& before = best.by_seed.front();
    parallel_for(
        levers.size() + errors,
        [&](std::size_t i) {
          if (i < levers.size()) {
            out_.levers[i] = gain_of(levers[i], best);
            return;
          }
          const double e = *out_.error.percent / 100;
          if (i == levers.size()) {
            out_.held_slow = held_with(best.scenario, before, 1 + e);
          } else {
            out_.held_fast = held_with(best.scenario, before, 1 / (1 + e));
          }
        },
        options_.threads);
    std::ranges::stable_sort(out_.levers, std::greater{}, &LeverGain::gain);
  }

  // Full-length runs of the first seed.
  std::vector<Trial> first_seed_runs(const DeploymentResult& d) const {
    std::vector<Trial> out = d.for_front;
    for (const Trial& t : d.trials) {
      if (t.seed == file_.seeds.front()) out.push_back(t);
    }
    return out;
  }

  struct FrontRun {
    std::size_t deployment = 0;
    double load = 0;
    bool operator==(const FrontRun&) const = default;
  };

  void run_for_front(const std::vector<FrontRun>& wanted) {
    std::vector<Trial> found(wanted.size());
    parallel_for(
        wanted.size(),
        [&](std::size_t i) {
          found[i] = trial(at(wanted[i].deployment).scenario,
                           {.load = wanted[i].load, .seed = file_.seeds.front()});
        },
        options_.threads);
    for (std::size_t i = 0; i < wanted.size(); ++i) {
      at(wanted[i].deployment).for_front.push_back(std::move(found[i]));
    }
  }

  // The answer under lighter loads than its search had to look at.
  void run_best_below() {
    constexpr double kStep = 2;
    std::vector<FrontRun> wanted;
    const std::vector<Trial> known = first_seed_runs(at(*out_.best));
    for (double load = file_.load.from; load < at(*out_.best).held; load *= kStep) {
      if (!was_run(known, load)) wanted.push_back({*out_.best, load});
    }
    run_for_front(wanted);
  }

  // The load of `rival` that gives each of its GPUs what `p` gives one; none outside the range.
  std::optional<double> load_of_gpu(const FrontierPoint& p, const DeploymentResult& rival) const {
    const double gpus = static_cast<double>(rival.scenario.deployment.gpus()) /
                        static_cast<double>(at(p.deployment).scenario.deployment.gpus());
    double load = p.trial.load * gpus;
    if (file_.load.whole) load = std::round(load);
    if (load < file_.load.from || load > file_.load.to) return std::nullopt;
    return load;
  }

  // Until no deployment of full length may beat a point of the front. Loads of a GPU come from the
  // runs before, so that there is an end; rounding to whole sessions could go on, hence the limit.
  void complete_frontier() {
    constexpr int kRounds = 8;
    run_best_below();
    for (int round = 0; round < kRounds; ++round) {
      find_frontier();
      std::vector<FrontRun> wanted;
      for (std::size_t i = 0; i < out_.deployments.size(); ++i) {
        const DeploymentResult& rival = at(i);
        if (!rival.reason.empty() || rival.size < 1) continue;
        const std::vector<Trial> runs = first_seed_runs(rival);
        for (const FrontierPoint& p : out_.frontier) {
          const auto load = p.deployment == i ? std::nullopt : load_of_gpu(p, rival);
          if (!load || !may_beat(p.trial, *load, runs)) continue;
          const FrontRun run{i, *load};
          if (std::ranges::find(wanted, run) == wanted.end()) wanted.push_back(run);
        }
      }
      if (wanted.empty()) return;
      run_for_front(wanted);
    }
    find_frontier();
  }

  // Whether the answer has a run that serves users and GPUs as well as this one of another
  // deployment but for what noise is: a tie is no reason for the other.
  bool ties_with_best(std::size_t i, const Trial& other) const {
    constexpr double kTie = 0.99;
    if (!out_.best || *out_.best == i) return false;
    return std::ranges::any_of(first_seed_runs(at(*out_.best)), [&](const Trial& t) {
      return !is_saturated(t) && t.interactivity >= kTie * other.interactivity &&
             t.tok_s_per_gpu >= kTie * other.tok_s_per_gpu;
    });
  }

  // The more tokens a GPU serves, the fewer each user gets.
  void find_frontier() {
    std::vector<FrontierPoint> points;
    for (std::size_t i = 0; i < out_.deployments.size(); ++i) {
      for (const Trial& t : first_seed_runs(out_.deployments[i])) {
        // A queue that grows for as long as the run lasts has no steady rate.
        if (t.interactivity <= 0 || is_saturated(t) || ties_with_best(i, t)) continue;
        points.push_back({i, t});
      }
    }
    std::ranges::stable_sort(points, [](const FrontierPoint& a, const FrontierPoint& b) {
      if (a.trial.interactivity != b.trial.interactivity) {
        return a.trial.interactivity > b.trial.interactivity;
      }
      return a.trial.tok_s_per_gpu > b.trial.tok_s_per_gpu;
    });
    double best = 0;
    out_.frontier.clear();
    for (FrontierPoint& p : points) {
      if (p.trial.tok_s_per_gpu <= best) continue;
      best = p.trial.tok_s_per_gpu;
      out_.frontier.push_back(std::move(p));
    }
    std::ranges::reverse(out_.frontier);
  }

  const PlanFile& file_;
  const PointOptions& options_;
  const PlanHooks& hooks_;
  TrialRunner runner_;
  PlanAnswer out_;
  std::atomic<std::int64_t> runs_{0};
};

}  // namespace

bool may_beat(const Trial& point, double load, const std::vector<Trial>& runs) {
  // Under few sessions medians go up and down by some percent with which ones came.
  constexpr double kNoise = 0.05;
  if (was_run(runs, load)) return false;
  const double gpu = (1 - kNoise) * point.tok_s_per_gpu, user = (1 - kNoise) * point.interactivity;
  return std::ranges::all_of(runs, [&](const Trial& run) {
    if (run.load > load) return run.tok_s_per_gpu >= gpu || is_saturated(run);
    return run.interactivity >= user && !is_saturated(run);
  });
}

std::string why_not(const PlanFile& file, const DeploymentResult& deployment) {
  if (deployment.keeps_slo()) return "";
  if (!deployment.reason.empty()) return deployment.reason;
  std::string reason = fmt::format("misses the SLO at {} {}", file.load.from, name_of(file.unit));
  // Its run at that load says which threshold; short runs of a halving are not kept.
  for (const Trial& t : deployment.trials) {
    if (t.load == file.load.from && !t.met) return reason + ": " + t.missed;
  }
  return reason;
}

double PlanAnswer::error_low() const {
  const DeploymentResult& d = deployments[*best];
  const double first = d.by_seed.front().held;
  return d.held * std::min({1.0, *held_slow / first, *held_fast / first});
}

double PlanAnswer::error_high() const {
  const DeploymentResult& d = deployments[*best];
  const double first = d.by_seed.front().held;
  return d.held * std::max({1.0, *held_slow / first, *held_fast / first});
}

double PlanAnswer::skipped_share() const {
  const auto can_run = std::ranges::count_if(
      deployments, [](const DeploymentResult& d) { return d.reason.empty(); });
  if (can_run == 0) return 0;
  return 1 - static_cast<double>(at_full_length) / static_cast<double>(can_run);
}

PlanAnswer search_deployments(const PlanFile& file, const PointOptions& options,
                              const PlanHooks& hooks) {
  return Searcher(file, options, hooks).run();
}

}  // namespace v4cap
