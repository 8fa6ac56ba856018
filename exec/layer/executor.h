// Who carries out the operators of a layer. The layer's code (layer.cpp) is written once, against
// this interface:
//   DeviceExecutor  launches the preferred version of each operator on a GPU
//   HostExecutor    runs each operator's reference in double and rounds its outputs to what the
//                   operator stores
// so that a whole layer can be held against the reference just as one operator is.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "kernels/argmax/argmax.h"
#include "kernels/attention/attention.h"
#include "kernels/compressor_csa/compressor_csa.h"
#include "kernels/compressor_hca/compressor_hca.h"
#include "kernels/embedding/embedding.h"
#include "kernels/expert_permute/expert_permute.h"
#include "kernels/expert_sum/expert_sum.h"
#include "kernels/experts/experts.h"
#include "kernels/indexer_query/indexer_query.h"
#include "kernels/indexer_scores/indexer_scores.h"
#include "kernels/inverse_rope_quant/inverse_rope_quant.h"
#include "kernels/linear/linear.h"
#include "kernels/mhc_post/mhc_post.h"
#include "kernels/mhc_post_pre/mhc_post_pre.h"
#include "kernels/mhc_pre/mhc_pre.h"
#include "kernels/mtp_merge/mtp_merge.h"
#include "kernels/q_rope_kv_store/q_rope_kv_store.h"
#include "kernels/rmsnorm_quant/rmsnorm_quant.h"
#include "kernels/router/router.h"
#include "kernels/swiglu_quant/swiglu_quant.h"
#include "kernels/topk/topk.h"

namespace v4cap::exec {

// Memory of an executor, freed with its last owner. Zeroed when it is made.
template <class T>
class Array {
 public:
  Array() = default;
  Array(std::shared_ptr<void> memory, std::int64_t count)
      : memory_(std::move(memory)), count_(count) {}
  T* data() const { return static_cast<T*>(memory_.get()); }
  std::int64_t size() const { return count_; }

 private:
  std::shared_ptr<void> memory_;
  std::int64_t count_ = 0;
};

// Discrete choices of a run, in order: selected entries and chosen experts. Two runs that round
// differently choose differently where scores nearly tie, and a single choice changes a whole row;
// so the reference follows the device's choices after it has compared them with its own.
struct Choice {
  std::vector<std::int32_t> values;
};
// How many of one's own choices are among the followed ones. Rows without a choice (all entries are
// taken, experts by table) do not count, and neither does a choice whose score is within kNearTie
// of the best one that was not taken.
struct ChoiceTally {
  std::int64_t own = 0, found = 0;
  std::int64_t impossible = 0;  // followed choices that nobody could make: out of range, twice
};
struct ChoiceLog {
  static constexpr double kNearTie = 0.05;  // of the score's size: what quantisers make of rounding

  std::vector<Choice> choices;
  ChoiceTally experts, entries;  // filled in by who follows
};

class Executor {
 public:
  virtual ~Executor() = default;

  virtual std::shared_ptr<void> allocate(std::size_t bytes) = 0;
  virtual void write(void* to, const void* from_host, std::size_t bytes) = 0;
  virtual void read(void* to_host, const void* from, std::size_t bytes) = 0;

  virtual void run(const kernels::argmax::Args& args) = 0;
  virtual void run(const kernels::attention::Args& args) = 0;
  virtual void run(const kernels::compressor_csa::Args& args) = 0;
  virtual void run(const kernels::compressor_hca::Args& args) = 0;
  virtual void run(const kernels::embedding::Args& args) = 0;
  virtual void run(const kernels::expert_permute::Args& args) = 0;
  virtual void run(const kernels::expert_sum::Args& args) = 0;
  virtual void run(const kernels::experts::GateUpArgs& args) = 0;
  virtual void run(const kernels::experts::DownArgs& args) = 0;
  virtual void run(const kernels::indexer_query::Args& args) = 0;
  virtual void run(const kernels::indexer_scores::Args& args) = 0;
  virtual void run(const kernels::inverse_rope_quant::Args& args) = 0;
  virtual void run(const kernels::linear::Fp8Args& args) = 0;
  virtual void run(const kernels::linear::Bf16Args& args) = 0;
  virtual void run(const kernels::mhc_post::Args& args) = 0;
  virtual void run(const kernels::mhc_post_pre::Args& args) = 0;
  virtual void run(const kernels::mhc_pre::Args& args) = 0;
  virtual void run(const kernels::mtp_merge::Args& args) = 0;
  virtual void run(const kernels::q_rope_kv_store::Args& args) = 0;
  virtual void run(const kernels::rmsnorm_quant::Args& args) = 0;
  virtual void run(const kernels::router::Args& args) = 0;
  virtual void run(const kernels::swiglu_quant::Args& args) = 0;
  virtual void run(const kernels::topk::Args& args) = 0;

  template <class T>
  Array<T> array(std::int64_t count) {
    return {allocate(static_cast<std::size_t>(count) * sizeof(T)), count};
  }
  template <class T>
  Array<T> array(const std::vector<T>& values) {
    auto made = array<T>(static_cast<std::int64_t>(values.size()));
    write(made.data(), values.data(), values.size() * sizeof(T));
    return made;
  }
  template <class T>
  std::vector<T> fetch(const T* from, std::int64_t count) {
    std::vector<T> values(static_cast<std::size_t>(count));
    read(values.data(), from, values.size() * sizeof(T));
    return values;
  }
};

}  // namespace v4cap::exec
