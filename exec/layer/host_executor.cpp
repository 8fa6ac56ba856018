#include "exec/layer/host_executor.h"

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <limits>

#include "exec/layer/store.h"
#include "kernels/reference.h"
#include "sim/core/error.h"

namespace v4cap::exec {

using kernels::Bf16;
using kernels::kHeadDim;
using kernels::kIndexDim;

namespace {

// Compares `count` choices among `scores` with those that are followed.
void tally(ChoiceTally& sums, const std::vector<double>& scores, const std::int32_t* own,
           const std::int32_t* followed, int count) {
  const auto size = static_cast<std::int32_t>(scores.size());
  std::vector<char> taken(scores.size(), 0), mine(scores.size(), 0);
  for (int i = 0; i < count; ++i) {
    mine[static_cast<std::size_t>(own[i])] = 1;
    if (followed[i] < 0 || followed[i] >= size || taken[static_cast<std::size_t>(followed[i])]) {
      ++sums.impossible;
    } else {
      taken[static_cast<std::size_t>(followed[i])] = 1;
    }
  }
  double best_left = -std::numeric_limits<double>::infinity(), largest = 0;
  for (std::size_t j = 0; j < scores.size(); ++j) {
    largest = std::max(largest, std::fabs(scores[j]));
    if (mine[j] == 0) best_left = std::max(best_left, scores[j]);
  }
  for (std::size_t j = 0; j < scores.size(); ++j) {
    if (mine[j] == 0 || scores[j] - best_left < ChoiceLog::kNearTie * largest) continue;
    ++sums.own;
    sums.found += taken[j];
  }
}

}  // namespace

std::shared_ptr<void> HostExecutor::allocate(std::size_t bytes) {
  void* memory = std::calloc(std::max<std::size_t>(bytes, 1), 1);
  V4CAP_CHECK(memory != nullptr, "out of memory: " + std::to_string(bytes) + " bytes");
  return {memory, std::free};
}

void HostExecutor::write(void* to, const void* from_host, std::size_t bytes) {
  if (bytes > 0) std::memcpy(to, from_host, bytes);
}

void HostExecutor::read(void* to_host, const void* from, std::size_t bytes) {
  if (bytes > 0) std::memcpy(to_host, from, bytes);
}

void HostExecutor::run(const kernels::argmax::Args& args) {
  const auto index = kernels::argmax::reference(args);
  std::copy(index.begin(), index.end(), args.index);
}

void HostExecutor::run(const kernels::attention::Args& args) {
  const auto expected = kernels::attention::reference(args);
  store_bf16(expected.out, args.out);
  if (args.lse != nullptr) std::copy(expected.lse.begin(), expected.lse.end(), args.lse);
}

void HostExecutor::run(const kernels::compressor_csa::Args& args) {
  const auto expected = kernels::compressor_csa::reference(args);
  std::copy(expected.state.begin(), expected.state.end(), args.state);
  std::size_t emitted = 0;
  for (int i = 0; i < args.batch.tokens; ++i) {
    const std::int64_t t = args.batch.positions[i];
    if ((t + 1) % kernels::compressor_csa::kRatio != 0) continue;
    const std::int64_t entry = t / kernels::compressor_csa::kRatio;
    const int sequence = args.batch.sequence_of[i];
    const double* values =
        expected.stored.data() + emitted++ * static_cast<std::size_t>(args.head_dim);
    if (args.head_dim == kHeadDim) {
      const int per_page = args.entries.page_entries;
      store_entry(values, args.entries, args.pages.page(sequence, entry, per_page),
                  static_cast<int>(entry % per_page));
    } else {
      store_key(values, args.keys, args.pages.page(sequence, entry, kernels::kKeysPerPage),
                static_cast<int>(entry % kernels::kKeysPerPage));
    }
  }
}

void HostExecutor::run(const kernels::compressor_hca::Args& args) {
  const auto expected = kernels::compressor_hca::reference(args);
  std::copy(expected.state.begin(), expected.state.end(), args.state);
  std::size_t emitted = 0;
  for (int i = 0; i < args.batch.tokens; ++i) {
    const std::int64_t t = args.batch.positions[i];
    if ((t + 1) % kernels::compressor_hca::kRatio != 0) continue;
    const std::int64_t entry = t / kernels::compressor_hca::kRatio;
    const int per_page = args.entries.page_entries;
    store_entry(expected.stored.data() + emitted++ * kHeadDim, args.entries,
                args.pages.page(args.batch.sequence_of[i], entry, per_page),
                static_cast<int>(entry % per_page));
  }
}

void HostExecutor::run(const kernels::embedding::Args& args) {
  const auto x = kernels::embedding::reference(args);
  std::copy(x.begin(), x.end(), args.x);
}

void HostExecutor::run(const kernels::expert_permute::Args& args) {
  const auto expected = kernels::expert_permute::reference(args);
  std::copy(expected.offsets.begin(), expected.offsets.end(), args.offsets);
  std::copy(expected.row_token.begin(), expected.row_token.end(), args.row_token);
  std::copy(expected.row_weight.begin(), expected.row_weight.end(), args.row_weight);
  std::copy(expected.token_row.begin(), expected.token_row.end(), args.token_row);
}

void HostExecutor::run(const kernels::expert_sum::Args& args) {
  store_bf16(kernels::expert_sum::reference(args), args.y);
}

void HostExecutor::run(const kernels::experts::GateUpArgs& args) {
  const auto expected = kernels::experts::reference(args);
  store_fp8(expected.dequantised, args.a, args.offsets[args.experts], args.intermediate);
}

void HostExecutor::run(const kernels::experts::DownArgs& args) {
  store_bf16(kernels::experts::reference(args), args.y);
}

void HostExecutor::run(const kernels::indexer_query::Args& args) {
  const auto expected = kernels::indexer_query::reference(args);
  std::copy(expected.weights.begin(), expected.weights.end(), args.weights);
  if (args.format == kernels::KeyFormat::fp4) {
    store_fp4(expected.dequantised, args.codes, args.scales);
    return;
  }
  // The scales are folded into the weights, so codes must be the ones that belong to them.
  const auto heads = expected.rotated.size() / kIndexDim;
  for (std::size_t h = 0; h < heads; ++h) {
    store_fp8_codes(expected.rotated.data() + h * kIndexDim, kIndexDim, args.codes + h * kIndexDim);
  }
}

void HostExecutor::run(const kernels::indexer_scores::Args& args) {
  const auto expected = kernels::indexer_scores::reference(args);
  for (std::size_t i = 0; i < expected.size(); ++i) {
    if (!std::isnan(expected[i])) args.scores[i] = static_cast<float>(expected[i]);
  }
}

void HostExecutor::run(const kernels::inverse_rope_quant::Args& args) {
  const auto expected = kernels::inverse_rope_quant::reference(args);
  store_fp8(expected.dequantised, args.quantised, args.batch.tokens,
            std::int64_t{args.heads} * kHeadDim);
}

void HostExecutor::run(const kernels::linear::Fp8Args& args) {
  store_rows(kernels::linear::reference(args), args.y, args.output, args.rows,
             std::int64_t{args.groups} * args.out, args.y_stride);
}

void HostExecutor::run(const kernels::linear::Bf16Args& args) {
  store_rows(kernels::linear::reference(args), args.y, args.output, args.rows, args.out,
             args.y_stride);
}

void HostExecutor::run(const kernels::mhc_post::Args& args) {
  store_bf16(kernels::mhc_post::reference(args), args.out);
}

void HostExecutor::run(const kernels::mhc_post_pre::Args& args) {
  run(args.post);
  run(args.pre);
}

void HostExecutor::run(const kernels::mhc_pre::Args& args) {
  const auto expected = kernels::mhc_pre::reference(args);
  store_bf16(expected.y, args.y);
  if (args.post != nullptr) std::copy(expected.post.begin(), expected.post.end(), args.post);
  if (args.comb != nullptr) std::copy(expected.comb.begin(), expected.comb.end(), args.comb);
}

void HostExecutor::run(const kernels::mtp_merge::Args& args) {
  store_bf16(kernels::mtp_merge::reference(args), args.x);
}

void HostExecutor::run(const kernels::q_rope_kv_store::Args& args) {
  const auto expected = kernels::q_rope_kv_store::reference(args);
  const std::int64_t width = std::int64_t{args.heads} * kHeadDim;
  for (int i = 0; i < args.batch.tokens; ++i) {
    for (std::int64_t c = 0; c < width; ++c) {
      args.q[i * args.q_stride + c] =
          kernels::to_bf16(static_cast<float>(expected.q[static_cast<std::size_t>(i * width + c)]));
    }
    const std::int64_t t = args.batch.positions[i];
    const int per_page = args.window.page_entries;
    store_entry(expected.kv.data() + std::size_t{kHeadDim} * static_cast<std::size_t>(i),
                args.window, args.window_pages.page(args.batch.sequence_of[i], t, per_page),
                static_cast<int>(t % per_page));
  }
}

void HostExecutor::run(const kernels::rmsnorm_quant::Args& args) {
  const auto expected = kernels::rmsnorm_quant::reference(args);
  if (args.normed != nullptr) store_bf16(expected.normed, args.normed);
  if (args.quantised.codes != nullptr) {
    store_fp8(expected.dequantised, args.quantised, args.rows, args.width);
  }
}

void HostExecutor::run(const kernels::router::Args& args) {
  auto expected = kernels::router::reference(args);
  if (follow_ != nullptr) {
    const std::vector<std::int32_t>& chosen = follow_->choices.at(next_++).values;
    V4CAP_CHECK(chosen.size() == expected.chosen.size(), "choices of another router");
    const auto active = static_cast<std::size_t>(args.active);
    const auto experts = static_cast<std::size_t>(args.experts);
    for (std::size_t row = 0; row < chosen.size(); row += active) {
      std::vector<double> biased(
          expected.scores.begin() + static_cast<std::ptrdiff_t>(row / active * experts),
          expected.scores.begin() + static_cast<std::ptrdiff_t>((row / active + 1) * experts));
      const std::vector<double> scores = biased;
      for (std::size_t e = 0; args.table == nullptr && e < experts; ++e) {
        biased[e] += static_cast<double>(args.bias[e]);
      }
      const std::int32_t* followed = chosen.data() + row;
      if (args.table == nullptr) {
        tally(follow_->experts, biased, expected.chosen.data() + row, followed, args.active);
      } else if (!std::equal(followed, followed + active, expected.chosen.data() + row)) {
        ++follow_->experts.impossible;
      }
      double sum = 0;
      for (std::size_t k = 0; k < active; ++k) {
        sum += scores.at(static_cast<std::size_t>(followed[k]));
      }
      for (std::size_t k = 0; k < active; ++k) {
        expected.weights[row + k] = scores[static_cast<std::size_t>(followed[k])] / sum *
                                    static_cast<double>(args.route_scale);
      }
    }
    expected.chosen = chosen;
  }
  std::copy(expected.chosen.begin(), expected.chosen.end(), args.chosen);
  std::copy(expected.weights.begin(), expected.weights.end(), args.weights);
}

void HostExecutor::run(const kernels::swiglu_quant::Args& args) {
  store_fp8(kernels::swiglu_quant::reference(args).dequantised, args.quantised, args.rows,
            args.intermediate);
}

void HostExecutor::run(const kernels::topk::Args& args) {
  const auto k = static_cast<std::size_t>(args.k);
  for (int row = 0; row < args.rows; ++row) {
    const float* scores = args.scores + row * args.stride;
    std::int32_t* selected = args.selected + row * args.k;
    std::vector<std::int32_t> order(static_cast<std::size_t>(args.lengths[row]));
    for (std::size_t j = 0; j < order.size(); ++j) order[j] = static_cast<std::int32_t>(j);
    const auto kept = std::min(k, order.size());
    std::partial_sort(order.begin(), order.begin() + static_cast<std::ptrdiff_t>(kept), order.end(),
                      [&](std::int32_t a, std::int32_t b) {
                        return scores[a] != scores[b] ? scores[a] > scores[b] : a < b;
                      });
    std::fill(selected, selected + k, -1);
    std::copy(order.begin(), order.begin() + static_cast<std::ptrdiff_t>(kept), selected);
  }
  if (follow_ == nullptr) return;
  const std::vector<std::int32_t>& followed = follow_->choices.at(next_++).values;
  V4CAP_CHECK(followed.size() == static_cast<std::size_t>(args.rows) * k,
              "choices of another top-k");
  for (int row = 0; row < args.rows; ++row) {
    std::int32_t* selected = args.selected + row * args.k;
    const std::int32_t* given = followed.data() + row * args.k;
    const std::int32_t length = args.lengths[row];
    if (length > args.k) {
      const float* scores = args.scores + row * args.stride;
      tally(follow_->entries, {scores, scores + length}, selected, given, args.k);
    } else if (!std::is_permutation(given, given + length, selected) ||
               std::count(given, given + args.k, -1) != args.k - length) {
      ++follow_->entries.impossible;
    }
    std::copy(given, given + args.k, selected);
  }
}

}  // namespace v4cap::exec
