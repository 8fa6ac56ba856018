// What is left of a GPU's memory for the KV cache once the weights are loaded.
#pragma once

#include <cstdint>
#include <string>

#include "sim/core/units.h"
#include "sim/model/hardware.h"
#include "sim/model/model.h"

namespace v4cap {

// All of one GPU.
struct NodeMemory {
  Bytes memory;   // what the device has
  Bytes usable;   // the fraction of it that the engine may use
  Bytes weights;  // of this rank, checkpoint formats (sim/model/parameters.h)
  Bytes reserve;  // activations, graphs, communication buffers
  Bytes kv;       // usable - weights - reserve, > 0
};

// `memory_fraction` in (0, 1]. Throws RunError when weights and reserve leave nothing, saying how
// much is missing and the smallest power of two of GPUs on which the weights would fit.
NodeMemory node_memory(const ModelSpec& model, const GpuSpec& gpu, std::int64_t tensor_parallel,
                       double memory_fraction, Bytes reserve);

}  // namespace v4cap
