// What the times of steps from measured modules look up again and again, kept by numbers of rows, and a
// bound of what a step takes at datasheet peaks: for ProfileCost::quick_time() and runs of decode
// steps.
#pragma once

#include <array>
#include <boost/container/static_vector.hpp>
#include <boost/container_hash/hash.hpp>
#include <boost/unordered/unordered_flat_map.hpp>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "sim/cost/plan_sums.h"
#include "sim/cost/profile_cost.h"
#include "sim/cost/profile_tables.h"
#include "sim/cost/time_account.h"

namespace v4cap {

// Results by a small whole number, each made when it is first asked for. One is valid until the next is
// asked for.
template <class T>
class KeptByCount {
 public:
  template <class Make>
  const T& at(std::int64_t count, const Make& make) {
    const auto i = static_cast<std::size_t>(count);
    if (i >= kept_.size()) kept_.resize(i + 1);
    if (!kept_[i]) kept_[i] = make();
    return *kept_[i];
  }

 private:
  std::vector<std::optional<T>> kept_;
};

class ProfileCost::QuickStep {
 public:
  explicit QuickStep(const ProfileCost& model);

  // Whether what is kept here is all that steps of this deployment need.
  bool knows() const { return knows_; }

  // step_time() of a model that this knows.
  StepTime time(std::span<const StepPlan* const> ranks);

  // Of a rank's plan, what its time depends on beside the contexts of attention modules.
  struct Counts {
    std::int64_t pieces = 0, tokens = 0, emitting = 0, sequences = 0;
    std::int64_t contexts = 0, pairs = 0;  // sums of last contexts, and of tokens times these
  };
  static Counts count(const StepPlan& plan);

  // Whether results are kept for so many rows.
  static bool keeps(const Shape& shape);
  // rest_of_rank() of a shape that it keeps.
  void add_rest(const StepPlan& plan, const Counts& counts, const Shape& shape,
                const RankShape& rank, TimeAccount& account);
  // joint_time().
  void add_joint(std::span<const StepPlan* const> ranks, const Shape& shape, TimeAccount& account);

  // At least what a rank's operators take at datasheet peaks, in seconds.
  double most_of_rank(const Counts& counts);
  // The same of what the ranks do together, who have so many tokens in all, and one of them at most.
  double most_of_joint(const RankTokens& all, const RankTokens& most);
  // A step surely takes longer than that.
  static bool is_above(const TimeAccount& step, double most_s) {
    constexpr double kRoundingUs = 0.01;  // to nanoseconds, of both
    return step.total() > most_s * kUsPerSecond + kRoundingUs;
  }

  // What a run of decode steps leaves for the next one.
  struct Left;
  std::shared_ptr<Left> left;

 private:
  // In the order in which they are added.
  using Amounts = boost::container::static_vector<TimeAdded, 12>;
  // Of a step's only chunk, by attention module.
  using ChunkTimes = boost::container::static_vector<SampleTime, 4>;
  template <std::size_t N>
  using Numbers = std::array<std::int64_t, N>;
  template <std::size_t N, class T>
  using KeptByNumbers = boost::unordered_flat_map<Numbers<N>, T, boost::hash<Numbers<N>>>;
  struct ReadSeconds {
    double pair = 0, entry = 0;
    double of(double pairs, double entries) const { return pair * pairs + entry * entries; }
  };

  static void add(TimeAccount& account, const TimeAdded& one) {
    account.us[static_cast<std::size_t>(one.source)] += one.us;
    if (account.added != nullptr) account.added->push_back(one);
  }
  static void add(TimeAccount& account, const Amounts& amounts) {
    for (const TimeAdded& one : amounts) add(account, one);
  }
  template <class Fill>
  Amounts amounts(const Fill& fill) const;
  std::vector<double> uncovered(const OperatorList& list, bool graph) const;
  double roofline_us(const StepPlan& plan, const Counts& counts, bool graph);
  const ChunkTimes* chunk_times(const StepPlan& plan, const Counts& counts);

  const ProfileCost& model_;
  bool knows_ = false;
  std::array<bool, 2> joint_is_covered_{};  // eager, from a graph
  Shape shape_;

  // All but the bounds eager and from a graph. What tables say, by rows of a rank and, of later
  // passes of the draft layer, by theirs.
  std::array<KeptByCount<Amounts>, 2> tables_, draft_tables_, later_tables_;
  // us of operators that no table covers: of the model's pass without its head in one sum; one by one
  // of its head, by rows that emit a token, and of the draft layer's passes.
  std::array<KeptByCount<double>, 2> own_us_;
  std::array<KeptByCount<std::vector<double>>, 2> head_us_, draft_us_, draft_head_us_, later_us_;
  // Seconds at datasheet peaks, by rows; those of one pair and one entry of each kind that is read.
  KeptByCount<double> peak_of_tokens_, peak_of_heads_, peak_of_later_;
  ReadSeconds window_, csa_scores_, csa_selected_, hca_, dense_, dsa_selected_;
  // Of what ranks do together: tokens and sequences of all, of one; in steps that only decode, rows of
  // all and one, of both kinds of passes, and whether they come from a graph. Never iterated.
  KeptByNumbers<4, double> peak_of_joint_;
  KeptByNumbers<5, Amounts> joint_;
  KeptByNumbers<2, ChunkTimes> chunks_;  // by new and past tokens
};

// The time of one attention module for all pieces of a rank.
template <class PrefillTime>
void ProfileCost::attention_time(const AttentionModule& module, const StepPlan& plan,
                                 const RankShape& rank, const PrefillTime& prefill_time,
                                 TimeAccount& account) const {
  const double layers = kernels::real(module.layers);
  const double window = kernels::real(setting_.model.window.value);
  SampleSums prefill_us{}, decode_us{};
  if (rank.prefill_tokens > 0) {
    const double all = kernels::real(rank.prefill_tokens);
    for (const StepPiece& piece : plan.pieces) {
      if (piece.kind == PieceKind::decode) continue;
      const double tokens = kernels::real(piece.tokens.value);
      const SampleTime time = prefill_time(all, piece);
      prefill_us[static_cast<std::size_t>(time.kind)] += tokens / all * time.us;
    }
  }
  if (rank.sequences > 0) {
    const SampleGrid::Row& row = module.decode.row(rank.decode_rows);
    const double share = 1 / kernels::real(rank.sequences);
    // All but the shortest sequences fill it.
    const SampleTime full_window = module.window_only ? row.at(window - 1) : SampleTime{};
    for (const StepPiece& piece : plan.pieces) {
      if (piece.kind != PieceKind::decode) continue;
      const double past = kernels::real(piece.past.value);
      const SampleTime time = module.window_only && past >= window - 1 ? full_window : row.at(past);
      decode_us[static_cast<std::size_t>(time.kind)] += share * time.us;
    }
    // Beside a chunk of prefill the projections run once for all tokens: what decode adds to them
    // is what its rows take beyond a single one at no context.
    if (rank.prefill_tokens > 0) {
      const double alone = decode_us[0] + decode_us[1] + decode_us[2];
      const double added = std::max(0.0, alone - module.decode.row(1).at(1).us);
      for (double& us : decode_us) us *= added / alone;
    }
  }
  for (std::size_t kind = 0; kind < prefill_us.size(); ++kind) prefill_us[kind] += decode_us[kind];
  account.add(module.part, layers, prefill_us);
}

}  // namespace v4cap
