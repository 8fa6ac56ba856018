// The time of a step of v4exec, composed from whole layers that `v4exec calibrate` measured on one
// GPU: a profile whose engine is `v4exec` (scenarios/profiles/README.md lists its families).
//
// v4exec runs the decode pieces of a step as one captured graph, padded to the next captured size,
// and after it the prefill and rebuild pieces as one batch that the host launches layer by layer.
//
//   step     decode + prefill + copies of kept points
//   decode   ends(B) + sum over layers of the mean over the batch of layer(B, past_i) + graph step,
//            B captured rows. Rows without a sequence stand at the beginning of a window of their own
//            and take what a row takes at the least measured past. Above the largest captured size
//            the batch is launched eagerly, as prefill is.
//            Where the profile has a batch with one sequence that is longer than the others
//            (layer_decode_longest), the longest counts as one of the others, of their mean past,
//            plus what it adds to such a batch: kernels split their work by it, and wait for it.
//            Between the batches of that family what it adds is interpolated, not the layer, whose
//            time bends with the number of experts that a batch touches; above the last it adds as
//            much as there. What a batch of equally long sequences waits for is in layer(B, past)
//            too, so that the others do not take theirs one by one: beyond the past that fills the
//            top-k of CSA time is taken to grow evenly, by the line through that past and their mean.
//   prefill  ends(N, rows) + sum over layers of sum_i n_i / N layer(N / n_i, N, past_i) for pieces
//            of n_i new tokens and N in all: exact for equal pieces. Never faster than the host
//            launches it: eager step + layers x eager layer.
//   sums     with collectives, behind attention and experts of each layer an all-reduce of the
//            batch's outputs, filled up as the batch is; the time within a captured graph, which is
//            the GPU's own. Ranks that do not share their work evenly wait for each other in it.
//            That is in layers of ranks that were measured together (ranks_decode,
//            ranks_decode_longest, ranks_prefill), which take the place of layers and sums where the
//            profile has every kind of layer so.
//   rebuild  a prefill piece that asks for no logits, one with the prompt that goes on behind it in
//            the same step. Of a pyramid, t plan tokens are t x L
//            layer-tokens, of which layer l of L runs 2 (L - l + 1) / (L + 1) t: the last
//            window x (L - l + 1) tokens when the whole rebuild is one piece. The host launches
//            each pyramid by itself.
//
// What the profile lacks is taken from the roofline, operator by operator, and counted as such;
// layers of one phase are taken from the profile together or not at all.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "sim/cost/cost_model.h"
#include "sim/cost/host_cost.h"
#include "sim/cost/operators.h"
#include "sim/cost/profile.h"
#include "sim/cost/roofline.h"
#include "sim/model/hardware.h"

namespace v4cap {

// The engine of profiles that this model reads.
inline constexpr std::string_view kLayerEngine = "v4exec";

// A family that it looks up: names of keys, in any order, and of axes, in this order.
struct LayerFamily {
  std::string name;
  std::vector<std::string> keys, axes;
};
const std::vector<LayerFamily>& layer_families();

struct TimeAccount;

// Prepares rows of its grids as steps ask for them: one model is for one thread.
class LayerCost final : public CostModel {
 public:
  // All arguments are copied but `profile`, which must outlive the model and whose families must
  // have the keys and axes of layer_families(). The setting has one attention rank.
  LayerCost(const StepSetting& setting, const HardwareSpec& hardware, const Profile& profile,
            const HostCost& host);
  ~LayerCost() override;

  using CostModel::step_time;
  StepTime step_time(std::span<const StepPlan* const> ranks) const override;
  std::unique_ptr<DecodeRun> decode_run(std::span<const StepPlan* const> ranks) const override;

  void explain(std::span<const StepPlan* const> ranks, CostLedger& ledger) const override;

  // What of a step the profile does not hold for this deployment: "decode layer csa", "copies".
  const std::vector<std::string>& missing() const { return missing_; }

 private:
  struct Layers;
  struct Ends;
  struct Batch;
  struct Piece;

  Batch batch_of(const StepPlan& plan) const;
  void decode_time(const StepPlan& plan, const Batch& batch, TimeAccount& account) const;
  void prefill_time(const Batch& batch, TimeAccount& account) const;
  void layer_prefill(const Layers& layers, std::int64_t count, std::span<const Piece> pieces,
                     TimeAccount& account) const;
  std::vector<Piece> pieces_in_layer(std::span<const Piece> pieces, std::int64_t layer) const;
  void copy_time(const StepPlan& plan, const OperatorList& own, TimeAccount& account) const;
  void uncovered(const StepPlan& plan, bool decodes, TimeAccount& account) const;
  StepTime time_of(std::span<const StepPlan* const> ranks, CostLedger* ledger) const;

  RooflineCost roofline_;
  HostCost host_;
  std::int64_t layer_count_ = 0;
  bool pyramid_ = false;
  std::vector<Layers> layers_;        // each a kind of layer
  std::vector<std::size_t> kind_of_;  // of each layer of the model: position in layers_
  std::unique_ptr<Ends> ends_;
  bool decode_layers_ = false, prefill_layers_ = false;  // are in the profile, all of them
  // Ranks add up layers' outputs, beside the times of layers; by times of the profile, or not.
  bool decode_sums_ = false, prefill_sums_ = false, sums_ = false;
  double row_bytes_ = 0;                                       // of a token's output
  bool decode_uncovered_ = false, prefill_uncovered_ = false;  // something of them is not
  std::vector<std::string> missing_;
};

}  // namespace v4cap
