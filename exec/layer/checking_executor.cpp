#include "exec/layer/checking_executor.h"

#include <cuda_runtime_api.h>

#include <algorithm>
#include <cmath>
#include <cstring>

#include "kernels/cuda/check.h"
#include "kernels/reference.h"
#include "kernels/topk/launch.h"

namespace v4cap::exec {
namespace {

using kernels::Bf16;
using kernels::kHeadDim;
using kernels::kIndexDim;

constexpr double kExact = 1e-3;      // float results
constexpr double kRounded = 5e-3;    // bf16 results of float arithmetic
constexpr double kQuantised = 2e-2;  // FP8 and FP4 results, products of tensor cores in bf16

std::vector<double> values(const float* from, std::size_t count) {
  return {from, from + count};
}

std::vector<double> values(const Bf16* from, std::size_t count) {
  std::vector<double> out(count);
  for (std::size_t i = 0; i < count; ++i) out[i] = kernels::real(from[i]);
  return out;
}

// Rows of `width`, `stride` apart.
template <class T>
std::vector<double> strided(const T* from, std::int64_t rows, std::int64_t width,
                            std::int64_t stride) {
  std::vector<double> out;
  for (std::int64_t r = 0; r < rows; ++r) {
    const auto row = values(from + r * stride, static_cast<std::size_t>(width));
    out.insert(out.end(), row.begin(), row.end());
  }
  return out;
}

std::vector<double> product_rows(const void* y, kernels::linear::Output output, std::int64_t rows,
                                 std::int64_t width, std::int64_t stride) {
  return output == kernels::linear::Output::f32
             ? strided(static_cast<const float*>(y), rows, width, stride)
             : strided(static_cast<const Bf16*>(y), rows, width, stride);
}

// Entries that tokens of this step have completed, as read back.
template <class Args, class Read>
std::vector<double> emitted(const Args& args, int ratio, int width, const Read& read) {
  std::vector<double> out;
  for (int i = 0; i < args.batch.tokens; ++i) {
    const std::int64_t t = args.batch.positions[i];
    if ((t + 1) % ratio != 0) continue;
    out.resize(out.size() + static_cast<std::size_t>(width));
    read(args.batch.sequence_of[i], t / ratio, out.data() + out.size() - width);
  }
  return out;
}

std::vector<double> read_codes(const kernels::indexer_query::Args& args) {
  const std::int64_t heads = std::int64_t{args.batch.tokens} * kernels::kIndexHeads;
  std::vector<double> out;
  for (std::int64_t h = 0; h < heads; ++h) {
    for (int c = 0; c < kIndexDim; ++c) {
      if (args.format == kernels::KeyFormat::fp8) {
        out.push_back(kernels::real(kernels::e4m3_to_float(args.codes[h * kIndexDim + c])));
        continue;
      }
      const int code = args.codes[(h * kIndexDim + c) / 2] >> (c % 2 * 4) & 15;
      out.push_back(kernels::real(kernels::e2m1_to_float(static_cast<std::uint8_t>(code))) *
                    kernels::real(kernels::ue8m0_to_float(args.scales[h * 4 + c / 32])));
    }
  }
  return out;
}

}  // namespace

std::shared_ptr<void> CheckingExecutor::allocate(std::size_t bytes) {
  const MappedMemoryScope mapped;
  const auto memory = std::make_shared<DeviceMemory>(std::max<std::size_t>(bytes, 16));
  std::memset(memory->get(), 0, memory->bytes());
  return {memory, memory->get()};
}

template <class Args>
void CheckingExecutor::perform(const Args& args) {
  DeviceExecutor::run(args);
  V4CAP_CUDA(cudaStreamSynchronize(stream()));
}

void CheckingExecutor::note(const std::vector<Finding>& findings) {
  keep_worst(findings_, findings);
}

void CheckingExecutor::run(const kernels::argmax::Args& args) {
  const auto expected = kernels::argmax::reference(args);
  perform(args);
  note({compare_exactly("argmax", expected, {args.index, args.index + args.rows})});
}

void CheckingExecutor::run(const kernels::attention::Args& args) {
  const auto expected = kernels::attention::reference(args);
  perform(args);
  note(compare("attention", expected.out, values(args.out, expected.out.size()), kHeadDim,
               kQuantised));
}

void CheckingExecutor::run(const kernels::compressor_csa::Args& args) {
  const auto expected = kernels::compressor_csa::reference(args);
  perform(args);
  const auto read = [&](int sequence, std::int64_t entry, double* out) {
    if (args.head_dim == kHeadDim) {
      const int per_page = args.entries.page_entries;
      kernels::read_entry(args.entries, args.pages.page(sequence, entry, per_page),
                          static_cast<int>(entry % per_page), out);
    } else {
      kernels::read_key(args.keys, args.pages.page(sequence, entry, kernels::kKeysPerPage),
                        static_cast<int>(entry % kernels::kKeysPerPage), out);
    }
  };
  const std::string name = args.head_dim == kHeadDim ? "CSA entries" : "CSA keys";
  if (!expected.stored.empty()) {
    note(compare(name, expected.stored,
                 emitted(args, kernels::compressor_csa::kRatio, args.head_dim, read), args.head_dim,
                 kQuantised));
  }
  note(compare(name + ", state", expected.state, values(args.state, expected.state.size()),
               2 * args.head_dim, kExact));
}

void CheckingExecutor::run(const kernels::compressor_hca::Args& args) {
  const auto expected = kernels::compressor_hca::reference(args);
  perform(args);
  const auto read = [&](int sequence, std::int64_t entry, double* out) {
    const int per_page = args.entries.page_entries;
    kernels::read_entry(args.entries, args.pages.page(sequence, entry, per_page),
                        static_cast<int>(entry % per_page), out);
  };
  if (!expected.stored.empty()) {
    note(compare("HCA entries", expected.stored,
                 emitted(args, kernels::compressor_hca::kRatio, kHeadDim, read), kHeadDim,
                 kQuantised));
  }
  note(compare("HCA entries, state", expected.state, values(args.state, expected.state.size()),
               kHeadDim, kExact));
}

void CheckingExecutor::run(const kernels::embedding::Args& args) {
  const auto expected = kernels::embedding::reference(args);
  perform(args);
  note(compare("embedding", values(expected.data(), expected.size()),
               values(args.x, expected.size()), args.hidden, 0));
}

void CheckingExecutor::run(const kernels::expert_permute::Args& args) {
  const auto expected = kernels::expert_permute::reference(args);
  perform(args);
  const auto rows = expected.offsets.back();
  const std::vector<std::int32_t> tokens(expected.row_token.begin(),
                                         expected.row_token.begin() + rows);
  note(compare("row weights", values(expected.row_weight.data(), static_cast<std::size_t>(rows)),
               values(args.row_weight, static_cast<std::size_t>(rows)), std::max(rows, 1), 0));
  note({compare_exactly("expert offsets", expected.offsets,
                        {args.offsets, args.offsets + args.local_experts + 1}),
        compare_exactly("rows of experts", tokens, {args.row_token, args.row_token + rows}),
        compare_exactly("rows of tokens", expected.token_row,
                        {args.token_row, args.token_row + expected.token_row.size()})});
}

void CheckingExecutor::run(const kernels::expert_sum::Args& args) {
  const auto expected = kernels::expert_sum::reference(args);
  perform(args);
  note(compare("expert sum", expected, values(args.y, expected.size()), args.hidden, kRounded));
}

void CheckingExecutor::run(const kernels::experts::GateUpArgs& args) {
  const auto expected = kernels::experts::reference(args);
  perform(args);
  const std::int64_t rows = args.offsets[args.experts];
  if (rows == 0) return;
  note(compare("experts, gate and up", expected.dequantised,
               kernels::dequantise(args.a, rows, args.intermediate), args.intermediate,
               kQuantised));
}

void CheckingExecutor::run(const kernels::experts::DownArgs& args) {
  const auto expected = kernels::experts::reference(args);
  perform(args);
  if (expected.empty()) return;
  note(compare("experts, down", expected, values(args.y, expected.size()), args.hidden, kRounded));
}

void CheckingExecutor::run(const kernels::indexer_query::Args& args) {
  const auto expected = kernels::indexer_query::reference(args);
  perform(args);
  std::vector<double> got = read_codes(args), wanted = expected.dequantised;
  if (args.format == kernels::KeyFormat::fp8) {
    // The scale went into the head's weight: compared as their product, code * weight.
    for (std::size_t i = 0; i < got.size(); ++i) {
      const double w =
          static_cast<double>(
              args.w[static_cast<std::int64_t>(i / (kernels::kIndexHeads * kIndexDim)) *
                         args.w_stride +
                     static_cast<std::int64_t>(i / kIndexDim % kernels::kIndexHeads)]) /
          std::sqrt(128.0 * 64.0);
      got[i] *= static_cast<double>(args.weights[i / kIndexDim]);
      wanted[i] *= w;
    }
  } else {
    note(compare("indexer query, head weights", expected.weights,
                 values(args.weights, expected.weights.size()), kernels::kIndexHeads, kExact));
  }
  note(compare("indexer query", wanted, got, kIndexDim * kernels::kIndexHeads, kQuantised));
}

void CheckingExecutor::run(const kernels::indexer_scores::Args& args) {
  auto expected = kernels::indexer_scores::reference(args);
  // Head weights have both signs, so the heads of a row with one or two keys may cancel out to any
  // degree; what rounding is held against in a single row is the size of the terms.
  std::vector<float> weights(static_cast<std::size_t>(args.batch.tokens) * kernels::kIndexHeads);
  for (std::size_t i = 0; i < weights.size(); ++i) weights[i] = std::fabs(args.weights[i]);
  auto all_positive = args;
  all_positive.weights = weights.data();
  auto terms = kernels::indexer_scores::reference(all_positive);
  perform(args);
  std::vector<double> got = values(args.scores, expected.size());
  for (std::size_t i = 0; i < expected.size(); ++i) {
    if (std::isnan(expected[i])) expected[i] = got[i] = terms[i] = 0;  // not visible
  }
  note({compare("indexer scores", expected, got, args.score_stride, kExact).front()});
  for (std::size_t i = 0; i < expected.size(); ++i) got[i] += terms[i] - expected[i];
  note({compare("indexer scores of their terms", terms, got, args.score_stride, kExact).back()});
}

void CheckingExecutor::run(const kernels::inverse_rope_quant::Args& args) {
  const auto expected = kernels::inverse_rope_quant::reference(args);
  perform(args);
  const std::int64_t width = std::int64_t{args.heads} * kHeadDim;
  note(compare("inverse RoPE", expected.dequantised,
               kernels::dequantise(args.quantised, args.batch.tokens, width), width, kQuantised));
}

void CheckingExecutor::run(const kernels::linear::Fp8Args& args) {
  const auto expected = kernels::linear::reference(args);
  perform(args);
  const std::int64_t width = std::int64_t{args.groups} * args.out;
  note(compare("FP8 product", expected,
               product_rows(args.y, args.output, args.rows, width, args.y_stride), width,
               kRounded));
}

void CheckingExecutor::run(const kernels::linear::Bf16Args& args) {
  const auto expected = kernels::linear::reference(args);
  perform(args);
  note(compare("BF16 product", expected,
               product_rows(args.y, args.output, args.rows, args.out, args.y_stride), args.out,
               args.output == kernels::linear::Output::f32 ? kExact : kRounded));
}

void CheckingExecutor::run(const kernels::mhc_post::Args& args) {
  const auto expected = kernels::mhc_post::reference(args);
  perform(args);
  note(compare("mhc_post", expected, values(args.out, expected.size()), args.hidden, kRounded));
}

void CheckingExecutor::run(const kernels::mhc_post_pre::Args& args) {
  const auto expected = kernels::mhc_post_pre::reference(args);
  perform(args);
  note(compare("mhc_post_pre, streams", expected.streams,
               values(args.post.out, expected.streams.size()), args.post.hidden, kRounded));
  note(compare("mhc_post_pre, y", expected.pre.y, values(args.pre.y, expected.pre.y.size()),
               args.pre.hidden, kRounded));
  note(compare("mhc_post_pre, post", expected.pre.post,
               values(args.pre.post, expected.pre.post.size()), 4, kExact));
  note(compare("mhc_post_pre, comb", expected.pre.comb,
               values(args.pre.comb, expected.pre.comb.size()), 16, kExact));
}

void CheckingExecutor::run(const kernels::mhc_pre::Args& args) {
  const auto expected = kernels::mhc_pre::reference(args);
  perform(args);
  note(compare("mhc_pre, y", expected.y, values(args.y, expected.y.size()), args.hidden, kRounded));
  if (args.post == nullptr) return;
  note(compare("mhc_pre, post", expected.post, values(args.post, expected.post.size()), 4, kExact));
  note(
      compare("mhc_pre, comb", expected.comb, values(args.comb, expected.comb.size()), 16, kExact));
}

void CheckingExecutor::run(const kernels::mtp_merge::Args& args) {
  const auto expected = kernels::mtp_merge::reference(args);
  perform(args);
  note(compare("mtp_merge", expected, values(args.x, expected.size()), args.hidden, kRounded));
}

void CheckingExecutor::run(const kernels::q_rope_kv_store::Args& args) {
  const auto expected = kernels::q_rope_kv_store::reference(args);
  perform(args);
  const std::int64_t width = std::int64_t{args.heads} * kHeadDim;
  note(compare("query heads", expected.q, strided(args.q, args.batch.tokens, width, args.q_stride),
               kHeadDim, kRounded));
  std::vector<double> stored(expected.kv.size());
  for (int i = 0; i < args.batch.tokens; ++i) {
    const std::int64_t t = args.batch.positions[i];
    const int per_page = args.window.page_entries;
    kernels::read_entry(args.window, args.window_pages.page(args.batch.sequence_of[i], t, per_page),
                        static_cast<int>(t % per_page),
                        stored.data() + std::ptrdiff_t{kHeadDim} * i);
  }
  note(compare("window entries", expected.kv, stored, kHeadDim, kQuantised));
}

void CheckingExecutor::run(const kernels::rmsnorm_quant::Args& args) {
  const auto expected = kernels::rmsnorm_quant::reference(args);
  perform(args);
  if (args.normed != nullptr) {
    note(compare("norm", expected.normed, values(args.normed, expected.normed.size()), args.width,
                 kRounded));
  }
  if (args.quantised.codes != nullptr) {
    note(compare("norm, quantised", expected.dequantised,
                 kernels::dequantise(args.quantised, args.rows, args.width), args.width,
                 kQuantised));
  }
}

void CheckingExecutor::run(const kernels::router::Args& args) {
  const auto expected = kernels::router::reference(args);
  perform(args);
  const auto active = static_cast<std::size_t>(args.active);
  std::vector<double> weights(expected.weights.size());
  double missed = 0;
  for (std::size_t row = 0; row < weights.size(); row += active) {
    const std::int32_t* chosen = args.chosen + row;
    const auto score = [&](std::size_t k) {
      const auto expert = static_cast<std::size_t>(chosen[k]);
      return expert < static_cast<std::size_t>(args.experts)
                 ? expected.scores[row / active * static_cast<std::size_t>(args.experts) + expert]
                 : std::nan("");
    };
    double sum = 0;
    for (std::size_t k = 0; k < active; ++k) sum += score(k);
    for (std::size_t k = 0; k < active; ++k) {
      weights[row + k] = score(k) / sum * static_cast<double>(args.route_scale);
      if (std::find(chosen, chosen + active, expected.chosen[row + k]) == chosen + active) {
        ++missed;
      }
    }
  }
  note(
      compare("route weights", weights, values(args.weights, weights.size()), args.active, kExact));
  note({{"experts not chosen alike", missed / static_cast<double>(weights.size()), 1e-3}});
}

void CheckingExecutor::run(const kernels::swiglu_quant::Args& args) {
  const auto expected = kernels::swiglu_quant::reference(args);
  perform(args);
  note(compare("swiglu", expected.dequantised,
               kernels::dequantise(args.quantised, args.rows, args.intermediate), args.intermediate,
               kQuantised));
}

void CheckingExecutor::run(const kernels::topk::Args& args) {
  const auto expected = kernels::topk::reference(args);
  perform(args);
  std::vector<bool> seen;
  double wrong_rows = 0;
  for (int row = 0; row < args.rows; ++row) {
    if (!kernels::topk::wrong(args, expected, row, seen).empty()) ++wrong_rows;
  }
  note({{"top-k, wrong rows", wrong_rows, 0}});
}

}  // namespace v4cap::exec
