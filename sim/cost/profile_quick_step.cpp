// The time of a step from measured modules: what ProfileCost::step_time() says, with what depends on
// numbers of rows alone looked up once for each number, and the operators listed only where a bound
// does not show that the step is above its roofline. Amounts are added in the same order, so that
// every step takes the same time to the last bit.
#include "sim/cost/profile_quick_step.h"

#include <algorithm>
#include <bit>
#include <limits>
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

// Of these numbers among 2^`bits` places.
std::size_t place_of(const std::array<std::int64_t, 3>& numbers, int bits) {
  constexpr std::uint64_t kSpread = 0x9e3779b97f4a7c15;  // 2^64 over the golden ratio
  std::uint64_t place = 0;
  for (const std::int64_t n : numbers) place = (place + static_cast<std::uint64_t>(n)) * kSpread;
  return static_cast<std::size_t>(place >> (64 - bits));
}

}  // namespace

// What a list takes at datasheet peaks is no more than the sum over what it is made of: its weights and
// rows, the heads, and what it reads of each kind, in proportion.
ProfileCost::QuickStep::QuickStep(const ProfileCost& model) : model_(model) {
  const ProfileTables& t = *model.tables_;
  const bool drafts = model.setting_.draft_steps > 0;
  for (std::size_t kind = 0; kind < sources_.size(); ++kind) {
    sources_[kind] = static_cast<std::size_t>(
        model.transferred_ ? TimeSource::transferred : source_of(static_cast<SampleKind>(kind)));
  }
  // What no module covers may depend on contexts, and chunks and decodes of MLA run different
  // operators.
  knows_ = t.attention_decode && t.attention_prefill && (!drafts || t.covers_drafts()) &&
           model.setting_.model.count(LayerKind::mla) == 0;
  if (!knows_) return;
  // What keeps a window only needs no sum as soon as all contexts are as long.
  std::vector<std::size_t> long_ones;
  for (std::size_t m = 0; m < t.attention.size(); ++m) {
    const AttentionModule& module = t.attention[m];
    single_row_us_.push_back(module.single_row_us());
    if (!module.window_only && !module.decode.lines(1).is_curved()) long_ones.push_back(m);
  }
  has_pair_ = long_ones.size() >= 2;
  if (has_pair_) std::copy_n(long_ones.begin(), 2, pair_.begin());
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

ProfileCost::QuickStep::Counts ProfileCost::QuickStep::count(const StepPlan& plan,
                                                             Decodes& decodes) {
  const std::vector<StepPiece>& pieces = plan.pieces;
  if (decodes.past.size() < pieces.size()) decodes.past.resize(pieces.size());
  std::int64_t* const past = decodes.past.data();
  // How much further the first one is than whoever was the first before; bits in which others differ
  // from that.
  std::int64_t further = 0, differs = 0;
  std::int64_t outside = 0;  // negative where any piece is
  std::int64_t least = kContextLimit;
  std::int64_t all = 0, contexts = 0, pairs = 0, decode_tokens = 0, emitting = 0;
  std::size_t n = 0;
  // Nearly always those that decode come first, all with as many tokens.
  const StepPiece* piece = pieces.data();
  const StepPiece* const end = piece + pieces.size();
  const auto first = std::ranges::find(pieces, PieceKind::decode, &StepPiece::kind);
  if (first != pieces.end()) {
    further = first->past.value - past[0];
    const std::int64_t tokens = first->tokens.value, last = kContextLimit - 1 - tokens;
    for (; piece != end && piece->kind == PieceKind::decode && piece->tokens.value == tokens;
         ++piece) {
      const std::int64_t before = piece->past.value;
      outside |= before | (last - before);
      contexts += before;
      least = std::min(least, before);
      differs |= (before - past[n]) ^ further;
      past[n++] = before;
    }
    outside |= tokens - 1;
    all = decode_tokens = static_cast<std::int64_t>(n) * tokens;
    contexts += all;
    pairs = contexts * tokens;
  }
  for (; piece != end; ++piece) {
    const std::int64_t before = piece->past.value, tokens = piece->tokens.value;
    const std::int64_t context = before + tokens;
    outside |= before | (tokens - 1) | (kContextLimit - 1 - context);
    all += tokens;
    contexts += context;
    pairs += tokens * context;
    if (piece->kind == PieceKind::decode) {
      differs |= (before - past[n]) ^ further;
      past[n++] = before;
      least = std::min(least, before);
      decode_tokens += tokens;
    } else {
      emitting += piece->emits_token ? 1 : 0;
    }
  }
  V4CAP_CHECK(outside >= 0, "a step of " + std::to_string(pieces.size()) + " pieces and " +
                                std::to_string(all) + " tokens has one of no context");
  if (n != decodes.count || differs != 0 || further < 0) {
    decodes.steady = 0;
  } else if (further > 0) {
    decodes.sums_go_on(further);
  }
  decodes.count = n;
  decodes.least_past = least;
  return {.pieces = static_cast<std::int64_t>(pieces.size()),
          .tokens = all,
          .emitting = emitting + decode_tokens,
          .sequences = static_cast<std::int64_t>(n),
          .decode_tokens = decode_tokens,
          .contexts = contexts,
          .pairs = pairs};
}

bool ProfileCost::QuickStep::count(std::span<const StepPlan* const> ranks, Memory& memory) const {
  V4CAP_CHECK(static_cast<std::int64_t>(ranks.size()) == model_.setting_.data_parallel,
              std::to_string(ranks.size()) + " plans for " +
                  std::to_string(model_.setting_.data_parallel) + " attention ranks");
  memory.ranks.resize(ranks.size());
  memory.shape.ranks.resize(ranks.size());
  for (std::size_t i = 0; i < ranks.size(); ++i) {
    Rank& rank = memory.ranks[i];
    rank.counts = count(*ranks[i], rank.decodes);
    memory.shape.ranks[i] = {.sequences = rank.counts.sequences,
                             .decode_rows = rank.counts.decode_tokens,
                             .draft_rows = 0,
                             .prefill_tokens = rank.counts.tokens - rank.counts.decode_tokens};
  }
  model_.complete(memory.shape);
  return keeps(memory.shape);
}

void ProfileCost::QuickStep::find_sums(Decodes& decodes, std::int64_t rows) {
  if (decodes.steady > 0 && decodes.rows == rows) return;
  const std::vector<AttentionModule>& modules = model_.tables_->attention;
  decodes.rows = rows;
  decodes.steady = std::numeric_limits<std::int64_t>::max();
  decodes.sums.resize(modules.size());
  for (std::size_t m = 0; m < modules.size(); ++m) {
    if (has_pair_ && m == pair_[0]) {
      const PairedDecodeLines& lines = *paired_.at(rows, [&] {
        return std::make_unique<PairedDecodeLines>(modules[pair_[0]].decode.lines(rows),
                                                   modules[pair_[1]].decode.lines(rows));
      });
      const std::array<DecodeSums, 2> sums = lines.sum(decodes.pasts());
      for (std::size_t i = 0; i < sums.size(); ++i) decodes.sums[pair_[i]] = sums[i];
    } else if (!has_pair_ || m != pair_[1]) {
      decodes.sums[m] =
          modules[m].decode.lines(rows).sum(decodes.pasts(), decodes.least_past, true);
    }
    decodes.steady = std::min(decodes.steady, decodes.sums[m].steady);
  }
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
SourceUs ProfileCost::QuickStep::sums(const Fill& fill) const {
  TimeAccount account{.transferred = model_.transferred_};
  fill(account);
  return account.us;
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

void ProfileCost::QuickStep::add_rest(const StepPlan& plan, const Rank& counted, const Shape& shape,
                                      const RankShape& rank, TimeAccount& account) {
  if (model_.setting_.draft_steps > 0 || plan.copies != StepCopies{}) {
    return find_rest(plan, counted, shape, rank, account);
  }
  constexpr int kKeptBits = 9;
  if (rests_.empty()) rests_.resize(std::size_t{1} << kKeptBits);
  const std::int64_t rows = rank.tokens(), tokens = counted.counts.tokens;
  const std::int64_t emitting = counted.counts.emitting;
  Rest& rest = rests_[place_of({rows, tokens, emitting}, kKeptBits)];
  if (rest.rows != rows || rest.tokens != tokens || rest.emitting != emitting ||
      rest.graph != shape.graph) {
    find_rest(plan, counted, shape, rank, account);
    rest = {rows, tokens, emitting, shape.graph, account.us};
  }
  account.us = rest.us;
}

void ProfileCost::QuickStep::find_rest(const StepPlan& plan, const Rank& counted,
                                       const Shape& shape, const RankShape& rank,
                                       TimeAccount& account) {
  const bool graph = shape.graph;
  const Counts& counts = counted.counts;
  account.us = tables_[graph].at(rank.tokens(), [&] {
    return sums([&](TimeAccount& a) { model_.tables_time(rank.tokens(), graph, a); });
  });
  if (model_.setting_.draft_steps > 0) {
    const AttentionModule& draft = *model_.tables_->draft;
    if (counts.pieces > counts.sequences) {
      model_.attention_time(draft, plan, rank, account);
    } else {
      const DecodeSums decodes = draft.decode.lines(rank.decode_rows)
                                     .sum(counted.decodes.pasts(), counted.decodes.least_past);
      add(draft, attention_us(rank, {}, decodes, 0), account);
    }
    account.add(draft_tables_[graph].at(rank.tokens(), [&] {
      return sums([&](TimeAccount& a) { model_.draft_tables_time(1, rank.tokens(), graph, a); });
    }));
    account.add(later_tables_[graph].at(rank.draft_rows, [&] {
      return sums([&](TimeAccount& a) { model_.later_drafts_time(rank.draft_rows, graph, a); });
    }));
  }
  account.us[static_cast<std::size_t>(TimeSource::roofline)] += roofline_us(plan, counts, graph);
}

void ProfileCost::QuickStep::add_joint(std::span<const StepPlan* const> ranks, const Shape& shape,
                                       TimeAccount& account) {
  const bool covered = joint_is_covered_[shape.graph];
  // On a single rank nothing but its tokens counts.
  constexpr std::int64_t kMostTokens = 1 << 15;
  if (covered && shape.ranks.size() == 1 && model_.setting_.draft_steps == 0 &&
      shape.tokens <= kMostTokens) {
    return account.add(joint_of_one_[shape.graph].at(shape.tokens, [&] {
      return sums([&](TimeAccount& a) { model_.joint_time({}, shape, a); });
    }));
  }
  if (!covered || shape.prefills) {
    return account.add_part([&](TimeAccount& part) {
      model_.joint_time(covered ? OperatorList{} : model_.roofline_.joint_list(ranks), shape, part);
    });
  }
  constexpr std::size_t kMostKept = 1 << 16;
  if (joint_.size() >= kMostKept) joint_.clear();
  const auto [it, is_new] = joint_.try_emplace({shape.tokens, shape.most_tokens, shape.draft_rows,
                                                shape.most_draft_rows, shape.graph ? 1 : 0});
  if (is_new) {
    it->second = sums([&](TimeAccount& a) { model_.joint_time({}, shape, a); });
  }
  account.add(it->second);
}

bool ProfileCost::QuickStep::keeps(const Shape& shape) {
  std::int64_t decode_rows = 0;
  for (const RankShape& rank : shape.ranks) decode_rows = std::max(decode_rows, rank.decode_rows);
  return std::max(shape.most_tokens, shape.most_draft_rows) < kRowsKept &&
         decode_rows <= static_cast<std::int64_t>(DecodeGrid::kRowsKept);
}

// Chunks of one prompt begin where others did: their times in all modules are kept, each until another
// one takes its place.
const ProfileCost::QuickStep::ChunkTimes& ProfileCost::QuickStep::chunk_times(std::int64_t all,
                                                                              std::int64_t tokens,
                                                                              std::int64_t past) {
  constexpr int kKeptBits = 11;
  if (chunks_.empty()) chunks_.resize(std::size_t{1} << kKeptBits);
  Chunk& chunk = chunks_[place_of({all, tokens, past}, kKeptBits)];
  if (chunk.all != all || chunk.tokens != tokens || chunk.past != past) {
    ChunkTimes times;
    for (const AttentionModule& module : model_.tables_->attention) {
      times.push_back(model_.prefill_time(module, all, tokens, past));
    }
    chunk = {all, tokens, past, times};
  }
  return chunk.times;
}

// attention_time() of all modules.
void ProfileCost::QuickStep::add_attention(const StepPlan& plan, Decodes& decodes,
                                           const RankShape& rank, TimeAccount& account) {
  const std::vector<AttentionModule>& modules = model_.tables_->attention;
  boost::container::static_vector<SampleSums, 4> prefill_us(modules.size(), SampleSums{});
  if (rank.prefill_tokens > 0) {
    const std::int64_t all = rank.prefill_tokens;
    for (const StepPiece& piece : plan.pieces) {
      if (piece.kind == PieceKind::decode) continue;
      const std::int64_t tokens = piece.tokens.value;
      const ChunkTimes& times = chunk_times(all, tokens, piece.past.value);
      const double share = kernels::real(tokens) / kernels::real(all);
      for (std::size_t m = 0; m < times.size(); ++m) {
        prefill_us[m][static_cast<std::size_t>(times[m].kind)] += share * times[m].us;
      }
    }
  }
  if (decodes.count == 0) {
    for (std::size_t m = 0; m < modules.size(); ++m) add(modules[m], prefill_us[m], account);
    return;
  }
  find_sums(decodes, rank.decode_rows);
  for (std::size_t m = 0; m < modules.size(); ++m) {
    add(modules[m], attention_us(rank, prefill_us[m], decodes.sums[m], single_row_us_[m]), account);
  }
}

StepTime ProfileCost::QuickStep::time(std::span<const StepPlan* const> ranks) {
  if (memory_ == nullptr) memory_ = std::make_unique<Memory>();
  if (!count(ranks, *memory_)) return model_.step_time(ranks);
  const Shape& shape = memory_->shape;
  SourceUs slowest{};
  double slowest_us = 0, most_s = 0;
  RankTokens all, most;
  for (std::size_t i = 0; i < ranks.size(); ++i) {
    Rank& rank = memory_->ranks[i];
    const Counts& counts = rank.counts;
    if (counts.pieces == 0) continue;
    all.tokens += counts.tokens;
    all.sequences += counts.sequences;
    most.tokens = std::max(most.tokens, counts.tokens);
    most.sequences = std::max(most.sequences, counts.sequences);
    most_s = std::max(most_s, most_of_rank(counts));
    TimeAccount account{.transferred = model_.transferred_};
    add_rest(*ranks[i], rank, shape, shape.ranks[i], account);
    add_attention(*ranks[i], rank.decodes, shape.ranks[i], account);
    const double us = account.total();
    if (us <= slowest_us) continue;
    slowest = account.us;
    slowest_us = us;
  }
  V4CAP_CHECK(slowest_us > 0, "an empty plan takes no step");
  TimeAccount step{.us = slowest, .transferred = model_.transferred_};
  add_joint(ranks, shape, step);
  if (!is_above(step.total(), most_s + most_of_joint(all, most))) return model_.step_time(ranks);
  return model_.with_host(step.us, shape);
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
