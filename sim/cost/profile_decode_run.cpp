// The times of a run of decode steps from measured modules: ProfileCost::step_time() with all that
// does not change from step to step looked up once, and sums over sequences advanced by their slopes,
// which are whole numbers. Amounts are added in the same order, so that every step takes the same time
// to the last bit.
#include <algorithm>
#include <array>
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

namespace {

// What one attention module takes in a rank's decode steps, of one kind.
struct Term {
  ExactUs us = 0, slope = 0;  // sums over sequences, and what a step adds to them
  double layers = 0;
  std::size_t source = 0;  // a TimeSource
};

struct RankRun {
  std::size_t count = 0;           // of sequences; 0: the rank is idle
  std::vector<std::int64_t> past;  // of them, when their sums were made, and what else is in memory
  std::int64_t least_past = 0;     // of them
  std::int64_t contexts = 0;       // of the first step
  double sequences = 0;            // how many
  std::vector<const DecodeLines*> lines;  // of each attention module
  std::vector<Term> terms;
  SourceUs rest{};

  std::span<const std::int64_t> pasts() const { return std::span(past).first(count); }
};

}  // namespace

struct ProfileCost::QuickStep::Left {
  Shape shape;
  std::vector<RankRun> ranks;
  SourceUs joint{};
};

class ProfileCost::DecodeSteps final : public DecodeRun {
 public:
  DecodeSteps(const ProfileCost& model, QuickStep& quick, std::span<const StepPlan* const> ranks,
              std::shared_ptr<QuickStep::Left> memory)
      : model_(model), quick_(quick), run_(std::move(memory)) {
    run_->ranks.resize(ranks.size());
    for (std::size_t i = 0; i < ranks.size(); ++i) {
      RankRun& rank = run_->ranks[i];
      const QuickStep::Counts counts = QuickStep::count(*ranks[i], rank.past);
      rank.contexts = counts.contexts;
      rank.count = static_cast<std::size_t>(counts.sequences);
      rank.sequences = kernels::real(counts.sequences);
      rank.least_past = counts.least_past;
      rank.lines.clear();
      rank.terms.clear();
      if (rank.count == 0) continue;
      const RankShape& shape = run_->shape.ranks[i];
      for (const AttentionModule& module : model.tables_->attention) {
        rank.lines.push_back(&module.decode.lines(shape.decode_rows));
      }
      TimeAccount account{.transferred = model.transferred_};
      quick.add_rest(*ranks[i], counts, rank.pasts(), run_->shape, shape, account);
      rank.rest = account.us;
      most_sequences_ = std::max(most_sequences_, counts.sequences);
      sequences_ += counts.sequences;
    }
    for (std::size_t kind = 0; kind < sources_.size(); ++kind) {
      sources_[kind] = static_cast<std::size_t>(
          model.transferred_ ? TimeSource::transferred : source_of(static_cast<SampleKind>(kind)));
    }
    TimeAccount account{.transferred = model.transferred_};
    quick.add_joint(ranks, run_->shape, account);
    run_->joint = account.us;
  }

  ~DecodeSteps() override { quick_.left = std::move(run_); }
  DecodeSteps(const DecodeSteps&) = delete;
  DecodeSteps& operator=(const DecodeSteps&) = delete;

  StepTime next() override {
    if (steps_ == renew_at_) {
      renew_sums();
    } else {
      for (RankRun& rank : run_->ranks) {
        for (Term& term : rank.terms) term.us += term.slope;
      }
    }
    SourceUs us = slowest();
    for (std::size_t i = 0; i < us.size(); ++i) us[i] += run_->joint[i];
    if (steps_ == most_until_) renew_most();
    const std::int64_t at = steps_++;
    if (!QuickStep::is_above(total_of(us), most_s_)) return plain(at);
    return model_.with_host(us, run_->shape);
  }

 private:
  // Of the ranks' own parts.
  SourceUs slowest() const {
    if (run_->ranks.size() == 1) return own_part(run_->ranks.front());
    SourceUs slowest{};
    double slowest_us = 0;
    for (const RankRun& rank : run_->ranks) {
      if (rank.count == 0) continue;
      const SourceUs part = own_part(rank);
      const double us = total_of(part);
      if (us <= slowest_us) continue;
      slowest = part;
      slowest_us = us;
    }
    return slowest;
  }

  SourceUs own_part(const RankRun& rank) const {
    SourceUs us = rank.rest;
    const double units = kExactUnits * rank.sequences;
    for (const Term& term : rank.terms)
      us[term.source] += term.layers * (to_double(term.us) / units);
    return us;
  }

  // From this step on, and for how many they go on by their slopes.
  void renew_sums() {
    std::int64_t steady = std::numeric_limits<std::int64_t>::max() - steps_;
    const std::int64_t since = steps_ - renewed_at_;
    const std::vector<AttentionModule>& modules = model_.tables_->attention;
    for (RankRun& rank : run_->ranks) {
      if (rank.count == 0) continue;
      for (std::size_t i = 0; i < rank.count; ++i) rank.past[i] += since;
      rank.least_past += since;
      rank.terms.clear();
      for (std::size_t m = 0; m < modules.size(); ++m) {
        const DecodeSums sums = rank.lines[m]->sum(rank.pasts(), rank.least_past, true);
        steady = std::min(steady, sums.steady);
        for (std::size_t kind = 0; kind < sources_.size(); ++kind) {
          if (sums.us[kind] == 0 && sums.slope[kind] == 0) continue;
          rank.terms.push_back(
              {sums.us[kind], sums.slope[kind], kernels::real(modules[m].layers), sources_[kind]});
        }
      }
    }
    renewed_at_ = steps_;
    renew_at_ = steps_ + steady;
  }

  // No step from this one on until `most_until_` takes longer at datasheet peaks.
  void renew_most() {
    constexpr std::int64_t kSteps = 1024;
    most_until_ += kSteps;
    most_s_ = 0;
    for (const RankRun& rank : run_->ranks) {
      const auto sequences = static_cast<std::int64_t>(rank.count);
      if (sequences == 0) continue;
      const std::int64_t contexts = rank.contexts + sequences * most_until_;
      most_s_ = std::max(most_s_, quick_.most_of_rank({.pieces = sequences,
                                                       .tokens = sequences,
                                                       .emitting = sequences,
                                                       .sequences = sequences,
                                                       .decode_tokens = sequences,
                                                       .contexts = contexts,
                                                       .pairs = contexts}));
    }
    most_s_ += quick_.most_of_joint({sequences_, sequences_}, {most_sequences_, most_sequences_});
  }

  // It may be below what it takes at datasheet peaks: looked at by itself.
  StepTime plain(std::int64_t step) const {
    std::vector<StepPlan> plans(run_->ranks.size());
    std::vector<const StepPlan*> ranks;
    for (std::size_t i = 0; i < plans.size(); ++i) {
      for (const std::int64_t past : run_->ranks[i].pasts()) {
        plans[i].pieces.push_back(
            {0, PieceKind::decode, true, Tokens{past + step - renewed_at_}, Tokens{1}});
      }
      ranks.push_back(&plans[i]);
    }
    return model_.step_time(ranks);
  }

  const ProfileCost& model_;
  QuickStep& quick_;
  std::shared_ptr<QuickStep::Left> run_;
  std::int64_t sequences_ = 0, most_sequences_ = 0;  // of all ranks, of one
  std::array<std::size_t, 3> sources_{};             // by SampleKind
  std::int64_t steps_ = 0, most_until_ = 0;
  std::int64_t renewed_at_ = 0, renew_at_ = 0;  // of the sums
  double most_s_ = 0;
};

std::unique_ptr<DecodeRun> ProfileCost::decode_run(std::span<const StepPlan* const> ranks) const {
  QuickStep& quick = this->quick();
  const auto is_long = [](const StepPlan* plan) {
    return plan->pieces.size() > DecodeGrid::kRowsKept;
  };
  if (!quick.knows() || setting_.draft_steps > 0 || std::ranges::any_of(ranks, is_long)) {
    return plain_decode_run(*this, ranks);
  }
  std::shared_ptr<QuickStep::Left> memory = std::move(quick.left);
  if (memory == nullptr) memory = std::make_shared<QuickStep::Left>();
  shape_of(ranks, memory->shape);
  if (!quick.keeps(memory->shape)) return plain_decode_run(*this, ranks);
  return std::make_unique<DecodeSteps>(*this, quick, ranks, std::move(memory));
}

}  // namespace v4cap
