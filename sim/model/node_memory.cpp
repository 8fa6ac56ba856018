#include "sim/model/node_memory.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "sim/core/error.h"
#include "sim/model/parameters.h"

namespace v4cap {
namespace {

constexpr std::int64_t kWidestGroup = 1024;
constexpr double kBytesMax = 9e18;  // models beyond it fit nowhere, and are still numbers
constexpr double kMiB = 1048576;

Bytes whole(double bytes) {
  return {static_cast<std::int64_t>(std::min(bytes, kBytesMax))};
}

double rule(const MemoryRules& rules, const std::string& name) {
  const auto it = rules.find(name);
  if (it != rules.end()) return it->second;
  const auto known = std::find_if(kMemoryRules.begin(), kMemoryRules.end(),
                                  [&](const MemoryRule& r) { return name == r.name; });
  V4CAP_CHECK(known != kMemoryRules.end(), "unknown memory rule " + name);
  return known->fallback;
}

// Share of the routed experts on one GPU: whole ones where they are spread, rounded up, cut by the
// GPUs that share them.
double expert_share(const ModelSpec& model, const EngineWidths& widths) {
  if (model.moe.routed_experts == 0) return 1;
  const std::int64_t experts =
      (model.moe.routed_experts + widths.expert_parallel - 1) / widths.expert_parallel;
  const double cut =
      static_cast<double>(widths.gpus()) / static_cast<double>(widths.expert_parallel);
  return static_cast<double>(experts) / static_cast<double>(model.moe.routed_experts) / cut;
}

struct RankWeights {
  double experts = 0, other = 0;
};

RankWeights rank_weights(const Parameters& parameters, const MemoryQuestion& q) {
  const auto tp = static_cast<double>(q.widths.tensor_parallel);
  const bool whole_embedding =
      q.widths.data_parallel > 1 && rule(q.rules, "embedding_repeated") != 0;
  // Only experts of 4 bits are converted where the GPU has no FP4 units.
  const bool native = q.gpu.flop_per_s_peak_fp4 > 0 || q.model.weights.expert_bytes >= 1;
  const char* const expert_factor = native ? "expert_factor" : "expert_factor_without_fp4";
  RankWeights out;
  for (std::size_t i = 0; i < kWeightParts; ++i) {
    const auto part = static_cast<WeightPart>(i);
    const PartParameters& p = parameters[part];
    const double bytes = p.total * p.bytes_per_weight;
    if (part == WeightPart::routed_experts) {
      out.experts += bytes * expert_share(q.model, q.widths) * rule(q.rules, expert_factor);
    } else {
      const bool repeated = !p.divided || (part == WeightPart::embedding && whole_embedding);
      out.other += bytes / (repeated ? 1 : tp) * rule(q.rules, "other_factor");
    }
  }
  return out;
}

void add_weights(NodeMemory& out, const MemoryQuestion& q) {
  const auto add = [&](const std::string& name, double bytes, const std::string& source) {
    out.items.push_back({name, whole(bytes), source});
    out.weights += out.items.back().bytes;
  };
  const RankWeights weights = rank_weights(parameters_of(q.model), q);
  const std::string factors =
      q.rules.empty() ? "checkpoint formats" : "checkpoint formats x the engine's loading factors";
  if (weights.experts > 0) {
    add("weights: routed experts", weights.experts,
        fmt::format("{}, 1/{} of them", factors, q.widths.gpus()));
  }
  add("weights: all others", weights.other,
      fmt::format("{}, divided over {} where parallel", factors, q.widths.tensor_parallel));
  if (q.draft && q.model.mtp_layers > 0) {
    const RankWeights draft = rank_weights(mtp_parameters_of(q.model), q);
    add("weights: draft", draft.experts + draft.other, "MTP layers, " + factors);
  }
}

void add_reserve(NodeMemory& out, const MemoryQuestion& q) {
  const auto add = [&](const std::string& name, double bytes, const std::string& source) {
    if (bytes <= 0) return;
    out.items.push_back({name, whole(bytes), source});
    out.reserve += out.items.back().bytes;
  };
  if (q.reserve) {
    add("reserve", static_cast<double>(q.reserve->value),
        "activations, graphs, communication: kv_cache.reserve");
    return;
  }
  const auto tokens = static_cast<double>(q.step_tokens.value);
  const auto hidden = static_cast<double>(q.model.hidden);
  const double vectors = rule(q.rules, "activation_vectors");
  add("activations", tokens * vectors * hidden * 2,
      fmt::format("{} tokens x {:g} BF16 vectors of {}", q.step_tokens.value, vectors,
                  q.model.hidden));
  if (q.widths.data_parallel > 1) {
    const auto active = static_cast<double>(q.model.moe.active_experts);
    add("dispatch buffers", tokens * active * hidden * rule(q.rules, "dispatch_bytes"),
        "tokens of a step to their experts and back");
  }
  add("fixed", rule(q.rules, "fixed_bytes"), "context, communication, graphs, workspaces");
}

// The way out to name in the message; 0 when no width helps because the repeated weights alone are
// too many.
std::int64_t width_that_fits(const MemoryQuestion& question, Bytes available) {
  for (std::int64_t width = 1; width <= kWidestGroup; width *= 2) {
    MemoryQuestion q = question;
    q.widths = {width, 1, 1};
    NodeMemory memory;
    add_weights(memory, q);
    if (memory.weights < available) return width;
  }
  return 0;
}

[[noreturn]] void does_not_fit(const MemoryQuestion& q, const NodeMemory& out) {
  const std::int64_t width = width_that_fits(q, out.usable - out.reserve);
  std::string widths = fmt::format("tensor_parallel {}", q.widths.tensor_parallel);
  if (q.widths.data_parallel > 1) widths += fmt::format(" x {} ranks", q.widths.data_parallel);
  throw RunError(fmt::format(
      "{} does not fit on {} at {}: {:.2f} GiB of weights and {:.2f} GiB of reserve on each GPU, "
      "of which {:.2f} GiB may be used ({:.0f} % of {:.2f}); {:.2f} GiB are missing{}",
      q.model.name, q.gpu.name, widths, to_gib(out.weights), to_gib(out.reserve),
      to_gib(out.usable), 100 * q.memory_fraction, to_gib(out.memory), to_gib(Bytes{} - out.kv),
      width > q.widths.gpus() ? fmt::format("; the weights fit from tensor_parallel {}", width)
                              : std::string()));
}

}  // namespace

double default_memory_fraction(const FractionRule& r, Bytes gpu_memory, const EngineWidths& widths,
                               Tokens chunk) {
  const double memory = static_cast<double>(gpu_memory.value) / kMiB;
  const auto ranks = static_cast<double>(widths.data_parallel);
  const auto gpus = static_cast<double>(widths.gpus());
  const bool small = memory < r.small_below_memory && gpus < r.small_below_width;
  const double batch = small ? r.graph_batch_small : r.graph_batch;
  double graphs = r.per_graph_batch * batch + r.prefill_graphs;
  if (widths.data_parallel > 1) {
    graphs += r.per_graph_batch_of_ranks * batch * ranks;
    if (batch > r.large_graph_batch) graphs += r.per_large_graph_batch * batch * ranks;
  }
  double reserve = r.base +
                   r.per_chunk_token * std::max(static_cast<double>(chunk.value), r.least_chunk) +
                   r.per_gpu * gpus + graphs;
  if (memory > r.least_above_memory) reserve = std::max(reserve, r.least);
  const double fraction = std::round((memory - reserve) / memory * 1000) / 1000;
  return std::clamp(fraction, 0.001, 1.0);
}

NodeMemory node_memory(const MemoryQuestion& q) {
  V4CAP_CHECK(q.memory_fraction > 0 && q.memory_fraction <= 1, std::to_string(q.memory_fraction));
  V4CAP_CHECK(q.widths.gpus() >= 1, std::to_string(q.widths.gpus()));
  NodeMemory out;
  out.memory = q.gpu.memory;
  const Bytes context = whole(rule(q.rules, "context_bytes"));
  if (context.value > 0) {
    out.items.push_back({"context", context, "CUDA context and NCCL, before the fraction"});
  }
  out.usable = whole(static_cast<double>((out.memory - context).value) * q.memory_fraction);
  out.items.push_back({"outside the fraction", out.memory - context - out.usable,
                       fmt::format("memory fraction {:g}", q.memory_fraction)});
  add_weights(out, q);
  add_reserve(out, q);
  out.kv = out.usable - out.weights - out.reserve;
  if (out.kv.value <= 0) does_not_fit(q, out);
  return out;
}

NodeMemory node_memory(const ModelSpec& model, const GpuSpec& gpu, std::int64_t tensor_parallel,
                       double memory_fraction, Bytes reserve) {
  MemoryQuestion question{model, gpu};
  question.widths.tensor_parallel = tensor_parallel;
  question.memory_fraction = memory_fraction;
  question.reserve = reserve;
  return node_memory(question);
}

}  // namespace v4cap
