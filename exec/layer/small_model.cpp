#include "exec/layer/small_model.h"

#include <numeric>

#include "exec/fill.h"

namespace v4cap::exec {
namespace {

constexpr int kMaxContext = 320, kMaxChunk = 150;

}  // namespace

SmallModel::SmallModel(std::uint64_t seed) : ends(random_ends(shape, seed + 900)) {
  layers.push_back(random_layer(shape, LayerKind::window, true, seed));
  layers.push_back(random_layer(shape, LayerKind::csa, false, seed + 100));
  layers.push_back(random_layer(shape, LayerKind::hca, false, seed + 200));
  layers.push_back(random_layer(shape, LayerKind::window, false, seed + 300));
  for (std::size_t i = 0; i < plan_.size(); ++i) {
    Buffer<std::int32_t> ids(std::accumulate(plan_[i].begin(), plan_[i].end(), 0));
    fill_integers(ids, seed + 500 + i, 0, shape.vocab - 1);
    token_ids_.push_back(ids.host());
  }
  // Backwards over the steps, so that the first token of a step follows the last of the one before.
  std::vector<std::int32_t> following(plan_.front().size(), 0);
  next_ids_.resize(plan_.size());
  for (std::size_t i = plan_.size(); i-- > 0;) {
    std::size_t first = 0;
    for (std::size_t s = 0; s < plan_[i].size(); ++s) {
      const auto count = static_cast<std::size_t>(plan_[i][s]);
      for (std::size_t t = first; t < first + count; ++t) {
        next_ids_[i].push_back(t + 1 < first + count ? token_ids_[i][t + 1] : following[s]);
      }
      if (count > 0) following[s] = token_ids_[i][first];
      first += count;
    }
  }
}

std::vector<StepTrace> SmallModel::run(Executor& executor, Side side) {
  const RopeTables rope = rope_tables(executor, kMaxContext);
  std::vector<LayerState> states;
  StateOptions options;
  options.sequences = static_cast<int>(plan_.front().size());
  options.max_context = kMaxContext;
  options.max_chunk = kMaxChunk;
  for (const LayerWeights& weights : layers) states.emplace_back(executor, weights.kind, options);
  LayerRunner runner(executor, side, shape, rope);

  const auto fetch = [&](const auto& array) { return executor.fetch(array.data(), array.size()); };
  std::vector<StepTrace> traces;
  std::vector<int> past(plan_.front().size(), 0);
  for (std::size_t i = 0; i < plan_.size(); ++i) {
    StepTrace trace;
    trace.starts = past;
    trace.counts = plan_[i];
    trace.token_ids = token_ids_[i];
    trace.next_ids = next_ids_[i];
    const Step step(executor, past, plan_[i], token_ids_[i]);
    const auto run_layer = [&](std::size_t l, const Array<kernels::Bf16>& x) {
      const SublayerOutputs outputs = runner.run(layers[l], states[l], step, x.data());
      trace.layers.push_back({fetch(outputs.attention), fetch(outputs.ffn), fetch(x)});
    };
    const Array<kernels::Bf16> x = runner.embed(ends, step);
    trace.embedded = fetch(x);
    for (std::size_t l = 0; l + 1 < layers.size(); ++l) run_layer(l, x);
    const auto head = runner.head(ends, step, x.data(), false);
    trace.logits = fetch(head.logits);
    trace.chosen = fetch(head.chosen);
    const Step next(executor, past, plan_[i], next_ids_[i]);
    const Array<kernels::Bf16> merged = runner.mtp_input(ends, next, x.data());
    trace.mtp_input = fetch(merged);
    run_layer(layers.size() - 1, merged);
    trace.mtp_logits = fetch(runner.head(ends, step, merged.data(), true).logits);
    traces.push_back(std::move(trace));
    for (std::size_t s = 0; s < past.size(); ++s) past[s] += plan_[i][s];
  }
  return traces;
}

}  // namespace v4cap::exec
