#include "exec/step/device_pools.h"

#include <cuda_runtime_api.h>

#include <algorithm>

#include "exec/fill.h"
#include "kernels/cuda/check.h"
#include "sim/core/error.h"

namespace v4cap::exec {
namespace {

using kernels::kHeadDim;
using kernels::kIndexDim;
using kernels::kTokensPerPage;
using kernels::kv_page_bytes;

constexpr int kCsaPerPage = kTokensPerPage / 4, kHcaPerPage = kTokensPerPage / 128;
constexpr std::int64_t kHcaStateFloats = std::int64_t{3} * kHeadDim;
constexpr std::int64_t kFloat = sizeof(float);

std::int64_t csa_state_floats(int head_dim) {
  return 2 * kept_row_floats(head_dim);  // 8 rows
}

// Rows are kept with a point, or with every block where windows are.
std::int64_t kept_places(const PoolSizes& sizes) {
  return (sizes.windows_in_pages ? sizes.pages : sizes.points) + 1;
}

}  // namespace

PoolBytes pool_bytes(const Rank& rank, const PoolSizes& s) {
  const std::int64_t csa = rank.model.count(LayerKind::csa), hca = rank.model.count(LayerKind::hca);
  const std::int64_t pages = s.pages + 1, slots = s.slots + 1;
  const kernels::KeyPool keys{nullptr, s.keys};
  PoolBytes b;
  b.entries = pages * (csa * kv_page_bytes(kCsaPerPage) + hca * kv_page_bytes(kHcaPerPage));
  b.keys = pages * csa * keys.page_bytes();
  b.windows = (s.windows_in_pages ? pages : slots) * rank.layers() * kv_page_bytes(kTokensPerPage);
  b.states =
      slots * kFloat *
      (csa * (csa_state_floats(kHeadDim) + csa_state_floats(kIndexDim)) + hca * kHcaStateFloats);
  b.points =
      (s.points + 1) * rank.layers() * kv_page_bytes(kernels::kWindow) +
      kept_places(s) * csa * kFloat * (kept_row_floats(kHeadDim) + kept_row_floats(kIndexDim));
  b.scratch = s.scratch_pages * kv_page_bytes(kTokensPerPage);
  return b;
}

DevicePools::DevicePools(const Rank& rank, const PoolSizes& sizes, std::uint64_t seed)
    : kinds_(rank.model.layers),
      sizes_(sizes),
      csa_layers_(rank.model.count(LayerKind::csa)),
      hca_layers_(rank.model.count(LayerKind::hca)) {
  const PoolBytes bytes = pool_bytes(rank, sizes);
  const std::int64_t pages = sizes.pages + 1, slots = sizes.slots + 1;
  const auto memory = [](std::int64_t n) {
    DeviceMemory m(static_cast<std::size_t>(n));
    if (n > 0) V4CAP_CUDA(cudaMemset(m.get(), 0, m.bytes()));
    return m;
  };
  const std::int64_t csa_bytes = csa_layers_ * pages * kv_page_bytes(kCsaPerPage);
  csa_entries_ = Buffer<std::uint8_t>(csa_bytes);
  hca_entries_ = Buffer<std::uint8_t>(bytes.entries - csa_bytes);
  keys_ = Buffer<std::uint8_t>(bytes.keys);
  if (csa_bytes > 0) fill_kv_pages(csa_entries_, kv_page_bytes(kCsaPerPage), kCsaPerPage, seed, -7);
  if (hca_entries_.size() > 0) {
    fill_kv_pages(hca_entries_, kv_page_bytes(kHcaPerPage), kHcaPerPage, seed + 1, -7);
  }
  if (keys_.size() > 0) {
    sizes.keys == kernels::KeyFormat::fp8 ? fill_fp8_key_pages(keys_, seed + 2)
                                          : fill_fp4_key_pages(keys_, seed + 2);
  }
  windows_ = memory(bytes.windows);
  window_layer_bytes_ = bytes.windows / rank.layers();
  scratch_ = memory(bytes.scratch);
  point_layer_bytes_ = (sizes.points + 1) * kv_page_bytes(kernels::kWindow);
  point_windows_ = memory(rank.layers() * point_layer_bytes_);
  csa_states_ = memory(csa_layers_ * slots * csa_state_floats(kHeadDim) * kFloat);
  key_states_ = memory(csa_layers_ * slots * csa_state_floats(kIndexDim) * kFloat);
  hca_states_ = memory(hca_layers_ * slots * kHcaStateFloats * kFloat);
  kept_rows_ = memory(csa_layers_ * kept_places(sizes) * kept_row_floats(kHeadDim) * kFloat);
  kept_key_rows_ = memory(csa_layers_ * kept_places(sizes) * kept_row_floats(kIndexDim) * kFloat);
}

std::int64_t DevicePools::place(std::int64_t layer) const {
  const auto end = kinds_.begin() + layer;
  return std::count(kinds_.begin(), end, *end);
}

kernels::KvPool DevicePools::windows(std::int64_t layer) const {
  return {static_cast<std::uint8_t*>(windows_.get()) + layer * window_layer_bytes_,
          kv_page_bytes(kTokensPerPage), kTokensPerPage};
}

kernels::KvPool DevicePools::scratch() const {
  return {static_cast<std::uint8_t*>(scratch_.get()), kv_page_bytes(kTokensPerPage),
          kTokensPerPage};
}

kernels::KvPool DevicePools::point_windows(std::int64_t layer) const {
  return {static_cast<std::uint8_t*>(point_windows_.get()) + layer * point_layer_bytes_,
          kv_page_bytes(kernels::kWindow), kernels::kWindow};
}

float* DevicePools::csa_state(std::int64_t layer, int head_dim) const {
  const DeviceMemory& all = head_dim == kHeadDim ? csa_states_ : key_states_;
  return static_cast<float*>(all.get()) +
         place(layer) * (sizes_.slots + 1) * csa_state_floats(head_dim);
}

float* DevicePools::kept_rows(std::int64_t layer, int head_dim) const {
  const DeviceMemory& all = head_dim == kHeadDim ? kept_rows_ : kept_key_rows_;
  return static_cast<float*>(all.get()) +
         place(layer) * kept_places(sizes_) * kept_row_floats(head_dim);
}

MoveRowsArgs DevicePools::csa_rows(int head_dim) const {
  const bool main = head_dim == kHeadDim;
  return {.layers = static_cast<int>(csa_layers_),
          .head_dim = head_dim,
          .state = static_cast<float*>((main ? csa_states_ : key_states_).get()),
          .kept = static_cast<float*>((main ? kept_rows_ : kept_key_rows_).get()),
          .state_layer_floats = (sizes_.slots + 1) * csa_state_floats(head_dim),
          .kept_layer_floats = kept_places(sizes_) * kept_row_floats(head_dim)};
}

std::int64_t DevicePools::hca_layer_floats() const {
  return (sizes_.slots + 1) * kHcaStateFloats;
}

LayerState DevicePools::layer(std::int64_t layer) const {
  LayerState state;
  const LayerKind kind = kinds_[static_cast<std::size_t>(layer)];
  const std::int64_t pages = sizes_.pages + 1;
  if (kind == LayerKind::csa) {
    const std::int64_t page = kv_page_bytes(kCsaPerPage);
    state.entries = {csa_entries_.device() + place(layer) * pages * page, page, kCsaPerPage};
    state.keys.format = sizes_.keys;
    state.keys.base = keys_.device() + place(layer) * pages * state.keys.page_bytes();
    state.compressor = csa_state(layer, kHeadDim);
    state.key_compressor = csa_state(layer, kIndexDim);
  } else if (kind == LayerKind::hca) {
    const std::int64_t page = kv_page_bytes(kHcaPerPage);
    state.entries = {hca_entries_.device() + place(layer) * pages * page, page, kHcaPerPage};
    state.compressor = hca_states() + place(layer) * hca_layer_floats();
  }
  return state;
}

}  // namespace v4cap::exec
