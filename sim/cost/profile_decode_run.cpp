// The times of a run of decode steps from measured modules: ProfileCost::step_time() with all that
// does not change from step to step looked up once, and sums over sequences advanced by their slopes,
// which are whole numbers. Amounts are added in the same order, so that every step takes the same time
// to the last bit.
#include <algorithm>
#include <array>
#include <boost/container/static_vector.hpp>
#include <cstdint>
#include <limits>
#include <span>
#include <utility>
#include <vector>

#include "sim/core/error.h"
#include "sim/cost/plain_decode_run.h"
#include "sim/cost/profile_cost.h"
#include "sim/cost/profile_quick_step.h"
#include "sim/cost/profile_tables.h"
#include "sim/cost/time_account.h"

namespace v4cap {

class ProfileCost::DecodeSteps final : public DecodeRun {
 public:
  // `memory` has counted `ranks`.
  DecodeSteps(const ProfileCost& model, QuickStep& quick, std::span<const StepPlan* const> ranks,
              std::unique_ptr<QuickStep::Memory> memory)
      : model_(model), quick_(quick), memory_(std::move(memory)) {
    for (std::size_t kind = 0; kind < sources_.size(); ++kind) {
      sources_[kind] = static_cast<std::size_t>(
          model.transferred_ ? TimeSource::transferred : source_of(static_cast<SampleKind>(kind)));
    }
    const Shape& shape = memory_->shape;
    if (ranks.size() > 1) others_.resize(ranks.size() - 1);
    for (std::size_t i = 0; i < ranks.size(); ++i) {
      const QuickStep::Rank& rank = memory_->ranks[i];
      RankRun& run = of_rank(i);
      run.sequences = kernels::real(rank.counts.sequences);
      if (rank.decodes.count == 0) continue;
      TimeAccount account{.transferred = model.transferred_};
      quick.add_rest(*ranks[i], rank, shape, shape.ranks[i], account);
      run.rest = account.us;
      most_sequences_ = std::max(most_sequences_, rank.counts.sequences);
      sequences_ += rank.counts.sequences;
    }
    TimeAccount account{.transferred = model.transferred_};
    quick.add_joint(ranks, shape, account);
    joint_ = account.us;
    if (!shape.graph) {
      host_ = model.host_.eager_step + model.host_.eager_layer * model.setting_.model.layer_count();
    }
    is_graph_ = shape.graph;
    host_us_ = to_us(shape.graph ? model.host_.graph_step : host_);
  }

  ~DecodeSteps() override { quick_.give_back(std::move(memory_)); }
  DecodeSteps(const DecodeSteps&) = delete;
  DecodeSteps& operator=(const DecodeSteps&) = delete;

  StepTime next() override {
    if (steps_ == renew_at_) renew_sums();
    if (steps_ == most_until_) renew_most();
    ++steps_;
    if (others_.empty()) return next_of_one();
    SourceUs us = slowest();
    for (std::size_t i = 0; i < us.size(); ++i) us[i] += joint_[i];
    if (!QuickStep::is_above(total_of(us), most_s_)) return plain(steps_ - 1);
    return model_.with_host(us, memory_->shape);
  }

 private:
  // What one attention module takes in a rank's decode steps, of one kind.
  struct Term {
    ExactUs us = 0, slope = 0;  // sums over sequences, and what a step adds to them
    double layers = 0;
    std::size_t source = 0;  // a TimeSource
  };
  struct RankRun {
    double sequences = 0;  // how many; 0: the rank is idle
    boost::container::static_vector<Term, 12> terms;
    SourceUs rest{};
  };

  RankRun& of_rank(std::size_t i) { return i == 0 ? only_ : others_[i - 1]; }

  // Of several ranks' own parts.
  SourceUs slowest() {
    SourceUs slowest{};
    double slowest_us = 0;
    for (std::size_t i = 0; i <= others_.size(); ++i) {
      RankRun& run = of_rank(i);
      if (run.sequences == 0) continue;
      SourceUs part = run.rest;
      const double units = kExactUnits * run.sequences;
      for (Term& term : run.terms) part[term.source] += us_of(term, units);
      const double us = total_of(part);
      if (us <= slowest_us) continue;
      slowest = part;
      slowest_us = us;
    }
    return slowest;
  }

  // Of this step; from now on that of the next one.
  static double us_of(Term& term, double units) {
    const double us = term.layers * (to_double(term.us) / units);
    term.us += term.slope;
    return us;
  }

  // The step of a single rank: ProfileCost::with_host() of a sum in which nothing changes from step to
  // step but the sources of its terms, and the host where it is slower.
  StepTime next_of_one() {
    static_assert(static_cast<std::size_t>(TimeSource::host) == 5, "the host is added last");
    const double units = kExactUnits * only_.sequences;
    // As its parts are added up: those of each source that changes, then what the ranks do together.
    for (std::size_t i = 0; i < only_.terms.size();) {
      const std::size_t source = only_.terms[i].source;
      double us = only_.rest[source];
      do {
        us += us_of(only_.terms[i], units);
      } while (++i < only_.terms.size() && only_.terms[i].source == source);
      us += joint_[source];
      us_[source] = us;
      shares_[source] = us / kUsPerSecond;
    }
    const double others = us_[0] + us_[1] + us_[2] + us_[3] + us_[4];
    const double all = others + us_[5];
    if (!(all > most_us_)) return plain(steps_ - 1);
    StepTime out;
    double host_us = us_[5];
    if (is_graph_) {
      host_us += host_us_;
      out.gpu = out.total = duration_from_seconds((others + host_us) / kUsPerSecond);
    } else {
      out.gpu = duration_from_seconds(all / kUsPerSecond);
      out.host = host_;
      out.total = std::max(out.gpu, out.host);
      const double behind_us = host_us_ - all;
      if (behind_us > 0) host_us += behind_us;
    }
    out.share = {.measured_s = shares_[0],
                 .interpolated_s = shares_[1],
                 .extrapolated_s = shares_[2],
                 .transferred_s = shares_[3],
                 .roofline_s = shares_[4],
                 .host_s = host_us / kUsPerSecond};
    return out;
  }

  // From this step on, and for how many they go on by their slopes.
  void renew_sums() {
    std::int64_t steady = std::numeric_limits<std::int64_t>::max() - steps_;
    const std::int64_t since = steps_ - renewed_at_;
    const std::vector<AttentionModule>& modules = model_.tables_->attention;
    for (std::size_t i = 0; i <= others_.size(); ++i) {
      QuickStep::Decodes& decodes = memory_->ranks[i].decodes;
      if (decodes.count == 0) continue;
      if (since > 0) decodes.go_on(since);
      quick_.find_sums(decodes, memory_->shape.ranks[i].decode_rows);
      steady = std::min(steady, decodes.steady);
      RankRun& run = of_rank(i);
      run.terms.clear();
      for (std::size_t m = 0; m < modules.size(); ++m) {
        const DecodeSums& sums = decodes.sums[m];
        for (std::size_t kind = 0; kind < sources_.size(); ++kind) {
          if (sums.us[kind] == 0 && sums.slope[kind] == 0) continue;
          run.terms.push_back(
              {sums.us[kind], sums.slope[kind], kernels::real(modules[m].layers), sources_[kind]});
        }
      }
      // Of one source one after the other, in the order in which they are added.
      if (!std::ranges::is_sorted(run.terms, {}, &Term::source)) {
        std::ranges::stable_sort(run.terms, {}, &Term::source);
      }
    }
    renewed_at_ = steps_;
    renew_at_ = steps_ + steady;
    for (std::size_t i = 0; i < us_.size(); ++i) {
      us_[i] = only_.rest[i] + joint_[i];
      shares_[i] = us_[i] / kUsPerSecond;
    }
  }

  // No step from this one on until `most_until_` takes longer at datasheet peaks.
  void renew_most() {
    constexpr std::int64_t kSteps = 1024;
    most_until_ += kSteps;
    most_s_ = 0;
    for (const QuickStep::Rank& rank : memory_->ranks) {
      const std::int64_t sequences = rank.counts.sequences;
      if (sequences == 0) continue;
      const std::int64_t contexts = rank.counts.contexts + sequences * most_until_;
      most_s_ = std::max(most_s_, quick_.most_of_rank({.pieces = sequences,
                                                       .tokens = sequences,
                                                       .emitting = sequences,
                                                       .sequences = sequences,
                                                       .decode_tokens = sequences,
                                                       .contexts = contexts,
                                                       .pairs = contexts}));
    }
    most_s_ += quick_.most_of_joint({sequences_, sequences_}, {most_sequences_, most_sequences_});
    most_us_ = QuickStep::least_above(most_s_);
  }

  // It may be below what it takes at datasheet peaks: looked at by itself.
  StepTime plain(std::int64_t step) const {
    std::vector<StepPlan> plans(memory_->ranks.size());
    std::vector<const StepPlan*> ranks;
    for (std::size_t i = 0; i < plans.size(); ++i) {
      for (const std::int64_t past : memory_->ranks[i].decodes.pasts()) {
        plans[i].pieces.push_back(
            {0, PieceKind::decode, true, Tokens{past + step - renewed_at_}, Tokens{1}});
      }
      ranks.push_back(&plans[i]);
    }
    return model_.step_time(ranks);
  }

  const ProfileCost& model_;
  QuickStep& quick_;
  std::unique_ptr<QuickStep::Memory> memory_;
  RankRun only_;  // the first rank
  std::vector<RankRun> others_;
  SourceUs joint_{};
  Duration host_{};     // of a step without a graph
  double host_us_ = 0;  // of any
  bool is_graph_ = false;
  // Of a single rank: what each source took in the last step, and that in seconds.
  SourceUs us_{}, shares_{};
  std::int64_t sequences_ = 0, most_sequences_ = 0;  // of all ranks, of one
  std::array<std::size_t, 3> sources_{};             // by SampleKind
  std::int64_t steps_ = 0, most_until_ = 0;
  std::int64_t renewed_at_ = 0, renew_at_ = 0;  // of the sums
  double most_s_ = 0, most_us_ = 0;
};

std::unique_ptr<DecodeRun> ProfileCost::decode_run(std::span<const StepPlan* const> ranks) const {
  QuickStep& quick = this->quick();
  const auto is_long = [](const StepPlan* plan) {
    return plan->pieces.size() > DecodeGrid::kRowsKept;
  };
  if (!quick.knows() || setting_.draft_steps > 0 || std::ranges::any_of(ranks, is_long)) {
    return plain_decode_run(*this, ranks);
  }
  std::unique_ptr<QuickStep::Memory> memory = quick.take_memory();
  if (!quick.count(ranks, *memory)) return plain_decode_run(*this, ranks);
  return std::make_unique<DecodeSteps>(*this, quick, ranks, std::move(memory));
}

}  // namespace v4cap
