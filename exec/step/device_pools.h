// Device memory of everything that sequences keep: pages of entries, running windows and compressor
// states, kept points. One allocation for each kind of cache, all layers of its kind of layer in
// it, so that a copy over all layers is one launch.
//
//   pages   CSA entries (64 a page), indexer keys (64), HCA entries (2): one page is one block of
//           256 tokens of the engine in all of them; with windows in pages, 256 window entries too
//   slots   a running sequence: ring of 256 window entries a layer, compressor states
//   points  windows of 128 entries a layer, 4 rows of CSA's compressors
// Each has one more than asked for, which nobody owns: padding rows and what must not be stored go
// there.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "exec/device.h"
#include "exec/layer/state.h"
#include "exec/step/rank.h"
#include "exec/step/step_kernels.h"

namespace v4cap::exec {

struct PoolSizes {
  std::int32_t pages = 0, points = 0, slots = 0;
  std::int32_t scratch_pages = 0;  // of windows while sequences prefill
  bool windows_in_pages = false;   // policy `full`: no rings, and rows are kept for every block
  kernels::KeyFormat keys = kernels::KeyFormat::fp8;
};

// Bytes of each part, for messages and for choosing sizes before anything is allocated.
struct PoolBytes {
  std::int64_t entries = 0, keys = 0, windows = 0, states = 0, points = 0, scratch = 0;
  std::int64_t total() const { return entries + keys + windows + states + points + scratch; }
};
PoolBytes pool_bytes(const Rank& rank, const PoolSizes& sizes);

class DevicePools {
 public:
  // Throws RunError when the GPU has less. Pages hold random entries and keys, so that whoever
  // reads one that was never computed reads numbers.
  DevicePools(const Rank& rank, const PoolSizes& sizes, std::uint64_t seed);

  const PoolSizes& sizes() const { return sizes_; }
  std::int32_t dummy_page() const { return sizes_.pages; }
  std::int32_t dummy_slot() const { return sizes_.slots; }

  // What layer `layer` keeps, with pools and states; tables are the batch's.
  LayerState layer(std::int64_t layer) const;
  // Windows of all layers: rings by slot, or pages; scratch of whichever layer runs; points.
  kernels::KvPool windows(std::int64_t layer) const;
  kernels::KvPool scratch() const;
  kernels::KvPool point_windows(std::int64_t layer) const;
  std::int64_t window_layer_bytes() const { return window_layer_bytes_; }
  std::int64_t point_layer_bytes() const { return point_layer_bytes_; }

  // State and kept rows of CSA layer `layer` (its number among all layers); head_dim 512 or 128.
  float* csa_state(std::int64_t layer, int head_dim) const;
  float* kept_rows(std::int64_t layer, int head_dim) const;
  // The same of all CSA layers at once.
  MoveRowsArgs csa_rows(int head_dim) const;
  float* hca_states() const { return static_cast<float*>(hca_states_.get()); }
  std::int64_t hca_layer_floats() const;
  std::int64_t csa_layers() const { return csa_layers_; }
  std::int64_t hca_layers() const { return hca_layers_; }

 private:
  std::int64_t place(std::int64_t layer) const;  // among the layers of its kind

  std::vector<LayerKind> kinds_;
  PoolSizes sizes_;
  std::int64_t csa_layers_ = 0, hca_layers_ = 0;
  std::int64_t window_layer_bytes_ = 0, point_layer_bytes_ = 0;
  Buffer<std::uint8_t> csa_entries_, keys_, hca_entries_;
  DeviceMemory windows_, scratch_, point_windows_;
  DeviceMemory csa_states_, key_states_, hca_states_, kept_rows_, kept_key_rows_;
};

}  // namespace v4cap::exec
