// What a run decided, written while it goes on: every step with its plan and time (steps.csv,
// sim/output/steps_file.h), and what happened to requests and memory between (decisions.csv), so
// that two runs can be compared byte for byte. Lines of decisions.csv, in the order in which it
// happened:
//
//   step         the step that was planned then; what ends, ends with the one before
//   decision     admit, evict, preempt, finish or refuse
//   request      its position in the workload that is played, a client's warm-up first
//   slot         the engine's place for it while it runs, as in steps.csv
//   hit, compute, rebuild    of admissions: tokens that the cache had, tokens of prompt (and of
//                output after a preemption) still to be computed, tokens to run again before those
//   bytes        of evictions: what went since the line before, by cache kind
#pragma once

#include <cstdint>
#include <span>
#include <string>

#include "sim/cluster/replica.h"
#include "sim/cost/cost_model.h"
#include "sim/engine/engine_observer.h"
#include "sim/output/steps_file.h"
#include "sim/output/text_sink.h"

namespace v4cap {

inline constexpr const char* kDecisionsFile = "decisions.csv";

// Each call of a sink is whole lines.
class RunLog final : public EngineObserver {
 public:
  // Watches the only rank of `replica`, which must outlive the log.
  RunLog(Replica& replica, TextSink steps, TextSink decisions);
  ~RunLog() override { engine_.watch(nullptr); }
  RunLog(const RunLog&) = delete;
  RunLog& operator=(const RunLog&) = delete;

  // For HostRules::step_timed.
  void step_timed(SimTime begin, std::span<const StepPlan* const> ranks, const StepTime& time);
  std::int64_t steps() const { return steps_; }

  void admitted(RequestIndex slot, const LiveRequest& request) override;
  void preempted(RequestIndex slot, const LiveRequest& request) override;
  void finished(RequestIndex slot, const LiveRequest& request) override;
  void refused(const RequestRecord& record) override;

 private:
  void note_evictions();
  void note(const char* decision, std::uint32_t request, const std::string& rest);

  Engine& engine_;
  TextSink steps_sink_, decisions_sink_;
  StepLines lines_;
  RecordedStep step_;
  KindBytes evicted_;  // that lines were written for
  std::int64_t steps_ = 0;
};

}  // namespace v4cap
