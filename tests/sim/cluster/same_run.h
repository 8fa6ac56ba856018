// Two runs that should be the same to the last bit, and a cost model whose steps may be taken
// together.
#pragma once

#include <bit>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "sim/cost/plain_decode_run.h"
#include "sim/output/record.h"

namespace v4cap {

// A linear cost whose steps may be asked for in runs. Counts how often it was asked for one alone.
class RunsCost final : public CostModel {
 public:
  using CostModel::step_time;
  StepTime step_time(std::span<const StepPlan* const> ranks) const override {
    std::int64_t tokens = 0, contexts = 0;
    for (const StepPlan* plan : ranks) {
      for (const StepPiece& piece : plan->pieces) {
        tokens += piece.tokens.value;
        contexts += piece.past.value;
      }
    }
    StepTime time;
    time.total = time.gpu = Duration{500'000 + 1'000 * tokens + 7 * contexts};
    time.share.roofline_s = to_seconds(time.total) / 3;
    time.share.measured_s = to_seconds(time.total) - time.share.roofline_s;
    return time;
  }
  std::unique_ptr<DecodeRun> decode_run(std::span<const StepPlan* const> ranks) const override {
    ++runs;
    return plain_decode_run(*this, ranks);
  }
  mutable std::int64_t runs = 0;
};

inline bool same_bits(double a, double b) {
  return std::bit_cast<std::uint64_t>(a) == std::bit_cast<std::uint64_t>(b);
}

inline bool same(const TimeShare& a, const TimeShare& b) {
  return same_bits(a.measured_s, b.measured_s) && same_bits(a.interpolated_s, b.interpolated_s) &&
         same_bits(a.extrapolated_s, b.extrapolated_s) &&
         same_bits(a.transferred_s, b.transferred_s) && same_bits(a.roofline_s, b.roofline_s) &&
         same_bits(a.host_s, b.host_s);
}

inline std::string difference(const std::vector<OccupancySample>& a,
                              const std::vector<OccupancySample>& b) {
  if (a.size() != b.size()) return "samples";
  for (std::size_t i = 0; i < a.size(); ++i) {
    const OccupancySample &x = a[i], &y = b[i];
    if (x.at != y.at || !(x.in_use == y.in_use) || !(x.cached == y.cached) ||
        x.running != y.running || x.waiting != y.waiting) {
      return "sample " + std::to_string(i);
    }
  }
  return "";
}

// What differs first; "" if nothing does.
inline std::string difference(const RunResult& a, const RunResult& b) {
  if (a.records.size() != b.records.size()) return "records";
  for (std::size_t i = 0; i < a.records.size(); ++i) {
    const RequestRecord &x = a.records[i], &y = b.records[i];
    const bool equal = x.end == y.end && x.arrival == y.arrival && x.admitted == y.admitted &&
                       x.first_token == y.first_token && x.second_token == y.second_token &&
                       x.finished == y.finished && x.hit == y.hit && x.computed == y.computed &&
                       x.rebuilt == y.rebuilt && x.preemptions == y.preemptions &&
                       x.recomputed_after_preemption == y.recomputed_after_preemption;
    if (!equal) return "record " + std::to_string(i);
  }
  const RunTotals &s = a.totals, &t = b.totals;
  if (s.result_hash != t.result_hash) return "hash";
  if (s.steps != t.steps || s.sequences != t.sequences || s.events != t.events) return "counts";
  if (s.busy != t.busy || s.clamped_steps != t.clamped_steps) return "busy";
  if (!same(s.share, t.share)) return "share";
  if (!(s.kv_peak == t.kv_peak) || !(s.evicted == t.evicted) || !(s.written == t.written) ||
      !(s.hit_bytes == t.hit_bytes) || !(s.rebuilt_bytes == t.rebuilt_bytes)) {
    return "bytes";
  }
  const BindingTime &u = s.binding, &v = t.binding;
  if (u.memory_pools != v.memory_pools || u.running_cap != v.running_cap ||
      u.step_tokens != v.step_tokens || u.nothing_waits_decode != v.nothing_waits_decode ||
      u.nothing_waits_prefill != v.nothing_waits_prefill || u.idle != v.idle) {
    return "binding";
  }
  if (s.decode_steps != t.decode_steps || s.decoded != t.decoded) return "decode steps";
  if (!same_bits(s.waiting_mean, t.waiting_mean) || !same_bits(s.running_mean, t.running_mean) ||
      !same_bits(s.decoding_mean, t.decoding_mean) || !same_bits(s.mean_batch, t.mean_batch)) {
    return "means";
  }
  return difference(a.occupancy, b.occupancy);
}

}  // namespace v4cap
