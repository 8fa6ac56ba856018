// What the cost of a step depends on: sums over the pieces of its plan, each in closed form, so
// that a chunk of 8,192 tokens costs as much to evaluate as one decode.
//
// The query at position t has n = t+1 tokens of context (itself included) and sees, per layer kind,
//   window: min(n, W) tokens             CSA scores: floor(n/4) keys
//   CSA: min(top_k, floor(n/4)) entries  HCA: floor(n/128) entries
//   MLA, GQA, DSA scores: n tokens       DSA: min(top_k, n) tokens
// "pairs" are those sums over all queries. "entries" are what must be read from the cache at least
// once: per sequence in decode; in a chunk, and in a decode that verifies drafts, each distinct
// entry once for all its queries, not once per query.
#pragma once

#include <cstdint>

#include "sim/engine/step_plan.h"

namespace v4cap {

// Of a model: what bounds a query's view.
struct ViewLimits {
  std::int64_t window = 0;  // tokens
  std::int64_t top_k = 0;   // entries (CSA) or tokens (DSA)
};

struct KeyReads {
  std::int64_t pairs = 0;
  std::int64_t entries = 0;
};

struct PlanSums {
  std::int64_t tokens = 0;         // new positions, all pieces
  std::int64_t decode_tokens = 0;  // of them, of decode pieces
  std::int64_t emitting_rows = 0;  // positions whose logits are asked for
  std::int64_t sequences = 0;      // decode pieces

  KeyReads window;
  KeyReads csa_scores, csa_selected;
  KeyReads hca;
  KeyReads dense;         // all earlier tokens: GQA, DSA scores, MLA of decode and prefill together
  KeyReads dense_decode;  // the part of it that decode pieces see
  KeyReads dsa_selected;

  // Entries completed and written. Rebuild pieces complete entries that exist already and write
  // none.
  std::int64_t csa_emitted = 0, hca_emitted = 0;
  // Tokens whose per-token cache entry and indexer key (MLA, GQA, DSA) are written.
  std::int64_t kv_written = 0;
};

PlanSums sum_plan(const StepPlan& plan, const ViewLimits& limits);
// Of one row behind each decode piece: what a further pass of a draft layer runs on.
PlanSums sum_drafts(const StepPlan& plan, const ViewLimits& limits);

// At least those of any plan that decodes one token of each of so many sequences whose contexts sum
// to at most `contexts`.
PlanSums most_of_decode_sums(std::int64_t sequences, std::int64_t contexts,
                             const ViewLimits& limits);

// sum over n = 1..last of min(limit, floor(n / per_entry)); limit >= 0, per_entry >= 1, 0 <= last <
// 2^31.
constexpr std::int64_t view_sum(std::int64_t last, std::int64_t per_entry, std::int64_t limit) {
  const auto unlimited = [per_entry](std::int64_t n) {
    const std::int64_t entries = n / per_entry;
    return per_entry * (entries * (entries - 1) / 2) + entries * (n % per_entry + 1);
  };
  const std::int64_t full_from = limit * per_entry;  // the view is full from this context on
  if (last <= full_from) return unlimited(last);
  return unlimited(full_from) + limit * (last - full_from);
}

}  // namespace v4cap
