// What is left of a GPU's memory for the KV cache: its memory from the bottom, item by item.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "sim/core/units.h"
#include "sim/model/hardware.h"
#include "sim/model/model.h"

namespace v4cap {

// Numbers of an engine about its memory, by name; absent ones are 0 (factors: 1).
// scenarios/engines/*.yaml holds their values and where they come from.
using MemoryRules = std::map<std::string, double>;

struct MemoryRule {
  const char* name;
  const char* meaning;
  double fallback;
};

inline constexpr std::array<MemoryRule, 8> kMemoryRules = {{
    {"context_bytes", "taken of a GPU before the fraction applies", 0},
    {"expert_factor", "bytes of routed experts as loaded, over those of the checkpoint", 1},
    {"expert_factor_without_fp4", "the same on GPUs without FP4 units", 1},
    {"other_factor", "the same for all other weights", 1},
    {"embedding_repeated", "1: with data_parallel above 1 each GPU holds the whole embedding", 0},
    {"activation_vectors", "BF16 vectors of the hidden size kept for each token of a step", 0},
    {"fixed_bytes", "context, communication, graphs and workspaces inside the fraction", 0},
    {"dispatch_bytes", "for each token of a step, active expert and hidden element, with ranks", 0},
}};

// How the default of the memory fraction comes about where an engine has a rule for it: the memory
// less a reserve, over the memory, three digits (SGLang, arg_groups). All in MiB.
struct FractionRule {
  double base = 0, per_chunk_token = 0, least_chunk = 0, per_gpu = 0;
  double graph_batch = 0, graph_batch_small = 0;
  double small_below_memory = 0, small_below_width = 0;  // both: graph_batch_small
  double per_graph_batch = 0, per_graph_batch_of_ranks = 0, per_large_graph_batch = 0;
  double large_graph_batch = 0;  // above it per_large_graph_batch x batch x ranks more
  double prefill_graphs = 0;
  double least = 0, least_above_memory = 0;  // of the reserve, on GPUs with more memory
  double deepep = 0;  // buffers of DeepEP, which a launch may ask for; to be added to `base`
};

// Widths of one engine (sim/config/scenario.h, Deployment).
struct EngineWidths {
  std::int64_t tensor_parallel = 1, data_parallel = 1, expert_parallel = 1;
  std::int64_t gpus() const { return tensor_parallel * data_parallel; }
};

// `chunk` and the widths are the whole engine's: the rule does not know of attention ranks' parts.
double default_memory_fraction(const FractionRule& rule, Bytes gpu_memory,
                               const EngineWidths& widths, Tokens chunk);

struct MemoryQuestion {
  const ModelSpec& model;
  const GpuSpec& gpu;
  EngineWidths widths{};
  double memory_fraction = 0.9;    // in (0, 1], of the memory less context_bytes
  std::optional<Bytes> reserve{};  // in place of activations, dispatch buffers and fixed_bytes
  MemoryRules rules{};
  Tokens step_tokens{8192};
  bool draft = false;  // the MTP layers are loaded too
};

struct MemoryItem {
  std::string name;
  Bytes bytes;  // taken, so positive
  std::string source;
};

// All of one GPU.
struct NodeMemory {
  Bytes memory;                   // what the device has
  Bytes usable;                   // what of it the engine may use
  Bytes weights;                  // of this GPU, as loaded
  Bytes reserve;                  // activations, graphs, communication buffers
  Bytes kv;                       // usable - weights - reserve, > 0
  std::vector<MemoryItem> items;  // from memory down to kv: their sum is memory - kv
};

// Throws RunError when weights and reserve leave nothing, saying how much is missing and the
// smallest power of two of GPUs on which the weights would fit.
NodeMemory node_memory(const MemoryQuestion& question);

// The same without an engine's rules: weights in checkpoint formats, one rank.
NodeMemory node_memory(const ModelSpec& model, const GpuSpec& gpu, std::int64_t tensor_parallel,
                       double memory_fraction, Bytes reserve);

}  // namespace v4cap
