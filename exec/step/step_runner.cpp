#include "exec/step/step_runner.h"

#include <algorithm>
#include <cstring>
#include <numeric>
#include <utility>

#include "exec/fill.h"
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

constexpr std::int32_t kLeastContext = 4096;  // that graphs are captured for

std::int32_t divide_up(std::int32_t a, std::int32_t b) {
  return (a + b - 1) / b;
}

// Pages that hold the window before `past` and `tokens` from there.
std::int32_t scratch_pages_of(std::int32_t past, std::int32_t tokens) {
  const std::int32_t from = std::max(past - (kWindow - 1), 0) / kTokensPerPage;
  return (past + tokens - 1) / kTokensPerPage - from + 1;
}

template <class T>
T* carve(char*& at, std::int64_t count) {
  T* piece = reinterpret_cast<T*>(at);
  at += (count * static_cast<std::int64_t>(sizeof(T)) + 255) / 256 * 256;
  return piece;
}

}  // namespace

// Numbers of a step on their way to the GPU: written into page-locked memory and copied behind each
// other. Nothing is overwritten before the step has ended.
struct StepRunner::Uploads {
  static constexpr std::size_t kBytes = std::size_t{64} << 20;

  explicit Uploads(kernels::Stream s) : stream(s), device(kBytes) {
    V4CAP_CUDA(cudaMallocHost(reinterpret_cast<void**>(&host), kBytes));
  }
  ~Uploads() { cudaFreeHost(host); }
  Uploads(const Uploads&) = delete;
  Uploads& operator=(const Uploads&) = delete;

  template <class T>
  T* add(const std::vector<T>& values) {
    const std::size_t bytes = values.size() * sizeof(T), begin = (used + 255) / 256 * 256;
    V4CAP_CHECK(begin + bytes <= kBytes,
                "a step of " + std::to_string(bytes) + " bytes of numbers");
    char* to = static_cast<char*>(device.get()) + begin;
    if (bytes > 0) {
      std::memcpy(host + begin, values.data(), bytes);
      V4CAP_CUDA(cudaMemcpyAsync(to, host + begin, bytes, cudaMemcpyHostToDevice, stream));
    }
    used = begin + bytes;
    return reinterpret_cast<T*>(to);
  }
  void clear() { used = 0; }

  kernels::Stream stream;
  DeviceMemory device;
  char* host = nullptr;
  std::size_t used = 0;
};

// A batch that is launched layer by layer, with what is copied around each of them.
struct StepRunner::EagerBatch {
  Step step;
  std::int32_t scratch_length = 0;
  std::vector<WindowRange> in, out, saved;
  std::vector<RowSave> rows;
  WindowRange *device_in = nullptr, *device_out = nullptr, *device_saved = nullptr;
  RowSave* device_rows = nullptr;
  std::vector<std::int32_t> emitting, emitting_slots;  // rows, and whose they are
};

StepRunner::StepRunner(const Device& device, const Rank& rank, const RunnerOptions& options)
    : device_(device),
      rank_(rank),
      options_(options),
      executor_(device),
      rope_(),
      sizes_(captured_sizes()) {
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

// ---- decode

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

// ---- prefill

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

StepSequence StepRunner::nobody(std::int32_t tokens) const {
  return {
      .slot = pools_->dummy_slot(),
      .tokens = tokens,
      .pages = nobodys_pages_,
      .stored_from = table_blocks_,
      .keys =
          std::span(nobodys_keys_).first(static_cast<std::size_t>(tokens / kTokensPerPage + 2))};
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

// ---- for tests

std::vector<std::uint8_t> StepRunner::fetch_window(std::int32_t slot, std::int32_t first,
                                                   std::int32_t count,
                                                   std::span<const std::int32_t> pages) {
  wait();
  std::vector<std::uint8_t> bytes;
  std::vector<std::uint8_t> entry(kernels::kEntryDataBytes + kernels::kEntryScaleBytes);
  for (std::int64_t l = 0; l < rank_.layers(); ++l) {
    const kernels::KvPool pool = pools_->windows(l);
    for (std::int32_t position = first; position < first + count; ++position) {
      const std::int32_t page = options_.pools.windows_in_pages
                                    ? pages[static_cast<std::size_t>(position / kTokensPerPage)]
                                    : slot;
      copy_to_host(entry.data(), pool.data(page, position % kTokensPerPage),
                   kernels::kEntryDataBytes);
      copy_to_host(entry.data() + kernels::kEntryDataBytes,
                   pool.scales(page, position % kTokensPerPage), kernels::kEntryScaleBytes);
      bytes.insert(bytes.end(), entry.begin(), entry.end());
    }
  }
  return bytes;
}

std::vector<float> StepRunner::fetch_rows(std::int32_t slot) {
  wait();
  std::vector<float> all;
  for (const int head_dim : {kHeadDim, kIndexDim}) {
    const MoveRowsArgs rows = pools_->csa_rows(head_dim);
    const auto floats = static_cast<std::size_t>(kept_row_floats(head_dim));
    for (int l = 0; l < rows.layers; ++l) {
      std::vector<float> part(floats);
      copy_to_host(part.data(),
                   rows.state + l * rows.state_layer_floats +
                       static_cast<std::int64_t>(slot) * 2 * static_cast<std::int64_t>(floats) +
                       static_cast<std::int64_t>(floats),
                   floats * sizeof(float));
      all.insert(all.end(), part.begin(), part.end());
    }
  }
  return all;
}

}  // namespace v4cap::exec
