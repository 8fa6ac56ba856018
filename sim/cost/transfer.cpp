#include "sim/cost/transfer.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <functional>
#include <numeric>
#include <optional>
#include <utility>

#include "kernels/expert_combine/work.h"
#include "kernels/expert_dispatch/work.h"
#include "kernels/experts/work.h"
#include "kernels/linear/work.h"
#include "kernels/mhc_post/work.h"
#include "kernels/mhc_pre/work.h"
#include "sim/core/error.h"
#include "sim/cost/least_squares.h"
#include "sim/cost/operators.h"

namespace v4cap {

namespace {

namespace k = kernels;

constexpr double kUsPerSecond = 1e6;
constexpr std::int64_t kNodeGpus = 8;              // of the tables of dispatch and combine
constexpr std::int64_t kHeadsOfKernelTables = 64;  // of tables of single attention kernels
constexpr double kFp8BlockBytes = 1 + 1.0 / 16384;
constexpr double kNvfp4Bytes = 0.5 + 1.0 / 16;
constexpr double kMxfp4Bytes = 0.5 + 1.0 / 32;

// What one sample moves and computes on one GPU.
struct Amounts {
  double bytes = 0, link_bytes = 0;
  double matrix_bf16 = 0, matrix_fp8 = 0, matrix_fp4 = 0;  // FLOP
  double scores_fp8 = 0;
  double attention_bf16 = 0, hca_bf16 = 0;

  void add_matrix(const k::Work& work) {
    bytes += work.bytes();
    matrix_bf16 += work.flops_bf16;
    matrix_fp8 += work.flops_fp8;
    matrix_fp4 += work.flops_fp4;
  }
};

// Terms of the model, in this order: fixed, bytes, matrix products, index scores, attention, link.
constexpr std::size_t kTerms = 6;

// Microseconds per byte or FLOP at the peaks that count.
struct Slowness {
  double byte = 0, link_byte = 0, bf16 = 0, fp8 = 0, fp4 = 0, scores = 0, attention = 0, hca = 0;

  std::vector<double> terms(const Amounts& a) const {
    std::vector<double> out(kTerms);
    out[0] = 1;
    out[1] = a.bytes * byte;
    out[2] = a.matrix_bf16 * bf16 + a.matrix_fp8 * fp8 + a.matrix_fp4 * fp4;
    out[3] = a.scores_fp8 * scores;
    out[4] = a.attention_bf16 * attention + a.hca_bf16 * hca;
    out[5] = a.link_bytes * link_byte;
    return out;
  }
};

// Arithmetic in a format that the GPU lacks runs in the next wider one.
Slowness slowness_of(const HardwareSpec& hardware, const ReachedFractions& reached) {
  const GpuSpec& gpu = hardware.gpu;
  V4CAP_CHECK(gpu.memory_bytes_per_s_peak > 0 && gpu.flop_per_s_peak_bf16 > 0, gpu.name);
  const double bf16 = gpu.flop_per_s_peak_bf16;
  const double fp8 = gpu.flop_per_s_peak_fp8 > 0 ? gpu.flop_per_s_peak_fp8 : bf16;
  const double fp4 = gpu.flop_per_s_peak_fp4 > 0 ? gpu.flop_per_s_peak_fp4 : fp8;
  const double link = hardware.link_bytes_per_s_peak;
  return {.byte = kUsPerSecond / gpu.memory_bytes_per_s_peak,
          .link_byte = link > 0 ? kUsPerSecond / link : 0,
          .bf16 = kUsPerSecond / (bf16 * reached.matrix_product),
          .fp8 = kUsPerSecond / (fp8 * reached.matrix_product),
          .fp4 = kUsPerSecond / (fp4 * reached.matrix_product),
          .scores = kUsPerSecond / (fp8 * reached.index_scores),
          .attention = kUsPerSecond / (bf16 * reached.sparse_attention),
          .hca = kUsPerSecond / (bf16 * reached.hca_attention)};
}

// 1 for kinds of kernels that not all state.
ReachedFractions fractions(const HardwareSpec& hardware, std::span<const HardwareSpec* const> all) {
  ReachedFractions out = hardware.reached;
  for (const auto member : kReachedMembers) {
    const bool stated =
        std::ranges::all_of(all, [&](const HardwareSpec* one) { return one->reached.*member > 0; });
    if (!stated) out.*member = 1;
  }
  return out;
}

std::int64_t count_of(double value) {
  return std::llround(value);
}

std::optional<std::int64_t> integer(const std::string& text) {
  std::int64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || end != text.data() + text.size() || value < 1) return std::nullopt;
  return value;
}

// Amounts of the samples of one series; empty when it is not known what the series runs.
using Shapes = std::function<Amounts(const Sample&)>;

// Operators of one layer, run for a batch of equal sequences: axes batch, past (decode) or batch,
// new, past.
class LayerShapes {
 public:
  // `covered`: names of operators; empty = all of the attention half.
  LayerShapes(const StepSetting& setting, std::vector<std::string> covered, std::size_t axes)
      : operators_(setting), covered_(std::move(covered)), decodes_(axes == 2) {}

  Amounts operator()(const Sample& sample) const {
    const std::int64_t tokens = decodes_ ? 1 : count_of(sample.at[1]);
    StepPiece piece;
    piece.kind = tokens == 1 ? PieceKind::decode : PieceKind::prefill;
    piece.tokens = Tokens{tokens};
    piece.past = Tokens{count_of(sample.at[decodes_ ? 1 : 2])};
    StepPlan plan;
    plan.pieces.assign(static_cast<std::size_t>(count_of(sample.at[0])), piece);
    Amounts out;
    for (const Operator& op : operators_.list(plan)) {
      if (covered_.empty() || std::ranges::find(covered_, op.name) != covered_.end()) add(op, out);
    }
    return out;
  }

 private:
  static void add(const Operator& op, Amounts& out) {
    const k::Work& w = op.work;
    switch (op.part) {
      case OperatorPart::attention_projections:
      case OperatorPart::compressors:
      case OperatorPart::index_projection:
        out.add_matrix(w);
        return;
      case OperatorPart::index_scores:
        out.bytes += w.bytes();
        out.scores_fp8 += w.flops();
        return;
      case OperatorPart::attention_hca:
        out.bytes += w.bytes();
        out.hca_bf16 += w.flops();
        return;
      case OperatorPart::attention_csa:
      case OperatorPart::attention_window:
      case OperatorPart::attention_dense:
        out.bytes += w.bytes();
        out.attention_bf16 += w.flops();
        return;
      default:
        return;  // beside attention
    }
  }

  StepOperators operators_;
  std::vector<std::string> covered_;
  bool decodes_;
};

// What the keys of a series say.
class SeriesKeys {
 public:
  SeriesKeys(const ProfileFamily& family, const ProfileSeries& series)
      : family_(family), series_(series) {}

  // "" when the family has no such key.
  std::string text(std::string_view name) const {
    const auto it = std::ranges::find(family_.keys, name);
    return it == family_.keys.end()
               ? std::string()
               : series_.keys[static_cast<std::size_t>(it - family_.keys.begin())];
  }
  std::int64_t number(std::string_view name) const { return integer(text(name)).value_or(0); }

 private:
  const ProfileFamily& family_;
  const ProfileSeries& series_;
};

const TransferModel* model_named(std::span<const TransferModel> models, const std::string& name) {
  for (const bool exact : {true, false}) {
    for (const TransferModel& model : models) {
      if ((exact ? model.spec.name : model.spec.measured_as) == name) return &model;
    }
  }
  return nullptr;
}

// One layer of `kind` in that width, without a feed-forward; empty when the model has none.
Shapes layer_shapes(const TransferModel& model, LayerKind kind, std::int64_t tp,
                    const ProfileFamily& family) {
  if (model.spec.count(kind) == 0) return {};
  StepSetting setting{.model = model.spec, .tensor_parallel = tp, .entry = model.entry};
  setting.model.layers = {kind};
  setting.model.moe = {};
  const bool is_module = family.covers.size() == 1 && family.covers[0].ends_with(" module");
  return LayerShapes(setting, is_module ? std::vector<std::string>{} : family.covers,
                     family.axes.size());
}

Shapes attention_shapes(const ProfileFamily& family, const SeriesKeys& keys,
                        std::span<const TransferModel> models) {
  const TransferModel* model = model_named(models, keys.text("model"));
  if (model == nullptr) return {};
  const std::string& name = family.name;
  if (name == "indexer_scores" || name == "topk" || name == "attention_hca_core") {
    const LayerKind kind = name == "attention_hca_core" ? LayerKind::hca : LayerKind::csa;
    const std::int64_t tp = std::max<std::int64_t>(1, model->spec.heads / kHeadsOfKernelTables);
    return layer_shapes(*model, kind, tp, family);
  }
  const std::int64_t tp = keys.number("tp");
  if (tp == 0) return {};
  for (const auto& [prefix, kind] :
       {std::pair("attention_csa_", LayerKind::csa), std::pair("attention_hca_", LayerKind::hca),
        std::pair("attention_dsa_", LayerKind::dsa)}) {
    if (name.starts_with(prefix)) return layer_shapes(*model, kind, tp, family);
  }
  return {};
}

Shapes expert_shapes(const SeriesKeys& keys, std::span<const TransferModel> models) {
  const TransferModel* model = model_named(models, keys.text("model"));
  const std::int64_t gpus = keys.number("moe_tp") * keys.number("moe_ep");
  if (model == nullptr || gpus == 0) return {};
  const ModelSpec& m = model->spec;
  const std::string format = keys.text("dtype");
  k::experts::Shape shape{.hidden = m.hidden,
                          .intermediate = m.moe.expert_intermediate,
                          .active = m.moe.active_experts,
                          .ranks = gpus};
  if (format == "bf16") {
    shape.bytes_per_weight = 2;
    shape.precision = k::Precision::bf16;
  } else if (format == "fp8_block") {
    shape.bytes_per_weight = kFp8BlockBytes;
  } else if (format == "nvfp4") {
    shape.bytes_per_weight = kNvfp4Bytes;
    shape.precision = k::Precision::fp4;
  } else if (format == "w4a8_mxfp4_mxfp8") {
    shape.bytes_per_weight = kMxfp4Bytes;
  } else {
    return {};
  }
  const bool balanced = keys.text("distribution") == "balanced";
  return [shape, balanced, experts = m.moe.routed_experts](const Sample& sample) {
    k::experts::Shape s = shape;
    s.tokens = count_of(sample.at[0]);
    s.touched = balanced ? std::min(k::real(experts), k::real(s.tokens) * k::real(s.active))
                         : k::experts::touched_experts(experts, s.active, s.tokens);
    Amounts out;
    out.add_matrix(k::experts::work(s));
    return out;
  };
}

Shapes hyper_connection_shapes(bool is_pre, const SeriesKeys& keys,
                               std::span<const TransferModel> models) {
  const std::int64_t hidden = keys.number("hidden");
  const auto model = std::ranges::find_if(models, [&](const TransferModel& one) {
    return one.spec.hidden == hidden && one.spec.residual_streams > 1;
  });
  if (model == models.end()) return {};
  return [is_pre, hidden, streams = model->spec.residual_streams](const Sample& sample) {
    const std::int64_t tokens = count_of(sample.at[0]);
    Amounts out;
    if (is_pre) {
      out.add_matrix(k::mhc_pre::work({.tokens = tokens,
                                       .hidden = hidden,
                                       .streams = streams,
                                       .mixes = streams * (streams + 2)}));
    } else {
      // No matrix units work here, so their peak says nothing.
      out.bytes =
          k::mhc_post::work({.tokens = tokens, .hidden = hidden, .streams = streams}).bytes();
    }
    return out;
  };
}

Shapes gemm_shapes(const SeriesKeys& keys) {
  const bool bf16 = keys.text("dtype") == "bfloat16";
  if (!bf16 && keys.text("dtype") != "fp8_block") return {};
  return [bf16, n = keys.number("n"), in = keys.number("k")](const Sample& sample) {
    Amounts out;
    out.add_matrix(k::linear::work({.rows = count_of(sample.at[0]),
                                    .in = in,
                                    .out = n,
                                    .bytes_per_weight = bf16 ? 2 : kFp8BlockBytes,
                                    .precision = bf16 ? k::Precision::bf16 : k::Precision::fp8}));
    return out;
  };
}

// Bytes that one GPU sends per byte of the message (kernels/all_reduce, kernels/all_gather).
Shapes collective_shapes(const std::string& name, const SeriesKeys& keys) {
  const double gpus = k::real(keys.number("gpus"));
  if (gpus < 2) return {};
  double sent = (gpus - 1) / gpus;
  if (name == "all_reduce") sent *= 2;
  if (name == "alltoall") sent = 1;  // its bytes are those sent
  return [sent](const Sample& sample) {
    Amounts out;
    out.link_bytes = sent * sample.at[0];
    return out;
  };
}

Shapes dispatch_shapes(bool is_combine, const SeriesKeys& keys) {
  const k::expert_dispatch::Shape shape{
      .hidden = keys.number("hidden"), .active = keys.number("topk"), .gpus = kNodeGpus};
  return [shape, is_combine](const Sample& sample) {
    k::expert_dispatch::Shape s = shape;
    s.most_tokens = count_of(sample.at[0]);
    s.tokens = kNodeGpus * s.most_tokens;
    Amounts out;
    out.link_bytes =
        is_combine ? k::expert_combine::link_bytes(s) : k::expert_dispatch::link_bytes(s);
    return out;
  };
}

Shapes shapes_of(const ProfileFamily& family, const ProfileSeries& series,
                 std::span<const TransferModel> models) {
  const std::string& name = family.name;
  const SeriesKeys keys(family, series);
  if (name == "experts") return expert_shapes(keys, models);
  if (name == "mhc_pre" || name == "mhc_post") {
    return hyper_connection_shapes(name == "mhc_pre", keys, models);
  }
  if (name == "gemm") return gemm_shapes(keys);
  if (name == "all_reduce" || name == "all_gather" || name == "reduce_scatter" ||
      name == "alltoall") {
    return collective_shapes(name, keys);
  }
  if (name.starts_with("expert_dispatch")) return dispatch_shapes(false, keys);
  if (name.starts_with("expert_combine")) return dispatch_shapes(true, keys);
  return attention_shapes(family, keys, models);
}

const ProfileSeries* same_series(const Profile& profile, const ProfileFamily& family,
                                 const ProfileSeries& series) {
  const ProfileFamily* other = profile.find(family.name);
  if (other == nullptr) return nullptr;
  std::vector<std::pair<std::string_view, std::string_view>> keys;
  for (std::size_t i = 0; i < family.keys.size(); ++i) {
    keys.emplace_back(family.keys[i], series.keys[i]);
  }
  return other->find(keys);
}

std::vector<Interpolation> interpolations(const ProfileFamily& family) {
  std::vector<Interpolation> out;
  for (const ProfileAxis& axis : family.axes) out.push_back(axis.interpolation);
  return out;
}

// Donors with the rates that their terms are computed with.
class Transfer {
 public:
  Transfer(std::span<const TransferDonor> donors, const HardwareSpec& target,
           std::span<const TransferModel> models)
      : donors_(donors), models_(models) {
    std::vector<const HardwareSpec*> all{&target};
    for (const TransferDonor& donor : donors) all.push_back(&donor.hardware);
    const ReachedFractions reached = fractions(target, all);
    target_ = slowness_of(target, reached);
    reached_counts_ = std::ranges::any_of(kReachedMembers,
                                          [&](const auto member) { return reached.*member < 1; });
    for (const TransferDonor& donor : donors) {
      slowness_.push_back(slowness_of(donor.hardware, fractions(donor.hardware, all)));
    }
  }

  bool reached_counts() const { return reached_counts_; }

  // nullopt when it is not known what the series runs.
  std::optional<ProfileSeries> series(const ProfileFamily& family,
                                      const ProfileSeries& nearest) const {
    const auto shapes = shapes_of(family, nearest, models_);
    if (!shapes) return std::nullopt;
    const RelativeLeastSquares fit = fitted(family, nearest, shapes);
    const std::vector<double> c = fit.solution();
    const auto model_us = [&](const Slowness& slowness, const Amounts& amounts) {
      const std::vector<double> x = slowness.terms(amounts);
      return std::inner_product(x.begin(), x.end(), c.begin(), 0.0);
    };
    std::vector<Sample> samples = nearest.grid.samples();
    for (Sample& sample : samples) {
      const Amounts amounts = shapes(sample);
      sample.us *= model_us(target_, amounts) / model_us(slowness_[0], amounts);
    }
    return ProfileSeries{nearest.keys, SampleGrid(interpolations(family), std::move(samples))};
  }

 private:
  RelativeLeastSquares fitted(const ProfileFamily& family, const ProfileSeries& nearest,
                              const Shapes& shapes) const {
    RelativeLeastSquares fit(kTerms);
    for (std::size_t i = 0; i < donors_.size(); ++i) {
      const ProfileSeries* series = same_series(*donors_[i].profile, family, nearest);
      if (series == nullptr) continue;
      for (const Sample& sample : series->grid.samples()) {
        fit.add(slowness_[i].terms(shapes(sample)), sample.us);
      }
    }
    return fit;
  }

  std::span<const TransferDonor> donors_;
  std::span<const TransferModel> models_;
  Slowness target_;
  bool reached_counts_ = false;     // by some kind of kernel
  std::vector<Slowness> slowness_;  // of the donors
};

std::string provenance(std::span<const TransferDonor> donors, const HardwareSpec& target,
                       bool reached_counts) {
  std::string out = fmt::format(
      "not measured: times of {} multiplied by model({}) / model({}), the model (fixed + "
      "bytes / bandwidth + FLOP / {} + link bytes / link rate) fitted to ",
      donors[0].profile->name, target.gpu.name, donors[0].profile->gpu,
      reached_counts ? "what is reached of the peak" : "peak");
  for (std::size_t i = 0; i < donors.size(); ++i) {
    out += fmt::format("{}{}", i == 0 ? "" : " and ", donors[i].profile->name);
  }
  return out + "; those: " + donors[0].profile->source;
}

double quantile(const std::vector<double>& sorted, double q) {
  const auto last = static_cast<double>(sorted.size() - 1);
  return sorted[static_cast<std::size_t>(std::llround(q * last))];
}

}  // namespace

Profile transfer_profile(std::span<const TransferDonor> donors, const HardwareSpec& target,
                         std::span<const TransferModel> models) {
  V4CAP_CHECK(!donors.empty(), "a transfer from nothing");
  const Profile& nearest = *donors[0].profile;
  Profile out;
  out.name = fmt::format("{}-from-{}", target.name, nearest.name);
  for (const TransferDonor& donor : donors.subspan(1)) out.name += "-and-" + donor.profile->name;
  out.gpu = target.gpu.name;
  out.engine = nearest.engine;
  out.engine_version = nearest.engine_version;
  out.device = "none";
  out.driver = nearest.driver;
  out.clocks = nearest.clocks;
  out.date = nearest.date;
  out.licence = nearest.licence;
  const Transfer transfer(donors, target, models);
  out.source = provenance(donors, target, transfer.reached_counts());
  for (const ProfileFamily& family : nearest.families) {
    if (family.grain == ProfileGrain::step) continue;
    ProfileFamily moved = family;
    moved.series.clear();
    for (const ProfileSeries& series : family.series) {
      if (auto one = transfer.series(family, series)) moved.series.push_back(std::move(*one));
    }
    if (moved.series.empty()) continue;
    if (!moved.has_mark(kTransferredMark)) moved.marks.emplace_back(kTransferredMark);
    moved.held_out = {};  // that of the donor says nothing of the ratio
    out.families.push_back(std::move(moved));
  }
  return out;
}

std::vector<TransferError> transfer_errors(const Profile& predicted, const Profile& measured) {
  std::vector<TransferError> out;
  for (const ProfileFamily& family : measured.families) {
    TransferError error{.family = family.name};
    std::vector<double> signed_pct, pct;
    for (const ProfileSeries& series : family.series) {
      const ProfileSeries* other = same_series(predicted, family, series);
      if (other == nullptr) continue;
      for (const Sample& sample : series.grid.samples()) {
        const SampleTime time = other->grid.at(std::span(sample.at.data(), series.grid.axes()));
        if (time.kind == SampleKind::extrapolated) {
          ++error.outside;
          continue;
        }
        signed_pct.push_back(100 * (time.us / sample.us - 1));
        pct.push_back(std::abs(signed_pct.back()));
      }
    }
    if (pct.empty()) continue;
    std::ranges::sort(signed_pct);
    std::ranges::sort(pct);
    error.samples = static_cast<std::int64_t>(pct.size());
    error.median_pct = quantile(pct, 0.5);
    error.p90_pct = quantile(pct, 0.9);
    error.signed_median_pct = quantile(signed_pct, 0.5);
    out.push_back(std::move(error));
  }
  return out;
}

}  // namespace v4cap
