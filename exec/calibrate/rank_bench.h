// Parts of steps timed as steps run them: the launches of the step runner over whole layers of one
// kind, in a captured graph for decode, one by one for prefill. What a layer takes there is what it
// takes in a replay: weights come from memory, activations from L2, kernels follow each other.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "exec/calibrate/family.h"
#include "exec/step/step_runner.h"

namespace v4cap::exec::calibrate {

// Names of the kinds of layer that a model has, as profiles have them: "csa", "hca_hash".
std::vector<std::string> layer_kinds(const ModelSpec& model);
// The model's layers of that name, in order.
std::vector<int> layers_of(const ModelSpec& model, const std::string& kind);
// `count` of them, from the first again after the last.
std::vector<int> layers_of(const ModelSpec& model, const std::string& kind, std::size_t count);

// Values of the keys model, tp and ep.
std::vector<std::string> rank_keys(const Rank& rank);

class RankBench {
 public:
  // Sequences, new tokens of a batch, and tokens of context that points may ask for.
  static constexpr std::int32_t kSlots = 256;
  static constexpr std::int32_t kStepTokens = 8192;
  static constexpr std::int32_t kMaxContext = 1 << 20;
  static constexpr std::int32_t kPoints = 64;

  explicit RankBench(const MeasureContext& context);

  StepRunner& runner() { return runner_; }

  // `count` sequences with pages of their own as far as there are any: of a pool much larger than
  // L2, so that sharing pages among sequences saves no reads.
  std::vector<StepSequence> sequences(std::int64_t count, std::int32_t past, std::int32_t tokens);
  // One of them.
  StepSequence sequence(std::int32_t slot, std::int32_t past, std::int32_t tokens);

  // Runs the last 128 tokens before each sequence's next one, so that it has a window, compressor
  // rows and a last token like any that got there.
  void bring_to(std::span<const StepSequence> sequences);

  // Times what `launch` queues, by events on the GPU; `seconds` of it, 5 to 50 samples. In us.
  Measurement time(const std::function<void()>& launch, double seconds);
  // The same of layers alone, on fresh embeddings of different tokens: as many experts are chosen as
  // a step of such tokens chooses. Of the captured decode of a size that is captured, and of a
  // prefill.
  Measurement time_decode(std::span<const StepSequence> sequences, const std::vector<int>& layers,
                          double seconds);
  Measurement time_prefill(std::span<const StepSequence> sequences, const std::vector<int>& layers,
                           double seconds);
  // What a whole captured decode takes by the clock of the host beyond its graph on the GPU.
  Measurement time_around_decode(std::span<const StepSequence> sequences, double seconds);
  // As time() by the clock of the host, each time until the GPU has finished.
  Measurement wall(const std::function<void()>& launch, double seconds);
  // The same until the host has launched; the GPU may still be at work.
  Measurement launched(const std::function<void()>& launch, double seconds);

 private:
  // Queues work and says when its timed part begins.
  using TimedLaunch = std::function<void(const std::function<void()>& begin)>;
  Measurement time_between(const TimedLaunch& launch, double seconds);
  std::int32_t pages_for(const MeasureContext& context) const;

  const Device& device_;
  exec::Rank rank_;
  StepRunner runner_;
  std::vector<std::vector<std::int32_t>> pages_;  // of slots
  std::vector<std::vector<std::int64_t>> keys_;   // of the blocks of slots
};

// Layers of several kinds alone, scaled so that the layers of a step sum up to their time together:
// routes and values change from layer to layer, so that a step's layers are not quite what layers of
// one kind are among themselves.
class LayersOfStep {
 public:
  using Time = std::function<Measurement(const std::vector<int>& layers)>;
  // Of the kind, at a point. All kinds are timed when a point is first asked for, and again when a
  // kind is asked for twice: whoever does so found the first times unsteady.
  Measurement at(const ModelSpec& model, const std::vector<double>& point, const std::string& kind,
                 std::size_t layers_timed, const Time& time);

 private:
  std::vector<double> at_;
  std::map<std::string, Measurement> alone_;
  double scale_ = 1;
};

// What families that time the runner share: it is made when the first point asks for it.
class StepFamily : public Family {
 public:
  FamilyCost cost() const override { return {.setup_s = 12, .point_s = 0.06}; }

 protected:
  RankBench& bench(const MeasureContext& context) {
    if (bench_ == nullptr) bench_ = std::make_unique<RankBench>(context);
    return *bench_;
  }

 private:
  std::unique_ptr<RankBench> bench_;
};

}  // namespace v4cap::exec::calibrate
