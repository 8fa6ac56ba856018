// Parts of steps timed as steps run them: the launches of the step runner, in a captured graph for
// decode, one by one for prefill. Layers are timed within whole steps: what a layer takes there is
// what it takes in a replay, with weights that come from memory, activations from L2, and a GPU that
// is as warm. Which experts are chosen differs from token to token, so that small batches are run
// with different tokens until that averages out.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "exec/calibrate/family.h"
#include "exec/calibrate/layer_task.h"
#include "exec/calibrate/rank_team.h"
#include "exec/step/step_runner.h"

namespace v4cap::exec::calibrate {

// Names of the kinds of layer that a model has, as profiles have them: "csa", "hca_hash".
std::vector<std::string> layer_kinds(const ModelSpec& model);
// Values of the keys model, tp and ep.
std::vector<std::string> rank_keys(const Rank& rank);

// A layer of each kind, by its name in layer_kinds().
using LayerTimes = std::map<std::string, Measurement>;

// Gathers times of all layers of steps of different tokens.
class KindTimes {
 public:
  explicit KindTimes(const ModelSpec& model) : model_(model) {}  // which must outlive this
  // One step: microseconds of its layers in order, each times `scale`.
  void add(const std::vector<double>& layers_us, double scale);
  // The mean over the layers of a kind and over steps. Its p10 and p90 are those of this mean by its
  // standard error: steps of different tokens differ by themselves.
  LayerTimes summarised(double sm_mhz) const;
  // Whether more steps would say little: the p10 and p90 of every kind lie close together. Not before
  // two steps.
  bool settled() const;

 private:
  const ModelSpec& model_;
  std::map<std::string, std::vector<double>> us_;  // of each step
};

// The median of samples that scatter by themselves, as the clock of a host does. Its p10 and p90 are
// those of this median.
Measurement middle_of(std::vector<double> us, double sm_mhz);

class RankBench {
 public:
  // Sequences, new tokens of a batch, and tokens of context that points may ask for.
  static constexpr std::int32_t kSlots = 256;
  static constexpr std::int32_t kStepTokens = 8192;
  static constexpr std::int32_t kMaxContext = 1 << 20;
  static constexpr std::int32_t kPoints = 64;

  // `team`: this rank's, with which it times layers; it must outlive the bench. nullptr: one rank
  // stands for all.
  explicit RankBench(const MeasureContext& context, RankTeam* team = nullptr);

  StepRunner& runner() { return runner_; }

  // `count` sequences with pages of their own as far as there are any: of a pool much larger than
  // L2, so that sharing pages among sequences saves no reads. Other `variant`s have other tokens.
  std::vector<StepSequence> sequences(std::int64_t count, std::int32_t past, std::int32_t tokens,
                                      std::int32_t variant = 0);
  // One of them.
  StepSequence sequence(std::int32_t slot, std::int32_t past, std::int32_t tokens,
                        std::int32_t variant = 0);

  // Times what `launch` queues, by events on the GPU; `seconds` of it, 5 to 50 samples. In us.
  Measurement time(const std::function<void()>& launch, double seconds);
  // Of a captured decode of a size that is captured, and of a prefill; `make(variant)` gives its
  // sequences.
  LayerTimes layers_of_decode(std::span<const StepSequence> sequences);
  LayerTimes layers_of_prefill(
      const std::function<std::vector<StepSequence>(std::int32_t variant)>& make, double seconds);
  // Either, of a task; prefill for about `seconds`. Ranks of a team do it together.
  LayerTimes layers_of(const LayerTask& task, double seconds);
  // What a whole captured decode takes by the clock of the host beyond its graph on the GPU.
  Measurement time_around_decode(std::span<const StepSequence> sequences);
  // As time() by the clock of the host, each time until the GPU has finished.
  Measurement wall(const std::function<void()>& launch, double seconds);
  // The same until the host has launched; the GPU may still be at work.
  Measurement launched(const std::function<void()>& launch, double seconds);

 private:
  // Every slot of the runner gets a window, as sequences have one that got to where they are.
  void fill_windows();
  std::int32_t pages_for() const;

  bool agreed(bool mine);
  void meet();

  const Device& device_;
  RankTeam* team_;
  exec::Rank rank_;
  StepRunner runner_;
  std::vector<std::vector<std::int32_t>> pages_;  // of slots
  std::vector<std::vector<std::int64_t>> keys_;   // of the blocks of slots
};

// What was timed of a point for all kinds at once, asked for kind by kind.
class TimedOnce {
 public:
  using Time = std::function<LayerTimes()>;
  // Timed when a point is first asked for, and again when a kind is asked for twice: whoever does so
  // found the first times unsteady.
  Measurement at(const std::vector<double>& point, const std::string& kind, const Time& time);

 private:
  std::vector<double> at_;
  LayerTimes left_;
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

// What families of whole layers share, each of which there is twice: of one rank that stands for
// all, collectives skipped, and of all ranks of a host, with the sums that they take behind attention
// and experts and with what they wait for each other in them.
class LayerFamily : public Family {
 public:
  explicit LayerFamily(bool of_ranks) : of_ranks_(of_ranks) {}

  FamilyCost cost() const override { return {.setup_s = 12, .point_s = 0.06}; }
  Measurement measure(MeasureContext& context, const Point& point) final;
  void serve(MeasureContext& context, const PeerSeat& seat) final;

 protected:
  bool of_ranks() const { return of_ranks_; }
  // Whether ranks like this one measure it: of ranks, all GPUs that are asked for make up a rank
  // each, as they do in a replay.
  bool has_points(const Rank& rank) const {
    return !of_ranks_ || (rank.gpus > 1 && rank.gpus == rank.tp && rank.gpus == rank.ep);
  }
  // A family's entry: `layer_decode` or `ranks_decode` for `name` "decode".
  ProfileFamily entry(const std::string& name, const std::string& note) const;
  virtual LayerTask task_of(const Point& point) const = 0;

 private:
  bool of_ranks_;
  std::unique_ptr<RankTeam> team_;  // outlives the bench
  std::unique_ptr<RankBench> bench_;
  TimedOnce times_;
};

}  // namespace v4cap::exec::calibrate
