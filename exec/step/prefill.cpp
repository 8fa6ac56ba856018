// The step runner's prefill and rebuilding: batches that are launched layer by layer, with their
// windows copied into scratch pages and back, and the points that they pass copied out.
#include <algorithm>
#include <utility>

#include "exec/step/step_parts.h"
#include "exec/step/step_runner.h"
#include "kernels/cuda/check.h"
#include "sim/core/error.h"

namespace v4cap::exec {
namespace {

using kernels::Bf16;
using kernels::kHeadDim;
using kernels::kIndexDim;
using kernels::kTokensPerPage;
using kernels::kWindow;

// Pages that hold the window before `past` and `tokens` from there.
std::int32_t scratch_pages_of(std::int32_t past, std::int32_t tokens) {
  const std::int32_t from = std::max(past - (kWindow - 1), 0) / kTokensPerPage;
  return (past + tokens - 1) / kTokensPerPage - from + 1;
}

}  // namespace

StepRunner::EagerBatch StepRunner::eager_batch(std::span<const StepSequence> sequences) {
  EagerBatch eager;
  const bool scratch = !options_.pools.windows_in_pages;
  std::vector<BatchSequence> batch;
  std::vector<PageUpdate> updates;
  std::vector<std::int64_t> keys;
  std::int32_t tokens = 0, max_new = 0, max_context = 0, scratch_pages = 0;
  for (const StepSequence& q : sequences) {
    const auto s = static_cast<std::int32_t>(batch.size());
    const std::int32_t end = q.past + q.tokens;
    V4CAP_CHECK(q.tokens > 0 && end <= table_blocks_ * kTokensPerPage,
                "tokens behind the longest context");
    note_pages(q, updates);
    BatchSequence b{.slot = q.slot,
                    .past = q.past,
                    .tokens = q.tokens,
                    .first_row = tokens,
                    .blocks = (end - 1) / kTokensPerPage + 1,
                    .stored_from = q.stored_from};
    if (!q.keys.empty()) {
      b.first_key = static_cast<std::int32_t>(keys.size());
      keys.insert(keys.end(), q.keys.begin(), q.keys.end());
    }
    if (scratch) {
      b.scratch_page = scratch_pages;
      const std::int32_t own = scratch_pages_of(q.past, q.tokens);
      scratch_pages += own;
      eager.scratch_length = std::max(eager.scratch_length, own);
      const std::int32_t before = std::min(q.past, kWindow - 1), after = std::min(end, kWindow);
      if (before > 0) eager.in.push_back({q.slot, s, q.past - before, before});
      eager.out.push_back({s, q.slot, end - after, after});
    }
    for (const PointSave& save : q.saves) {
      V4CAP_CHECK(save.position > q.past && save.position <= end, "a point outside of its chunk");
      if (scratch) eager.saved.push_back({s, save.point, save.position - kWindow, kWindow});
      eager.rows.push_back({q.slot, q.past, tokens, save.position, save.point});
    }
    if (q.emits) {
      eager.emitting.push_back(tokens + q.tokens - 1);
      eager.emitting_slots.push_back(q.slot);
    }
    batch.push_back(b);
    tokens += q.tokens;
    max_new = std::max(max_new, q.tokens);
    max_context = std::max(max_context, end);
  }
  // A ring that wraps must hold the window before a sequence's first new token beside its last.
  eager.scratch_length =
      std::max(eager.scratch_length, divide_up(max_new + kWindow - 1, kTokensPerPage));
  V4CAP_CHECK(tokens <= max_tokens_ && static_cast<std::int32_t>(batch.size()) <= max_sequences_,
              std::to_string(tokens) + " tokens in a batch");
  V4CAP_CHECK(!scratch || scratch_pages <= options_.pools.scratch_pages,
              std::to_string(scratch_pages) + " scratch pages");
  prepare(batch, std::move(updates), keys, scratch ? eager.scratch_length : 0);
  eager.device_in = uploads_->add(eager.in);
  eager.device_out = uploads_->add(eager.out);
  eager.device_saved = uploads_->add(eager.saved);
  eager.device_rows = uploads_->add(eager.rows);
  eager.step = step_of(tokens, static_cast<int>(batch.size()), max_new, max_context);
  return eager;
}

void StepRunner::copy_in(int layer, const EagerBatch& eager) {
  const auto* identity = static_cast<const std::int32_t*>(identity_.get());
  copy_windows({.ranges = static_cast<int>(eager.in.size()),
                .max_count = kWindow,
                .range = eager.device_in,
                .from = pools_->windows(layer),
                .to = pools_->scratch(),
                .from_pages = {identity, 1, 1},
                .to_pages = {batch_.scratch_pages, eager.scratch_length, eager.scratch_length}},
               stream());
}

void StepRunner::copy_out(int layer, const EagerBatch& eager) {
  const auto* identity = static_cast<const std::int32_t*>(identity_.get());
  WindowCopyArgs args{
      .ranges = static_cast<int>(eager.out.size()),
      .max_count = kWindow,
      .range = eager.device_out,
      .from = pools_->scratch(),
      .to = pools_->windows(layer),
      .from_pages = {batch_.scratch_pages, eager.scratch_length, eager.scratch_length},
      .to_pages = {identity, 1, 1}};
  copy_windows(args, stream());
  args.ranges = static_cast<int>(eager.saved.size());
  args.range = eager.device_saved;
  args.to = pools_->point_windows(layer);
  copy_windows(args, stream());
}

void StepRunner::run_layer(int layer, const EagerBatch& eager, const Step& step, Bf16* x) {
  executor_.reset();
  LayerState state = state_of(layer, true, eager.scratch_length);
  LayerWeights& weights = weights_of(layer);
  if (!eager.rows.empty() && weights.kind == LayerKind::csa) {
    state.before_compress = [&, layer](const float* ug) {
      SaveRowsArgs args{.saves = static_cast<int>(eager.rows.size()),
                        .save = eager.device_rows,
                        .head_dim = kHeadDim,
                        .ug = ug,
                        .ug_stride = kCsaColumns,
                        .ape = weights.ape.device(),
                        .state = pools_->csa_state(layer, kHeadDim),
                        .kept = pools_->kept_rows(layer, kHeadDim)};
      save_rows(args, stream());
      args.head_dim = kIndexDim;
      args.ug = ug + kCsaKeyColumn;
      args.ape = weights.key_ape.device();
      args.state = pools_->csa_state(layer, kIndexDim);
      args.kept = pools_->kept_rows(layer, kIndexDim);
      save_rows(args, stream());
    };
  }
  const bool scratch = !options_.pools.windows_in_pages;
  if (scratch) copy_in(layer, eager);
  layers_->run(weights, state, step, x);
  if (scratch) copy_out(layer, eager);
}

void StepRunner::prefill_part(std::span<const StepSequence> sequences, const Part& part) {
  if (sequences.empty()) return;
  const EagerBatch eager = eager_batch(sequences);
  auto* x = static_cast<Bf16*>(streams_.get());
  if (part.embeds) {
    executor_.run(kernels::embedding::Args{.tokens = eager.step.batch.tokens,
                                           .hidden = rank_.shape.hidden,
                                           .streams = 4,
                                           .token_ids = eager.step.token_ids,
                                           .table = ends_.embedding.device(),
                                           .x = x});
  }
  for (const int layer : part.layers) {
    if (part.between_layers) part.between_layers();
    run_layer(layer, eager, eager.step, x);
  }
  if (part.between_layers) part.between_layers();
  if (!part.samples || eager.emitting.empty()) return;
  executor_.reset();
  const auto rows = static_cast<int>(eager.emitting.size());
  const std::int64_t wide = std::int64_t{4} * rank_.shape.hidden;
  const Array<Bf16> last = executor_.array<Bf16>(rows * wide);
  gather_rows(x, uploads_->add(eager.emitting), rows, wide, last.data(), stream());
  Step step = eager.step;
  step.batch.tokens = rows;
  const std::int32_t* slots = uploads_->add(eager.emitting_slots);
  const auto outputs = layers_->head(ends_, step, last.data(), false);
  keep_tokens(outputs.chosen.data(), slots, rows, static_cast<std::int32_t*>(last_token_.get()),
              stream());
}

void StepRunner::prefill(std::span<const StepSequence> sequences) {
  if (sequences.empty()) return;
  std::int32_t tokens = 0;
  for (const StepSequence& q : sequences) tokens += q.tokens;
  const auto filled = static_cast<std::int32_t>(size_above(eager_sizes(), tokens));
  std::vector<StepSequence> all(sequences.begin(), sequences.end());
  if (filled > tokens) all.push_back(nobody(filled - tokens));
  prefill_part(all, whole());
}

void StepRunner::rebuild_pyramid(const StepSequence& sequence, std::int32_t end) {
  const EagerBatch eager = eager_batch(std::span(&sequence, 1));
  const auto layers = static_cast<std::int32_t>(rank_.layers());
  const std::int64_t wide = std::int64_t{4} * rank_.shape.hidden;
  auto* x = static_cast<Bf16*>(streams_.get());
  executor_.run(kernels::embedding::Args{.tokens = sequence.tokens,
                                         .hidden = rank_.shape.hidden,
                                         .streams = 4,
                                         .token_ids = eager.step.token_ids,
                                         .table = ends_.embedding.device(),
                                         .x = x});
  // What each layer has of the sequence: from `first` on.
  std::vector<std::int32_t> first_token;
  std::vector<WindowRange> in, out;
  for (std::int32_t l = 0; l < layers; ++l) {
    const std::int32_t first = std::max(sequence.past, end - kWindow * (layers - l));
    const std::int32_t left = sequence.past + sequence.tokens - first;
    first_token.insert(first_token.end(), {0, std::max(left, 0)});
    const std::int32_t before = std::min(first, kWindow - 1);
    const std::int32_t after = std::min(std::max(left, 0), kWindow);
    in.push_back({sequence.slot, 0, first - before, before});
    out.push_back({0, sequence.slot, first + left - after, after});
  }
  const std::int32_t* device_first = uploads_->add(first_token);
  EagerBatch layer = eager;
  const WindowRange* device_in = uploads_->add(in);
  const WindowRange* device_out = uploads_->add(out);
  for (std::int32_t l = 0; l < layers; ++l) {
    const std::int32_t left = first_token[static_cast<std::size_t>(2 * l) + 1];
    if (left <= 0) continue;
    const std::int32_t skipped = sequence.tokens - left;
    Step step = eager.step;
    step.batch.tokens = step.batch.max_new_tokens = left;
    step.batch.positions += skipped;
    step.batch.sequence_of += skipped;
    step.batch.first_token = device_first + 2 * l;
    step.token_ids += skipped;
    step.csa_visible += skipped;
    layer.in = {in[static_cast<std::size_t>(l)]};
    layer.out = {out[static_cast<std::size_t>(l)]};
    layer.device_in = const_cast<WindowRange*>(device_in) + l;
    layer.device_out = const_cast<WindowRange*>(device_out) + l;
    run_layer(static_cast<int>(l), layer, step, x + skipped * wide);
  }
}

}  // namespace v4cap::exec
