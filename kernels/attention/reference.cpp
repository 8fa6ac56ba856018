#include <algorithm>
#include <cmath>

#include "kernels/attention/attention.h"
#include "kernels/parallel.h"
#include "kernels/reference.h"

namespace v4cap::kernels::attention {
namespace {

using Entry = std::vector<double>;

void append(std::vector<Entry>& seen, const KvPool& pool, const PageTable& table, int sequence,
            std::int64_t entry) {
  seen.emplace_back(kHeadDim);
  read_entry(pool, table.page(sequence, entry, pool.page_entries),
             static_cast<int>(entry % pool.page_entries), seen.back().data());
}

std::vector<Entry> entries_seen(const Args& args, int token) {
  const int sequence = args.batch.sequence_of[token];
  const std::int64_t position = args.batch.positions[token];
  std::vector<Entry> seen;
  for (std::int64_t p = std::max<std::int64_t>(0, position - (kWindow - 1)); p <= position; ++p) {
    append(seen, args.window, args.window_pages, sequence, p);
  }
  if (args.kind == Kind::hca) {
    for (std::int64_t j = 0; j < visible_entries(position, args.compress_ratio); ++j) {
      append(seen, args.extra, args.extra_pages, sequence, j);
    }
  } else if (args.kind == Kind::csa) {
    // Entries come first: what follows a -1 is no part of the list.
    const std::int32_t* list = args.selected + static_cast<std::int64_t>(token) * args.top_k;
    for (int i = 0; i < args.top_k && list[i] >= 0; ++i) {
      append(seen, args.extra, args.extra_pages, sequence, list[i]);
    }
  }
  return seen;
}

}  // namespace

Expected reference(const Args& args) {
  const std::size_t rows =
      static_cast<std::size_t>(args.batch.tokens) * static_cast<std::size_t>(args.heads);
  Expected expected{std::vector<double>(rows * kHeadDim), std::vector<double>(rows)};
  for_each_index(args.batch.tokens, [&](std::int64_t token) {
    const std::vector<Entry> seen = entries_seen(args, static_cast<int>(token));
    std::vector<double> weight(seen.size()), query(kHeadDim);
    for (int head = 0; head < args.heads; ++head) {
      const Bf16* q = args.q + token * args.q_stride + std::int64_t{head} * kHeadDim;
      for (std::size_t c = 0; c < kHeadDim; ++c) query[c] = real(q[c]);
      double largest = -INFINITY;
      for (std::size_t j = 0; j < seen.size(); ++j) {
        double dot = 0;
        for (std::size_t c = 0; c < kHeadDim; ++c) dot += query[c] * seen[j][c];
        weight[j] = real(args.scale) * dot;
        largest = std::max(largest, weight[j]);
      }
      double sum = 0;
      for (double& w : weight) {
        w = std::exp(w - largest);
        sum += w;
      }
      const auto row = static_cast<std::size_t>(token * args.heads + head);
      expected.lse[row] = largest + std::log(sum);
      const double denominator = sum + std::exp(real(args.sink[head]) - largest);
      double* out = expected.out.data() + row * kHeadDim;
      for (std::size_t j = 0; j < seen.size(); ++j) {
        const double share = weight[j] / denominator;
        for (std::size_t c = 0; c < kHeadDim; ++c) out[c] += share * seen[j][c];
      }
    }
  });
  return expected;
}

}  // namespace v4cap::kernels::attention
