#include "exec/step/step_runner.h"

#include <algorithm>
#include <numeric>
#include <utility>

#include "exec/fill.h"
#include "exec/step/step_parts.h"
#include "kernels/cuda/check.h"
#include "kernels/rope_table.h"
#include "sim/core/error.h"

namespace v4cap::exec {
namespace {

using kernels::Bf16;
using kernels::kHeadDim;
using kernels::kIndexDim;
using kernels::kTokensPerPage;
using kernels::kWindow;

template <class T>
T* carve(char*& at, std::int64_t count) {
  T* piece = reinterpret_cast<T*>(at);
  at += (count * static_cast<std::int64_t>(sizeof(T)) + 255) / 256 * 256;
  return piece;
}

}  // namespace

StepRunner::StepRunner(const Device& device, const Rank& rank, const RunnerOptions& options)
    : device_(device),
      rank_(rank),
      options_(options),
      executor_(device),
      rope_(),
      sizes_(captured_sizes()) {
  executor_.sum_ranks_by(options.sum);
  const auto layers = static_cast<int>(rank.layers());
  // Rows of nobody fill a decode up to its captured size. Scratch for as many sequences: each may
  // need two pages beside its new tokens.
  max_sequences_ = static_cast<std::int32_t>(std::max<std::int64_t>(
      options.pools.slots + 1, size_above(captured_sizes(), options.pools.slots)));
  max_tokens_ = static_cast<std::int32_t>(
      size_above(eager_sizes(), std::max(options.step_tokens, max_sequences_)));
  if (!options.pools.windows_in_pages) {
    options_.pools.scratch_pages = divide_up(max_tokens_, kTokensPerPage) + 3 * max_sequences_;
  }
  table_blocks_ = divide_up(std::max(options.max_context, max_tokens_), kTokensPerPage);

  // Equal layers share a group of weights.
  std::vector<std::pair<LayerKind, bool>> kinds;
  for (int l = 0; l < layers; ++l) {
    const std::pair<LayerKind, bool> kind{rank.model.layers[static_cast<std::size_t>(l)],
                                          l < rank.model.moe.hash_layers};
    const auto found = std::find(kinds.begin(), kinds.end(), kind);
    groups_.push_back(static_cast<int>(found - kinds.begin()));
    if (found == kinds.end()) kinds.push_back(kind);
    turn_.push_back(static_cast<int>(std::count(groups_.begin(), groups_.end(), groups_.back())) -
                    1);
  }
  std::uint64_t seed = options.seed * 1000;
  for (std::size_t g = 0; g < kinds.size(); ++g) {
    const auto count = std::count(groups_.begin(), groups_.end(), static_cast<int>(g));
    weights_.emplace_back();
    for (int i = 0; i < std::min<int>(options.weight_copies, static_cast<int>(count)); ++i) {
      weights_.back().push_back(random_layer(rank.shape, kinds[g].first, kinds[g].second, seed));
      seed += 100;
    }
  }
  ends_ = random_ends(rank.shape, seed);
  pools_ = std::make_unique<DevicePools>(rank, options_.pools, seed + 100);

  {
    const auto keep = [&](bool compressed) {
      const auto table =
          kernels::rope_table(compressed, std::int64_t{table_blocks_} * kTokensPerPage);
      auto memory = std::make_shared<DeviceMemory>(table.size() * sizeof(float));
      copy_to_device(memory->get(), table.data(), memory->bytes());
      return Array<float>(std::shared_ptr<void>(memory, memory->get()),
                          static_cast<std::int64_t>(table.size()));
    };
    rope_ = {keep(true), keep(false)};
  }
  layers_ = std::make_unique<LayerRunner>(executor_, Side::device, rank_.shape, rope_);

  const std::int64_t tokens = max_tokens_;
  nobodys_pages_.assign(static_cast<std::size_t>(table_blocks_), pools_->dummy_page());
  nobodys_keys_.assign(static_cast<std::size_t>(table_blocks_) + 2, -1);
  streams_ = DeviceMemory(static_cast<std::size_t>(tokens) * 4 *
                          static_cast<std::size_t>(rank.shape.hidden) * sizeof(Bf16));
  V4CAP_CUDA(cudaMemset(streams_.get(), 0, streams_.bytes()));
  const std::int64_t table = std::int64_t{max_sequences_} * table_blocks_;
  known_pages_.resize(static_cast<std::size_t>(max_sequences_));
  tables_ = DeviceMemory(static_cast<std::size_t>(table) * 4);
  copy_to_device(
      tables_.get(),
      std::vector<std::int32_t>(static_cast<std::size_t>(table), pools_->dummy_page()).data(),
      tables_.bytes());
  last_token_ = DeviceMemory(static_cast<std::size_t>(max_sequences_) * 4);
  V4CAP_CUDA(cudaMemset(last_token_.get(), 0, last_token_.bytes()));
  std::vector<std::int32_t> identity(static_cast<std::size_t>(
      std::max(options.pools.slots, std::max(options.pools.points, options.pools.pages)) + 1));
  std::iota(identity.begin(), identity.end(), 0);
  identity_ = DeviceMemory(identity.size() * 4);
  copy_to_device(identity_.get(), identity.data(), identity_.bytes());

  const std::int64_t scratch =
      std::int64_t{max_sequences_} * (divide_up(max_tokens_ + kWindow, kTokensPerPage) + 2);
  batch_memory_ = DeviceMemory(static_cast<std::size_t>(
      4 * (4 * tokens + 2 * max_sequences_ + 1 + 2 * table + scratch) + 10 * 256));
  V4CAP_CUDA(cudaMemset(batch_memory_.get(), 0, batch_memory_.bytes()));
  char* at = static_cast<char*>(batch_memory_.get());
  batch_.positions = carve<std::int32_t>(at, tokens);
  batch_.sequence_of = carve<std::int32_t>(at, tokens);
  batch_.visible = carve<std::int32_t>(at, tokens);
  batch_.token_ids = carve<std::int32_t>(at, tokens);
  batch_.first_token = carve<std::int32_t>(at, max_sequences_ + 1);
  batch_.slots = carve<std::int32_t>(at, max_sequences_);
  batch_.read_pages = carve<std::int32_t>(at, table);
  batch_.write_pages = carve<std::int32_t>(at, table);
  batch_.scratch_pages = carve<std::int32_t>(at, scratch);
  uploads_ = std::make_unique<Uploads>(stream());
  V4CAP_CUDA(cudaDeviceSynchronize());
}

StepRunner::~StepRunner() {
  cudaStreamSynchronize(stream());
}

void StepRunner::wait() {
  V4CAP_CUDA(cudaStreamSynchronize(stream()));
  uploads_->clear();
}

LayerWeights& StepRunner::weights_of(int layer) {
  const auto l = static_cast<std::size_t>(layer);
  auto& group = weights_[static_cast<std::size_t>(groups_[l])];
  return group[static_cast<std::size_t>(turn_[l]) % group.size()];
}

StepRunner::Part StepRunner::whole() const {
  Part part;
  part.layers.resize(static_cast<std::size_t>(rank_.layers()));
  std::iota(part.layers.begin(), part.layers.end(), 0);
  part.embeds = part.samples = true;
  return part;
}

void StepRunner::set_last_tokens(std::uint64_t seed) {
  Buffer<std::int32_t> tokens(max_sequences_);
  fill_integers(tokens, seed, 0, rank_.shape.vocab - 1);
  V4CAP_CUDA(cudaDeviceSynchronize());  // filled on another stream
  V4CAP_CUDA(cudaMemcpyAsync(last_token_.get(), tokens.device(), last_token_.bytes(),
                             cudaMemcpyDeviceToDevice, stream()));
  wait();
}

std::int32_t StepRunner::context_bucket(std::int64_t context) {
  std::int32_t bucket = kLeastContext;
  while (bucket < context) bucket *= 2;
  return bucket;
}

std::int64_t StepRunner::padded(std::int64_t batch) const {
  HostCost host;
  host.graph_sizes = sizes_;
  host.graph_max_batch = sizes_.back().last;
  V4CAP_CHECK(host.captured(batch), "a decode of " + std::to_string(batch) + " sequences");
  return host.padded(batch);
}

Step StepRunner::step_of(int tokens, int sequences, int max_new, int max_context) const {
  Step step;
  step.batch = {.tokens = tokens,
                .sequences = sequences,
                .max_new_tokens = max_new,
                .max_context = max_context,
                .positions = batch_.positions,
                .sequence_of = batch_.sequence_of,
                .first_token = batch_.first_token};
  step.token_ids = batch_.token_ids;
  step.csa_visible = batch_.visible;
  step.csa_visible_max = max_context / 4;
  return step;
}

LayerState StepRunner::state_of(int layer, bool scratch, std::int32_t scratch_length) const {
  LayerState state = pools_->layer(layer);
  state.slots = batch_.slots;
  state.entry_pages = {batch_.read_pages, table_blocks_, table_blocks_};
  state.written_pages = {batch_.write_pages, table_blocks_, table_blocks_};
  if (options_.pools.windows_in_pages) {
    state.window = pools_->windows(layer);
    state.window_pages = state.entry_pages;
  } else if (scratch) {
    state.window = pools_->scratch();
    state.window_pages = {batch_.scratch_pages, scratch_length, scratch_length};
  } else {
    state.window = pools_->windows(layer);
    state.window_pages = {batch_.slots, 1, 1};
  }
  return state;
}

// Where the GPU's table of a slot differs from the pages that the sequence has now.
void StepRunner::note_pages(const StepSequence& q, std::vector<PageUpdate>& updates) {
  auto& known = known_pages_[static_cast<std::size_t>(q.slot)];
  if (known.size() < q.pages.size()) known.resize(q.pages.size(), -1);
  for (std::size_t b = 0; b < q.pages.size(); ++b) {
    if (known[b] == q.pages[b]) continue;
    known[b] = q.pages[b];
    updates.push_back({q.slot, static_cast<std::int32_t>(b), q.pages[b]});
  }
}

void StepRunner::prepare(const std::vector<BatchSequence>& batch, std::vector<PageUpdate> updates,
                         const std::vector<std::int64_t>& keys, std::int32_t scratch_length) {
  PrepareArgs args;
  args.sequences = static_cast<int>(batch.size());
  args.sequence = uploads_->add(batch);
  args.updates = static_cast<int>(updates.size());
  args.update = uploads_->add(updates);
  args.keys = uploads_->add(keys);
  args.tables = static_cast<std::int32_t*>(tables_.get());
  args.table_blocks = table_blocks_;
  args.dummy_page = pools_->dummy_page();
  args.scratch_length = scratch_length;
  args.last_token = static_cast<const std::int32_t*>(last_token_.get());
  args.vocab = rank_.shape.vocab;
  args.out = batch_;
  if (scratch_length == 0) args.out.scratch_pages = nullptr;
  prepare_batch(args, stream());
}

// ---- between steps

void StepRunner::admit(std::span<const Admission> admissions) {
  std::vector<std::int32_t> slots;
  std::vector<WindowRange> windows;
  std::vector<RowMove> rows;
  for (const Admission& a : admissions) {
    slots.push_back(a.slot);
    if (a.position == 0) continue;
    if (options_.pools.windows_in_pages) {
      rows.push_back({a.slot, a.last_page});
    } else if (a.point >= 0) {
      windows.push_back({a.point, a.slot, a.position - kWindow, kWindow});
      rows.push_back({a.slot, a.point});
    }
  }
  if (!slots.empty()) {
    empty_hca_states(pools_->hca_states(), pools_->hca_layer_floats(),
                     static_cast<int>(pools_->hca_layers()), uploads_->add(slots),
                     static_cast<int>(slots.size()), stream());
  }
  move_points(windows, rows, true);
}

void StepRunner::save_points(std::span<const SlotSave> saves) {
  std::vector<WindowRange> windows;
  std::vector<RowMove> rows;
  for (const SlotSave& s : saves) {
    V4CAP_CHECK(s.position % kTokensPerPage == 0, std::to_string(s.position));
    rows.push_back({s.slot, s.point});
    if (!options_.pools.windows_in_pages) {
      windows.push_back({s.slot, s.point, s.position - kWindow, kWindow});
    }
  }
  move_points(windows, rows, false);
}

// All layers of kept points into slots, or of slots out to points.
void StepRunner::move_points(const std::vector<WindowRange>& windows,
                             const std::vector<RowMove>& rows, bool restore) {
  const auto* identity = static_cast<const std::int32_t*>(identity_.get());
  WindowCopyArgs copy{.ranges = static_cast<int>(windows.size()),
                      .layers = static_cast<int>(rank_.layers()),
                      .max_count = kWindow,
                      .range = uploads_->add(windows),
                      .from = pools_->windows(0),
                      .to = pools_->point_windows(0),
                      .from_pages = {identity, 1, 1},
                      .to_pages = {identity, 1, 1},
                      .from_layer_bytes = pools_->window_layer_bytes(),
                      .to_layer_bytes = pools_->point_layer_bytes()};
  if (restore) {
    std::swap(copy.from, copy.to);
    std::swap(copy.from_layer_bytes, copy.to_layer_bytes);
  }
  copy_windows(copy, stream());
  const RowMove* moves = uploads_->add(rows);
  for (const int head_dim : {kHeadDim, kIndexDim}) {
    MoveRowsArgs args = pools_->csa_rows(head_dim);
    args.moves = static_cast<int>(rows.size());
    args.move = moves;
    args.restore = restore;
    move_rows(args, stream());
  }
}

// ---- layers

void StepRunner::head(const Step& step, const Bf16* x, const std::int32_t* slots) {
  executor_.reset();
  const auto outputs = layers_->head(ends_, step, x, false);
  keep_tokens(outputs.chosen.data(), slots, step.batch.tokens,
              static_cast<std::int32_t*>(last_token_.get()), stream());
}

void StepRunner::run_layers(const Part& part, const Step& step) {
  auto* x = static_cast<Bf16*>(streams_.get());
  if (part.embeds) {
    executor_.run(kernels::embedding::Args{.tokens = step.batch.tokens,
                                           .hidden = rank_.shape.hidden,
                                           .streams = 4,
                                           .token_ids = step.token_ids,
                                           .table = ends_.embedding.device(),
                                           .x = x});
  }
  for (const int layer : part.layers) {
    if (part.between_layers) part.between_layers();
    executor_.reset();
    LayerState state = state_of(layer, false, 0);
    layers_->run(weights_of(layer), state, step, x);
  }
  if (part.between_layers) part.between_layers();
  if (part.samples) head(step, x, batch_.slots);
}

StepSequence StepRunner::nobody(std::int32_t tokens) const {
  return {
      .slot = pools_->dummy_slot(),
      .tokens = tokens,
      .pages = nobodys_pages_,
      .stored_from = table_blocks_,
      .keys =
          std::span(nobodys_keys_).first(static_cast<std::size_t>(tokens / kTokensPerPage + 2))};
}

void StepRunner::warm(std::int64_t batch, std::int32_t context) {
  // Everything once without a graph, at the largest sizes: memory and first uses.
  StepSequence longest = nobody(std::min(options_.step_tokens, options_.max_context));
  longest.past = std::max(0, std::min(context, options_.max_context) - longest.tokens);
  longest.emits = true;
  prefill(std::span(&longest, 1));
  wait();
  // Kernels of every number of tokens, in one layer of each kind.
  Part one_of_each;
  for (std::size_t g = 0; g < weights_.size(); ++g) {
    const auto first = std::ranges::find(groups_, static_cast<int>(g));
    one_of_each.layers.push_back(static_cast<int>(first - groups_.begin()));
  }
  for (std::int32_t tokens = 1; tokens <= max_tokens_; ++tokens) {
    tokens = static_cast<std::int32_t>(size_above(eager_sizes(), tokens));
    if (tokens > max_tokens_) break;
    const StepSequence q = nobody(tokens);
    prefill_part(std::span(&q, 1), one_of_each);
    wait();
  }
  batch = padded(std::min(batch, sizes_.back().last));
  for (std::int64_t rows = 1; rows <= batch; ++rows) {
    if (padded(rows) != rows) continue;
    const auto n = static_cast<int>(rows);
    for (std::int32_t bucket = kLeastContext;; bucket *= 2) {
      prepare_decode({}, rows);
      run_layers(whole(), step_of(n, n, 1, std::min(bucket, options_.max_context)));
      wait();
      std::unique_ptr<Graph>& graph = graphs_[{rows, bucket}];
      if (graph == nullptr) graph = capture_decode(rows, bucket, whole());
      prepare_decode({}, rows);
      launch(*graph);
      wait();
      if (bucket >= context) break;
    }
  }
}

}  // namespace v4cap::exec
