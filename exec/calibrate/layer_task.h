// What a family of whole layers asks a RankBench to time. Ranks that measure together do the same
// task at the same time; rank 0 sends it to the others as whole numbers.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

namespace v4cap::exec::calibrate {

struct LayerTask {
  enum class What : std::uint8_t {
    decode,   // a captured step of `sequences` with `past` tokens each
    longest,  // the same, one of them `beyond` tokens longer
    prefill,  // launched one by one: `tokens` new ones in all, on `past` of each sequence
  };
  What what = What::decode;
  std::int64_t sequences = 1, tokens = 0, past = 0, beyond = 0;

  bool operator==(const LayerTask&) const = default;
};

using LayerTaskNumbers = std::array<std::int64_t, 5>;

inline LayerTaskNumbers numbers_of(const LayerTask& task) {
  return {static_cast<std::int64_t>(task.what), task.sequences, task.tokens, task.past,
          task.beyond};
}

// Of numbers_of() and no others.
inline LayerTask layer_task_of(const LayerTaskNumbers& n) {
  return {.what = static_cast<LayerTask::What>(n[0]),
          .sequences = n[1],
          .tokens = n[2],
          .past = n[3],
          .beyond = n[4]};
}

}  // namespace v4cap::exec::calibrate
