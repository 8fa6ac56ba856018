// The time of a step composed from measured modules: attention modules of each layer kind,
// hyper-connections, experts, collectives. What no family of the profile covers is taken from the
// roofline, operator by operator, and counted as such.
//
// Composition of a step of attention ranks in lockstep
//   rank      layers x attention module + layers x hyper-connections + what else runs on its own
//             tokens; the slowest rank counts
//   joint     layers x routed experts on the tokens of all ranks, and what moves them
//   drafts    passes of the MTP layer: a window-only layer with experts of its own
//   host      a step without a graph lasts at least as long as the host launches it; one from a graph
//             waits for the host once
//
// Pieces of different lengths. A module was measured for batches of equal sequences. Decode: the mean
// over the sequences of the time that the whole batch would take at each one's context. Prefill: the
// mean, weighted by new tokens, of the time that N/n copies of each piece would take, where n are its
// new tokens and N those of all pieces: exact for equal pieces, and linear in what differs. Decode
// beside prefill adds what its rows take beyond a single row at no context, because the projections
// run once for all tokens.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
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

// What an engine chooses beside the model: which of the measured kernels run.
struct ProfileChoice {
  std::string expert_format;  // value of the key `dtype` of the experts: expert_format()
  std::string distribution;   // of tokens over experts: balanced, power_law_1.01, power_law_1.2
};

// The name that tables of measurements give to a model's experts and what multiplies them: "bf16",
// "fp8_block", "nvfp4", "w4a8_mxfp4_mxfp8".
std::string expert_format(const ModelSpec& model);

// Prepares rows of its grids as steps ask for them: one model is for one thread.
struct AttentionModule;
struct DecodeSums;
struct ProfileTables;
struct TimeAccount;

class ProfileCost final : public CostModel {
 public:
  // All arguments are copied but `profile`, which must outlive the model.
  ProfileCost(const StepSetting& setting, const HardwareSpec& hardware, const Profile& profile,
              const ProfileChoice& choice, const HostCost& host);
  ~ProfileCost() override;

  using CostModel::step_time;
  StepTime step_time(std::span<const StepPlan* const> ranks) const override;
  StepTime quick_time(std::span<const StepPlan* const> ranks) const override;
  std::unique_ptr<DecodeRun> decode_run(std::span<const StepPlan* const> ranks) const override;

  void explain(std::span<const StepPlan* const> ranks, CostLedger& ledger) const override;

  // What of a step the profile does not hold for this deployment, by part: "experts", "all_reduce".
  const std::vector<std::string>& missing() const { return missing_; }

 private:
  class DecodeSteps;
  class QuickStep;
  // What of one rank's plan does not depend on contexts.
  struct RankShape {
    std::int64_t sequences = 0;    // that decode
    std::int64_t decode_rows = 0;  // theirs, drafts to verify included; padded in a graph
    std::int64_t draft_rows = 0;   // of a later pass of the draft layer: one a sequence, padded
    std::int64_t prefill_tokens = 0;
    std::int64_t tokens() const { return decode_rows + prefill_tokens; }
  };
  struct Shape {
    std::vector<RankShape> ranks;
    bool graph = false;
    bool prefills = false;
    std::int64_t tokens = 0;       // of all ranks
    std::int64_t most_tokens = 0;  // of one
    std::int64_t most_sequences = 0;
    std::int64_t draft_rows = 0, most_draft_rows = 0;  // of all ranks, of one
  };

  void shape_of(std::span<const StepPlan* const> ranks, Shape& shape) const;
  // The same, where `shape.ranks` has what the plans say, in rows without padding.
  void complete(Shape& shape) const;
  // Of a chunk, were all new tokens of the rank, `all` of them, in chunks like it.
  SampleTime prefill_time(const AttentionModule& module, std::int64_t all, std::int64_t tokens,
                          std::int64_t past) const;
  // The time of one attention module for all pieces of a rank; by SampleKind of one layer where the
  // means of its chunks and the sums of its decodes are known, and what a single row takes.
  void attention_time(const AttentionModule& module, const StepPlan& plan, const RankShape& rank,
                      TimeAccount& account) const;
  static std::array<double, 3> attention_us(const RankShape& rank, std::array<double, 3> prefill_us,
                                            const DecodeSums& decodes, double single_row_us);
  void rank_time(const StepPlan& plan, const OperatorList& own, const Shape& shape,
                 const RankShape& rank, TimeAccount& account) const;
  // Of that, all but the model's attention modules.
  void rest_of_rank(const StepPlan& plan, const OperatorList& own, const Shape& shape,
                    const RankShape& rank, TimeAccount& account) const;
  void joint_time(const OperatorList& joint, const Shape& shape, TimeAccount& account) const;
  // Parts of that, which depend on numbers of rows alone: what is no operator of the roofline, of the
  // model's pass, of some passes of the draft layer without its attention, of all but its first.
  void tables_time(std::int64_t rows, bool graph, TimeAccount& account) const;
  void draft_tables_time(double passes, std::int64_t rows, bool graph, TimeAccount& account) const;
  void later_drafts_time(std::int64_t rows, bool graph, TimeAccount& account) const;
  // Names of the entries of one kind of layer in a ledger.
  struct ExpertParts {
    std::string_view experts, dispatch, combine, exchange;
  };
  void experts_time(const ExpertParts& parts, double layers, std::int64_t all, std::int64_t most,
                    const Shape& shape, TimeAccount& account) const;
  double expert_scale(double tokens) const;
  bool covers(const Operator& op, const Shape& shape, const RankShape& rank) const;
  void uncovered(const OperatorList& list, const Shape& shape, const RankShape& rank,
                 TimeAccount& account) const;
  StepTime time_of(std::span<const StepPlan* const> ranks, CostLedger* ledger) const;
  // The step whose parts are `us`, with its host; those are in it then.
  StepTime with_host(std::array<double, 6>& us, const Shape& shape) const;

  RooflineCost roofline_;
  StepSetting setting_;
  HostCost host_;
  std::int64_t dense_layers_ = 0;
  bool transferred_ = false, has_fp4_ = false;
  std::unique_ptr<ProfileTables> tables_;
  // What steps have looked up; made when the first is asked for.
  QuickStep& quick() const;
  mutable std::unique_ptr<QuickStep> quick_;
  std::vector<std::string> missing_;
};

}  // namespace v4cap
