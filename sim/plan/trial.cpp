#include "sim/plan/trial.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "sim/cluster/run_scenario.h"
#include "sim/config/value.h"
#include "sim/cost/scaled_cost.h"
#include "sim/output/summary_json.h"
#include "sim/plan/trace_sample.h"

namespace v4cap {

namespace {

Trace sample_of(const Trace& whole, const Scenario& scenario, const SampleRule& rule,
                const TrialQuestion& question) {
  if (load_unit(scenario) == LoadUnit::requests_per_s) {
    const double requests = std::ceil(static_cast<double>(rule.requests) * question.size);
    return open_sample(whole, static_cast<std::int64_t>(requests), question.seed);
  }
  const auto at_once = static_cast<std::int64_t>(question.load);
  // At least all that run at once: a shorter batch would be another load.
  const double units =
      std::max(question.load * rule.rounds, static_cast<double>(rule.sessions)) * question.size;
  return closed_sample(whole,
                       {.units = std::max(at_once, static_cast<std::int64_t>(std::ceil(units))),
                        .seed = question.seed,
                        .ramp = rule.ramp,
                        .at_once = at_once,
                        .think_at_most = rule.think_at_most});
}

void set_load(Scenario& scenario, const Trace& sample, double load) {
  WorkloadConfig& w = scenario.workload;
  switch (w.arrivals) {
    case ArrivalMode::closed_loop:
      w.sessions_at_a_time = static_cast<std::int64_t>(load);
      return;
    case ArrivalMode::poisson:
      w.rate_per_s = load;
      return;
    default: {
      const double rate = recorded_rate(sample);
      if (!(rate > 0)) {
        throw InputError(Place{sample.name},
                         "expected requests at different times, so that their rate can be changed");
      }
      w.time_scale = rate / load;
    }
  }
}

struct Window {
  SimTime from, to;
  double seconds() const { return to_seconds(to - from); }
  bool holds(SimTime at) const { return from < at && at <= to; }
};

// When each session began; requests without one count as sessions of their own.
std::vector<SimTime> session_begins(const RunResult& result) {
  std::map<std::int64_t, SimTime> begins;
  for (const RequestRecord& r : result.records) {
    const std::int64_t key = r.session >= 0 ? r.session : -1 - static_cast<std::int64_t>(r.id);
    const auto [it, is_new] = begins.emplace(key, r.arrival);
    if (!is_new) it->second = std::min(it->second, r.arrival);
  }
  std::vector<SimTime> out;
  for (const auto& [key, begin] : begins) out.push_back(begin);
  return out;
}

Window window_of(const RunResult& result, const std::vector<SimTime>& begins,
                 const Scenario& scenario, const SampleRule& rule) {
  const RunTotals& t = result.totals;
  const Window whole{t.first_arrival, t.last_finish};
  if (rule.barrier) return whole;
  Window window{t.first_arrival, t.last_arrival};
  if (scenario.workload.arrivals == ArrivalMode::closed_loop) {
    const auto units = static_cast<std::int64_t>(begins.size());
    if (units <= scenario.workload.sessions_at_a_time) return whole;
    window = {kSimStart + rule.ramp, std::ranges::max(begins)};
  }
  const bool anything = std::ranges::any_of(
      result.records, [&](const RequestRecord& r) { return window.holds(r.finished); });
  return anything ? window : whole;
}

void measure_window(const RunResult& result, const Scenario& scenario, const SampleRule& rule,
                    Trial& trial) {
  const std::vector<SimTime> begins = session_begins(result);
  const Window window = window_of(result, begins, scenario, rule);
  trial.window_s = window.seconds();
  std::vector<double> per_user;
  for (const RequestRecord& r : result.records) {
    if (r.end != RequestEnd::finished || !window.holds(r.finished)) continue;
    ++trial.requests;
    trial.hit += r.hit;
    trial.computed += r.computed;
    trial.rebuilt += r.rebuilt;
    trial.output += r.output;
    if (const auto rate = output_token_throughput_per_user(r)) per_user.push_back(*rate);
  }
  trial.sessions = static_cast<double>(trial.requests) * static_cast<double>(begins.size()) /
                   static_cast<double>(std::max<std::size_t>(1, result.records.size()));
  trial.interactivity = describe(std::move(per_user)).p50;
  trial.gpus = result.gpus;
  if (trial.window_s <= 0) return;
  trial.output_tok_s = static_cast<double>(trial.output.value) / trial.window_s;
  trial.tok_s_per_gpu = static_cast<double>((trial.hit + trial.computed + trial.output).value) /
                        trial.window_s / static_cast<double>(trial.gpus);
}

double goodput_of(const RunResult& result, const GoodRequest& good) {
  if (result.records.empty()) return 1;
  const auto within = [](std::optional<double> ms, const std::optional<Duration>& limit) {
    return !limit || !ms || *ms <= to_ms(*limit);
  };
  const auto kept = std::ranges::count_if(result.records, [&](const RequestRecord& r) {
    return r.end == RequestEnd::finished && within(time_to_first_token_ms(r), good.ttft) &&
           within(inter_token_latency_ms(r), good.tpot) && within(request_latency_ms(r), good.e2el);
  });
  return static_cast<double>(kept) / static_cast<double>(result.records.size());
}

// What took most of the time that was not idle. The verdict of a run counts idle time too, which
// says nothing of what would bind under more load. A first token comes late because its request
// waited: what missed such a limit is looked for in the time when something waited.
void find_binding(const RunTotals& totals, Trial& trial) {
  RunTotals busy = totals;
  busy.binding.idle = {};
  busy.saturated |= trial.missed.find("ttft_ms") != std::string::npos;
  const Verdict verdict = make_verdict(busy);
  trial.binding = verdict.binding;
  trial.binding_share = verdict.share;
  trial.binding_waits =
      verdict.binding != "decode" &&
      (verdict.binding != "prefill" || (busy.saturated && totals.binding.step_tokens > Duration{}));
}

// Steps without prompts are the outputs'. A step with prompts would have taken about as long as one
// without where sequences decode in it; what it takes beyond that is the prompts'.
void split_time(const StepLedgers& ledgers, Trial& trial) {
  double prefill_s = 0, link_s = 0;
  bool parts_known = false;
  const auto add = [&](const CostLedger& ledger, double& sum) {
    for (const auto& [part, seconds] : ledger.seconds()) {
      sum += seconds;
      parts_known |= part != "step";
      for (const char* word : {"all-reduce", "exchange", "dispatch", "combine", "all_gather",
                               "reduce_scatter", "all_reduce"}) {
        if (part.find(word) == std::string::npos) continue;
        link_s += seconds;
        break;
      }
    }
  };
  double decode_s = 0;
  add(ledgers.decode, decode_s);
  add(ledgers.prefill, prefill_s);
  if (parts_known && decode_s + prefill_s > 0) trial.link_share = link_s / (decode_s + prefill_s);
  double beside_s = 0;
  if (ledgers.decode_steps > 0 && ledgers.decoding_s > 0) {
    const double mean_s = decode_s / static_cast<double>(ledgers.decode_steps);
    const double steps =
        static_cast<double>(ledgers.prefill_steps) *
        std::min(1.0, ledgers.decoding_beside_prefill_s / std::max(prefill_s, 1e-12));
    beside_s = std::min(prefill_s, mean_s * steps);
  }
  trial.prefill_s = prefill_s - beside_s;
  trial.decode_s = decode_s + beside_s;
}

// A figure in a message: no more digits than say something.
std::string short_number(const std::string& text) {
  std::string hint;
  const auto number = parse_value<double>(text, hint);
  if (!number || !std::isfinite(*number)) return text;
  return std::abs(*number) >= 1000 ? fmt::format("{:.0f}", *number)
                                   : fmt::format("{:.4g}", *number);
}

// Whether every threshold is kept; the first that is not goes into `missed`.
void judge(const TrialRules& rules, Trial& trial) {
  const auto lookup = [&](const std::string& name) -> std::optional<std::string> {
    const auto found = std::ranges::find(trial.figures, name, &Figures::value_type::first);
    if (found == trial.figures.end() || found->second.empty()) return std::nullopt;
    return found->second;
  };
  // Whatever the thresholds say, a queue that never ends and requests that nobody serves are not
  // load that is held.
  if (lookup("saturated") == "true") {
    trial.missed = "the queue grew as long as requests came";
    return;
  }
  if (const auto refused = lookup("refused"); refused && *refused != "0") {
    trial.missed = *refused +
                   " requests were refused: too long for the context limit or the KV "
                   "memory";
    return;
  }
  for (const Condition& threshold : rules.thresholds) {
    bool has_all = true;
    std::string shown_figures;
    for (const std::string& name : threshold.left_names()) {
      const std::optional<std::string> value = lookup(name);
      has_all &= value.has_value();
      shown_figures += (shown_figures.empty() ? "" : ", ") + name + " is " +
                       short_number(value.value_or("none"));
    }
    if (has_all && threshold.holds(lookup)) continue;
    trial.missed = threshold.text() + ": " + shown_figures;
    return;
  }
  trial.met = true;
}

}  // namespace

LoadUnit load_unit(const Scenario& scenario) {
  if (scenario.workload.cycle_to > 0) {
    const auto it = scenario.places.find("workload.cycle_to_requests");
    throw InputError(it == scenario.places.end() ? Place{scenario.file} : it->second,
                     "workload.cycle_to_requests: expected none, a plan takes as many requests of "
                     "the trace as its samples need");
  }
  switch (scenario.workload.arrivals) {
    case ArrivalMode::closed_loop:
      return LoadUnit::sessions;
    case ArrivalMode::poisson:
    case ArrivalMode::trace:
      return LoadUnit::requests_per_s;
    default: {
      const auto it = scenario.places.find("workload.arrivals.mode");
      throw InputError(
          it == scenario.places.end() ? Place{scenario.file} : it->second,
          "workload.arrivals.mode: expected closed_loop, poisson or trace, whose load "
          "can be changed, got " +
              std::string(scenario.workload.arrivals == ArrivalMode::burst ? "burst" : "client"));
    }
  }
}

const char* name_of(LoadUnit unit) {
  return unit == LoadUnit::sessions ? "sessions at a time" : "requests/s";
}

double Trial::figure(const std::string& name) const {
  const auto found = std::ranges::find(figures, name, &Figures::value_type::first);
  std::string hint;
  const auto number =
      found == figures.end() ? std::nullopt : parse_value<double>(found->second, hint);
  return number.value_or(std::numeric_limits<double>::quiet_NaN());
}

std::shared_ptr<const Trace> TrialRunner::whole_trace(const Scenario& scenario) {
  const std::lock_guard lock(mutex_);
  std::shared_ptr<const Trace>& whole = wholes_[scenario.workload.synthetic ? scenario.seed : 0];
  if (!whole) whole = std::make_shared<const Trace>(load_workload(scenario));
  return whole;
}

Trial TrialRunner::run(const Scenario& deployment, const TrialQuestion& question,
                       const ProgressFunction& progress) {
  Scenario scenario = deployment;
  scenario.seed = question.seed;
  check_can_run(scenario);
  check_one_replica(scenario, "a plan searches deployments of one replica");
  // One trace file is read with one seed: what a seed changes of it is drawn by the sample.
  Scenario reads = scenario;
  if (!reads.workload.synthetic) reads.seed = 1;
  const Trace sample = sample_of(*whole_trace(reads), scenario, rules_.sample, question);
  check_blocks(scenario, sample);
  set_load(scenario, sample, question.load);

  const auto replica = make_replica(scenario);
  const ScenarioCost cost = make_cost(scenario);
  const ScaledCost scaled(*cost.model, question.step_factor);
  StepLedgers ledgers;
  const RunResult result =
      run_parts(scenario, sample, *replica, scaled,
                {.explained = question.explain ? &ledgers : nullptr}, progress);

  Trial trial;
  trial.load = question.load;
  trial.seed = question.seed;
  trial.size = question.size;
  JsonWriter json;
  write_summary(json, summarise(result, identify(scenario)), WallTime::left_out);
  trial.figures = figures_of(json.text());
  if (rules_.good.asked()) {
    trial.figures.emplace_back(kGoodputFigure, fmt::format("{}", goodput_of(result, rules_.good)));
  }
  measure_window(result, scenario, rules_.sample, trial);
  if (question.explain) split_time(ledgers, trial);
  judge(rules_, trial);
  find_binding(result.totals, trial);
  return trial;
}

}  // namespace v4cap
