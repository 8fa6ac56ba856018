// Launches operators on the GPU, each in the version that is preferred among those that run here
// and take the arguments and have been run on such a GPU before.
#pragma once

#include <string>

#include "exec/device.h"
#include "exec/layer/executor.h"

namespace v4cap::exec {

class DeviceExecutor : public Executor {
 public:
  // `portable_only`: leaves the tuned versions out. With a log, discrete choices are written there.
  DeviceExecutor(const Device& device, bool portable_only, ChoiceLog* record = nullptr);
  ~DeviceExecutor() override;
  DeviceExecutor(const DeviceExecutor&) = delete;
  DeviceExecutor& operator=(const DeviceExecutor&) = delete;

  std::shared_ptr<void> allocate(std::size_t bytes) override;
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
  void run(const kernels::router::Args& args) override;
  void run(const kernels::swiglu_quant::Args& args) override { launch(args); }
  void run(const kernels::topk::Args& args) override;

  kernels::Stream stream() const { return stream_; }

 private:
  template <class Args>
  void launch(const Args& args);

  const Device& device_;
  bool portable_only_;
  ChoiceLog* record_;
  kernels::Stream stream_ = nullptr;
};

}  // namespace v4cap::exec
