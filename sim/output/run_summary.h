// Everything that is said about one run, computed once; the writers only lay it out.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "sim/output/cluster_summary.h"
#include "sim/output/metrics.h"
#include "sim/output/record.h"
#include "sim/output/verdict.h"

namespace v4cap {

struct Scenario;

// What a run was, for people and for files.
struct RunIdentity {
  std::string scenario, model, hardware;
  std::string policy, layout, scheduler;
  // "roofline", or the profiles that the times of steps come from, and what they leave out.
  std::string times;
  std::string profile_beside{};  // Scenario::profile_beside
  std::uint64_t seed = 0;
};

RunIdentity identify(const Scenario& scenario);

struct RunSummary {
  RunIdentity identity;
  Metrics metrics;
  Verdict verdict;
  RunTotals totals;
  std::int64_t gpus = 1;
  std::optional<ClusterSummary> cluster{};  // of several replicas
};

RunSummary summarise(const RunResult& result, RunIdentity identity);

// Fractions of the simulated step time by where it came from; they sum to 1, or are all 0 without
// steps.
struct TimeShareFractions {
  double measured = 0, interpolated = 0, extrapolated = 0, transferred = 0, roofline = 0, host = 0;
};
TimeShareFractions fractions(const TimeShare& share);

// Mean tokens that a decode step of a request yielded, 1 without drafts; empty when none decoded. The
// last step of an output counts what was left of it.
std::optional<double> accepted_length_mean(const RunTotals& totals);

// What a tier had written or read for each generated token; empty when there was none.
std::optional<double> per_output_token(const KindBytes& bytes, Tokens output);
// How often a day what was written to a tier fills its drives; empty without drives or duration.
std::optional<double> drive_writes_per_day(const TierTotals& tier, Duration duration);

// 16 hexadecimal digits.
std::string hash_text(std::uint64_t hash);

}  // namespace v4cap
