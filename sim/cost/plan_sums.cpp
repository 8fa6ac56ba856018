#include "sim/cost/plan_sums.h"

#include <algorithm>
#include <string>

#include "sim/core/error.h"
#include "sim/model/compression.h"

namespace v4cap {
namespace {

constexpr std::int64_t kNoLimit = std::int64_t{1} << 31;  // beyond every context length
constexpr std::int64_t kContextLimit = std::int64_t{1} << 31;

// Reads of a chunk whose last query has `context` tokens and whose queries see `pairs` keys out of
// the `visible` first ones: every visible key once, but no more reads than pairs.
KeyReads chunk_reads(std::int64_t pairs, std::int64_t visible) {
  return {.pairs = pairs, .entries = std::min(pairs, visible)};
}

KeyReads& operator+=(KeyReads& a, const KeyReads& b) {
  a.pairs += b.pairs;
  a.entries += b.entries;
  return a;
}

// One query: what it sees is what it reads.
KeyReads single(std::int64_t keys) {
  return {.pairs = keys, .entries = keys};
}

// Sequences that decode a token each: what one query sees is what it reads.
class Decodes {
 public:
  explicit Decodes(const ViewLimits& limits) : limits_(limits) {}

  void add(std::int64_t context) {
    const std::int64_t csa_entries = context / kCsaTokensPerEntry;
    ++tokens_;
    window_ += std::min(context, limits_.window);
    csa_scores_ += csa_entries;
    csa_selected_ += std::min(csa_entries, limits_.top_k);
    hca_ += context / kHcaTokensPerEntry;
    dense_ += context;
    dsa_selected_ += std::min(context, limits_.top_k);
    csa_emitted_ += context % kCsaTokensPerEntry == 0 ? 1 : 0;
    hca_emitted_ += context % kHcaTokensPerEntry == 0 ? 1 : 0;
  }

  void add_to(PlanSums& sums) const {
    sums.decode_tokens += tokens_;
    sums.window += single(window_);
    sums.csa_scores += single(csa_scores_);
    sums.csa_selected += single(csa_selected_);
    sums.hca += single(hca_);
    sums.dense += single(dense_);
    sums.dense_decode += single(dense_);
    sums.dsa_selected += single(dsa_selected_);
    sums.csa_emitted += csa_emitted_;
    sums.hca_emitted += hca_emitted_;
    sums.kv_written += tokens_;
  }

 private:
  ViewLimits limits_;
  std::int64_t tokens_ = 0, window_ = 0, csa_scores_ = 0, csa_selected_ = 0, hca_ = 0, dense_ = 0,
               dsa_selected_ = 0, csa_emitted_ = 0, hca_emitted_ = 0;
};

void add_chunk(PlanSums& sums, const StepPiece& piece, const ViewLimits& limits) {
  const std::int64_t past = piece.past.value;
  const std::int64_t context = past + piece.tokens.value;  // of the last query
  const auto view = [past, context](std::int64_t per_entry, std::int64_t limit) {
    return view_sum(context, per_entry, limit) - view_sum(past, per_entry, limit);
  };
  const std::int64_t csa_entries = context / kCsaTokensPerEntry;
  const std::int64_t hca_entries = context / kHcaTokensPerEntry;
  const std::int64_t windowed =
      piece.tokens.value + std::min(past, std::max<std::int64_t>(limits.window - 1, 0));
  sums.window += chunk_reads(view(1, limits.window), windowed);
  sums.csa_scores += chunk_reads(view(kCsaTokensPerEntry, kNoLimit), csa_entries);
  sums.csa_selected += chunk_reads(view(kCsaTokensPerEntry, limits.top_k), csa_entries);
  sums.hca += chunk_reads(view(kHcaTokensPerEntry, kNoLimit), hca_entries);
  sums.dense += chunk_reads(view(1, kNoLimit), context);
  sums.dsa_selected += chunk_reads(view(1, limits.top_k), context);
  if (piece.kind != PieceKind::rebuild) {
    sums.csa_emitted += csa_entries - past / kCsaTokensPerEntry;
    sums.hca_emitted += hca_entries - past / kHcaTokensPerEntry;
    sums.kv_written += piece.tokens.value;
  }
}

}  // namespace

PlanSums sum_plan(const StepPlan& plan, const ViewLimits& limits) {
  PlanSums sums;
  Decodes decodes(limits);
  for (const StepPiece& piece : plan.pieces) {
    V4CAP_CHECK(piece.past.value >= 0 && piece.tokens.value > 0 &&
                    piece.past.value < kContextLimit - piece.tokens.value,
                "piece of " + std::to_string(piece.tokens.value) + " tokens after " +
                    std::to_string(piece.past.value));
    sums.tokens += piece.tokens.value;
    if (piece.kind != PieceKind::decode) {
      sums.emitting_rows += piece.emits_token ? 1 : 0;
      add_chunk(sums, piece, limits);
      continue;
    }
    sums.sequences += 1;
    sums.emitting_rows += piece.tokens.value;  // every draft is compared with the model's choice
    if (piece.tokens.value == 1) {
      decodes.add(piece.past.value + 1);
    } else {
      const KeyReads others = sums.dense;
      add_chunk(sums, piece, limits);
      sums.decode_tokens += piece.tokens.value;
      sums.dense_decode += {.pairs = sums.dense.pairs - others.pairs,
                            .entries = sums.dense.entries - others.entries};
    }
  }
  decodes.add_to(sums);
  return sums;
}

PlanSums most_of_decode_sums(std::int64_t sequences, std::int64_t contexts,
                             const ViewLimits& limits) {
  const auto most = [&](std::int64_t per_entry, std::int64_t limit) {
    return single(std::min(contexts / per_entry, sequences * limit));
  };
  PlanSums sums;
  sums.tokens = sums.decode_tokens = sums.emitting_rows = sums.sequences = sequences;
  sums.window = most(1, limits.window);
  sums.csa_scores = single(contexts / kCsaTokensPerEntry);
  sums.csa_selected = most(kCsaTokensPerEntry, limits.top_k);
  sums.hca = single(contexts / kHcaTokensPerEntry);
  sums.dense = sums.dense_decode = single(contexts);
  sums.dsa_selected = most(1, limits.top_k);
  sums.csa_emitted = sums.hca_emitted = sums.kv_written = sequences;
  return sums;
}

PlanSums sum_drafts(const StepPlan& plan, const ViewLimits& limits) {
  PlanSums sums;
  Decodes decodes(limits);
  for (const StepPiece& piece : plan.pieces) {
    if (piece.kind != PieceKind::decode) continue;
    sums.tokens += 1;
    decodes.add(piece.past.value + piece.tokens.value + 1);
  }
  sums.emitting_rows = sums.sequences = sums.tokens;
  decodes.add_to(sums);
  return sums;
}

}  // namespace v4cap
