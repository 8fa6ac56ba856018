// Runs operators by their references in double, storing what the operator would store. Slow, and
// right by the definition of right.
#pragma once

#include "exec/layer/executor.h"

namespace v4cap::exec {

class HostExecutor : public Executor {
 public:
  // With a log, discrete choices are compared with it and then taken from it, in order.
  explicit HostExecutor(ChoiceLog* follow = nullptr) : follow_(follow) {}

  std::shared_ptr<void> allocate(std::size_t bytes) override;
  void write(void* to, const void* from_host, std::size_t bytes) override;
  void read(void* to_host, const void* from, std::size_t bytes) override;

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

 private:
  ChoiceLog* follow_ = nullptr;
  std::size_t next_ = 0;
};

}  // namespace v4cap::exec
