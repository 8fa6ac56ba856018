// What traffic costs and earns, from prices of GPU-hours and tokens.
//
// GPUs cost the same whether they are busy or not, so that the whole price of a window is shared
// out over what was served in it. Time of steps decides how: what outputs take goes to generated
// tokens, what prompts take to prompt tokens that were computed or rebuilt, each alike. What was
// rebuilt for a hit is the price of cached tokens: under a policy that rebuilds nothing they cost
// nothing beyond the memory that everybody pays.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "sim/plan/load_search.h"
#include "sim/plan/prices.h"
#include "sim/plan/trial.h"

namespace v4cap {

// What work is counted in: "trajectory" of a batch with a barrier, else "session", or "request" of a
// trace without sessions.
const char* task_name(const SampleRule& sample, const Trial& trial);

// What a task of the run cost, at a price of a GPU-hour; infinite where none ended.
double task_cost(const Trial& trial, double gpu_hour);

struct MoneyAnswer {
  std::string unit;           // "USD", or "GPU-hours" without a price table
  double gpu_hour = 1;        // price of one
  double replica_hour = 0;    // of one engine
  std::int64_t replicas = 1;  // that carry the load
  double hour = 0;            // of all of them
  // One more engine, so that the load is carried while one is down.
  double spare_hour = 0;
  // Load on each of the others while one of `replicas` is down; nothing with a single one.
  std::optional<double> load_after_loss;
  bool holds_after_loss = false;

  // Of a million tokens, or of one; over seeds. Empty where nothing of the kind was served.
  std::optional<SeedInterval> input, cached, output, all_tokens;
  std::optional<SeedInterval> session, request;
  std::optional<SeedInterval> revenue_hour,
      margin_hour;  // of all replicas, where tokens have prices
};

// `trials`: of one replica under its part of the load, one for each seed, explained. `held`: what
// one replica holds.
MoneyAnswer count_money(const std::vector<Trial>& trials, const PriceTable* prices,
                        const GpuPrice* gpu, std::int64_t replicas, double replica_load,
                        double held);

}  // namespace v4cap
