#include "sim/cost/step_fit_cost.h"

#include <algorithm>
#include <cstdint>
#include <utility>

#include "sim/core/error.h"
#include "sim/cost/plain_decode_run.h"
#include "sim/cost/time_account.h"

namespace v4cap {

namespace {

using kernels::real;

bool is_within(const StepSizes& sizes, const StepSizes& largest) {
  for (std::size_t i = 0; i < sizes.size(); ++i) {
    if (sizes[i] > largest[i]) return false;
  }
  return true;
}

}  // namespace

// What the log's steps tell of a rank's plan.
struct StepFitCost::RankTime {
  StepPlan covered;  // the pieces that they tell of
  StepRecord record;
  double us = 0;
  TimeSource source{};
};

StepFitCost::StepFitCost(const StepSetting& setting, const HardwareSpec& hardware,
                         const ProfileFamily& steps)
    : roofline_(setting, hardware),
      drafts_(setting.draft_steps > 0),
      shape_{steps.coefficients.at("experts"), steps.coefficients.at("experts_per_token")} {
  V4CAP_CHECK(steps.grain == ProfileGrain::step, steps.name);
  for (std::size_t i = 0; i < kStepFeatures.size(); ++i) {
    coefficients_[i] = steps.coefficients.at(kStepFeatures[i]);
  }
  for (std::size_t i = 0; i < kStepSizes.size(); ++i) {
    largest_[i] = steps.largest.at(kStepSizes[i]);
  }
  decodes_ = steps.largest.at("decode_tokens") > 0;
  prefills_ = steps.largest.at("prefill_tokens") > 0;
  if (!decodes_) missing_.emplace_back("decode");
  if (!prefills_) missing_.emplace_back("prefill");
}

bool StepFitCost::covers(const StepPiece& piece) const {
  return (piece.kind == PieceKind::decode && decodes_) ||
         (piece.kind == PieceKind::prefill && prefills_);
}

StepFitCost::RankTime StepFitCost::rank_time(const StepPlan& plan) const {
  RankTime out;
  for (const StepPiece& piece : plan.pieces) {
    if (!covers(piece)) continue;
    out.covered.pieces.push_back(piece);
    if (piece.kind == PieceKind::prefill) {
      out.record.prefills.push_back({real(piece.tokens.value), real(piece.past.value)});
    } else {
      // The token that was generated last is one of the request's, and not in the cache yet.
      out.record.decode_tokens += 1;
      out.record.decode_context += real(piece.past.value + 1);
    }
  }
  if (out.covered.empty()) return out;
  out.us = predicted_us(out.record, coefficients_, shape_);
  out.source = is_within(step_sizes(out.record), largest_) ? TimeSource::interpolated
                                                           : TimeSource::extrapolated;
  return out;
}

double StepFitCost::roofline_us(std::span<const StepPlan* const> ranks) const {
  return to_us(roofline_.step_time(ranks).total);
}

StepTime StepFitCost::time_of(std::span<const StepPlan* const> ranks, CostLedger* ledger) const {
  std::vector<RankTime> times;
  times.reserve(ranks.size());
  bool rest = false;
  double floor_s = 0;
  for (const StepPlan* plan : ranks) {
    const RankTime& time = times.emplace_back(rank_time(*plan));
    if (plan->empty()) continue;
    rest = rest || time.covered != *plan;
    floor_s = std::max(floor_s, roofline_.floor_seconds(roofline_.own_list(*plan)));
  }
  const RankTime& slowest = *std::ranges::max_element(times, {}, &RankTime::us);
  if (std::ranges::all_of(times, [](const RankTime& t) { return t.covered.empty(); })) {
    if (ledger != nullptr) roofline_.explain(ranks, *ledger);
    return roofline_.step_time(ranks);
  }

  TimeAccount step;
  step.add("", slowest.us, slowest.source);
  if (ledger != nullptr) {
    const StepValues features = step_features(slowest.record, shape_);
    for (std::size_t i = 0; i < features.size(); ++i) {
      const double us = coefficients_[i] * features[i];
      if (us > 0) ledger->add(kStepFeatures[i], us / kUsPerSecond);
    }
    step.ledger = ledger;
  }
  if (rest) {
    std::vector<const StepPlan*> covered;
    for (const RankTime& time : times) covered.push_back(&time.covered);
    step.add("roofline of what the log lacks",
             std::max(0.0, roofline_us(ranks) - roofline_us(covered)), TimeSource::roofline);
  }

  StepTime out;
  out.roofline_floor =
      duration_from_seconds(roofline_.floor_seconds(roofline_.joint_list(ranks), floor_s));
  if (duration_from_seconds(step.total() / kUsPerSecond) < out.roofline_floor) {
    step.add("raised to the roofline", to_us(out.roofline_floor) - step.total(),
             TimeSource::roofline);
    out.clamped = true;
  }
  out.total = out.gpu = duration_from_seconds(step.total() / kUsPerSecond);
  out.share = step.share();
  return out;
}

StepTime StepFitCost::step_time(std::span<const StepPlan* const> ranks) const {
  return time_of(ranks, nullptr);
}

void StepFitCost::explain(std::span<const StepPlan* const> ranks, CostLedger& ledger) const {
  time_of(ranks, &ledger);
}

// Only contexts change from step to step: their feature goes on, all others are looked up once. The
// products are added in the order of predicted_us(), those of prefill being 0.
class StepFitCost::Decodes final : public DecodeRun {
 public:
  Decodes(const StepFitCost& model, std::span<const StepPlan* const> ranks) : model_(model) {
    const RooflineCost& roofline = model.roofline_;
    joint_s_ = roofline.floor_seconds(roofline.joint_list(ranks));
    for (const StepPlan* plan : ranks) {
      plans_.push_back(*plan);
      Rank rank;
      rank.sequences = static_cast<std::int64_t>(plan->pieces.size());
      if (rank.sequences > 0) {
        StepRecord record = model.rank_time(*plan).record;
        rank.contexts = record.decode_context;
        rank.features = step_features(record, model.shape_);
        StepSizes sizes = step_sizes(record);
        sizes[kContext] = 0;
        rank.may_be_within = is_within(sizes, model.largest_);
      }
      ranks_.push_back(rank);
    }
  }

  StepTime next() override {
    if (steps_ == most_until_) renew_most();
    const std::int64_t step = steps_++;
    double slowest_us = -1;
    bool within = false;
    for (Rank& rank : ranks_) {
      if (rank.sequences == 0) continue;
      rank.features[kContextFeature] = rank.contexts;
      double us = 0;
      for (std::size_t i = 0; i < rank.features.size(); ++i) {
        us += model_.coefficients_[i] * rank.features[i];
      }
      if (us > slowest_us) {
        slowest_us = us;
        within = rank.may_be_within && rank.contexts <= model_.largest_[kContext];
      }
      rank.contexts += real(rank.sequences);
    }
    if (!(slowest_us > most_us_)) return plain(step);
    StepTime out;
    const double seconds = slowest_us / kUsPerSecond;
    out.total = out.gpu = duration_from_seconds(seconds);
    (within ? out.share.interpolated_s : out.share.extrapolated_s) = seconds;
    return out;
  }

 private:
  static constexpr std::size_t kContext = 1, kContextFeature = 3;
  static_assert(std::string_view(kStepSizes[kContext]) == "decode_context" &&
                std::string_view(kStepFeatures[kContextFeature]) == "decode_context");

  struct Rank {
    std::int64_t sequences = 0;
    double contexts = 0;  // of the next step
    StepValues features{};
    bool may_be_within = false;  // whatever the contexts
  };

  // No step from this one on until `most_until_` takes longer at datasheet peaks.
  void renew_most() {
    constexpr std::int64_t kSteps = 1024;
    most_until_ += kSteps;
    const RooflineCost& roofline = model_.roofline_;
    double most_s = 0;
    for (const Rank& rank : ranks_) {
      if (rank.sequences == 0) continue;
      const auto contexts = static_cast<std::int64_t>(rank.contexts) + rank.sequences * kSteps;
      const OperatorList most = roofline.operators().most_of_decode(rank.sequences, contexts);
      most_s = std::max(most_s, roofline.floor_seconds(most));
    }
    // Sums of the same things in another order, and two times that are rounded to nanoseconds.
    constexpr double kRounding = 1 + 1e-9, kRoundingUs = 0.01;
    most_us_ = kUsPerSecond * kRounding * (most_s + joint_s_) + kRoundingUs;
  }

  // It may be below what it takes at datasheet peaks: looked at by itself.
  StepTime plain(std::int64_t step) {
    std::vector<const StepPlan*> ranks;
    for (StepPlan& plan : plans_) {
      for (StepPiece& piece : plan.pieces) piece.past += Tokens{step - plans_at_};
      ranks.push_back(&plan);
    }
    plans_at_ = step;
    return model_.step_time(ranks);
  }

  const StepFitCost& model_;
  std::vector<StepPlan> plans_;
  std::vector<Rank> ranks_;
  double joint_s_ = 0, most_us_ = 0;
  std::int64_t steps_ = 0, most_until_ = 0, plans_at_ = 0;
};

std::unique_ptr<DecodeRun> StepFitCost::decode_run(std::span<const StepPlan* const> ranks) const {
  if (!decodes_ || drafts_) return plain_decode_run(*this, ranks);
  return std::make_unique<Decodes>(*this, ranks);
}

}  // namespace v4cap
