// Whole layers and a small model, in three ways.
//   operator by operator    inside a layer every operator is held against its reference on the
//                           operands that the layer hands it, at the operator's own tolerance
//   against the reference   the layer as a whole: kernels against references, each going on with
//                           what it computed itself; the references follow the kernels' discrete
//                           choices after comparing them with their own
//   one answer              the same tokens in one chunk, in odd chunks and one by one
// Quantisers turn differences of rounding into differences of a few percent, in any two correct
// implementations. What a whole layer may differ by is therefore measured: how far the layer's
// outputs move when the last bit of its inputs is changed at random, times kMargin.
#include <cuda_runtime_api.h>
#include <fmt/format.h>

#include <algorithm>
#include <numeric>

#include "exec/fill.h"
#include "exec/layer/checking_executor.h"
#include "exec/layer/device_executor.h"
#include "exec/layer/host_executor.h"
#include "exec/layer/layer.h"
#include "exec/layer/small_model.h"
#include "exec/suite.h"
#include "kernels/cuda/check.h"
#include "kernels/reference.h"

namespace v4cap::exec {
namespace {

using kernels::Bf16;

// Which sequences get how many tokens in each step.
using Plan = std::vector<std::vector<int>>;

constexpr double kMargin = 2;
constexpr double kMostDrift = 0.1;  // whatever the margin says
constexpr double kChoicesMissed = 1e-3;

// What a run of a plan gives, in the order of steps and tokens.
struct Outputs {
  std::vector<double> streams, attention, ffn;
};

void append(std::vector<double>& to, const std::vector<Bf16>& values) {
  for (const Bf16 v : values) to.push_back(kernels::real(v));
}

struct LayerCaseOptions {
  LayerShape shape;
  LayerKind kind = LayerKind::window;
  bool hash_routed = false;
  Plan plan;
  StateOptions state;
};

// Operands of a plan's steps: token ids and the streams that enter the layer.
struct Inputs {
  std::vector<std::vector<int>> starts;
  std::vector<std::vector<std::int32_t>> ids;
  std::vector<std::vector<Bf16>> streams;
};

// The inputs of a token depend on its sequence and position alone, so that every plan of the same
// tokens gets the same ones.
Inputs make_inputs(const LayerShape& shape, const Plan& plan, int sequences, int max_context,
                   std::uint64_t seed) {
  const std::int64_t wide = std::int64_t{4} * shape.hidden;
  Buffer<Bf16> x(std::int64_t{sequences} * max_context * wide);
  fill_normal(x, seed, 1);
  Buffer<std::int32_t> ids(std::int64_t{sequences} * max_context);
  fill_integers(ids, seed + 1, 0, shape.vocab - 1);
  Inputs inputs;
  std::vector<int> past(static_cast<std::size_t>(sequences), 0);
  for (const std::vector<int>& counts : plan) {
    inputs.starts.push_back(past);
    std::vector<std::int32_t> step_ids;
    std::vector<Bf16> step_x;
    for (std::size_t s = 0; s < counts.size(); ++s) {
      const auto first = static_cast<std::ptrdiff_t>(s) * max_context + past[s];
      const auto count = static_cast<std::ptrdiff_t>(counts[s]);
      step_ids.insert(step_ids.end(), ids.host().begin() + first,
                      ids.host().begin() + first + count);
      step_x.insert(step_x.end(), x.host().begin() + first * wide,
                    x.host().begin() + (first + count) * wide);
      past[s] += counts[s];
    }
    inputs.ids.push_back(std::move(step_ids));
    inputs.streams.push_back(std::move(step_x));
  }
  return inputs;
}

// The last bit of half of the numbers is flipped.
void perturb(Inputs& inputs) {
  std::uint32_t random = 1;
  for (std::vector<Bf16>& x : inputs.streams) {
    for (Bf16& value : x) {
      random = random * 1664525u + 1013904223u;
      value.bits = static_cast<std::uint16_t>(value.bits ^ (random >> 31));
    }
  }
}

// Twice: over everything and over the worst row.
void add_drift(std::vector<Finding>& findings, const std::string& what,
               const std::vector<double>& expected, const std::vector<double>& got,
               const std::vector<double>& base, const std::vector<double>& moved,
               std::int64_t width) {
  const auto allowed = compare(what, base, moved, width, 0);
  auto drift = compare(what, expected, got, width, 0);
  for (std::size_t i = 0; i < drift.size(); ++i) {
    drift[i].tolerance = std::min(kMargin * allowed[i].error, i == 0 ? kMostDrift : 2 * kMostDrift);
    findings.push_back(drift[i]);
  }
}

void add_choices(std::vector<Finding>& findings, const std::string& what,
                 const ChoiceTally& tally) {
  if (tally.own > 0) {
    const double missed = 1 - static_cast<double>(tally.found) / static_cast<double>(tally.own);
    findings.push_back({what + " not chosen alike", missed, kChoicesMissed});
  }
  findings.push_back({what + " that cannot be", static_cast<double>(tally.impossible), 0});
}

Outputs run_plan(Executor& executor, Side side, const LayerCaseOptions& options, const Plan& plan,
                 const Inputs& inputs, LayerWeights& weights) {
  const RopeTables rope = rope_tables(executor, options.state.max_context);
  LayerState state(executor, options.kind, options.state);
  LayerRunner runner(executor, side, options.shape, rope);
  Outputs outputs;
  for (std::size_t i = 0; i < plan.size(); ++i) {
    const Step step(executor, inputs.starts[i], plan[i], inputs.ids[i]);
    const Array<Bf16> x = executor.array(inputs.streams[i]);
    const SublayerOutputs sublayers = runner.run(weights, state, step, x.data());
    append(outputs.streams, executor.fetch(x.data(), x.size()));
    append(outputs.attention,
           executor.fetch(sublayers.attention.data(), sublayers.attention.size()));
    append(outputs.ffn, executor.fetch(sublayers.ffn.data(), sublayers.ffn.size()));
  }
  return outputs;
}

// Two ways to run what a layer case launches: the preferred versions, and the portable ones alone.
class TwoWays : public Case {
 public:
  std::vector<VersionInfo> versions(const Device& device) override {
    device_ = &device;
    VersionInfo preferred, portable;
    preferred.name = "preferred";
    portable.name = "portable only";
    return {preferred, portable};
  }
  void reset() override {}
  int launches() const override { return 1; }  // steps follow each other within a run
  kernels::Work work() const override { return {}; }

 protected:
  const Device* device_ = nullptr;
};

class LayerCase : public TwoWays {
 public:
  LayerCase(LayerCaseOptions options, std::uint64_t seed)
      : options_(std::move(options)),
        weights_(random_layer(options_.shape, options_.kind, options_.hash_routed, seed)),
        inputs_(make_inputs(options_.shape, options_.plan, options_.state.sequences,
                            options_.state.max_context, seed + 500)) {}

  void launch(std::size_t version, kernels::Stream) override {
    choices_ = {};
    DeviceExecutor executor(*device_, version == 1, &choices_);
    V4CAP_CUDA(cudaDeviceSynchronize());
    got_ = run_plan(executor, Side::device, options_, options_.plan, inputs_, weights_);
  }

  std::vector<Finding> judge() override {
    ChoiceLog follow = choices_;
    HostExecutor executor(&follow);
    const Outputs expected =
        run_plan(executor, Side::host, options_, options_.plan, inputs_, weights_);
    if (moved_.streams.empty()) {
      // Once is enough: every run of this case may differ by as much.
      Inputs inputs = inputs_;
      perturb(inputs);
      ChoiceLog again = choices_;
      HostExecutor other(&again);
      moved_ = run_plan(other, Side::host, options_, options_.plan, inputs, weights_);
      base_ = expected;
    }
    const int d = options_.shape.hidden;
    std::vector<Finding> findings;
    add_drift(findings, "streams", expected.streams, got_.streams, base_.streams, moved_.streams,
              4 * d);
    add_drift(findings, "attention", expected.attention, got_.attention, base_.attention,
              moved_.attention, d);
    add_drift(findings, "experts", expected.ffn, got_.ffn, base_.ffn, moved_.ffn, d);
    add_choices(findings, "experts", follow.experts);
    add_choices(findings, "selected entries", follow.entries);
    return findings;
  }

 private:
  LayerCaseOptions options_;
  LayerWeights weights_;
  Inputs inputs_;
  ChoiceLog choices_;
  Outputs got_, base_, moved_;
};

// Every operator of a layer on the operands that it meets there.
class OperatorsCase : public TwoWays {
 public:
  OperatorsCase(const LayerCaseOptions& options, std::uint64_t seed)
      : options_(options),
        weights_(random_layer(options_.shape, options_.kind, options_.hash_routed, seed)),
        inputs_(make_inputs(options_.shape, options_.plan, options_.state.sequences,
                            options_.state.max_context, seed + 500)) {
    V4CAP_CUDA(cudaDeviceSynchronize());
  }

  void launch(std::size_t version, kernels::Stream) override {
    CheckingExecutor executor(*device_, version == 1);
    run_plan(executor, Side::device, options_, options_.plan, inputs_, weights_);
    findings_ = executor.findings();
  }
  std::vector<Finding> judge() override { return findings_; }

 private:
  LayerCaseOptions options_;
  MappedMemoryScope mapped_;  // before the weights, which must be made in it
  LayerWeights weights_;
  Inputs inputs_;
  std::vector<Finding> findings_;
};

// The same tokens of one sequence in three cuts. Routing by hash and a top-k that takes every
// entry, so that no choice depends on rounding.
class AgreementCase : public TwoWays {
 public:
  AgreementCase(LayerCaseOptions options, std::vector<int> chunks, std::uint64_t seed)
      : options_(std::move(options)),
        seed_(seed),
        weights_(random_layer(options_.shape, options_.kind, true, seed)) {
    const int tokens = std::accumulate(chunks.begin(), chunks.end(), 0);
    plans_.push_back({{tokens}});
    plans_.emplace_back();
    for (const int chunk : chunks) plans_.back().push_back({chunk});
    plans_.push_back(Plan(static_cast<std::size_t>(tokens), {1}));
  }

  void launch(std::size_t version, kernels::Stream) override {
    got_.clear();
    for (const Plan& plan : plans_) {
      const Inputs inputs =
          make_inputs(options_.shape, plan, 1, options_.state.max_context, seed_ + 500);
      DeviceExecutor executor(*device_, version == 1);
      V4CAP_CUDA(cudaDeviceSynchronize());
      got_.push_back(run_plan(executor, Side::device, options_, plan, inputs, weights_));
    }
    Inputs inputs =
        make_inputs(options_.shape, plans_[0], 1, options_.state.max_context, seed_ + 500);
    perturb(inputs);
    DeviceExecutor executor(*device_, version == 1);
    V4CAP_CUDA(cudaDeviceSynchronize());
    moved_ = run_plan(executor, Side::device, options_, plans_[0], inputs, weights_);
  }

  std::vector<Finding> judge() override {
    const int wide = 4 * options_.shape.hidden;
    std::vector<Finding> findings;
    const std::vector<double>& whole = got_[0].streams;
    add_drift(findings, "odd chunks against one", whole, got_[1].streams, whole, moved_.streams,
              wide);
    add_drift(findings, "one by one against one chunk", whole, got_[2].streams, whole,
              moved_.streams, wide);
    return findings;
  }

 private:
  LayerCaseOptions options_;
  std::uint64_t seed_;
  LayerWeights weights_;
  std::vector<Plan> plans_;
  std::vector<Outputs> got_;
  Outputs moved_;
};

// Every operator of a small model: embedding, layers, head, MTP.
class ModelCase : public TwoWays {
 public:
  explicit ModelCase(std::uint64_t seed) : model_(seed) { V4CAP_CUDA(cudaDeviceSynchronize()); }

  void launch(std::size_t version, kernels::Stream) override {
    CheckingExecutor executor(*device_, version == 1);
    model_.run(executor, Side::device);
    findings_ = executor.findings();
  }
  std::vector<Finding> judge() override { return findings_; }

 private:
  MappedMemoryScope mapped_;  // before the weights, which must be made in it
  SmallModel model_;
  std::vector<Finding> findings_;
};

const char* name_of(LayerKind kind) {
  return kind == LayerKind::csa ? "CSA" : kind == LayerKind::hca ? "HCA" : "window";
}

Suite suite() {
  Suite s{.name = "layer"};
  for (const LayerKind kind : {LayerKind::window, LayerKind::csa, LayerKind::hca}) {
    // Sequence 0 passes a page, 1 starts late and stays short, 2 decodes from an odd place on.
    const Plan plan = {{130, 0, 37}, {7, 5, 1}, {163, 1, 1}, {1, 1, 91}, {1, 2, 1}};
    // Most tokens see more entries than the indexer may select (16).
    LayerCaseOptions options{.shape = tiny_shape(),
                             .kind = kind,
                             .hash_routed = kind == LayerKind::window,
                             .plan = plan,
                             .state = {.sequences = 3, .max_context = 320, .max_chunk = 163}};
    s.check.push_back({.name = fmt::format("{}, tiny, 3 sequences", name_of(kind)),
                       .make = [options](std::uint64_t seed) -> std::unique_ptr<Case> {
                         return std::make_unique<LayerCase>(options, seed);
                       }});
    if (kind != LayerKind::window) {  // the model below has window layers
      s.check.push_back({.name = fmt::format("{}, tiny, operator by operator", name_of(kind)),
                         .make = [options](std::uint64_t seed) -> std::unique_ptr<Case> {
                           return std::make_unique<OperatorsCase>(options, seed);
                         }});
    }
    LayerCaseOptions all = options;
    all.shape.top_k = 128;
    all.state = {.sequences = 1, .max_context = 400, .max_chunk = 400};
    s.check.push_back({.name = fmt::format("{}, tiny, three cuts of 400 tokens", name_of(kind)),
                       .make = [all](std::uint64_t seed) -> std::unique_ptr<Case> {
                         return std::make_unique<AgreementCase>(
                             all, std::vector<int>{1, 2, 7, 130, 128, 5, 127}, seed);
                       }});
  }
  LayerCaseOptions rows{.shape = tiny_shape(),
                        .kind = LayerKind::hca,
                        .plan = {{200, 100}, {1, 40}, {60, 1}},
                        .state = {.sequences = 2, .max_context = 300, .max_chunk = 200}};
  rows.state.hca_form = kernels::compressor_hca::StateForm::rows;
  s.check.push_back({.name = "HCA, tiny, state of rows",
                     .make = [rows](std::uint64_t seed) -> std::unique_ptr<Case> {
                       return std::make_unique<LayerCase>(rows, seed);
                     }});
  LayerCaseOptions fp4{.shape = tiny_shape(),
                       .kind = LayerKind::csa,
                       .plan = {{300, 100}, {1, 40}, {5, 1}},
                       .state = {.sequences = 2, .max_context = 320, .max_chunk = 300}};
  fp4.state.keys = kernels::KeyFormat::fp4;
  s.check.push_back(
      {.name = "CSA, tiny, FP4 keys", .make = [fp4](std::uint64_t seed) -> std::unique_ptr<Case> {
         return std::make_unique<LayerCase>(fp4, seed);
       }});
  s.check.push_back({.name = "model of 3 layers and MTP, tiny",
                     .make = [](std::uint64_t seed) -> std::unique_ptr<Case> {
                       return std::make_unique<ModelCase>(seed);
                     }});
  return s;
}

const RegisterSuite kSuite{suite()};

}  // namespace
}  // namespace v4cap::exec
