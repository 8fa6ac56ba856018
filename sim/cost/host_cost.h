// What an engine's host costs beside the kernels: the time to launch a step, and the batch sizes for
// which steps were captured as graphs. Values are data of an engine's version
// (scenarios/engines/*.yaml, `host`).
#pragma once

#include <algorithm>
#include <cstdint>
#include <vector>

#include "sim/core/time.h"

namespace v4cap {

// Captured batch sizes first, first + step, ... up to last.
struct GraphSizes {
  std::int64_t first = 0, last = 0, step = 1;
  bool operator==(const GraphSizes&) const = default;
};

// The least of the sizes that is at least `count`; `count` itself behind the last of them.
inline std::int64_t size_above(const std::vector<GraphSizes>& sizes, std::int64_t count) {
  for (const GraphSizes& s : sizes) {
    if (count > s.last) continue;
    const std::int64_t above_first = std::max<std::int64_t>(count - s.first, 0);
    return s.first + (above_first + s.step - 1) / s.step * s.step;
  }
  return count;
}

struct HostCost {
  // Launching the kernels of one layer one by one. A step without a graph lasts at least as long as
  // the host needs for all its layers.
  Duration eager_layer{};
  // What such a step takes the host beside its layers.
  Duration eager_step{};
  // What a step that runs from a graph waits for the host, once.
  Duration graph_step{};
  // Reading one token of a prompt before the engine sees the request; one request after the other.
  Duration prompt_token{};
  // The host prepares the next step while the GPU runs this one, and looks at this one's tokens when
  // it has launched the next.
  bool overlapped = false;
  // Sequences of one attention rank up to which decode steps run from graphs; 0: none do.
  std::int64_t graph_max_batch = 0;
  std::vector<GraphSizes> graph_sizes = {};  // ascending; empty: every size
  // Tokens that a batch of prefill is filled up to, so that only so many shapes are met; empty:
  // every number is run as it is.
  std::vector<GraphSizes> eager_sizes = {};

  bool operator==(const HostCost&) const = default;

  // Does a decode step whose fullest rank has so many sequences run from a graph?
  bool captured(std::int64_t sequences) const {
    return sequences <= graph_max_batch &&
           (graph_sizes.empty() || sequences <= graph_sizes.back().last);
  }
  // The captured size that runs so many sequences, which must be captured(). The largest batch that
  // has a graph is captured itself.
  std::int64_t padded(std::int64_t sequences) const {
    if (graph_sizes.empty()) return sequences;
    return std::min(size_above(graph_sizes, sequences), graph_max_batch);
  }
};

}  // namespace v4cap
