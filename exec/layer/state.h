// What a layer keeps of its sequences between steps, and a step's tokens. Both live in an
// executor's memory, so that device and reference each have their own.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

#include "exec/layer/executor.h"
#include "kernels/batch.h"
#include "kernels/formats/pages.h"
#include "sim/model/model.h"

namespace v4cap::exec {

struct StateOptions {
  int sequences = 0;
  int max_context = 0;  // tokens of a sequence
  int max_chunk = 0;    // new tokens of a sequence in one step
  kernels::KeyFormat keys = kernels::KeyFormat::fp8;
  kernels::compressor_hca::StateForm hca_form = kernels::compressor_hca::StateForm::online;
};

// Pages are dealt out in an order that is not the sequences', so that a table is really needed.
class LayerState {
 public:
  LayerState() = default;  // filled in by who has the memory
  LayerState(Executor& executor, LayerKind kind, const StateOptions& options);

  kernels::KvPool window, entries;
  kernels::KeyPool keys;
  kernels::PageTable window_pages, entry_pages;  // of entries and keys: one page per 256 tokens
  // Where compressors put what they complete. The same as entry_pages, but for blocks that are
  // computed once more without being stored again.
  kernels::PageTable written_pages;
  float* compressor = nullptr;
  float* key_compressor = nullptr;
  const std::int32_t* slots = nullptr;  // [sequences]
  kernels::compressor_hca::StateForm hca_form = kernels::compressor_hca::StateForm::online;
  // Called with the compressors' rows of a CSA layer before they change the state. May be empty.
  std::function<void(const float* ug)> before_compress;

 private:
  std::vector<std::shared_ptr<void>> memory_;
};

// New tokens of a step: sequence s gets counts[s] tokens from position starts[s] on.
class Step {
 public:
  Step() = default;  // filled in by who has the memory
  Step(Executor& executor, const std::vector<int>& starts, const std::vector<int>& counts,
       const std::vector<std::int32_t>& token_ids);

  kernels::Batch batch;
  const std::int32_t* token_ids = nullptr;    // [tokens]
  const std::int32_t* csa_visible = nullptr;  // [tokens] entries that a token's query may see
  int csa_visible_max = 0;

 private:
  std::vector<std::shared_ptr<void>> memory_;
};

}  // namespace v4cap::exec
