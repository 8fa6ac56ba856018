// The time of a step from measured modules: what ProfileCost::step_time() says, with what depends on
// numbers of rows alone looked up once for each number, and the operators listed only where a bound
// does not show that the step is above its roofline. Amounts are added in the same order, so that
// every step takes the same time to the last bit.
#include "sim/cost/profile_quick_step.h"

#include <algorithm>
#include <bit>
#include <string>

#include "sim/core/error.h"
#include "sim/model/compression.h"

namespace v4cap {

namespace {

constexpr std::int64_t kContextLimit = std::int64_t{1} << 31;
constexpr std::int64_t kMany = std::int64_t{1} << 40;
// Rows for which anything is kept.
constexpr std::int64_t kRowsKept = std::int64_t{1} << 18;
// For sums that are rounded in another order.
constexpr double kRounding = 1 + 1e-9;

double real(std::int64_t n) {
  return static_cast<double>(n);
}

// At least n, with three significant bits, so that few differ.
std::int64_t coarse(std::int64_t n) {
  const int shift =
      std::max(0, static_cast<int>(std::bit_width(static_cast<std::uint64_t>(n))) - 3);
  return ((n + (std::int64_t{1} << shift) - 1) >> shift) << shift;
}

}  // namespace

// What a list takes at datasheet peaks is no more than the sum over what it is made of: its weights and
// rows, the heads, and what it reads of each kind, in proportion.
ProfileCost::QuickStep::QuickStep(const ProfileCost& model) : model_(model) {
  const ProfileTables& t = *model.tables_;
  const bool drafts = model.setting_.draft_steps > 0;
  // What no module covers may depend on contexts, and chunks and decodes of MLA run different
  // operators.
  knows_ = t.attention_decode && t.attention_prefill && (!drafts || t.covers_drafts()) &&
           model.setting_.model.count(LayerKind::mla) == 0;
  if (!knows_) return;
  const StepOperators& operators = model.roofline_.operators();
  joint_is_covered_ = {true, true};
  if (operators.ranks() > 1) {
    const std::vector<RankTokens> one_each(static_cast<std::size_t>(operators.ranks()), {1, 1});
    for (const Operator& op : operators.joint_list(one_each)) {
      for (const bool graph : {false, true}) {
        Shape shape;
        shape.graph = graph;
        joint_is_covered_[graph] = joint_is_covered_[graph] && model.covers(op, shape, {});
      }
    }
  }
  const auto seconds = [&](const PlanSums& sums) {
    const double own = model.roofline_.floor_seconds(operators.own_pass(sums));
    return drafts ? model.roofline_.floor_seconds(operators.first_draft_pass(sums), own) : own;
  };
  const double nothing = seconds({});
  const auto reads = [&](KeyReads PlanSums::*part) {
    PlanSums pairs, entries;
    (pairs.*part).pairs = kMany;
    (entries.*part).entries = kMany;
    return ReadSeconds{(seconds(pairs) - nothing) / real(kMany),
                       (seconds(entries) - nothing) / real(kMany)};
  };
  window_ = reads(&PlanSums::window);
  csa_scores_ = reads(&PlanSums::csa_scores);
  csa_selected_ = reads(&PlanSums::csa_selected);
  hca_ = reads(&PlanSums::hca);
  dense_ = reads(&PlanSums::dense);
  dsa_selected_ = reads(&PlanSums::dsa_selected);
}

ProfileCost::QuickStep::Counts ProfileCost::QuickStep::count(const StepPlan& plan) {
  Counts out;
  for (const StepPiece& piece : plan.pieces) {
    const std::int64_t context = piece.past.value + piece.tokens.value;
    V4CAP_CHECK(piece.past.value >= 0 && piece.tokens.value > 0 && context < kContextLimit,
                "piece of " + std::to_string(piece.tokens.value) + " tokens after " +
                    std::to_string(piece.past.value));
    out.tokens += piece.tokens.value;
    out.contexts += context;
    out.pairs += piece.tokens.value * context;
    if (piece.kind == PieceKind::decode) {
      ++out.sequences;
      out.emitting += piece.tokens.value;
    } else {
      out.emitting += piece.emits_token ? 1 : 0;
    }
  }
  out.pieces = static_cast<std::int64_t>(plan.pieces.size());
  return out;
}

double ProfileCost::QuickStep::most_of_rank(const Counts& counts) {
  const RooflineCost& roofline = model_.roofline_;
  const StepOperators& operators = roofline.operators();
  const bool drafts = model_.setting_.draft_steps > 0;
  const ViewLimits& limits = operators.limits();
  const auto own = [&](const PlanSums& sums) {
    const double us = roofline.floor_seconds(operators.own_pass(sums));
    return drafts ? roofline.floor_seconds(operators.first_draft_pass(sums), us) : us;
  };
  double sum = peak_of_tokens_.at(counts.tokens, [&] {
    PlanSums sums;
    sums.tokens = sums.csa_emitted = sums.hca_emitted = sums.kv_written = counts.tokens;
    return own(sums);
  });
  sum += peak_of_heads_.at(counts.emitting, [&] {
    PlanSums sums;
    sums.tokens = 1;
    const double without = own(sums);
    sums.emitting_rows = counts.emitting;
    return own(sums) - without;
  });
  if (drafts && counts.sequences > 0) {
    sum += peak_of_later_.at(counts.sequences, [&] {
      // Its layer keeps a window only.
      const PlanSums sums =
          most_of_decode_sums(counts.sequences, counts.sequences * limits.window, limits);
      return roofline.floor_seconds(operators.later_draft_passes(sums));
    });
  }
  const double pairs = real(counts.pairs), contexts = real(counts.contexts);
  const double tokens = real(counts.tokens), window = real(limits.window);
  const double top_k = real(limits.top_k);
  sum += window_.of(std::min(pairs, tokens * window),
                    std::min(contexts, tokens + real(counts.pieces) * window));
  const double csa_pairs = pairs / real(kCsaTokensPerEntry);
  const double csa_entries = contexts / real(kCsaTokensPerEntry);
  const double selected = std::min(csa_pairs, tokens * top_k);
  sum += csa_scores_.of(csa_pairs, csa_entries);
  sum += csa_selected_.of(selected, std::min(selected, csa_entries));
  sum += hca_.of(pairs / real(kHcaTokensPerEntry), contexts / real(kHcaTokensPerEntry));
  sum += dense_.of(pairs, contexts);
  const double dsa = std::min(pairs, tokens * top_k);
  sum += dsa_selected_.of(dsa, std::min(dsa, contexts));
  return sum * kRounding;
}

double ProfileCost::QuickStep::most_of_joint(const RankTokens& all, const RankTokens& most) {
  const StepOperators& operators = model_.roofline_.operators();
  if (operators.ranks() == 1) return 0;
  const auto [it, is_new] = peak_of_joint_.try_emplace(
      {coarse(all.tokens), coarse(most.tokens), coarse(all.sequences), coarse(most.sequences)});
  if (is_new) {
    // Only these numbers count: one rank has the most, and the others what is left.
    const auto& [tokens, most_tokens, sequences, most_sequences] = it->first;
    const std::int64_t others = operators.ranks() - 1;
    const auto each_of = [others](std::int64_t rest) {
      return rest > 0 ? (rest + others - 1) / others : 0;
    };
    std::vector<RankTokens> ranks(
        static_cast<std::size_t>(operators.ranks()),
        {each_of(tokens - most_tokens), each_of(sequences - most_sequences)});
    ranks[0] = {most_tokens, most_sequences};
    it->second = model_.roofline_.floor_seconds(operators.joint_list(ranks)) * kRounding;
  }
  return it->second;
}

// What a step adds, with nothing but these rows.
template <class Fill>
ProfileCost::QuickStep::Amounts ProfileCost::QuickStep::amounts(const Fill& fill) const {
  std::vector<TimeAdded> added;
  TimeAccount account{.ledger = nullptr, .transferred = model_.transferred_, .added = &added};
  fill(account);
  return {added.begin(), added.end()};
}

std::vector<double> ProfileCost::QuickStep::uncovered(const OperatorList& list, bool graph) const {
  std::vector<TimeAdded> added;
  TimeAccount account{.ledger = nullptr, .added = &added};
  Shape shape;
  shape.graph = graph;
  model_.uncovered(list, shape, {}, account);
  std::vector<double> us;
  for (const TimeAdded& one : added) us.push_back(one.us);
  return us;
}

// As the operators of a rank are listed: the model's pass with its head, copies, the passes of the
// draft layer with theirs.
double ProfileCost::QuickStep::roofline_us(const StepPlan& plan, const Counts& counts, bool graph) {
  const StepOperators& operators = model_.roofline_.operators();
  const auto of_tokens = [&](auto pass) {
    PlanSums sums;
    sums.tokens = counts.tokens;
    return uncovered((operators.*pass)(sums), graph);
  };
  // Heads end a pass.
  const auto of_heads = [&](auto pass) {
    PlanSums sums;
    sums.tokens = 1;
    const std::size_t others = uncovered((operators.*pass)(sums), graph).size();
    sums.emitting_rows = counts.emitting;
    std::vector<double> us = uncovered((operators.*pass)(sums), graph);
    us.erase(us.begin(), us.begin() + static_cast<std::ptrdiff_t>(others));
    return us;
  };
  const auto sum_of = [](const std::vector<double>& us, double sum) {
    for (const double one : us) sum += one;
    return sum;
  };
  double sum = own_us_[graph].at(counts.tokens,
                                 [&] { return sum_of(of_tokens(&StepOperators::own_pass), 0); });
  sum = sum_of(
      head_us_[graph].at(counts.emitting, [&] { return of_heads(&StepOperators::own_pass); }), sum);
  if (plan.copies.points_written + plan.copies.points_read > Bytes{0}) {
    sum = sum_of(uncovered(operators.copies(plan), graph), sum);
  }
  if (model_.setting_.draft_steps == 0) return sum;
  sum = sum_of(draft_us_[graph].at(counts.tokens,
                                   [&] { return of_tokens(&StepOperators::first_draft_pass); }),
               sum);
  sum = sum_of(draft_head_us_[graph].at(counts.emitting,
                                        [&] { return of_heads(&StepOperators::first_draft_pass); }),
               sum);
  if (counts.sequences == 0) return sum;
  return sum_of(later_us_[graph].at(counts.sequences,
                                    [&] {
                                      PlanSums sums;
                                      sums.tokens = sums.emitting_rows = counts.sequences;
                                      return uncovered(operators.later_draft_passes(sums), graph);
                                    }),
                sum);
}

void ProfileCost::QuickStep::add_rest(const StepPlan& plan, const Counts& counts,
                                      const Shape& shape, const RankShape& rank,
                                      TimeAccount& account) {
  const bool graph = shape.graph;
  add(account, tables_[graph].at(rank.tokens(), [&] {
    return amounts([&](TimeAccount& a) { model_.tables_time(rank.tokens(), graph, a); });
  }));
  if (model_.setting_.draft_steps > 0) {
    model_.attention_time(*model_.tables_->draft, plan, rank, account);
    add(account, draft_tables_[graph].at(rank.tokens(), [&] {
      return amounts([&](TimeAccount& a) { model_.draft_tables_time(1, rank.tokens(), graph, a); });
    }));
    add(account, later_tables_[graph].at(rank.draft_rows, [&] {
      return amounts([&](TimeAccount& a) { model_.later_drafts_time(rank.draft_rows, graph, a); });
    }));
  }
  add(account, {TimeSource::roofline, roofline_us(plan, counts, graph)});
}

void ProfileCost::QuickStep::add_joint(std::span<const StepPlan* const> ranks, const Shape& shape,
                                       TimeAccount& account) {
  const bool covered = joint_is_covered_[shape.graph];
  // Steps that prefill are of all sizes.
  if (!covered || shape.prefills) {
    return model_.joint_time(covered ? OperatorList{} : model_.roofline_.joint_list(ranks), shape,
                             account);
  }
  constexpr std::size_t kMostKept = 1 << 16;
  if (joint_.size() >= kMostKept) joint_.clear();
  const auto [it, is_new] = joint_.try_emplace({shape.tokens, shape.most_tokens, shape.draft_rows,
                                                shape.most_draft_rows, shape.graph ? 1 : 0});
  if (is_new) {
    it->second = amounts([&](TimeAccount& a) { model_.joint_time({}, shape, a); });
  }
  add(account, it->second);
}

bool ProfileCost::QuickStep::keeps(const Shape& shape) {
  std::int64_t decode_rows = 0;
  for (const RankShape& rank : shape.ranks) decode_rows = std::max(decode_rows, rank.decode_rows);
  return std::max(shape.most_tokens, shape.most_draft_rows) < kRowsKept &&
         decode_rows <= static_cast<std::int64_t>(DecodeGrid::kRowsKept);
}

// Chunks of one prompt begin where others did: with one of them in a step, its times in all modules are
// kept. Null: there is none, or several.
const ProfileCost::QuickStep::ChunkTimes* ProfileCost::QuickStep::chunk_times(
    const StepPlan& plan, const Counts& counts) {
  if (counts.pieces - counts.sequences != 1) return nullptr;
  const auto chunk = std::ranges::find_if(
      plan.pieces, [](const StepPiece& piece) { return piece.kind != PieceKind::decode; });
  constexpr std::size_t kMostKept = 1 << 15;
  if (chunks_.size() >= kMostKept) chunks_.clear();
  const auto [it, is_new] = chunks_.try_emplace({chunk->tokens.value, chunk->past.value});
  if (is_new) {
    const ProfileTables& t = *model_.tables_;
    const double all = kernels::real(chunk->tokens.value);
    for (const AttentionModule& module : t.attention) {
      it->second.push_back(model_.prefill_time(module, all, *chunk));
    }
  }
  return &it->second;
}

StepTime ProfileCost::QuickStep::time(std::span<const StepPlan* const> ranks) {
  V4CAP_CHECK(static_cast<std::int64_t>(ranks.size()) == model_.setting_.data_parallel,
              std::to_string(ranks.size()) + " plans for " +
                  std::to_string(model_.setting_.data_parallel) + " attention ranks");
  model_.shape_of(ranks, shape_);
  if (!keeps(shape_)) return model_.step_time(ranks);
  TimeAccount slowest;
  bool any = false;
  double most_s = 0;
  RankTokens all, most;
  for (std::size_t i = 0; i < ranks.size(); ++i) {
    if (ranks[i]->empty()) continue;
    const StepPlan& plan = *ranks[i];
    const Counts counts = count(plan);
    all.tokens += counts.tokens;
    all.sequences += counts.sequences;
    most.tokens = std::max(most.tokens, counts.tokens);
    most.sequences = std::max(most.sequences, counts.sequences);
    most_s = std::max(most_s, most_of_rank(counts));
    TimeAccount account{.transferred = model_.transferred_};
    const std::vector<AttentionModule>& modules = model_.tables_->attention;
    const ChunkTimes* const chunk = chunk_times(plan, counts);
    for (std::size_t m = 0; m < modules.size(); ++m) {
      const auto prefill_time = [&](double rows, const StepPiece& piece) {
        return chunk == nullptr ? model_.prefill_time(modules[m], rows, piece) : (*chunk)[m];
      };
      model_.attention_time(modules[m], plan, shape_.ranks[i], prefill_time, account);
    }
    add_rest(plan, counts, shape_, shape_.ranks[i], account);
    if (any && account.total() <= slowest.total()) continue;
    slowest = account;
    any = true;
  }
  V4CAP_CHECK(any, "an empty plan takes no step");
  TimeAccount step{.transferred = model_.transferred_};
  step.add(slowest);
  add_joint(ranks, shape_, step);
  if (!is_above(step, most_s + most_of_joint(all, most))) return model_.step_time(ranks);
  return model_.with_host(step, shape_);
}

StepTime ProfileCost::quick_time(std::span<const StepPlan* const> ranks) const {
  QuickStep& quick = this->quick();
  return quick.knows() ? quick.time(ranks) : step_time(ranks);
}

ProfileCost::QuickStep& ProfileCost::quick() const {
  if (quick_ == nullptr) quick_ = std::make_unique<QuickStep>(*this);
  return *quick_;
}

}  // namespace v4cap
