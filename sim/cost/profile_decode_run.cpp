// The times of a run of decode steps from measured modules: ProfileCost::step_time() with all that
// does not change from step to step looked up once. Amounts are added in the same order, so that
// every step takes the same time to the last bit.
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

constexpr std::int64_t kNever = std::numeric_limits<std::int64_t>::max();

// One attention module in a rank's decode steps: a line in the context for each sequence.
class ModuleRun {
 public:
  // `past`: tokens before each sequence's next one.
  void begin(const AttentionModule& module, const SampleGrid::Row& row, double window,
             std::span<const double> past) {
    row_ = &row;
    window_only_ = module.window_only;
    window_ = window;
    layers_ = kernels::real(module.layers);
    share_ = 1 / kernels::real(static_cast<std::int64_t>(past.size()));
    if (window_only_) {
      full_ = row.at(window - 1);
      if (std::ranges::min(past) >= window - 1) return stay_full(past.size());
    }
    terms_.resize(past.size());
    renew_at_ = 0;
    for (Term& term : terms_) term.until = 0;
  }

  // `step`: of the run, from 0.
  void add_to(TimeAccount& account, std::span<const double> past, std::int64_t step) {
    if (step >= renew_at_) renew(past, step);
    if (!constant_) sums_ = sums(past);
    account.add({}, layers_, sums_);
  }

 private:
  struct Term {
    double us = 0, slope = 0, low = 0;
    std::int64_t until = 0;  // the first step for which this line does not hold
    SampleKind kind{};
  };

  SampleSums sums(std::span<const double> past) const {
    SampleSums out{};
    if (one_kind_) {
      double sum = 0;
      for (std::size_t i = 0; i < past.size(); ++i) {
        const Term& term = terms_[i];
        sum += share_ * (term.us + term.slope * (past[i] - term.low));
      }
      out[static_cast<std::size_t>(terms_.front().kind)] = sum;
      return out;
    }
    for (std::size_t i = 0; i < past.size(); ++i) {
      const Term& term = terms_[i];
      out[static_cast<std::size_t>(term.kind)] +=
          share_ * (term.us + term.slope * (past[i] - term.low));
    }
    return out;
  }

  // All windows are full, and stay so.
  void stay_full(std::size_t sequences) {
    double sum = 0;
    for (std::size_t i = 0; i < sequences; ++i) sum += share_ * full_.us;
    sums_ = {};
    sums_[static_cast<std::size_t>(full_.kind)] = sum;
    constant_ = true;
    renew_at_ = kNever;
  }

  // Of those whose lines have ended.
  void renew(std::span<const double> past, std::int64_t step) {
    renew_at_ = kNever;
    constant_ = one_kind_ = true;
    for (std::size_t i = 0; i < past.size(); ++i) {
      Term& term = terms_[i];
      if (term.until <= step) renew(term, past[i], step);
      renew_at_ = std::min(renew_at_, term.until);
      constant_ = constant_ && term.slope == 0;
      one_kind_ = one_kind_ && term.kind == terms_.front().kind;
    }
    if (constant_) sums_ = sums(past);
  }

  void renew(Term& term, double past, std::int64_t step) const {
    if (window_only_ && past >= window_ - 1) {
      term = {full_.us, 0, past, kNever, full_.kind};
      return;
    }
    SampleGrid::Row::Line line = row_->line(past);
    if (window_only_) line.until = std::min(line.until, window_ - 1);
    const double steps = line.until - past;
    constexpr double kForEver = 1e15;
    term = {line.us, line.slope, line.low, kNever, line.kind};
    if (steps < kForEver)
      term.until = step + std::max<std::int64_t>(1, static_cast<std::int64_t>(steps));
  }

  const SampleGrid::Row* row_ = nullptr;
  bool window_only_ = false;
  double window_ = 0, layers_ = 0, share_ = 0;
  SampleTime full_{};
  std::vector<Term> terms_;
  bool one_kind_ = false, constant_ = false;
  std::int64_t renew_at_ = 0;
  SampleSums sums_{};
};

struct RankRun {
  std::vector<StepPiece> pieces;  // of the first step
  std::vector<double> past;       // empty: the rank is idle
  std::int64_t contexts = 0;      // of the first step
  std::vector<ModuleRun> modules;
  std::vector<TimeAdded> rest;
};

}  // namespace

struct ProfileCost::QuickStep::Left {
  Shape shape;
  std::vector<RankRun> ranks;
  std::vector<TimeAdded> joint;
};

class ProfileCost::DecodeSteps final : public DecodeRun {
 public:
  DecodeSteps(const ProfileCost& model, QuickStep& quick, std::span<const StepPlan* const> ranks,
              std::shared_ptr<QuickStep::Left> memory)
      : model_(model), quick_(quick), run_(std::move(memory)) {
    run_->ranks.resize(ranks.size());
    run_->joint.clear();
    const double window = kernels::real(model.setting_.model.window.value);
    for (std::size_t i = 0; i < ranks.size(); ++i) {
      RankRun& rank = run_->ranks[i];
      rank.pieces = ranks[i]->pieces;
      rank.past.clear();
      rank.rest.clear();
      rank.contexts = 0;
      if (rank.pieces.empty()) continue;
      for (const StepPiece& piece : rank.pieces) {
        rank.past.push_back(kernels::real(piece.past.value));
        rank.contexts += piece.past.value + 1;
      }
      const RankShape& shape = run_->shape.ranks[i];
      const std::vector<AttentionModule>& modules = model.tables_->attention;
      rank.modules.resize(modules.size());
      for (std::size_t m = 0; m < modules.size(); ++m) {
        rank.modules[m].begin(modules[m], modules[m].decode.row(shape.decode_rows), window,
                              rank.past);
      }
      TimeAccount account{
          .ledger = nullptr, .transferred = model.transferred_, .added = &rank.rest};
      quick.add_rest(*ranks[i], QuickStep::count(*ranks[i]), run_->shape, shape, account);
      most_sequences_ = std::max(most_sequences_, static_cast<std::int64_t>(rank.pieces.size()));
      sequences_ += static_cast<std::int64_t>(rank.pieces.size());
    }
    TimeAccount account{
        .ledger = nullptr, .transferred = model.transferred_, .added = &run_->joint};
    quick.add_joint(ranks, run_->shape, account);
  }

  ~DecodeSteps() override { quick_.left = std::move(run_); }
  DecodeSteps(const DecodeSteps&) = delete;
  DecodeSteps& operator=(const DecodeSteps&) = delete;

  StepTime next() override {
    TimeAccount slowest;
    bool any = false;
    for (RankRun& rank : run_->ranks) {
      if (rank.past.empty()) continue;
      TimeAccount account{.ledger = nullptr, .transferred = model_.transferred_};
      for (ModuleRun& module : rank.modules) module.add_to(account, rank.past, steps_);
      add(account, rank.rest);
      for (double& past : rank.past) past += 1;
      if (any && account.total() <= slowest.total()) continue;
      slowest = account;
      any = true;
    }
    add(slowest, run_->joint);
    if (steps_ == most_until_) renew_most();
    const std::int64_t at = steps_++;
    if (!QuickStep::is_above(slowest, most_s_)) return plain(at);
    return model_.with_host(slowest, run_->shape);
  }

 private:
  static void add(TimeAccount& account, std::span<const TimeAdded> amounts) {
    for (const TimeAdded& one : amounts) account.us[static_cast<std::size_t>(one.source)] += one.us;
  }

  // No step from this one on until `most_until_` takes longer at datasheet peaks.
  void renew_most() {
    constexpr std::int64_t kSteps = 1024;
    most_until_ += kSteps;
    most_s_ = 0;
    for (const RankRun& rank : run_->ranks) {
      const auto sequences = static_cast<std::int64_t>(rank.past.size());
      if (sequences == 0) continue;
      const std::int64_t contexts = rank.contexts + sequences * most_until_;
      most_s_ = std::max(most_s_, quick_.most_of_rank({sequences, sequences, sequences, sequences,
                                                       contexts, contexts}));
    }
    most_s_ += quick_.most_of_joint({sequences_, sequences_}, {most_sequences_, most_sequences_});
  }

  // It may be below what it takes at datasheet peaks: looked at by itself.
  StepTime plain(std::int64_t step) const {
    std::vector<StepPlan> plans(run_->ranks.size());
    std::vector<const StepPlan*> ranks;
    for (std::size_t i = 0; i < plans.size(); ++i) {
      plans[i].pieces = run_->ranks[i].pieces;
      for (StepPiece& piece : plans[i].pieces) piece.past += Tokens{step};
      ranks.push_back(&plans[i]);
    }
    return model_.step_time(ranks);
  }

  const ProfileCost& model_;
  QuickStep& quick_;
  std::shared_ptr<QuickStep::Left> run_;
  std::int64_t sequences_ = 0, most_sequences_ = 0;  // of all ranks, of one
  std::int64_t steps_ = 0, most_until_ = 0;
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
