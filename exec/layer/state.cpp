#include "exec/layer/state.h"

#include <algorithm>
#include <limits>

namespace v4cap::exec {
namespace {

using kernels::kTokensPerPage;

// Page of part p of sequence s: parts of one sequence lie apart.
std::vector<std::int32_t> deal_pages(int sequences, int parts) {
  std::vector<std::int32_t> pages;
  for (int s = 0; s < sequences; ++s) {
    for (int p = 0; p < parts; ++p) pages.push_back(p * sequences + (s + p) % sequences);
  }
  return pages;
}

constexpr int divide_up(int a, int b) {
  return (a + b - 1) / b;
}

}  // namespace

LayerState::LayerState(Executor& executor, LayerKind kind, const StateOptions& options)
    : hca_form(options.hca_form) {
  const auto keep = [&](auto array) {
    memory_.emplace_back(
        std::shared_ptr<void>(std::make_shared<decltype(array)>(array), array.data()));
    return array.data();
  };
  const auto kv_pool = [&](int entries_per_page, int pages) {
    const std::int64_t bytes = kernels::kv_page_bytes(entries_per_page);
    return kernels::KvPool{keep(executor.array<std::uint8_t>(bytes * pages)), bytes,
                           entries_per_page};
  };
  const int sequences = options.sequences;
  // The window of a chunk's first token and the chunk itself, wherever they fall on pages.
  const int window_parts = divide_up(options.max_chunk + kernels::kWindow - 1, kTokensPerPage) + 1;
  window = kv_pool(kTokensPerPage, sequences * window_parts);
  window_pages = {keep(executor.array(deal_pages(sequences, window_parts))), window_parts,
                  window_parts};
  std::vector<std::int32_t> order(static_cast<std::size_t>(sequences));
  for (int s = 0; s < sequences; ++s) order[static_cast<std::size_t>(s)] = sequences - 1 - s;
  slots = keep(executor.array(order));
  if (kind == LayerKind::window) return;

  const int parts = divide_up(options.max_context, kTokensPerPage);
  entry_pages = {keep(executor.array(deal_pages(sequences, parts))), parts, parts};
  written_pages = entry_pages;
  if (kind == LayerKind::csa) {
    constexpr int kRing = kernels::compressor_csa::kRing;
    entries = kv_pool(kTokensPerPage / 4, sequences * parts);
    keys.format = options.keys;
    keys.base = keep(executor.array<std::uint8_t>(keys.page_bytes() * sequences * parts));
    compressor = keep(executor.array<float>(std::int64_t{sequences} * kRing * 2 * 1024));
    key_compressor = keep(executor.array<float>(std::int64_t{sequences} * kRing * 2 * 256));
    return;
  }
  entries = kv_pool(kTokensPerPage / 128, sequences * parts);
  if (hca_form == kernels::compressor_hca::StateForm::rows) {
    compressor = keep(executor.array<float>(std::int64_t{sequences} * 128 * 2 * 512));
    return;
  }
  std::vector<float> empty(static_cast<std::size_t>(sequences) * 3 * 512);
  for (std::size_t i = 0; i < empty.size(); ++i) {
    if (i / 512 % 3 == 0) empty[i] = -std::numeric_limits<float>::infinity();
  }
  compressor = keep(executor.array(empty));
}

Step::Step(Executor& executor, const std::vector<int>& starts, const std::vector<int>& counts,
           const std::vector<std::int32_t>& ids) {
  const auto keep = [&](const std::vector<std::int32_t>& values) {
    auto array = executor.array(values);
    memory_.emplace_back(
        std::shared_ptr<void>(std::make_shared<decltype(array)>(array), array.data()));
    return array.data();
  };
  std::vector<std::int32_t> positions, sequence_of, visible, first{0};
  for (std::size_t s = 0; s < starts.size(); ++s) {
    for (int i = 0; i < counts[s]; ++i) {
      positions.push_back(starts[s] + i);
      sequence_of.push_back(static_cast<std::int32_t>(s));
      visible.push_back(static_cast<std::int32_t>(kernels::visible_entries(starts[s] + i, 4)));
      csa_visible_max = std::max(csa_visible_max, visible.back());
    }
    first.push_back(static_cast<std::int32_t>(positions.size()));
    batch.max_new_tokens = std::max(batch.max_new_tokens, counts[s]);
    batch.max_context = std::max(batch.max_context, starts[s] + counts[s]);
  }
  batch.tokens = static_cast<int>(positions.size());
  batch.sequences = static_cast<int>(starts.size());
  batch.positions = keep(positions);
  batch.sequence_of = keep(sequence_of);
  batch.first_token = keep(first);
  token_ids = keep(ids);
  csa_visible = keep(visible);
}

}  // namespace v4cap::exec
