// A made-up model of the same architecture, small enough to be checked as a whole: embedding, a
// window layer routed by hash, a CSA and an HCA layer, head, and the MTP layer.
#pragma once

#include <cstdint>
#include <vector>

#include "exec/layer/executor.h"
#include "exec/layer/layer.h"
#include "exec/layer/layer_shape.h"
#include "exec/layer/weights.h"

namespace v4cap::exec {

// What one step of a run gave, rows in the order of the step's tokens.
struct StepTrace {
  std::vector<int> starts, counts;  // of each sequence
  std::vector<std::int32_t> token_ids;
  std::vector<std::int32_t> next_ids;   // of the tokens that follow, 0 after the last: MTP's input
  std::vector<kernels::Bf16> embedded;  // [tokens, 4, hidden]
  struct Layer {
    std::vector<kernels::Bf16> attention, ffn;  // [tokens, hidden]
    std::vector<kernels::Bf16> streams;         // [tokens, 4, hidden]
  };
  std::vector<Layer> layers;  // the MTP layer last
  std::vector<float> logits;  // [tokens, vocab]
  std::vector<std::int32_t> chosen;
  std::vector<kernels::Bf16> mtp_input;  // [tokens, 4, hidden]
  std::vector<float> mtp_logits;
};

class SmallModel {
 public:
  explicit SmallModel(std::uint64_t seed);

  // Runs all steps: prefill of two sequences in chunks, then decode.
  std::vector<StepTrace> run(Executor& executor, Side side);

  LayerShape shape = tiny_shape();
  std::vector<LayerWeights> layers;  // the MTP layer last
  ModelEnds ends;

 private:
  std::vector<std::vector<int>> plan_{{150, 20}, {107, 1}, {1, 1}, {1, 3}};
  std::vector<std::vector<std::int32_t>> token_ids_, next_ids_;
};

}  // namespace v4cap::exec
