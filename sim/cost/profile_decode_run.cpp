// The times of a run of decode steps from measured modules: ProfileCost::step_time() with all that
// does not change from step to step looked up once. Amounts are added in the same order, so that
// every step takes the same time to the last bit.
#include <algorithm>
#include <array>
#include <bit>
#include <cstdint>
#include <limits>
#include <map>
#include <span>
#include <utility>
#include <vector>

#include "sim/core/error.h"
#include "sim/cost/plain_decode_run.h"
#include "sim/cost/profile_cost.h"
#include "sim/cost/profile_tables.h"
#include "sim/cost/time_account.h"

namespace v4cap {

namespace {

// The next greater number with three significant bits, so that few differ.
std::int64_t coarse(std::int64_t n) {
  const int shift =
      std::max(0, static_cast<int>(std::bit_width(static_cast<std::uint64_t>(n))) - 3);
  return ((n >> shift) + 1) << shift;
}

// One attention module in a rank's decode steps: a line in the context for each sequence.
class ModuleRun {
 public:
  ModuleRun(const AttentionModule& module, const SampleGrid::Row& row, double window,
            std::span<const double> past)
      : row_(&row),
        window_only_(module.window_only),
        window_(window),
        layers_(kernels::real(module.layers)),
        share_(1 / kernels::real(static_cast<std::int64_t>(past.size()))),
        us_(past.size()),
        slope_(past.size()),
        low_(past.size()),
        kind_(past.size()) {
    if (window_only_) full_ = row.at(window - 1);
    renew(past);
  }

  // `past`: tokens before each sequence's next one.
  void add_to(TimeAccount& account, std::span<const double> past) {
    if (steps_ == 0) renew(past);
    --steps_;
    if (!constant_) sums_ = sums(past);
    account.add({}, layers_, sums_);
  }

 private:
  SampleSums sums(std::span<const double> past) const {
    SampleSums out{};
    if (one_kind_) {
      double sum = 0;
      for (std::size_t i = 0; i < past.size(); ++i) {
        sum += share_ * (us_[i] + slope_[i] * (past[i] - low_[i]));
      }
      out[static_cast<std::size_t>(kind_.front())] = sum;
      return out;
    }
    for (std::size_t i = 0; i < past.size(); ++i) {
      out[static_cast<std::size_t>(kind_[i])] +=
          share_ * (us_[i] + slope_[i] * (past[i] - low_[i]));
    }
    return out;
  }

  void renew(std::span<const double> past) {
    double until = std::numeric_limits<double>::infinity();  // steps that the lines hold for
    constant_ = true;
    for (std::size_t i = 0; i < past.size(); ++i) {
      SampleGrid::Row::Line line;
      if (window_only_ && past[i] >= window_ - 1) {
        line = {full_.us, 0, past[i], std::numeric_limits<double>::infinity(), full_.kind};
      } else {
        line = row_->line(past[i]);
        if (window_only_) line.until = std::min(line.until, window_ - 1);
      }
      us_[i] = line.us;
      slope_[i] = line.slope;
      low_[i] = line.low;
      kind_[i] = line.kind;
      until = std::min(until, line.until - past[i]);
      constant_ = constant_ && line.slope == 0;
    }
    one_kind_ = std::ranges::all_of(kind_, [&](SampleKind kind) { return kind == kind_.front(); });
    steps_ =
        until > 1e9 ? 1'000'000'000 : std::max<std::int64_t>(1, static_cast<std::int64_t>(until));
    if (constant_) sums_ = sums(past);
  }

  const SampleGrid::Row* row_;
  bool window_only_;
  double window_, layers_, share_;
  SampleTime full_{};
  std::vector<double> us_, slope_, low_;
  std::vector<SampleKind> kind_;
  bool one_kind_ = false, constant_ = false;
  std::int64_t steps_ = 0;
  SampleSums sums_{};
};

}  // namespace

// What of a decode step depends on numbers of rows alone, and what bounds its time.
struct ProfileCost::DecodeCache {
  struct Joint {
    std::vector<TimeAdded> added;
    double floor_s = 0;
  };
  using Rows = std::array<std::int64_t, 5>;
  std::map<Rows, std::vector<TimeAdded>> rest;  // by sequences, rows, graph
  std::map<Rows, Joint> joint;                  // by tokens, padded and not, of all and most; graph
  std::map<std::pair<std::int64_t, std::int64_t>, double> floor_s;  // by sequences, contexts
};

class ProfileCost::DecodeSteps final : public DecodeRun {
 public:
  DecodeSteps(const ProfileCost& model, std::span<const StepPlan* const> ranks)
      : model_(model), shape_(model.shape_of(ranks)), own_(ranks.size()) {
    if (model.decode_cache_ == nullptr) model.decode_cache_ = std::make_shared<DecodeCache>();
    const double window = kernels::real(model.setting_.model.window.value);
    for (std::size_t i = 0; i < ranks.size(); ++i) {
      if (ranks[i]->empty()) continue;
      Rank& rank = own_[i];
      rank.pieces = ranks[i]->pieces;
      rank.past.reserve(rank.pieces.size());
      for (const StepPiece& piece : rank.pieces) {
        rank.past.push_back(kernels::real(piece.past.value));
        rank.contexts += piece.past.value + 1;
      }
      const std::int64_t rows = shape_.ranks[i].decode_rows;
      rank.modules.reserve(model.tables_->attention.size());
      for (const AttentionModule& module : model.tables_->attention) {
        rank.modules.emplace_back(module, module.decode.row(rows), window, rank.past);
      }
      rank.rest = &rest_of(*ranks[i], shape_.ranks[i]);
    }
    joint_ = &joint_of(ranks);
  }

  // Steps of which this knows a shorter way.
  static bool knows(const ProfileCost& model, std::span<const StepPlan* const> ranks) {
    if (model.setting_.draft_steps > 0 || !model.tables_->attention_decode) return false;
    const std::int64_t limit = kRowsKept;
    for (const StepPlan* plan : ranks) {
      if (static_cast<std::int64_t>(plan->pieces.size()) > limit) return false;
    }
    return true;
  }

  StepTime next() override {
    TimeAccount slowest;
    bool any = false;
    for (Rank& rank : own_) {
      if (rank.past.empty()) continue;
      TimeAccount account{.transferred = model_.transferred_};
      for (ModuleRun& module : rank.modules) module.add_to(account, rank.past);
      for (const TimeAdded& rest : *rank.rest) {
        account.us[static_cast<std::size_t>(rest.source)] += rest.us;
      }
      for (double& past : rank.past) past += 1;
      if (any && account.total() <= slowest.total()) continue;
      slowest = account;
      any = true;
    }
    TimeAccount step{.transferred = model_.transferred_};
    step.add(slowest);
    for (const TimeAdded& rest : joint_->added)
      step.us[static_cast<std::size_t>(rest.source)] += rest.us;
    if (steps_ == floor_until_) renew_floor();
    const std::int64_t at = steps_++;
    if (duration_from_seconds(step.total() / kUsPerSecond) < floor_) return plain(at);
    return model_.with_host(step, shape_);
  }

 private:
  struct Rank {
    std::vector<StepPiece> pieces;  // of the first step
    std::vector<double> past;
    std::int64_t contexts = 0;  // of the first step
    std::vector<ModuleRun> modules;
    const std::vector<TimeAdded>* rest = nullptr;
  };

  const std::vector<TimeAdded>& rest_of(const StepPlan& plan, const RankShape& rank) {
    const DecodeCache::Rows key{rank.sequences, rank.decode_rows, shape_.graph ? 1 : 0};
    const auto [it, is_new] = model_.decode_cache_->rest.try_emplace(key);
    if (is_new) {
      TimeAccount account{.transferred = model_.transferred_, .added = &it->second};
      model_.rest_of_rank(plan, model_.roofline_.own_list(plan), shape_, rank, account);
    }
    return it->second;
  }

  const DecodeCache::Joint& joint_of(std::span<const StepPlan* const> ranks) {
    std::int64_t all = 0, most = 0;
    for (const StepPlan* plan : ranks) {
      const auto rows = static_cast<std::int64_t>(plan->pieces.size());
      all += rows;
      most = std::max(most, rows);
    }
    const DecodeCache::Rows key{all, most, shape_.tokens, shape_.most_tokens, shape_.graph ? 1 : 0};
    const auto [it, is_new] = model_.decode_cache_->joint.try_emplace(key);
    if (is_new) {
      const OperatorList list = model_.roofline_.joint_list(ranks);
      TimeAccount account{.transferred = model_.transferred_, .added = &it->second.added};
      model_.joint_time(list, shape_, account);
      it->second.floor_s = model_.roofline_.floor_seconds(list);
    }
    return it->second;
  }

  // No step from this one on until `floor_until_` takes longer at datasheet peaks.
  void renew_floor() {
    double own_s = 0;
    floor_until_ = std::numeric_limits<std::int64_t>::max();
    for (const Rank& rank : own_) {
      const auto sequences = static_cast<std::int64_t>(rank.past.size());
      if (sequences == 0) continue;
      const std::int64_t contexts = rank.contexts + sequences * steps_;
      const std::int64_t most = coarse(contexts);
      floor_until_ = std::min(floor_until_, steps_ + (most - contexts) / sequences + 1);
      const auto [it, is_new] =
          model_.decode_cache_->floor_s.try_emplace(std::pair{sequences, most});
      if (is_new) {
        it->second = model_.roofline_.floor_seconds(
            model_.roofline_.operators().most_of_decode(sequences, most));
      }
      own_s = std::max(own_s, it->second);
    }
    // A nanosecond for sums that were rounded in another order.
    floor_ = duration_from_seconds(own_s + joint_->floor_s) + Duration{1};
  }

  // It may be below what it takes at datasheet peaks: looked at by itself.
  StepTime plain(std::int64_t step) const {
    std::vector<StepPlan> plans(own_.size());
    std::vector<const StepPlan*> ranks;
    for (std::size_t i = 0; i < own_.size(); ++i) {
      plans[i].pieces = own_[i].pieces;
      for (StepPiece& piece : plans[i].pieces) piece.past += Tokens{step};
      ranks.push_back(&plans[i]);
    }
    return model_.step_time(ranks);
  }

  static constexpr std::int64_t kRowsKept = 16384;  // rows of grids that stay where they are

  const ProfileCost& model_;
  Shape shape_;
  std::vector<Rank> own_;
  const DecodeCache::Joint* joint_ = nullptr;
  std::int64_t steps_ = 0, floor_until_ = 0;
  Duration floor_{};
};

std::unique_ptr<DecodeRun> ProfileCost::decode_run(std::span<const StepPlan* const> ranks) const {
  if (!DecodeSteps::knows(*this, ranks)) return plain_decode_run(*this, ranks);
  return std::make_unique<DecodeSteps>(*this, ranks);
}

}  // namespace v4cap
