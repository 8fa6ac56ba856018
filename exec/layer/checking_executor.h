// Launches operators and holds each against its reference on the very operands it was given, so
// that an operator is checked inside a layer without the noise that earlier quantisers have added.
// All memory is mapped host memory (device.h): weights must be made in a MappedMemoryScope too.
#pragma once

#include <vector>

#include "exec/layer/device_executor.h"
#include "exec/suite.h"

namespace v4cap::exec {

class CheckingExecutor : public DeviceExecutor {
 public:
  using DeviceExecutor::DeviceExecutor;

  std::shared_ptr<void> allocate(std::size_t bytes) override;

  void run(const kernels::argmax::Args& args) override;
  void run(const kernels::attention::Args& args) override;
  void run(const kernels::compressor_csa::Args& args) override;
  void run(const kernels::compressor_hca::Args& args) override;
  void run(const kernels::embedding::Args& args) override;
  void run(const kernels::expert_permute::Args& args) override;
  void run(const kernels::expert_sum::Args& args) override;
  void run(const kernels::experts::GateUpArgs& args) override;
  void run(const kernels::experts::DownArgs& args) override;
  void run(const kernels::indexer_query::Args& args) override;
  void run(const kernels::indexer_scores::Args& args) override;
  void run(const kernels::inverse_rope_quant::Args& args) override;
  void run(const kernels::linear::Fp8Args& args) override;
  void run(const kernels::linear::Bf16Args& args) override;
  void run(const kernels::mhc_post::Args& args) override;
  void run(const kernels::mhc_post_pre::Args& args) override;
  void run(const kernels::mhc_pre::Args& args) override;
  void run(const kernels::mtp_merge::Args& args) override;
  void run(const kernels::q_rope_kv_store::Args& args) override;
  void run(const kernels::rmsnorm_quant::Args& args) override;
  void run(const kernels::router::Args& args) override;
  void run(const kernels::swiglu_quant::Args& args) override;
  void run(const kernels::topk::Args& args) override;

  // For each operator and output the worst that was found.
  const std::vector<Finding>& findings() const { return findings_; }

 private:
  // Launches on the device and waits.
  template <class Args>
  void perform(const Args& args);
  void note(const std::vector<Finding>& findings);

  std::vector<Finding> findings_;
};

}  // namespace v4cap::exec
