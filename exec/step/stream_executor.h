// Launches operators one behind the other on one stream, as a step needs them: no synchronisation,
// no allocation once it has seen a step of the largest size, and launches that may be captured in a
// graph.
//
// Memory of operators comes from an arena: allocate() hands out consecutive pieces, and all of them
// are given back at once by reset(). So equal calls get equal addresses, which graphs need.
#pragma once

#include <cstddef>
#include <map>
#include <memory>
#include <typeindex>
#include <vector>

#include "exec/device.h"
#include "exec/layer/executor.h"
#include "kernels/registry.h"

namespace v4cap::exec {

class StreamExecutor : public Executor {
 public:
  explicit StreamExecutor(const Device& device);
  ~StreamExecutor() override;
  StreamExecutor(const StreamExecutor&) = delete;
  StreamExecutor& operator=(const StreamExecutor&) = delete;

  // Not zeroed, and nobody's after the next reset().
  std::shared_ptr<void> allocate(std::size_t bytes) override;
  void reset() { chunk_ = used_ = 0; }
  std::size_t arena_bytes() const;

  // In the order of the stream; read() waits for it.
  void write(void* to, const void* from_host, std::size_t bytes) override;
  void read(void* to_host, const void* from, std::size_t bytes) override;

  void run(const kernels::argmax::Args& args) override { launch(args); }
  void run(const kernels::attention::Args& args) override { launch(args); }
  void run(const kernels::compressor_csa::Args& args) override { launch(args); }
  void run(const kernels::compressor_hca::Args& args) override { launch(args); }
  void run(const kernels::embedding::Args& args) override { launch(args); }
  void run(const kernels::expert_permute::Args& args) override { launch(args); }
  void run(const kernels::expert_sum::Args& args) override { launch(args); }
  void run(const kernels::experts::GateUpArgs& args) override { launch(args); }
  void run(const kernels::experts::DownArgs& args) override { launch(args); }
  void run(const kernels::indexer_query::Args& args) override { launch(args); }
  void run(const kernels::indexer_scores::Args& args) override { launch(args); }
  void run(const kernels::inverse_rope_quant::Args& args) override { launch(args); }
  void run(const kernels::linear::Fp8Args& args) override { launch(args); }
  void run(const kernels::linear::Bf16Args& args) override { launch(args); }
  void run(const kernels::mhc_post::Args& args) override { launch(args); }
  void run(const kernels::mhc_post_pre::Args& args) override { launch(args); }
  void run(const kernels::mhc_pre::Args& args) override { launch(args); }
  void run(const kernels::mtp_merge::Args& args) override { launch(args); }
  void run(const kernels::q_rope_kv_store::Args& args) override { launch(args); }
  void run(const kernels::rmsnorm_quant::Args& args) override { launch(args); }
  void run(const kernels::router::Args& args) override { launch(args); }
  void run(const kernels::swiglu_quant::Args& args) override { launch(args); }
  void run(const kernels::topk::Args& args) override { launch(args); }

  kernels::Stream stream() const { return stream_; }

 private:
  template <class Args>
  void launch(const Args& args);
  void* workspace(std::type_index op, std::size_t bytes);

  const Device& device_;
  kernels::Stream stream_ = nullptr;
  std::vector<DeviceMemory> chunks_;
  std::size_t chunk_ = 0, used_ = 0;  // of the arena: the piece that comes next
  // An operator's launches share one, because they follow each other. Outgrown ones stay: graphs
  // may use them.
  std::map<std::type_index, std::vector<DeviceMemory>> workspaces_;
};

}  // namespace v4cap::exec
