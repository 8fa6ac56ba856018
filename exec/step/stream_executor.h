// Launches operators one behind the other on one stream, as a step needs them: no synchronisation,
// no allocation once it has seen a step of the largest size, and launches that may be captured in a
// graph.
//
// Memory of operators comes from an arena: allocate() hands out consecutive pieces, and all of them
// are given back at once by reset(). So equal calls get equal addresses, which graphs need.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <typeindex>
#include <utility>
#include <vector>

#include "exec/device.h"
#include "exec/layer/executor.h"
#include "kernels/registry.h"

namespace v4cap::exec {

// Queues a sum over all ranks of bf16 elements, in their place.
using RankSum =
    std::function<void(kernels::Bf16* data, std::int64_t elements, kernels::Stream stream)>;

class StreamExecutor : public Launching<StreamExecutor, Executor, Operators> {
 public:
  explicit StreamExecutor(const Device& device);
  ~StreamExecutor() override;
  StreamExecutor(const StreamExecutor&) = delete;
  StreamExecutor& operator=(const StreamExecutor&) = delete;

  // Not zeroed, and nobody's after the next reset().
  std::shared_ptr<void> allocate(std::size_t bytes) override;
  void reset() { chunk_ = used_ = 0; }
  std::size_t arena_bytes() const;

  // From now on sums are taken by `sum`; without it a rank stands for all.
  void sum_ranks_by(RankSum sum) { sum_ = std::move(sum); }
  void sum_over_ranks(kernels::Bf16* data, std::int64_t elements) override {
    if (sum_) sum_(data, elements, stream_);
  }

  // In the order of the stream; read() waits for it.
  void write(void* to, const void* from_host, std::size_t bytes) override;
  void read(void* to_host, const void* from, std::size_t bytes) override;

  kernels::Stream stream() const { return stream_; }

 private:
  template <class Self, class Base, class List>
  friend class Launching;
  template <class Args>
  void launch(const Args& args);
  void* workspace(std::type_index op, std::size_t bytes);

  const Device& device_;
  RankSum sum_;
  kernels::Stream stream_ = nullptr;
  std::vector<DeviceMemory> chunks_;
  std::size_t chunk_ = 0, used_ = 0;  // of the arena: the piece that comes next
  // An operator's launches share one, because they follow each other. Outgrown ones stay: graphs
  // may use them.
  std::map<std::type_index, std::vector<DeviceMemory>> workspaces_;
};

}  // namespace v4cap::exec
