// The step runner's decode: a batch of one new token each, as a captured graph.
#include <algorithm>
#include <utility>

#include "exec/step/step_parts.h"
#include "exec/step/step_runner.h"
#include "kernels/cuda/check.h"
#include "sim/core/error.h"

namespace v4cap::exec {
namespace {

using kernels::kTokensPerPage;

}  // namespace

void StepRunner::prepare_decode(std::span<const StepSequence> sequences, std::int64_t padded) {
  std::vector<BatchSequence> batch;
  std::vector<PageUpdate> updates;
  std::vector<std::int64_t> keys;
  for (const StepSequence& q : sequences) {
    V4CAP_CHECK(q.tokens == 1 && q.past < options_.max_context, "not a decode");
    note_pages(q, updates);
    batch.push_back({.slot = q.slot,
                     .past = q.past,
                     .tokens = 1,
                     .first_row = static_cast<std::int32_t>(batch.size()),
                     .blocks = q.past / kTokensPerPage + 1,
                     .stored_from = q.stored_from});
    if (q.keys.empty()) continue;
    batch.back().first_key = static_cast<std::int32_t>(keys.size());
    keys.push_back(q.keys.front());
  }
  while (static_cast<std::int64_t>(batch.size()) < padded) {
    batch.push_back({.slot = pools_->dummy_slot(),
                     .tokens = 1,
                     .first_row = static_cast<std::int32_t>(batch.size()),
                     .blocks = 1});
  }
  prepare(batch, std::move(updates), keys, 0);
}

std::unique_ptr<StepRunner::Graph> StepRunner::capture_decode(std::int64_t batch,
                                                              std::int32_t context,
                                                              const Part& part) {
  const auto rows = static_cast<int>(batch);
  const Step step = step_of(rows, rows, 1, std::min(context, options_.max_context));
  cudaGraph_t graph = nullptr;
  V4CAP_CUDA(cudaStreamBeginCapture(stream(), cudaStreamCaptureModeRelaxed));
  try {
    run_layers(part, step);
  } catch (...) {
    cudaStreamEndCapture(stream(), &graph);
    if (graph != nullptr) cudaGraphDestroy(graph);
    throw;
  }
  V4CAP_CUDA(cudaStreamEndCapture(stream(), &graph));
  cudaGraphExec_t executable = nullptr;
  const cudaError_t status = cudaGraphInstantiate(&executable, graph, 0);
  cudaGraphDestroy(graph);
  V4CAP_CUDA(status);
  V4CAP_CUDA(cudaGraphUpload(executable, stream()));
  return std::make_unique<Graph>(executable);
}

void StepRunner::launch(const Graph& graph) {
  V4CAP_CUDA(cudaGraphLaunch(graph.get(), stream()));
}

void StepRunner::decode(std::span<const StepSequence> sequences) {
  if (sequences.empty()) return;
  if (static_cast<std::int64_t>(sequences.size()) > sizes_.back().last) return prefill(sequences);
  std::int32_t context = 0;
  for (const StepSequence& q : sequences) context = std::max(context, q.past + 1);
  const std::int64_t rows = padded(static_cast<std::int64_t>(sequences.size()));
  std::unique_ptr<Graph>& graph = graphs_[{rows, context_bucket(context)}];
  if (graph == nullptr) graph = capture_decode(rows, context_bucket(context), whole());
  prepare_decode(sequences, rows);
  launch(*graph);
}

}  // namespace v4cap::exec
