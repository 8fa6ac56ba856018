// Runs batches of sequences through all layers of a rank: a decode batch as a captured graph, a
// prefill or rebuild batch launch by launch. What happens to state around the layers is here too:
// windows of a chunk in scratch pages, points copied out and in, tables of pages kept on the GPU.
//
// Windows. A running sequence's last window is a ring of 256 entries in its slot. Decode writes and
// reads it in place. A chunk of prefill may be longer than any ring: before a layer runs, the last
// 127 entries are copied from the ring to scratch pages that the chunk then fills, and afterwards its
// last 128 go back. With windows in pages (policy `full`) there is nothing to copy.
//
// Nothing here knows of engines or requests: a sequence is a slot, pages and positions.
#pragma once

#include <cuda_runtime_api.h>

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "exec/device.h"
#include "exec/layer/layer.h"
#include "exec/layer/weights.h"
#include "exec/step/captured_sizes.h"
#include "exec/step/device_pools.h"
#include "exec/step/rank.h"
#include "exec/step/step_kernels.h"
#include "exec/step/stream_executor.h"

namespace v4cap::exec {

struct RunnerOptions {
  PoolSizes pools;               // scratch_pages is chosen by the runner
  std::int32_t max_context = 0;  // tokens of a sequence
  std::int32_t step_tokens = 0;  // new tokens of a batch
  // Layers of each kind that have weights of their own; the others use these in turn. Two are
  // enough where a layer's weights exceed the L2 cache, as V4's do.
  int weight_copies = 2;
  std::uint64_t seed = 1;
  // Behind attention and experts of every layer; empty: this rank stands for all.
  RankSum sum = {};
};

// A kept point that a chunk passes: state at `position` goes to `point`.
struct PointSave {
  std::int32_t position = 0, point = 0;
};

struct StepSequence {
  std::int32_t slot = 0;
  std::int32_t past = 0, tokens = 1;         // new tokens from position `past` on
  std::span<const std::int32_t> pages = {};  // of its blocks in order, the new tokens' among them
  std::int32_t stored_from = 0;              // first block whose entries are stored, not only read
  bool emits = false;                        // its last new token's logits are asked for
  // Keys of blocks past / 256 and on, which decide the new tokens; empty: the token sampled last.
  std::span<const std::int64_t> keys = {};
  std::vector<PointSave> saves = {};  // in prefill, ascending
};

// What a slot starts with.
struct Admission {
  std::int32_t slot = 0;
  std::int32_t position = 0;   // where it goes on; 0: from the beginning
  std::int32_t point = -1;     // copied in; -1: nothing, or with windows in pages the rows kept
  std::int32_t last_page = 0;  //   with the block before `position`, which is in this page
};

class StepRunner {
 public:
  StepRunner(const Device& device, const Rank& rank, const RunnerOptions& options);
  ~StepRunner();
  StepRunner(const StepRunner&) = delete;
  StepRunner& operator=(const StepRunner&) = delete;

  const Rank& rank() const { return rank_; }
  const RunnerOptions& options() const { return options_; }
  const DevicePools& pools() const { return *pools_; }
  StreamExecutor& executor() { return executor_; }
  kernels::Stream stream() const { return executor_.stream(); }

  // Every call queues work; wait() ends when all of it is done. Calls between two waits make up a
  // step.
  void wait();

  void admit(std::span<const Admission> admissions);
  // One new token each. Runs the graph of the next captured size, which is captured first where it
  // is not known yet (warm() does so beforehand); more sequences than any of those as a prefill.
  void decode(std::span<const StepSequence> sequences);
  // Any number of new tokens each; the batch is filled up to the next of eager_sizes() by tokens of
  // nobody.
  void prefill(std::span<const StepSequence> sequences);
  // Tokens of one sequence that are run again to restore windows up to `end`: layer l of L runs only
  // those of the last 128 (L - l) positions before `end` (l from 0).
  void rebuild_pyramid(const StepSequence& sequence, std::int32_t end);
  // State of slots at a position that they have just computed, a multiple of 256, to points; with
  // windows in pages `point` is the page of the block that ends there.
  struct SlotSave {
    std::int32_t slot = 0, position = 0, point = 0;
  };
  void save_points(std::span<const SlotSave> saves);

  // Captures the graphs of all sizes up to `batch` for contexts up to `context`, and runs a prefill
  // of the largest size, so that no later step pays for a first use.
  void warm(std::int64_t batch, std::int32_t context);

  // The context that graphs are captured for: the next power of two, at least 4,096.
  static std::int32_t context_bucket(std::int64_t context);
  std::int64_t padded(std::int64_t batch) const;

  // For measurements: the same launches of chosen layers only (numbers of layers in the model), with
  // or without what a step has outside its layers. Without embedding, layers go on with the streams
  // that are there.
  struct Part {
    std::vector<int> layers = {};
    bool embeds = false, samples = false;  // what comes before the layers and behind them
    // Called where each layer begins and where the last one ends, while they are queued or captured.
    std::function<void()> between_layers = {};
  };
  // Queues the batch's decode as a graph of this part. Returned graphs belong to the caller.
  class Graph;
  std::unique_ptr<Graph> capture_decode(std::int64_t batch, std::int32_t context, const Part& part);
  void prepare_decode(std::span<const StepSequence> sequences, std::int64_t padded);
  void launch(const Graph& graph);
  void prefill_part(std::span<const StepSequence> sequences, const Part& part);

  Part whole() const;

  // Every slot gets a last sampled token at random, so that a decode of fresh slots is one of
  // different tokens.
  void set_last_tokens(std::uint64_t seed);

 private:
  struct Uploads;
  struct EagerBatch;

  // Tokens of a sequence that nobody has and whose state nobody reads.
  StepSequence nobody(std::int32_t tokens) const;
  LayerWeights& weights_of(int layer);
  int layer_group(int layer) const;
  Step step_of(int tokens, int sequences, int max_new, int max_context) const;
  LayerState state_of(int layer, bool scratch, std::int32_t scratch_length) const;
  void run_layers(const Part& part, const Step& step);
  void head(const Step& step, const kernels::Bf16* x, const std::int32_t* slots);
  void prepare(const std::vector<BatchSequence>& batch, std::vector<PageUpdate> updates,
               const std::vector<std::int64_t>& keys, std::int32_t scratch_length);
  void move_points(const std::vector<WindowRange>& windows, const std::vector<RowMove>& rows,
                   bool restore);
  void note_pages(const StepSequence& sequence, std::vector<PageUpdate>& updates);
  EagerBatch eager_batch(std::span<const StepSequence> sequences);
  void run_layer(int layer, const EagerBatch& eager, const Step& step, kernels::Bf16* x);
  void copy_in(int layer, const EagerBatch& eager);
  void copy_out(int layer, const EagerBatch& eager);

  const Device& device_;
  Rank rank_;
  RunnerOptions options_;
  StreamExecutor executor_;
  RopeTables rope_;
  std::vector<std::vector<LayerWeights>> weights_;  // by group of equal layers
  std::vector<int> groups_;                         // of each layer
  std::vector<int> turn_;                           // which of its group's weights a layer uses
  ModelEnds ends_;
  std::unique_ptr<DevicePools> pools_;
  std::unique_ptr<LayerRunner> layers_;
  std::int32_t table_blocks_ = 0, max_sequences_ = 0, max_tokens_ = 0;
  std::vector<std::int32_t> nobodys_pages_;
  std::vector<std::int64_t> nobodys_keys_;
  // On the device: tables of slots, last sampled tokens, streams, identity, the batch.
  DeviceMemory tables_, last_token_, streams_, identity_, batch_memory_;
  BatchArrays batch_;
  std::vector<std::vector<std::int32_t>> known_pages_;  // what tables_ holds, by slot
  std::unique_ptr<Uploads> uploads_;
  std::vector<GraphSizes> sizes_;
  std::map<std::pair<std::int64_t, std::int32_t>, std::unique_ptr<Graph>> graphs_;
};

// A captured batch.
class StepRunner::Graph {
 public:
  explicit Graph(cudaGraphExec_t executable) : executable_(executable) {}
  ~Graph() { cudaGraphExecDestroy(executable_); }
  Graph(const Graph&) = delete;
  Graph& operator=(const Graph&) = delete;
  cudaGraphExec_t get() const { return executable_; }

 private:
  cudaGraphExec_t executable_;
};

}  // namespace v4cap::exec
