#include "sim/cost/profile_cost.h"

#include <algorithm>
#include <cmath>
#include <initializer_list>
#include <optional>
#include <utility>

#include "kernels/experts/work.h"
#include "sim/core/error.h"
#include "sim/cost/decode_lines.h"
#include "sim/cost/profile_quick_step.h"
#include "sim/cost/profile_tables.h"
#include "sim/cost/time_account.h"
#include "sim/cost/transfer.h"

namespace v4cap {

namespace {

constexpr double kBytesOfBf16 = 2;
constexpr double kSitesOfLayer = 2;  // of hyper-connections, and of norms

bool is_attention(OperatorPart part) {
  switch (part) {
    case OperatorPart::attention_projections:
    case OperatorPart::compressors:
    case OperatorPart::index_projection:
    case OperatorPart::index_scores:
    case OperatorPart::attention_csa:
    case OperatorPart::attention_hca:
    case OperatorPart::attention_window:
    case OperatorPart::attention_dense:
      return true;
    default:
      return false;
  }
}

constexpr std::string_view kInDraft = "mtp ";

bool is_draft(const Operator& op) {
  return op.name.starts_with(kInDraft);
}

// A GPU without units for FP4 expands such weights to 16 bits.
kernels::Precision precision_of_experts(double bytes, bool has_fp4) {
  if (bytes > 1.5 || (bytes < 0.75 && !has_fp4)) return kernels::Precision::bf16;
  return kernels::Precision::fp8;
}

}  // namespace

ProfileCost::~ProfileCost() = default;

ProfileCost::ProfileCost(const StepSetting& setting, const HardwareSpec& hardware,
                         const Profile& profile, const ProfileChoice& choice, const HostCost& host)
    : roofline_(setting, hardware),
      setting_(setting),
      host_(host),
      dense_layers_(setting.model.moe.routed_experts == 0 ? setting.model.layer_count()
                                                          : setting.model.moe.dense_layers),
      transferred_(std::ranges::any_of(
          profile.families, [](const auto& family) { return family.has_mark(kTransferredMark); })),
      has_fp4_(hardware.gpu.flop_per_s_peak_fp4 > 0),
      tables_(std::make_unique<ProfileTables>(setting, profile, choice.expert_format,
                                              choice.distribution)) {
  ProfileTables& t = *tables_;
  const auto need = [&](bool known, std::string_view part) {
    if (!known) missing_.emplace_back(part);
    return known;
  };
  // Modules stand for all layers or for none.
  std::int64_t layers = 0;
  for (const AttentionModule& a : t.attention) layers += a.layers;
  t.attention_decode = t.attention_prefill = layers == setting.model.layer_count();
  for (const AttentionModule& a : t.attention) {
    t.attention_decode = t.attention_decode && a.decode.known();
    t.attention_prefill = t.attention_prefill && a.prefill.known();
  }
  need(t.attention_decode, "attention in decode");
  need(t.attention_prefill, "attention in prefill");
  if (setting.model.residual_streams > 1) {
    t.hyper_connections = need(t.mhc_pre.known() && t.mhc_post.known(), "hyper-connections");
  }
  if (setting.model.moe.routed_experts > 0) {
    need(t.experts.known() && !t.expert_stand_in, "experts");
  }
  if (setting.model.moe.shared_experts > 0) {
    t.shared_expert = need(t.shared_up.known() && t.shared_down.known(), "shared expert");
  }
  if (setting.tensor_parallel > 1 && setting.collectives) {
    t.all_reduce_known = need(t.all_reduce[0].known() && t.all_reduce[1].known(), "all-reduce");
  }
  if (setting.data_parallel > 1 && setting.expert_parallel > 1) {
    t.dispatch_known = need(t.dispatch[0].known() && t.dispatch[1].known() &&
                                t.combine[0].known() && t.combine[1].known(),
                            "expert dispatch and combine");
  } else if (setting.data_parallel > 1) {
    t.gather_known =
        need(t.all_gather.known() && t.reduce_scatter.known() && t.joint_all_reduce.known(),
             "all-gather and reduce-scatter");
  }
  if (setting.draft_steps > 0) need(t.draft.has_value(), "drafts");
}

void ProfileCost::shape_of(std::span<const StepPlan* const> ranks, Shape& shape) const {
  shape.ranks.assign(ranks.size(), {});
  for (std::size_t i = 0; i < ranks.size(); ++i) {
    RankShape& rank = shape.ranks[i];
    for (const StepPiece& piece : ranks[i]->pieces) {
      if (piece.kind == PieceKind::decode) {
        ++rank.sequences;
        rank.decode_rows += piece.tokens.value;
      } else {
        rank.prefill_tokens += piece.tokens.value;
      }
    }
  }
  complete(shape);
}

void ProfileCost::complete(Shape& shape) const {
  shape.prefills = false;
  shape.most_sequences = 0;
  for (const RankShape& rank : shape.ranks) {
    shape.prefills = shape.prefills || rank.prefill_tokens > 0;
    shape.most_sequences = std::max(shape.most_sequences, rank.sequences);
  }
  shape.graph = !shape.prefills && host_.captured(shape.most_sequences);
  const std::int64_t padded = shape.graph ? host_.padded(shape.most_sequences) : 0;
  shape.tokens = shape.most_tokens = shape.draft_rows = shape.most_draft_rows = 0;
  for (RankShape& rank : shape.ranks) {
    if (rank.tokens() == 0) continue;
    // All ranks run the graph of the fullest one; an idle one has nothing to wait for.
    rank.draft_rows = rank.sequences;
    if (shape.graph && rank.sequences > 0) {
      rank.decode_rows = rank.decode_rows * padded / rank.sequences;
      rank.draft_rows = padded;
    }
    shape.draft_rows += rank.draft_rows;
    shape.most_draft_rows = std::max(shape.most_draft_rows, rank.draft_rows);
    shape.tokens += rank.tokens();
    shape.most_tokens = std::max(shape.most_tokens, rank.tokens());
  }
}

void ProfileCost::attention_time(const AttentionModule& module, const StepPlan& plan,
                                 const RankShape& rank, TimeAccount& account) const {
  SampleSums prefill_us{};
  DecodeSums decodes;
  for (const StepPiece& piece : plan.pieces) {
    if (piece.kind == PieceKind::decode) continue;
    const std::int64_t all = rank.prefill_tokens, tokens = piece.tokens.value;
    const SampleTime time = prefill_time(module, all, tokens, piece.past.value);
    prefill_us[static_cast<std::size_t>(time.kind)] +=
        kernels::real(tokens) / kernels::real(all) * time.us;
  }
  if (rank.sequences > 0) {
    const DecodeLines& lines = module.decode.lines(rank.decode_rows);
    for (const StepPiece& piece : plan.pieces) {
      if (piece.kind == PieceKind::decode) lines.add(piece.past.value, decodes);
    }
  }
  const bool both = rank.sequences > 0 && rank.prefill_tokens > 0;
  account.add(module.part, kernels::real(module.layers),
              attention_us(rank, prefill_us, decodes, both ? module.single_row_us() : 0));
}

SampleTime ProfileCost::prefill_time(const AttentionModule& module, std::int64_t all,
                                     std::int64_t new_tokens, std::int64_t past_tokens) const {
  const double window = kernels::real(setting_.model.window.value);
  const double top_k = kernels::real(setting_.model.indexer.top_k);
  const double tokens = kernels::real(new_tokens);
  const double past = kernels::real(past_tokens);
  const bool is_short = module.short_prefill.known() && past + tokens <= top_k;
  const Lookup& grid = is_short ? module.short_prefill : module.prefill;
  return grid.at(kernels::real(all) / tokens, tokens,
                 module.window_only ? std::min(past, window) : past);
}

void ProfileCost::rank_time(const StepPlan& plan, const OperatorList& own, const Shape& shape,
                            const RankShape& rank, TimeAccount& account) const {
  const ProfileTables& t = *tables_;
  rest_of_rank(plan, own, shape, rank, account);
  if (t.covers_attention(rank.sequences > 0, rank.prefill_tokens > 0)) {
    for (const AttentionModule& module : t.attention) attention_time(module, plan, rank, account);
  }
}

void ProfileCost::rest_of_rank(const StepPlan& plan, const OperatorList& own, const Shape& shape,
                               const RankShape& rank, TimeAccount& account) const {
  const bool graph = shape.graph;
  account.add_part([&](TimeAccount& part) { tables_time(rank.tokens(), graph, part); });
  if (setting_.draft_steps > 0 && tables_->covers_drafts()) {
    // Passes of the draft layer on a rank's own tokens: the first on all of them, later ones on one
    // row a sequence.
    attention_time(*tables_->draft, plan, rank, account);
    account.add_part([&](TimeAccount& part) { draft_tables_time(1, rank.tokens(), graph, part); });
    account.add_part([&](TimeAccount& part) { later_drafts_time(rank.draft_rows, graph, part); });
  }
  uncovered(own, shape, rank, account);
}

void ProfileCost::tables_time(std::int64_t rows, bool graph, TimeAccount& account) const {
  const ProfileTables& t = *tables_;
  const ModelSpec& m = setting_.model;
  const double layers = kernels::real(m.layer_count()), dense = kernels::real(dense_layers_);
  const double tokens = kernels::real(rows);
  if (t.hyper_connections) {
    account.add("hyper-connections", kSitesOfLayer * layers, t.mhc_pre.at(tokens));
    account.add("hyper-connections", kSitesOfLayer * layers, t.mhc_post.at(tokens));
  }
  if (t.shared_expert && !graph) {
    account.add("shared expert", layers - dense, t.shared_up.at(tokens));
    account.add("shared expert", layers - dense, t.shared_down.at(tokens));
  }
  if (setting_.tensor_parallel > 1 && t.all_reduce_known) {
    // After attention, and after the feed-forward unless what joins the ranks has summed that.
    const double sums = layers + (setting_.data_parallel > 1 ? dense : layers);
    account.add("all-reduce", sums,
                t.all_reduce[graph].at(tokens * kernels::real(m.hidden) * kBytesOfBf16));
  }
}

void ProfileCost::draft_tables_time(double passes, std::int64_t rows, bool graph,
                                    TimeAccount& account) const {
  if (passes <= 0 || rows == 0) return;
  const ProfileTables& t = *tables_;
  const double tokens = kernels::real(rows);
  account.add("drafts: hyper-connections", passes * kSitesOfLayer, t.mhc_pre.at(tokens));
  account.add("drafts: hyper-connections", passes * kSitesOfLayer, t.mhc_post.at(tokens));
  if (setting_.tensor_parallel > 1 && t.all_reduce_known) {
    const double bytes = tokens * kernels::real(setting_.model.hidden) * kBytesOfBf16;
    account.add("drafts: all-reduce", passes * (setting_.data_parallel > 1 ? 1 : 2),
                t.all_reduce[graph].at(bytes));
  }
}

void ProfileCost::later_drafts_time(std::int64_t rows, bool graph, TimeAccount& account) const {
  const double later = kernels::real(setting_.draft_steps - 1);
  if (later <= 0 || rows == 0) return;
  draft_tables_time(later, rows, graph, account);
  const double window = kernels::real(setting_.model.window.value);
  account.add("drafts: attention", later, tables_->draft->decode.row(rows).at(window - 1));
}

void ProfileCost::joint_time(const OperatorList& joint, const Shape& shape,
                             TimeAccount& account) const {
  const double layers = kernels::real(setting_.model.layer_count() - dense_layers_);
  experts_time({"experts", "expert dispatch", "expert combine", "exchange between ranks"}, layers,
               shape.tokens, shape.most_tokens, shape, account);
  if (setting_.draft_steps > 0 && tables_->covers_drafts()) {
    const ExpertParts parts{"drafts: experts", "drafts: expert dispatch", "drafts: expert combine",
                            "drafts: exchange between ranks"};
    experts_time(parts, 1, shape.tokens, shape.most_tokens, shape, account);
    experts_time(parts, kernels::real(setting_.draft_steps - 1), shape.draft_rows,
                 shape.most_draft_rows, shape, account);
  }
  uncovered(joint, shape, {}, account);
}

// Routed experts of `layers` layers on the tokens of all ranks, and what moves them there and back.
void ProfileCost::experts_time(const ExpertParts& parts, double layers, std::int64_t all,
                               std::int64_t most, const Shape& shape, TimeAccount& account) const {
  if (layers <= 0 || all == 0) return;
  const ProfileTables& t = *tables_;
  const double row_bytes = kernels::real(setting_.model.hidden) * kBytesOfBf16;
  double tokens = kernels::real(all);
  const std::int64_t ranks = setting_.data_parallel;
  if (ranks > 1 && setting_.expert_parallel > 1 && t.dispatch_known) {
    const double of_rank = kernels::real(most);
    account.add(parts.dispatch, layers, t.dispatch[shape.graph].at(of_rank));
    account.add(parts.combine, layers, t.combine[shape.graph].at(of_rank));
  } else if (ranks > 1 && setting_.expert_parallel == 1 && t.gather_known) {
    if (shape.prefills) {
      // Rows of all ranks are summed into one buffer, and so is what the experts made of them.
      account.add(parts.exchange, 2 * layers, t.joint_all_reduce.at(tokens * row_bytes));
    } else {
      // Every rank is padded to the fullest.
      tokens = kernels::real(ranks * most);
      account.add(parts.exchange, layers, t.all_gather.at(tokens * row_bytes));
      account.add(parts.exchange, layers, t.reduce_scatter.at(tokens * row_bytes));
    }
  }
  if (!t.experts.known()) return;
  const SampleTime time = t.experts.at(tokens);
  if (!t.expert_stand_in) return account.add(parts.experts, layers, time);
  account.add(parts.experts, layers * time.us * expert_scale(tokens), TimeSource::transferred);
}

// What the work of the model's experts on so many tokens takes at datasheet peaks, over that of the
// format that was measured.
double ProfileCost::expert_scale(double tokens) const {
  const ModelSpec& m = setting_.model;
  const auto all = std::llround(tokens);
  const auto seconds = [&](double bytes) {
    return roofline_.peak_seconds(
        kernels::experts::work({.tokens = all,
                                .hidden = m.hidden,
                                .intermediate = m.moe.expert_intermediate,
                                .active = m.moe.active_experts,
                                .touched = kernels::experts::touched_experts(
                                    m.moe.routed_experts, m.moe.active_experts, all),
                                .ranks = setting_.gpus(),
                                .imbalance = 1,
                                .bytes_per_weight = bytes,
                                .precision = precision_of_experts(bytes, has_fp4_)}));
  };
  return seconds(m.weights.expert_bytes) / seconds(tables_->expert_stand_in->bytes);
}

bool ProfileCost::covers(const Operator& op, const Shape& shape, const RankShape& rank) const {
  const ProfileTables& t = *tables_;
  const bool draft = is_draft(op);
  const std::string_view name = draft ? op.name.substr(kInDraft.size()) : op.name;
  if (draft && !t.covers_drafts()) return false;
  if (is_attention(op.part)) {
    // What brings the draft layer its input is no part of the attention module.
    if (draft) return !name.starts_with("linear embedding") && !name.starts_with("linear hidden");
    return t.covers_attention(rank.sequences > 0, rank.prefill_tokens > 0);
  }
  switch (op.part) {
    case OperatorPart::hyper_connections:
      return t.hyper_connections && (name == "mhc_pre" || name == "mhc_post");
    case OperatorPart::experts:
      if (name == "experts") return t.experts.known();
      // In a graph the shared expert runs beside the routed ones.
      return name == "mlp shared expert" &&
             (shape.graph ? t.experts.known() : t.shared_expert && !draft);
    case OperatorPart::collectives:
      if (name == "all_reduce") return t.all_reduce_known;
      if (name == "expert_dispatch" || name == "expert_combine") return t.dispatch_known;
      return t.gather_known;
    default:
      return false;
  }
}

void ProfileCost::uncovered(const OperatorList& list, const Shape& shape, const RankShape& rank,
                            TimeAccount& account) const {
  const bool attention = tables_->covers_attention(rank.sequences > 0, rank.prefill_tokens > 0);
  for (const Operator& op : list) {
    if (covers(op, shape, rank)) continue;
    double launches = op.launches();
    // The attention module was measured with the norm before it.
    const bool in_module = is_draft(op) ? tables_->covers_drafts() : attention;
    if (op.part == OperatorPart::norms && in_module) launches /= kSitesOfLayer;
    account.add(op.name, launches * kUsPerSecond * roofline_.launch_seconds(op),
                TimeSource::roofline);
  }
}

StepTime ProfileCost::time_of(std::span<const StepPlan* const> ranks, CostLedger* ledger) const {
  V4CAP_CHECK(static_cast<std::int64_t>(ranks.size()) == setting_.data_parallel,
              std::to_string(ranks.size()) + " plans for " +
                  std::to_string(setting_.data_parallel) + " attention ranks");
  Shape shape;
  shape_of(ranks, shape);
  TimeAccount slowest;
  std::size_t slowest_rank = ranks.size();
  double floor_s = 0;
  for (std::size_t i = 0; i < ranks.size(); ++i) {
    if (ranks[i]->empty()) continue;
    const OperatorList own = roofline_.own_list(*ranks[i]);
    floor_s = std::max(floor_s, roofline_.floor_seconds(own));
    TimeAccount account{.transferred = transferred_};
    rank_time(*ranks[i], own, shape, shape.ranks[i], account);
    if (slowest_rank < ranks.size() && account.total() <= slowest.total()) continue;
    slowest = account;
    slowest_rank = i;
  }
  V4CAP_CHECK(slowest_rank < ranks.size(), "an empty plan takes no step");
  TimeAccount step{.ledger = ledger, .transferred = transferred_};
  if (ledger != nullptr) {
    const StepPlan& plan = *ranks[slowest_rank];
    rank_time(plan, roofline_.own_list(plan), shape, shape.ranks[slowest_rank], step);
  } else {
    step.add(slowest.us);
  }
  const OperatorList joint = roofline_.joint_list(ranks);
  step.add_part([&](TimeAccount& part) { joint_time(joint, shape, part); });

  const auto time = [&] { return duration_from_seconds(step.total() / kUsPerSecond); };
  StepTime out;
  out.roofline_floor = duration_from_seconds(roofline_.floor_seconds(joint, floor_s));
  if (time() < out.roofline_floor) {
    step.add("raised to the roofline", to_us(out.roofline_floor) - step.total(),
             TimeSource::roofline);
    out.clamped = true;
  }
  const StepTime hosted = with_host(step.us, shape);
  if (ledger != nullptr) {
    const double host_us = step.us[static_cast<std::size_t>(TimeSource::host)];
    if (host_us > 0) ledger->add("host", host_us / kUsPerSecond);
  }
  out.gpu = hosted.gpu;
  out.host = hosted.host;
  out.total = hosted.total;
  out.share = hosted.share;
  return out;
}

StepTime ProfileCost::step_time(std::span<const StepPlan* const> ranks) const {
  return time_of(ranks, nullptr);
}

void ProfileCost::explain(std::span<const StepPlan* const> ranks, CostLedger& ledger) const {
  time_of(ranks, &ledger);
}

}  // namespace v4cap
