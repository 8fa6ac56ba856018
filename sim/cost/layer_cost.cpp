#include "sim/cost/layer_cost.h"

#include <algorithm>
#include <limits>
#include <utility>

#include "sim/core/error.h"
#include "sim/cost/plain_decode_run.h"
#include "sim/cost/profile_tables.h"
#include "sim/cost/time_account.h"
#include "sim/model/compression.h"

namespace v4cap {

namespace {

using Keys = std::vector<std::pair<std::string_view, std::string_view>>;

constexpr std::string_view kCopies = "copy kept points";

// Of a layer's outputs, which ranks add up behind attention and behind the experts: bf16.
constexpr std::int64_t kBytesOfSum = 2, kSumsOfLayer = 2;

std::string name_of(LayerKind kind) {
  switch (kind) {
    case LayerKind::csa:
      return "csa";
    case LayerKind::hca:
      return "hca";
    case LayerKind::window:
      return "window";
    case LayerKind::dsa:
      return "dsa";
    case LayerKind::mla:
      return "mla";
    case LayerKind::gqa:
      return "gqa";
  }
  V4CAP_CHECK(false, "a kind of layer without a name");
}

const ProfileSeries* series(const Profile& profile, std::string_view family, const Keys& keys) {
  const ProfileFamily* found = profile.find(family);
  return found == nullptr ? nullptr : found->find(keys);
}

// The least value that any sample has on an axis.
double least_on(std::size_t axis, const ProfileSeries* series) {
  if (series == nullptr) return 0;
  double least = std::numeric_limits<double>::infinity();
  for (const Sample& sample : series->grid.samples()) least = std::min(least, sample.at[axis]);
  return least;
}

// Batches that were measured with a longest sequence, ascending: of those, that lie among the ones that were
// measured with equal sequences.
std::vector<double> longest_batches_of(const ProfileSeries* longest, const ProfileSeries* decode) {
  std::vector<double> batches;
  if (longest == nullptr || decode == nullptr) return batches;
  const std::vector<Sample> equal = decode->grid.samples();
  for (const Sample& sample : longest->grid.samples()) {
    const double batch = sample.at[0];
    const bool among = batch >= std::max(1.0, equal.front().at[0]) && batch <= equal.back().at[0];
    if (among && (batches.empty() || batches.back() != batch)) batches.push_back(batch);
  }
  return batches;
}

// Runs outside all layers.
bool is_end(const Operator& op) {
  return op.part == OperatorPart::embedding || op.part == OperatorPart::head ||
         op.name == "mhc_pre head";
}

}  // namespace

const std::vector<LayerFamily>& layer_families() {
  static const std::vector<LayerFamily> families = {
      {"layer_decode", {"model", "tp", "ep", "layer"}, {"batch", "past"}},
      {"layer_prefill", {"model", "tp", "ep", "layer"}, {"sequences", "tokens", "past"}},
      {"ends_decode", {"model", "tp"}, {"batch"}},
      {"ends_prefill", {"model", "tp"}, {"tokens", "rows"}},
      {"copy_points", {"model", "tp"}, {"bytes"}},
      {"layer_decode_longest", {"model", "tp", "ep", "layer"}, {"batch", "past", "beyond"}},
      {"all_reduce", {"gpus", "mode"}, {"bytes"}},
      {"ranks_decode", {"model", "tp", "ep", "layer"}, {"batch", "past"}},
      {"ranks_prefill", {"model", "tp", "ep", "layer"}, {"sequences", "tokens", "past"}},
      {"ranks_decode_longest", {"model", "tp", "ep", "layer"}, {"batch", "past", "beyond"}},
  };
  return families;
}

// Layers that take the same time, and what they take.
struct LayerCost::Layers {
  std::string decode_part, prefill_part;  // in a ledger
  std::int64_t count = 0;
  DecodeGrid decode{nullptr};
  Lookup prefill;
  Lookup longest;
  double least_past = 0;                // measured in decode
  double least_beyond = 0;              // measured of a longest sequence
  double reach = 0;                     // past tokens beyond which nothing changes
  double knee = 0;                      // up to which attention reads more for every token
  std::vector<double> longest_batches;  // longest_batches_of()

  // What one sequence that is so much longer adds to each row of a batch.
  SampleTime added(double rows, double others, double beyond) const;
};

struct LayerCost::Ends {
  Lookup decode, prefill, copies, sums;
};

// Tokens of one sequence that prefill or rebuild runs.
struct LayerCost::Piece {
  double tokens = 0, past = 0;
  bool shrinks = false;  // from layer to layer: of a pyramid
};

struct LayerCost::Batch {
  std::int64_t sequences = 0;    // that decode
  std::int64_t decode_rows = 0;  // theirs, with padding in a graph
  std::int64_t padding = 0;      // of decode_rows
  double longest_past = 0;       // of the longest of them
  double others_past = 0;        // mean of the others
  bool graph = false;
  std::vector<Piece> pieces;  // of prefill and rebuild
  std::int64_t logits = 0;    // rows of them whose logits are asked for
};

LayerCost::~LayerCost() = default;

LayerCost::LayerCost(const StepSetting& setting, const HardwareSpec& hardware,
                     const Profile& profile, const HostCost& host)
    : roofline_(setting, hardware),
      host_(host),
      layer_count_(setting.model.layer_count()),
      pyramid_(setting.pyramid_rebuild),
      ends_(std::make_unique<Ends>()) {
  V4CAP_CHECK(setting.data_parallel == 1,
              std::to_string(setting.data_parallel) + " attention ranks on times of one");
  const ModelSpec& m = setting.model;
  const double window = kernels::real(m.window.value);
  const std::string tp = std::to_string(setting.tensor_parallel);
  const std::string ep = std::to_string(setting.expert_parallel);
  const Keys of_rank{{"model", m.measured_as}, {"tp", tp}};
  const auto need = [&](bool known, std::string part) {
    if (!known) missing_.push_back(std::move(part));
    return known;
  };
  const bool sums = setting.collectives && setting.tensor_parallel > 1;
  const auto of_layer = [&](const std::string& family, const std::string& layer) {
    Keys keys = of_rank;
    keys.emplace_back("ep", ep);
    keys.emplace_back("layer", layer);
    return series(profile, family, keys);
  };
  // Ranks that were measured together are taken where all kinds of layer were, so that no step has
  // some sums twice.
  const auto of_ranks = [&](const std::string& family) {
    for (std::int64_t l = 0; sums && l < layer_count_; ++l) {
      const std::string plain = name_of(m.layers[static_cast<std::size_t>(l)]);
      const bool hash = l < m.moe.hash_layers && of_layer(family, plain + "_hash") != nullptr;
      if (!hash && of_layer(family, plain) == nullptr) return false;
    }
    return sums;
  };
  const bool ranks_decode = of_ranks("ranks_decode"), ranks_prefill = of_ranks("ranks_prefill");
  const std::string decode_family = ranks_decode ? "ranks_decode" : "layer_decode";
  const std::string prefill_family = ranks_prefill ? "ranks_prefill" : "layer_prefill";
  const std::string longest_family = ranks_decode ? "ranks_decode_longest" : "layer_decode_longest";
  std::vector<std::string> names;
  decode_layers_ = prefill_layers_ = true;
  for (std::int64_t l = 0; l < layer_count_; ++l) {
    const LayerKind kind = m.layers[static_cast<std::size_t>(l)];
    const std::string plain = name_of(kind);
    std::string name = plain;
    const auto measured = [&](const std::string& layer) {
      return of_layer(decode_family, layer) != nullptr ||
             of_layer(prefill_family, layer) != nullptr;
    };
    if (l < m.moe.hash_layers && measured(plain + "_hash")) name += "_hash";
    const auto known = std::ranges::find(names, name);
    kind_of_.push_back(static_cast<std::size_t>(known - names.begin()));
    if (known != names.end()) {
      ++layers_[kind_of_.back()].count;
      continue;
    }
    const auto find_or_plain = [&](const std::string& family) {
      const ProfileSeries* found = of_layer(family, name);
      return found == nullptr ? of_layer(family, plain) : found;
    };
    const ProfileSeries* decode = find_or_plain(decode_family);
    const ProfileSeries* prefill = find_or_plain(prefill_family);
    const ProfileSeries* longest = find_or_plain(longest_family);
    names.push_back(name);
    layers_.push_back({"decode: layers " + name, "prefill: layers " + name, 1, DecodeGrid(decode),
                       Lookup(prefill), Lookup(longest), least_on(1, decode), least_on(2, longest),
                       kind == LayerKind::window ? window : std::numeric_limits<double>::infinity(),
                       kernels::real(kCsaTokensPerEntry * m.indexer.top_k),
                       longest_batches_of(longest, decode)});
    decode_layers_ &= need(decode != nullptr, "decode layer " + name);
    prefill_layers_ &= need(prefill != nullptr, "prefill layer " + name);
  }
  *ends_ = {Lookup(series(profile, "ends_decode", of_rank)),
            Lookup(series(profile, "ends_prefill", of_rank)),
            Lookup(series(profile, "copy_points", of_rank)),
            Lookup(series(profile, "all_reduce", {{"gpus", tp}, {"mode", "graph"}}))};
  need(ends_->decode.known(), "decode ends");
  need(ends_->prefill.known(), "prefill ends");
  need(ends_->copies.known(), "copies");
  const bool drafts = setting.draft_steps > 0;
  need(!drafts, "drafts");
  decode_sums_ = sums && !ranks_decode;
  prefill_sums_ = sums && !ranks_prefill;
  sums_ = ends_->sums.known();
  need(sums_ || !(decode_sums_ || prefill_sums_), "all-reduce");
  row_bytes_ = kernels::real(kBytesOfSum * m.hidden);
  decode_uncovered_ =
      !decode_layers_ || !ends_->decode.known() || drafts || (decode_sums_ && !sums_);
  prefill_uncovered_ =
      !prefill_layers_ || !ends_->prefill.known() || drafts || (prefill_sums_ && !sums_);
}

LayerCost::Batch LayerCost::batch_of(const StepPlan& plan) const {
  Batch batch;
  const StepPiece* before = nullptr;
  for (const StepPiece& piece : plan.pieces) {
    if (piece.kind == PieceKind::decode) {
      ++batch.sequences;
      batch.decode_rows += piece.tokens.value;
      const double past = kernels::real(piece.past.value);
      batch.others_past += past;
      batch.longest_past = std::max(batch.longest_past, past);
      continue;
    }
    batch.logits += piece.emits_token ? 1 : 0;
    // A prompt goes on behind its rebuilt window as one sequence.
    const bool goes_on = before != nullptr && before->kind == PieceKind::rebuild && !pyramid_ &&
                         piece.request == before->request &&
                         piece.past == before->past + before->tokens;
    before = &piece;
    if (goes_on) {
      batch.pieces.back().tokens += kernels::real(piece.tokens.value);
      continue;
    }
    batch.pieces.push_back({kernels::real(piece.tokens.value), kernels::real(piece.past.value),
                            pyramid_ && piece.kind == PieceKind::rebuild});
  }
  if (batch.sequences > 1) {
    batch.others_past =
        (batch.others_past - batch.longest_past) / kernels::real(batch.sequences - 1);
  }
  // Filled up by tokens of a sequence that nobody has. Tokens of a pyramid run by themselves.
  double eager_tokens = 0;
  for (const Piece& piece : batch.pieces) eager_tokens += piece.shrinks ? 0 : piece.tokens;
  if (eager_tokens > 0) {
    const auto tokens = static_cast<std::int64_t>(eager_tokens);
    const std::int64_t filled = size_above(host_.eager_sizes, tokens);
    if (filled > tokens) batch.pieces.push_back({kernels::real(filled - tokens), 0, false});
  }
  batch.graph = batch.sequences > 0 && host_.captured(batch.sequences);
  if (batch.graph) {
    const std::int64_t rows = batch.decode_rows * host_.padded(batch.sequences) / batch.sequences;
    batch.padding = rows - batch.decode_rows;
    batch.decode_rows = rows;
  }
  return batch;
}

SampleTime LayerCost::Layers::added(double rows, double others, double beyond) const {
  const auto at = [&](double batch) {
    SampleTime time = longest.at(batch, others, beyond);
    time.us -= decode.row(static_cast<std::int64_t>(batch)).at(others).us;
    return time;
  };
  const auto above = std::ranges::lower_bound(longest_batches, rows);
  SampleTime adds;
  if (above == longest_batches.end() && above != longest_batches.begin()) {
    adds = at(longest_batches.back());
    adds.kind = SampleKind::extrapolated;
  } else if (above == longest_batches.begin() || *above == rows) {
    adds = at(rows);
  } else {
    const double low = *std::prev(above), high = *above;
    const SampleTime there = at(low), beside = at(high);
    adds.us = there.us + (beside.us - there.us) * ((rows - low) / (high - low));
    adds.kind = std::max({there.kind, beside.kind, SampleKind::interpolated});
  }
  adds.us = std::max(0.0, adds.us);
  return adds;
}

void LayerCost::decode_time(const StepPlan& plan, const Batch& batch, TimeAccount& account) const {
  if (decode_layers_) {
    for (const Layers& layers : layers_) {
      const SampleGrid::Row& row = layers.decode.row(batch.decode_rows);
      double measured = 0, interpolated = 0, extrapolated = 0;  // in registers: steps repeat this
      const auto add = [&](double rows, const SampleTime& time) {
        const double us = rows * time.us;
        measured += time.kind == SampleKind::measured ? us : 0;
        interpolated += time.kind == SampleKind::interpolated ? us : 0;
        extrapolated += time.kind == SampleKind::extrapolated ? us : 0;
      };
      const bool by_longest =
          layers.longest.known() && batch.sequences > 1 && layers.reach > batch.longest_past;
      const double others = batch.others_past;
      bool longest_met = false;
      for (const StepPiece& piece : plan.pieces) {
        if (piece.kind != PieceKind::decode) continue;
        const double past = kernels::real(piece.past.value);
        const double rows = kernels::real(piece.tokens.value);
        if (!by_longest) {
          add(rows, row.at(std::min(past, layers.reach)));
          continue;
        }
        if (past == batch.longest_past && !std::exchange(longest_met, true)) {
          add(rows, row.at(others));
        } else if (past <= layers.knee || others <= layers.knee) {
          add(rows, row.at(past));
        } else {
          // One time of one kind: beyond the others the way back to the knee counts negative.
          const double way = (past - layers.knee) / (others - layers.knee);
          const SampleTime there = row.at(others), knee = row.at(layers.knee);
          add(rows, {way * there.us + (1 - way) * knee.us, std::max(there.kind, knee.kind)});
        }
      }
      if (batch.padding > 0) add(kernels::real(batch.padding), row.at(layers.least_past));
      const double beyond = batch.longest_past - others;
      if (by_longest && beyond > 0) {
        const double measured_beyond = std::max(beyond, layers.least_beyond);
        const double rows_of_batch = kernels::real(batch.decode_rows);
        SampleTime adds = layers.added(rows_of_batch, others, measured_beyond);
        adds.us *= beyond / measured_beyond;
        add(rows_of_batch, adds);
      }
      account.add(layers.decode_part,
                  kernels::real(layers.count) / kernels::real(batch.decode_rows),
                  SampleSums{measured, interpolated, extrapolated});
    }
  }
  if (ends_->decode.known()) {
    account.add("decode: ends", 1, ends_->decode.at(kernels::real(batch.decode_rows)));
  }
  if (decode_sums_ && sums_) {
    account.add("decode: all-reduce", kernels::real(kSumsOfLayer * layer_count_),
                ends_->sums.at(row_bytes_ * kernels::real(batch.decode_rows)));
  }
  if (decode_uncovered_) uncovered(plan, true, account);
}

// What layer `layer`, from 0, runs of the pieces. Of a pyramid the last of their tokens.
std::vector<LayerCost::Piece> LayerCost::pieces_in_layer(std::span<const Piece> pieces,
                                                         std::int64_t layer) const {
  std::vector<Piece> out(pieces.begin(), pieces.end());
  for (Piece& piece : out) {
    if (!piece.shrinks) continue;
    const double end = piece.past + piece.tokens;
    piece.tokens *= 2 * kernels::real(layer_count_ - layer) / kernels::real(layer_count_ + 1);
    piece.past = std::max(0.0, end - piece.tokens);
  }
  return out;
}

void LayerCost::layer_prefill(const Layers& layers, std::int64_t count,
                              std::span<const Piece> pieces, TimeAccount& account) const {
  double all = 0;
  for (const Piece& piece : pieces) all += piece.tokens;
  SampleSums us{};
  for (const Piece& piece : pieces) {
    const SampleTime time =
        layers.prefill.at(all / piece.tokens, all, std::min(piece.past, layers.reach));
    us[static_cast<std::size_t>(time.kind)] += piece.tokens / all * time.us;
  }
  account.add(layers.prefill_part, kernels::real(count), us);
}

void LayerCost::prefill_time(const Batch& batch, TimeAccount& account) const {
  if (prefill_layers_) {
    if (std::ranges::any_of(batch.pieces, &Piece::shrinks)) {
      for (std::int64_t l = 0; l < layer_count_; ++l) {
        layer_prefill(layers_[kind_of_[static_cast<std::size_t>(l)]], 1,
                      pieces_in_layer(batch.pieces, l), account);
      }
    } else {
      for (const Layers& layers : layers_) {
        layer_prefill(layers, layers.count, batch.pieces, account);
      }
    }
  }
  if (prefill_sums_ && sums_) {
    const bool shrink = std::ranges::any_of(batch.pieces, &Piece::shrinks);
    for (std::int64_t l = 0; l < (shrink ? layer_count_ : 1); ++l) {
      double tokens = 0;
      for (const Piece& piece : pieces_in_layer(batch.pieces, l)) tokens += piece.tokens;
      account.add("prefill: all-reduce", kernels::real(kSumsOfLayer * (shrink ? 1 : layer_count_)),
                  ends_->sums.at(row_bytes_ * tokens));
    }
  }
  if (ends_->prefill.known()) {
    double tokens = 0;  // those that enter the first layer
    for (const Piece& piece : pieces_in_layer(batch.pieces, 0)) tokens += piece.tokens;
    account.add("prefill: ends", 1, ends_->prefill.at(tokens, kernels::real(batch.logits)));
  }
}

// Points go out of running windows and come back into them in copies of their own.
void LayerCost::copy_time(const StepPlan& plan, const OperatorList& own,
                          TimeAccount& account) const {
  if (!ends_->copies.known()) {
    for (const Operator& op : own) {
      if (op.part != OperatorPart::copies) continue;
      account.add(op.name, op.launches() * kUsPerSecond * roofline_.launch_seconds(op),
                  TimeSource::roofline);
    }
    return;
  }
  for (const Bytes bytes : {plan.copies.points_written, plan.copies.points_read}) {
    if (bytes.value > 0) account.add(kCopies, 1, ends_->copies.at(kernels::real(bytes.value)));
  }
}

// What the profile lacks of the decode pieces, or of all others.
void LayerCost::uncovered(const StepPlan& plan, bool decodes, TimeAccount& account) const {
  StepPlan part;
  for (const StepPiece& piece : plan.pieces) {
    if ((piece.kind == PieceKind::decode) == decodes) part.pieces.push_back(piece);
  }
  const bool layers = decodes ? decode_layers_ : prefill_layers_;
  const bool ends = (decodes ? ends_->decode : ends_->prefill).known();
  for (const Operator& op : roofline_.own_list(part)) {
    const bool drafts = op.name.starts_with("mtp ");
    const bool moves = op.part == OperatorPart::collectives;
    if (moves && (sums_ || !(decodes ? decode_sums_ : prefill_sums_))) continue;
    if (!drafts && !moves && (is_end(op) ? ends : layers)) continue;
    account.add(op.name, op.launches() * kUsPerSecond * roofline_.launch_seconds(op),
                TimeSource::roofline);
  }
}

StepTime LayerCost::time_of(std::span<const StepPlan* const> ranks, CostLedger* ledger) const {
  V4CAP_CHECK(ranks.size() == 1, std::to_string(ranks.size()) + " plans for one attention rank");
  const StepPlan& plan = *ranks.front();
  V4CAP_CHECK(!plan.empty(), "an empty plan takes no step");
  const OperatorList own = roofline_.own_list(plan);
  const Batch batch = batch_of(plan);
  TimeAccount step{.ledger = ledger};
  if (batch.sequences > 0) decode_time(plan, batch, step);
  const double decode_us = step.total();
  if (!batch.pieces.empty()) {
    prefill_time(batch, step);
    if (prefill_uncovered_) uncovered(plan, false, step);
  }
  const double prefill_us = step.total() - decode_us;
  copy_time(plan, own, step);

  StepTime out;
  out.roofline_floor = duration_from_seconds(roofline_.floor_seconds(own));
  if (duration_from_seconds(step.total() / kUsPerSecond) < out.roofline_floor) {
    step.add("raised to the roofline", to_us(out.roofline_floor) - step.total(),
             TimeSource::roofline);
    out.clamped = true;
  }
  if (batch.graph) step.add("host", to_us(host_.graph_step), TimeSource::host);
  out.gpu = duration_from_seconds(step.total() / kUsPerSecond);
  // Batches without a graph last at least as long as the host launches them.
  const Duration eager = host_.eager_step + host_.eager_layer * layer_count_;
  const auto launch = [&](std::int64_t batches, double gpu_us) {
    const Duration host = eager * batches;
    out.host += host;
    step.add("host", std::max(0.0, to_us(host) - gpu_us), TimeSource::host);
  };
  if (batch.sequences > 0 && !batch.graph) launch(1, decode_us);
  if (!batch.pieces.empty()) {
    // Each pyramid is a batch of its own, all other pieces are one.
    const std::int64_t pyramids = std::ranges::count_if(batch.pieces, &Piece::shrinks);
    const bool others = pyramids < static_cast<std::int64_t>(batch.pieces.size());
    launch(pyramids + (others ? 1 : 0), prefill_us);
  }
  out.total = duration_from_seconds(step.total() / kUsPerSecond);
  out.share = step.share();
  return out;
}

std::unique_ptr<DecodeRun> LayerCost::decode_run(std::span<const StepPlan* const> ranks) const {
  return plain_decode_run(*this, ranks);
}

StepTime LayerCost::step_time(std::span<const StepPlan* const> ranks) const {
  return time_of(ranks, nullptr);
}

void LayerCost::explain(std::span<const StepPlan* const> ranks, CostLedger& ledger) const {
  time_of(ranks, &ledger);
}

}  // namespace v4cap
