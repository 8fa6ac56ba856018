// What the times of steps from measured modules look up again and again, kept by numbers of rows, and a
// bound of what a step takes at datasheet peaks: for ProfileCost::quick_time() and runs of decode
// steps.
#pragma once

#include <algorithm>
#include <array>
#include <boost/container/static_vector.hpp>
#include <boost/container_hash/hash.hpp>
#include <boost/unordered/unordered_flat_map.hpp>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "sim/cost/decode_lines.h"
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
    std::int64_t pieces = 0, tokens = 0, emitting = 0;
    std::int64_t sequences = 0, decode_tokens = 0;  // that decode
    std::int64_t contexts = 0, pairs = 0;  // sums of last contexts, and of tokens times these
  };
  // The sequences of a rank that decode, and what their modules take together. Most steps decode those
  // of the step before, each some tokens further: their sums go on by their slopes.
  struct Decodes {
    std::vector<std::int64_t> past;  // tokens before their next ones, and what else is in memory
    std::size_t count = 0;
    std::int64_t least_past = 0;
    // For so many steps, this one among them, `sums` go on by their slopes; 0: they are not known.
    std::int64_t steady = 0;
    std::int64_t rows = 0;                                // of the lines that they are sums of
    boost::container::static_vector<DecodeSums, 4> sums;  // of each attention module

    std::span<const std::int64_t> pasts() const { return std::span(past).first(count); }
    // All of them are so many steps further.
    void go_on(std::int64_t steps) {
      for (std::size_t i = 0; i < count; ++i) past[i] += steps;
      least_past += steps;
      sums_go_on(steps);
    }
    void sums_go_on(std::int64_t steps) {
      if (steps >= steady) {
        steady = 0;
        return;
      }
      steady -= steps;
      for (DecodeSums& of_module : sums) of_module.go_on(steps);
    }
  };
  struct Rank {
    Counts counts;
    Decodes decodes;
  };
  // Counts a plan. `decodes` become those of it, with their sums where these go on.
  static Counts count(const StepPlan& plan, Decodes& decodes);
  // Makes their sums where they are not known. At least one sequence.
  void find_sums(Decodes& decodes, std::int64_t rows);

  // Whether results are kept for so many rows.
  static bool keeps(const Shape& shape);
  // rest_of_rank() of a shape that it keeps, `account` being empty.
  void add_rest(const StepPlan& plan, const Rank& counted, const Shape& shape,
                const RankShape& rank, TimeAccount& account);
  // joint_time().
  void add_joint(std::span<const StepPlan* const> ranks, const Shape& shape, TimeAccount& account);

  // At least what a rank's operators take at datasheet peaks, in seconds.
  double most_of_rank(const Counts& counts);
  // The same of what the ranks do together, who have so many tokens in all, and one of them at most.
  double most_of_joint(const RankTokens& all, const RankTokens& most);
  // A step surely takes longer than that.
  static bool is_above(double us, double most_s) { return us > least_above(most_s); }
  static double least_above(double most_s) {
    constexpr double kRoundingUs = 0.01;  // to nanoseconds, of both
    return most_s * kUsPerSecond + kRoundingUs;
  }

  // What a step or a run of decode steps has counted, and leaves for the next one.
  struct Memory {
    Shape shape;
    std::vector<Rank> ranks;
  };
  // Whoever runs steps takes it and gives it back.
  std::unique_ptr<Memory> take_memory() {
    return memory_ != nullptr ? std::move(memory_) : std::make_unique<Memory>();
  }
  void give_back(std::unique_ptr<Memory> memory) { memory_ = std::move(memory); }
  // Counts these plans. False: nothing is kept for so many rows.
  bool count(std::span<const StepPlan* const> ranks, Memory& memory) const;

 private:
  // Of a chunk, by attention module.
  using ChunkTimes = boost::container::static_vector<SampleTime, 4>;
  template <std::size_t N>
  using Numbers = std::array<std::int64_t, N>;
  template <std::size_t N, class T>
  using KeptByNumbers = boost::unordered_flat_map<Numbers<N>, T, boost::hash<Numbers<N>>>;
  struct ReadSeconds {
    double pair = 0, entry = 0;
    double of(double pairs, double entries) const { return pair * pairs + entry * entries; }
  };

  template <class Fill>
  SourceUs sums(const Fill& fill) const;
  std::vector<double> uncovered(const OperatorList& list, bool graph) const;
  double roofline_us(const StepPlan& plan, const Counts& counts, bool graph);
  void find_rest(const StepPlan& plan, const Rank& counted, const Shape& shape,
                 const RankShape& rank, TimeAccount& account);
  const ChunkTimes& chunk_times(std::int64_t all, std::int64_t tokens, std::int64_t past);
  void add(const AttentionModule& module, const SampleSums& us, TimeAccount& account) const {
    const double layers = kernels::real(module.layers);
    for (std::size_t kind = 0; kind < us.size(); ++kind) {
      if (us[kind] > 0) account.us[sources_[kind]] += layers * us[kind];
    }
  }
  void add_attention(const StepPlan& plan, Decodes& decodes, const RankShape& rank,
                     TimeAccount& account);

  const ProfileCost& model_;
  bool knows_ = false;
  std::array<bool, 2> joint_is_covered_{};  // eager, from a graph
  std::array<std::size_t, 3> sources_{};    // by SampleKind
  std::unique_ptr<Memory> memory_;

  // All but the bounds eager and from a graph. What tables say, by rows of a rank and, of later
  // passes of the draft layer, by theirs.
  std::array<KeptByCount<SourceUs>, 2> tables_, draft_tables_, later_tables_;
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
  KeptByNumbers<5, SourceUs> joint_;
  std::array<KeptByCount<SourceUs>, 2> joint_of_one_;  // of a single rank, by tokens
  std::vector<double> single_row_us_;                  // of each attention module
  // Modules whose sums are made together, by rows; none where there are no such two.
  std::array<std::size_t, 2> pair_{};
  bool has_pair_ = false;
  KeptByCount<std::unique_ptr<PairedDecodeLines>> paired_;
  // Times of chunks that were asked for last. By new tokens of all chunks of the step, and by new and
  // past tokens.
  struct Chunk {
    std::int64_t all = 0, tokens = 0, past = 0;
    ChunkTimes times;
  };
  std::vector<Chunk> chunks_;
  // What steps without drafts and copies that were asked for last add beside attention modules, by the
  // rows of a rank, those that emit a token, and whether they come from a graph.
  struct Rest {
    std::int64_t rows = 0, tokens = 0, emitting = 0;
    bool graph = false;
    SourceUs us{};
  };
  std::vector<Rest> rests_;
};

inline SampleSums ProfileCost::attention_us(const RankShape& rank, SampleSums prefill_us,
                                            const DecodeSums& decodes, double single_row_us) {
  if (rank.sequences == 0) return prefill_us;
  const double sequences = kernels::real(rank.sequences);
  const auto mean = [&](std::size_t kind) {
    return decodes.us[kind] != 0 ? decodes.mean(kind, sequences) : 0;
  };
  const SampleSums decode_us{mean(0), mean(1), mean(2)};
  if (rank.prefill_tokens == 0) return decode_us;
  // Beside a chunk of prefill the projections run once for all tokens: what decode adds to them is
  // what its rows take beyond a single one at no context.
  const double alone = decode_us[0] + decode_us[1] + decode_us[2];
  const double share = std::max(0.0, alone - single_row_us) / alone;
  return {prefill_us[0] + decode_us[0] * share, prefill_us[1] + decode_us[1] * share,
          prefill_us[2] + decode_us[2] * share};
}

inline StepTime ProfileCost::with_host(SourceUs& us, const Shape& shape) const {
  double& host_us = us[static_cast<std::size_t>(TimeSource::host)];
  StepTime out;
  if (shape.graph) {
    // Launched at once; the GPU waits for the host between steps.
    host_us += to_us(host_.graph_step);
    out.gpu = duration_from_seconds(total_of(us) / kUsPerSecond);
  } else {
    const double all = total_of(us);
    out.gpu = duration_from_seconds(all / kUsPerSecond);
    out.host = host_.eager_step + host_.eager_layer * setting_.model.layer_count();
    const double behind_us = to_us(out.host) - all;
    if (behind_us > 0) host_us += behind_us;
  }
  out.total = std::max(out.gpu, out.host);
  out.share = share_of(us);
  return out;
}

}  // namespace v4cap
