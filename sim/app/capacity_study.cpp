#include "sim/app/capacity_study.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <numeric>

#include "sim/cluster/run_scenario.h"
#include "sim/model/compression.h"

namespace v4cap {

namespace {

constexpr std::array<std::int64_t, 9> kLengths = {4096,   8192,   16384,  32768,  65536,
                                                  131072, 262144, 524288, 1048576};

std::string set_text(const std::string& key, std::int64_t value) {
  return key + '=' + std::to_string(value);
}

// Runs `use` on the scenario with overrides; a refusal becomes text.
template <class Use>
std::string refusal_of(const ScenarioLoader& load, const std::vector<std::string>& set, Use use) {
  try {
    use(CapacityOption(load(set)));
  } catch (const InputError& error) {
    return error.diagnostics().front().message;
  } catch (const RunError& error) {
    return error.what();
  }
  return "";
}

// What the engine reserves for one request of the longest length; where it says nothing, what such
// a request takes while it decodes.
Bytes reserved_for(const CapacityOption& option, Tokens length) {
  if (const auto gib = option.figure(kNeededFigure)) {
    return Bytes{static_cast<std::int64_t>(*gib * static_cast<double>(kGiB))};
  }
  return (option.capacity.cached(length) + option.capacity.running()).total();
}

// Least squares of bytes over tokens, from `first` on; slope 0 for a single length.
void fit_line(RequestFit& fit, Tokens first) {
  double n = 0, x = 0, y = 0, xx = 0, xy = 0;
  for (const RequestCost& cost : fit.costs) {
    if (cost.length < first) continue;
    const auto tokens = static_cast<double>(cost.length.value);
    const auto bytes = static_cast<double>(cost.reserved.value);
    n += 1;
    x += tokens;
    y += bytes;
    xx += tokens * tokens;
    xy += tokens * bytes;
  }
  const double spread = n * xx - x * x;
  fit.bytes_per_token = spread > 0 ? (n * xy - x * y) / spread : 0;
  fit.fixed_bytes = n > 0 ? (y - fit.bytes_per_token * x) / n : 0;
}

// A model with the bytes of its entries.
struct CacheModel {
  ModelSpec spec;
  EntryFormat entry;
};

// Another model, with FP4 indexer keys where the scenario asks for them and the model has them.
CacheModel cache_model(const Scenario& scenario, const std::string& name) {
  const ModelData data = load_model(name);
  const bool fp4 = scenario.kv_cache.indexer == IndexerFormat::fp4 && data.entry_fp4;
  return {data.spec, fp4 ? *data.entry_fp4 : data.entry_fp8};
}

// Of a running sequence: compressed entries, the last window and compressor rows.
KindBytes sequence_bytes(const CacheModel& model, Tokens length) {
  const CacheGeometry geometry(model.spec, model.entry);
  KindBytes bytes = geometry.compressed(length);
  bytes += geometry.window(std::min(length, geometry.window_tokens()));
  bytes += geometry.running_tails();
  return bytes;
}

}  // namespace

CapacityOption::CapacityOption(Scenario s)
    : scenario(std::move(s)),
      engine(make_engine(scenario)),
      capacity(engine->cache().layout(), engine->cache().policy(), scenario.kv_cache.block) {}

Bytes CapacityOption::kv_memory() const {
  const auto& memory = scenario.kv_cache.memory;
  return memory ? *memory : memory_of_gpu(scenario).kv;
}

Bytes CapacityOption::pool_memory() const {
  Bytes sum;
  for (const PoolSpec& pool : layout().pools()) sum += pool.capacity;
  return sum;
}

std::optional<double> CapacityOption::figure(const char* key) const {
  const auto figures = layout().engine_log();
  const LogFigure* found = find_figure(figures, key);
  return found == nullptr ? std::nullopt : std::optional(found->value);
}

bool CapacityOption::policy_sizes_window_pool() const {
  const SwaPolicy& policy = engine->cache().policy();
  return layout().window_pool_ratio() &&
         (policy.stores_window_of_every_token() || policy.window_pool_ratio());
}

std::int64_t replicas_per_node(const Scenario& scenario) {
  return std::max<std::int64_t>(
      1, scenario.hardware.gpus_per_node / scenario.deployment.tensor_parallel);
}

std::vector<Tokens> shown_lengths(Tokens longest) {
  std::vector<Tokens> out;
  for (std::size_t i = 0; i < kLengths.size(); i += 2) {
    if (kLengths[i] <= longest.value) out.push_back(Tokens{kLengths[i]});
  }
  return out;
}

std::vector<DeploymentRow> deployments(const Scenario& scenario, const ScenarioLoader& load) {
  const std::int64_t gpus = scenario.deployment.gpus();
  std::vector<DeploymentRow> rows;
  for (std::int64_t ranks = 1; ranks <= gpus; ranks *= 2) {
    if (gpus % ranks != 0) continue;
    DeploymentRow row;
    row.widths = {gpus / ranks, ranks, ranks > 1 ? gpus : 1};
    row.refused = refusal_of(load,
                             {set_text("deployment.tensor_parallel", row.widths.tensor_parallel),
                              set_text("deployment.data_parallel", row.widths.data_parallel),
                              set_text("deployment.expert_parallel", row.widths.expert_parallel)},
                             [&](CapacityOption option) {
                               row.rank_tokens = option.capacity.tokens();
                               row.engine_tokens = row.rank_tokens * ranks;
                               row.option.emplace(std::move(option));
                             });
    rows.push_back(std::move(row));
  }
  return rows;
}

std::vector<SensitivityRow> sensitivity(const CapacityOption& base, const ScenarioLoader& load) {
  const Scenario& s = base.scenario;
  const KvCacheConfig& kv = s.kv_cache;
  std::vector<std::pair<std::string, std::vector<std::string>>> changes = {{"as it is", {}}};
  if (kv.memory) {
    changes.push_back({"1 % more KV memory",
                       {fmt::format("kv_cache.memory={} B", kv.memory->value / 100 * 101)}});
  } else {
    changes.push_back(
        {"1 % more of the GPU's memory",
         {fmt::format("kv_cache.memory_fraction={}", std::min(1.0, kv.memory_fraction + 0.01))}});
  }
  // Sizes that the engine does not have are no change that anyone could make.
  const std::vector<std::int64_t> blocks = layout_traits(kv.layout).engine_blocks;
  for (const auto& [change, block] : {std::pair{"half the block", kv.block.value / 2},
                                      std::pair{"twice the block", kv.block.value * 2}}) {
    if (!blocks.empty() && std::ranges::find(blocks, block) == blocks.end()) continue;
    changes.push_back({change, {set_text("kv_cache.block_tokens", block)}});
  }
  if (const auto ratio = kv.layout_options.find("swa_full_tokens_ratio");
      ratio != kv.layout_options.end()) {
    changes.push_back({"window ratio 0.01 lower",
                       {fmt::format("kv_cache.layout_options.swa_full_tokens_ratio={}",
                                    std::max(0.0, ratio->second - 0.01))}});
  }
  if (kv.indexer != IndexerFormat::fp4) {
    changes.push_back({"FP4 indexer keys", {"kv_cache.indexer=fp4"}});
  }
  changes.push_back(
      {"one more draft token", {set_text("engine.draft_tokens", s.engine.draft_tokens + 1)}});
  changes.push_back({"half the tokens of a step",
                     {set_text("engine.step_tokens", s.engine.step_tokens.value / 2)}});
  std::vector<SensitivityRow> rows;
  for (const auto& [change, set] : changes) {
    SensitivityRow row{change, "", 0, {}};
    row.refused = refusal_of(load, set, [&](const CapacityOption& option) {
      row.policy_tokens = static_cast<double>(option.capacity.tokens().value);
      row.engine_tokens = option.figure(kTokensFigure);
    });
    rows.push_back(std::move(row));
  }
  return rows;
}

RequestFit request_fit(const CapacityOption& base, const ScenarioLoader& load) {
  RequestFit fit;
  for (const std::int64_t length : kLengths) {
    if (length > base.scenario.engine.max_context.value) break;
    const CapacityOption option(load({set_text("engine.max_context_tokens", length)}));
    RequestCost cost{Tokens{length}, reserved_for(option, Tokens{length}), {}};
    if (const auto tokens = option.figure(kTokensFigure); tokens && *tokens > 0) {
      cost.logged_bytes_per_token = static_cast<double>(option.pool_memory().value) / *tokens;
    }
    fit.costs.push_back(cost);
  }
  // Shorter requests cannot fill what is reserved for tokens in flight: the line begins there.
  const EngineConfig& engine = base.scenario.engine;
  const Tokens flight = engine.step_tokens * engine.steps_in_flight + base.scenario.model.window;
  const bool reached = !fit.costs.empty() && flight < fit.costs.back().length;
  fit_line(fit, reached ? flight : Tokens{0});
  return fit;
}

std::vector<ModelBytes> model_bytes(const Scenario& scenario,
                                    const std::vector<std::string>& models,
                                    const std::vector<Tokens>& lengths) {
  std::vector<CacheModel> all = {{scenario.model, scenario.kv_cache.entry}};
  for (const std::string& name : models) all.push_back(cache_model(scenario, name));
  std::vector<ModelBytes> out;
  for (const Tokens length : lengths) {
    double first = 0;
    for (const CacheModel& model : all) {
      ModelBytes row{model.spec.name, length, sequence_bytes(model, length), 0};
      const auto total = static_cast<double>(row.kinds.total().value);
      if (first == 0) first = total;
      row.ratio_to_first = total / first;
      out.push_back(row);
    }
  }
  return out;
}

std::vector<ModelBytes> compare_models(const Scenario& scenario,
                                       const std::vector<std::string>& models) {
  std::vector<Tokens> lengths;
  for (const std::int64_t length : kLengths) lengths.push_back(Tokens{length});
  return model_bytes(scenario, models, lengths);
}

double CachedToken::total() const {
  return std::accumulate(kinds.begin(), kinds.end(), 0.0);
}

std::vector<CachedToken> cached_tokens(const CapacityOption& base,
                                       const std::vector<std::string>& models) {
  const Scenario& s = base.scenario;
  std::vector<CachedToken> rows = {
      {s.model.name + ", " + s.kv_cache.swa_policy, base.capacity.bytes_per_token_by_kind()}};
  for (const std::string& name : models) {
    CacheModel model = cache_model(s, name);
    model.entry = entry_on_rank(model.entry, model.spec, s.deployment.tensor_parallel);
    const Tokens length{kLengths.back()};
    const KindBytes bytes = CacheGeometry(model.spec, model.entry).compressed(length);
    CachedToken row{name, {}};
    for (std::size_t k = 0; k < kCacheKinds; ++k) {
      row.kinds[k] = static_cast<double>(bytes.bytes[k]) / static_cast<double>(length.value);
    }
    rows.push_back(row);
  }
  return rows;
}

std::optional<Tokens> breakeven(const Scenario& scenario, const std::string& other) {
  const CacheModel own{scenario.model, scenario.kv_cache.entry};
  const CacheModel theirs = cache_model(scenario, other);
  const auto smaller = [&](std::int64_t n) {
    return sequence_bytes(own, Tokens{n}).total() < sequence_bytes(theirs, Tokens{n}).total();
  };
  // Both grow evenly but for whole entries, so that the last length that is not smaller lies below
  // one that is: halving finds it up to an entry of 128 tokens, a walk the rest.
  std::int64_t high = scenario.model.max_context.value;
  if (!smaller(high)) return std::nullopt;
  std::int64_t low = 0;
  while (high - low > 2 * kHcaTokensPerEntry) {
    const std::int64_t middle = low + (high - low) / 2;
    (smaller(middle) ? high : low) = middle;
  }
  while (high > 1 && smaller(high - 1)) --high;
  return Tokens{high};
}

std::optional<double> reserved_breakeven(const CapacityOption& base, const RequestFit& fit,
                                         const std::string& other) {
  const CacheModel theirs = cache_model(base.scenario, other);
  const Tokens length{kLengths.back()};
  const double slope = static_cast<double>(sequence_bytes(theirs, length).total().value) /
                       static_cast<double>(length.value);
  if (slope <= fit.bytes_per_token) return std::nullopt;
  return std::max(0.0, fit.fixed_bytes / (slope - fit.bytes_per_token));
}

}  // namespace v4cap
