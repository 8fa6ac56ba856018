#include "sim/cost/recorded_cost.h"

#include <algorithm>

#include "sim/core/error.h"

namespace v4cap {

namespace {

std::string count(std::size_t n, const std::string& what) {
  return std::to_string(n) + ' ' + what + (n == 1 ? "" : "s");
}

std::string in_words(const StepCopies& copies) {
  return std::to_string(copies.points_written.value) + " B of points written and " +
         std::to_string(copies.points_read.value) + " B read";
}

std::string piece_at(const StepPlan& plan, std::size_t i) {
  return i < plan.pieces.size() ? in_words(plan.pieces[i])
                                : "the end of its " + count(plan.pieces.size(), "piece");
}

// The first difference between two plans that differ.
std::string difference(const StepPlan& recorded, const StepPlan& planned) {
  const auto [r, p] = std::ranges::mismatch(recorded.pieces, planned.pieces);
  if (r == recorded.pieces.end() && p == planned.pieces.end()) {
    return "recorded " + in_words(recorded.copies) + ", planned " + in_words(planned.copies);
  }
  const auto i = static_cast<std::size_t>(r - recorded.pieces.begin());
  return "piece " + std::to_string(i) + ": recorded " + piece_at(recorded, i) + ", planned " +
         piece_at(planned, i);
}

std::string differs_at(std::int64_t step) {
  return "the run is not the recorded one from step " + std::to_string(step) + " on: ";
}

}  // namespace

std::string in_words(const StepPiece& piece) {
  std::string kind = "rebuild";
  if (piece.kind == PieceKind::decode) kind = "decode";
  if (piece.kind == PieceKind::prefill) kind = piece.emits_token ? "last prefill" : "prefill";
  return kind + " of slot " + std::to_string(piece.request) + ", " +
         count(static_cast<std::size_t>(piece.tokens.value), "token") + " after " +
         std::to_string(piece.past.value);
}

StepTime RecordedCost::step_time(std::span<const StepPlan* const> ranks) const {
  V4CAP_CHECK(ranks.size() == 1,
              "recorded steps are of one rank, asked for " + std::to_string(ranks.size()));
  const StepPlan& planned = *ranks.front();
  const RecordedStep* const recorded = steps_();
  const std::string step = differs_at(timed_);
  if (recorded == nullptr) {
    throw RunError(step + "nothing is recorded any more, planned " +
                   count(planned.pieces.size(), "piece") + ", first " + piece_at(planned, 0));
  }
  if (recorded->plan != planned) throw RunError(step + difference(recorded->plan, planned));
  ++timed_;
  last_ = recorded->time;
  StepTime time;
  time.total = time.gpu = last_;
  time.share.measured_s = to_seconds(last_);
  return time;
}

void RecordedCost::explain(std::span<const StepPlan* const>, CostLedger& ledger) const {
  ledger.add("step", to_seconds(last_));
}

void RecordedCost::check_finished() const {
  const RecordedStep* const left = steps_();
  if (left == nullptr) return;
  throw RunError(differs_at(timed_) + "recorded " + piece_at(left->plan, 0) +
                 ", the run had ended before");
}

}  // namespace v4cap
