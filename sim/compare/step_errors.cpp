#include "sim/compare/step_errors.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <map>

#include "sim/core/quantiles.h"
#include "sim/output/humanise.h"

namespace v4cap {

namespace {

StepErrors errors_of(std::string name, const std::vector<const StepPair*>& pairs) {
  StepErrors row{.name = std::move(name), .steps = static_cast<std::int64_t>(pairs.size())};
  if (pairs.empty()) return row;
  std::vector<double> errors, sizes;
  double a_ms = 0, b_ms = 0;
  for (const StepPair* pair : pairs) {
    a_ms += pair->a_ms;
    b_ms += pair->b_ms;
    errors.push_back(pair->error_pct());
    sizes.push_back(std::abs(errors.back()));
  }
  std::sort(errors.begin(), errors.end());
  std::sort(sizes.begin(), sizes.end());
  row.total_pct = 100 * (b_ms - a_ms) / a_ms;
  row.median_signed_pct = quantile_of_sorted(errors, 0.5);
  row.median_pct = quantile_of_sorted(sizes, 0.5);
  row.p90_pct = quantile_of_sorted(sizes, 0.9);
  row.worst_pct = sizes.back();
  return row;
}

// "1", "2", "3..4", "5..8".
std::string bucket_name(int bucket) {
  const std::int64_t high = std::int64_t{1} << bucket;
  const std::int64_t low = bucket == 0 ? 1 : high / 2 + 1;
  return low == high ? grouped(high) : grouped(low) + ".." + grouped(high);
}

template <class Key, class Name>
std::vector<StepErrors> by(const std::vector<StepPair>& pairs, Key key, Name name) {
  std::map<int, std::vector<const StepPair*>> groups;
  for (const StepPair& pair : pairs) groups[key(pair)].push_back(&pair);
  std::vector<StepErrors> rows;
  for (const auto& [k, members] : groups) rows.push_back(errors_of(name(k), members));
  return rows;
}

}  // namespace

std::string_view name_of(StepKind kind) {
  constexpr std::array<std::string_view, 4> kNames = {"decode", "prefill", "mixed", "rebuild"};
  return kNames[static_cast<std::size_t>(kind)];
}

StepKind kind_of(const StepPlan& plan) {
  const auto has = [&](PieceKind kind) {
    return std::ranges::any_of(plan.pieces, [&](const StepPiece& p) { return p.kind == kind; });
  };
  if (has(PieceKind::rebuild)) return StepKind::rebuild;
  if (!has(PieceKind::prefill)) return StepKind::decode;
  return has(PieceKind::decode) ? StepKind::mixed : StepKind::prefill;
}

StepPair step_pair(const StepPlan& plan, double a_ms, double b_ms) {
  double positions = 0;
  for (const StepPiece& piece : plan.pieces) {
    positions += static_cast<double>(piece.past.value + piece.tokens.value);
  }
  const auto batch = static_cast<std::int64_t>(plan.pieces.size());
  return {.kind = kind_of(plan),
          .batch = batch,
          .context_tokens = positions / static_cast<double>(std::max<std::int64_t>(1, batch)),
          .a_ms = a_ms,
          .b_ms = b_ms};
}

int bucket_of(double value) {
  int bucket = 0;
  for (double high = 1; value > high; high *= 2) ++bucket;
  return bucket;
}

StepComparison summarise_steps(std::vector<StepPair> pairs, std::string how) {
  StepComparison result{.how = std::move(how), .pairs = std::move(pairs)};
  std::vector<const StepPair*> all;
  for (const StepPair& pair : result.pairs) all.push_back(&pair);
  result.all = errors_of("all", all);
  result.by_kind = by(
      result.pairs, [](const StepPair& p) { return static_cast<int>(p.kind); },
      [](int kind) { return std::string(name_of(static_cast<StepKind>(kind))); });
  result.by_batch = by(
      result.pairs, [](const StepPair& p) { return bucket_of(static_cast<double>(p.batch)); },
      bucket_name);
  result.by_context = by(
      result.pairs, [](const StepPair& p) { return bucket_of(p.context_tokens); }, bucket_name);
  return result;
}

void write_step_pairs(const std::optional<StepComparison>& steps, const TextSink& sink) {
  sink("step,kind,sequences,context_tokens,a_ms,b_ms,error_pct\n");
  if (!steps) return;
  std::size_t number = 0;
  for (const StepPair& pair : steps->pairs) {
    sink(fmt::format("{},{},{},{:.0f},{:.6f},{:.6f},{:.3f}\n", number++, name_of(pair.kind),
                     pair.batch, pair.context_tokens, pair.a_ms, pair.b_ms, pair.error_pct()));
  }
}

}  // namespace v4cap
