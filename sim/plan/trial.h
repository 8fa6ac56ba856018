// One run of a deployment under a load: a sample of the traffic, what it measured, and whether the
// SLO was kept.
//
// Load is what the arrivals of the base scenario count: sessions at a time in a closed loop, else
// requests a second (a recorded trace is sped up or slowed down to it).
//
// A run has no steady state at its end: the last sessions run alone, the queue drains. Rates and
// costs are therefore of a window: from the end of the ramp until the last unit begins (closed
// loop), or until the last request arrives (open loop). Where no request ended in it, and for a
// batch with a barrier, whose end is a part of its price, the window is the whole run. Sessions of a
// window are its requests over those of a mean session: few of the long ones end in it. Latencies
// and the SLO are of all requests.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "sim/cluster/simulation.h"
#include "sim/config/scenario.h"
#include "sim/sweep/condition.h"
#include "sim/sweep/figures.h"
#include "traces/trace.h"

namespace v4cap {

// A request is good when it keeps all limits that are given; a refused one is not.
struct GoodRequest {
  std::optional<Duration> ttft, tpot, e2el;
  bool asked() const { return ttft || tpot || e2el; }
};

inline constexpr const char* kGoodputFigure = "goodput";  // share of good requests, 0..1

// Of how much traffic a run is made.
struct SampleRule {
  std::int64_t requests = 4000;             // open loop
  double rounds = 2;                        // closed loop: units, times the load
  std::int64_t sessions = 1;                // closed loop: units at least
  Duration ramp{};                          // closed loop: the first units begin over this span
  std::optional<Duration> think_at_most{};  // closed loop: longer pauses are cut to it
  bool barrier = false;  // closed loop: a batch that ends when its last unit does
};

struct TrialRules {
  std::vector<Condition> thresholds;
  GoodRequest good;
  SampleRule sample;
};

enum class LoadUnit : std::uint8_t { sessions, requests_per_s };

// Throws InputError at the arrivals' place for a mode that has no load to change.
LoadUnit load_unit(const Scenario& scenario);
const char* name_of(LoadUnit unit);  // "sessions at a time", "requests/s"

struct Trial {
  double load = 0;
  std::uint64_t seed = 1;
  double size = 1;             // share of the sample that was played
  bool met = false;            // the SLO was kept
  std::string missed;          // the first threshold that was not, with its figure; "" when met
  Figures figures;             // of the run's summary, and goodput
  std::string binding;         // what took most of the time that was not idle (verdict.h)
  double binding_share = 0;    // of that time
  bool binding_waits = false;  // requests waited for it; else it made up the steps
  std::optional<double> link_share;    // collectives' share of the time of steps, where asked for
  double prefill_s = 0, decode_s = 0;  // time of steps that prompts and outputs take, where asked

  // In the window.
  double window_s = 0;
  std::int64_t requests = 0;  // that ended in it
  double sessions = 0;        // that they make up
  Tokens hit, computed, rebuilt, output;
  double interactivity = 0;  // median tokens a second that one user sees; 0: nobody decoded
  double tok_s_per_gpu = 0;  // cached, computed and output together, as InferenceX counts
  double output_tok_s = 0;
  std::int64_t gpus = 1;

  double figure(const std::string& name) const;  // NaN for one that the run does not have
};

struct TrialQuestion {
  double load = 1;
  std::uint64_t seed = 1;
  double size = 1;         // share of the sample
  double step_factor = 1;  // all steps take so many times as long
  bool explain = false;    // fill link_share, prefill_s and decode_s
};

// Runs trials of scenarios that share one workload, which is read once. Safe on several threads.
class TrialRunner {
 public:
  explicit TrialRunner(TrialRules rules) : rules_(std::move(rules)) {}

  // Throws RunError for a deployment that cannot run, Simulation::Interrupted when `progress` says
  // so.
  Trial run(const Scenario& deployment, const TrialQuestion& question,
            const ProgressFunction& progress);

  const TrialRules& rules() const { return rules_; }

 private:
  std::shared_ptr<const Trace> whole_trace(const Scenario& scenario);

  TrialRules rules_;
  std::mutex mutex_;
  std::map<std::uint64_t, std::shared_ptr<const Trace>> wholes_;  // by seed where generated, else 0
};

}  // namespace v4cap
