// What `v4cap capacity` derives from one scenario by asking again with something changed: other
// deployments of the same GPUs, what single changes are worth, how what a request takes grows with
// its length, and other models. Figures only; capacity_command.cpp prints them.
#pragma once

#include <array>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "sim/app/scenario_options.h"
#include "sim/cache/capacity.h"
#include "sim/config/model_file.h"
#include "sim/config/scenario.h"
#include "sim/engine/engine.h"
#include "sim/model/node_memory.h"

namespace v4cap {

// A scenario with the engine that owns layout and policy.
struct CapacityOption {
  Scenario scenario;
  std::unique_ptr<Engine> engine;
  Capacity capacity;

  explicit CapacityOption(Scenario s);

  const Layout& layout() const { return engine->cache().layout(); }
  Bytes kv_memory() const;    // left for the KV cache of a GPU
  Bytes pool_memory() const;  // of it in pools: whole blocks, without what the layout reserves
  // As the engine logs it; nothing for a layout without a log.
  std::optional<double> figure(const char* key) const;
  // Windows have a pool whose size the policy decides, not the engine.
  bool policy_sizes_window_pool() const;
};

// Attention ranks on a node, each with a KV cache of its own; 1 where a rank takes several nodes.
std::int64_t replicas_per_node(const Scenario& scenario);

// Lengths to show sequences at, 4 Ki to 1 Mi tokens as far as `longest`.
std::vector<Tokens> shown_lengths(Tokens longest);

// One way to use the engine's GPUs. Without `option` it was refused for the reason given.
struct DeploymentRow {
  EngineWidths widths;
  std::optional<CapacityOption> option;
  std::string refused;
  Tokens rank_tokens, engine_tokens;  // cached tokens under the policy: a rank's, all ranks'
};

// Every split of the engine's GPUs into attention ranks, from all tensor parallel to all ranks.
std::vector<DeploymentRow> deployments(const Scenario& scenario, const ScenarioLoader& load);

// What one change is worth. `policy_tokens`: cached tokens under the policy; `engine_tokens`: as
// the engine logs them.
struct SensitivityRow {
  std::string change;
  std::string refused;  // why there are no figures
  double policy_tokens = 0;
  std::optional<double> engine_tokens;
};

// First row: nothing changed.
std::vector<SensitivityRow> sensitivity(const CapacityOption& base, const ScenarioLoader& load);

// Memory that the engine reserves for a request of `length` when that is the longest allowed, and
// the bytes "per token" that one reads off its log then (KV memory / logged tokens).
struct RequestCost {
  Tokens length;
  Bytes reserved;
  std::optional<double> logged_bytes_per_token;
};

struct RequestFit {
  std::vector<RequestCost> costs;
  // Least squares over the costs of requests longer than the tokens in flight.
  double fixed_bytes = 0, bytes_per_token = 0;
};

// Over 4 Ki to 1 Mi tokens, as far as the scenario's context goes.
RequestFit request_fit(const CapacityOption& base, const ScenarioLoader& load);

// Bytes of one sequence of a model on all its GPUs together without repetition (one rank of one
// GPU), as the formats define them.
struct ModelBytes {
  std::string model;
  Tokens length;
  KindBytes kinds;            // state while it runs
  double ratio_to_first = 0;  // over the first model's at the same length
  double bytes_per_token() const {
    return static_cast<double>(kinds.total().value) / static_cast<double>(length.value);
  }
};

// Bytes that a kept token of a model takes on each GPU: the scenario's under its policy and layout,
// the others' as their formats define them.
struct CachedToken {
  std::string model;  // and the policy, for the scenario's
  std::array<double, kCacheKinds> kinds{};
  double total() const;
};
std::vector<CachedToken> cached_tokens(const CapacityOption& base,
                                       const std::vector<std::string>& models);

// Least length at which a running sequence of the scenario's model takes fewer bytes than one of
// the other model, for good; nothing when it never does within the model's longest.
std::optional<Tokens> breakeven(const Scenario& scenario, const std::string& other);
// The same for what the engine reserves for a request, read off the fitted line.
std::optional<double> reserved_breakeven(const CapacityOption& base, const RequestFit& fit,
                                         const std::string& other);

// The scenario's model first, then the others, at each length. Formats with FP4 indexer keys where
// the scenario asks for them and the model has them.
std::vector<ModelBytes> compare_models(const Scenario& scenario,
                                       const std::vector<std::string>& models);
std::vector<ModelBytes> model_bytes(const Scenario& scenario,
                                    const std::vector<std::string>& models,
                                    const std::vector<Tokens>& lengths);

}  // namespace v4cap
