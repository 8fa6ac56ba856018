#include "sim/model/cache_geometry.h"

#include "sim/core/error.h"
#include "sim/model/compression.h"

namespace v4cap {

EntryFormat entry_on_rank(const EntryFormat& format, const ModelSpec& model,
                          std::int64_t tensor_parallel) {
  V4CAP_CHECK(tensor_parallel >= 1, "tensor_parallel " + std::to_string(tensor_parallel));
  EntryFormat out = format;
  if (model.count(LayerKind::gqa) > 0 && model.kv_heads > 0) {
    const std::int64_t heads = (model.kv_heads + tensor_parallel - 1) / tensor_parallel;
    out.entry_bytes = format.entry_bytes * heads / model.kv_heads;
  }
  return out;
}

CacheGeometry::CacheGeometry(const ModelSpec& model, const EntryFormat& format)
    : csa_layers_(model.count(LayerKind::csa)),
      hca_layers_(model.count(LayerKind::hca)),
      kv_layers_(model.count(LayerKind::dsa) + model.count(LayerKind::mla) +
                 model.count(LayerKind::gqa)),
      kv_indexer_layers_(model.count(LayerKind::dsa)),
      window_layers_(csa_layers_ + hca_layers_ + model.count(LayerKind::window)),
      layers_(model.layer_count()),
      window_tokens_(window_layers_ > 0 ? model.window : Tokens{0}),
      format_(format) {}

KindBytes CacheGeometry::compressed(Tokens n) const {
  V4CAP_CHECK(n.value >= 0, "tokens " + std::to_string(n.value));
  const std::int64_t csa_entries = csa_layers_ * (n.value / kCsaTokensPerEntry);
  const std::int64_t hca_entries = hca_layers_ * (n.value / kHcaTokensPerEntry);
  KindBytes out;
  out[CacheKind::csa] = csa_entries * format_.entry_bytes;
  out[CacheKind::hca] = hca_entries * format_.entry_bytes;
  out[CacheKind::indexer] = (csa_entries + kv_indexer_layers_ * n.value) * format_.indexer_bytes;
  out[CacheKind::kv] = kv_layers_ * n.value * format_.entry_bytes;
  return out;
}

KindBytes CacheGeometry::window(Tokens n) const {
  V4CAP_CHECK(n.value >= 0, "tokens " + std::to_string(n.value));
  KindBytes out;
  out[CacheKind::swa] = window_layers_ * n.value * format_.entry_bytes;
  return out;
}

KindBytes CacheGeometry::tails_at(Tokens n) const {
  V4CAP_CHECK(n.value >= 0, "tokens " + std::to_string(n.value));
  KindBytes out;
  if (n.value == 0) return out;  // a sequence starts with empty compressors
  const std::int64_t hca_rows = n.value % kHcaTokensPerEntry;
  out[CacheKind::tails] =
      csa_layers_ * format_.csa_tail_bytes + hca_layers_ * hca_rows * format_.hca_tail_row_bytes;
  return out;
}

KindBytes CacheGeometry::running_tails() const {
  KindBytes out;
  out[CacheKind::tails] = csa_layers_ * format_.csa_tail_bytes +
                          hca_layers_ * kHcaTokensPerEntry * format_.hca_tail_row_bytes;
  return out;
}

}  // namespace v4cap
