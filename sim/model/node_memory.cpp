#include "sim/model/node_memory.h"

#include <fmt/format.h>

#include "sim/core/error.h"
#include "sim/model/parameters.h"

namespace v4cap {
namespace {

constexpr std::int64_t kWidestGroup = 1024;

// The way out to name in the message; 0 when no width helps because the repeated weights alone are
// too many.
std::int64_t width_that_fits(const ModelSpec& model, Bytes available) {
  for (std::int64_t width = 1; width <= kWidestGroup; width *= 2) {
    if (weight_bytes_of_rank(model, width) < available) return width;
  }
  return 0;
}

}  // namespace

NodeMemory node_memory(const ModelSpec& model, const GpuSpec& gpu, std::int64_t tensor_parallel,
                       double memory_fraction, Bytes reserve) {
  V4CAP_CHECK(memory_fraction > 0 && memory_fraction <= 1, std::to_string(memory_fraction));
  NodeMemory out;
  out.memory = gpu.memory;
  out.usable = {static_cast<std::int64_t>(static_cast<double>(gpu.memory.value) * memory_fraction)};
  out.weights = weight_bytes_of_rank(model, tensor_parallel);
  out.reserve = reserve;
  out.kv = out.usable - out.weights - out.reserve;
  if (out.kv.value > 0) return out;
  const std::int64_t width = width_that_fits(model, out.usable - out.reserve);
  throw RunError(fmt::format(
      "{} does not fit on {} at tensor_parallel {}: {:.2f} GiB of weights and {:.2f} GiB of "
      "reserve "
      "on each GPU, of which {:.2f} GiB may be used ({:.0f} % of {:.2f}); {:.2f} GiB are missing{}",
      model.name, gpu.name, tensor_parallel, to_gib(out.weights), to_gib(out.reserve),
      to_gib(out.usable), 100 * memory_fraction, to_gib(out.memory), to_gib(Bytes{} - out.kv),
      width > tensor_parallel ? fmt::format("; the weights fit from tensor_parallel {}", width)
                              : std::string()));
}

}  // namespace v4cap
