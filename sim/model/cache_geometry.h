// How many bytes the state of a sequence takes, by cache kind, summed over all layers, as the model
// and the entry formats define them (facts: FlashMLA "MODEL1" entries of 584 B, indexer keys of 132
// B FP8 or 68 B FP4, FP32 compressor rows). Paging and rounding are the engine layout's business,
// not this file's.
#pragma once

#include <cstdint>
#include <string_view>

#include "sim/core/units.h"
#include "sim/model/cache_kind.h"
#include "sim/model/model.h"

namespace v4cap {

enum class IndexerFormat : std::uint8_t { fp8, fp4 };

// Bytes of one entry in one layer. Defaults are per engine data; see scenarios/models/*.yaml, key
// `cache`.
struct EntryFormat {
  std::int64_t entry_bytes =
      0;  // main KV entry: V4 584 (or 512, 640, 1024), MLA 656 / 1152, GQA per token
  std::int64_t indexer_bytes = 0;   // indexer key: 132 FP8, 68 FP4; 0 = no indexer
  std::int64_t csa_tail_bytes = 0;  // compressor state of one CSA layer (8 rows, main + indexer)
  std::int64_t hca_tail_row_bytes = 0;  // one row of HCA compressor state of one HCA layer (4,096)
};

// The format as one GPU of a tensor-parallel group stores it. Entries that all heads share (V4,
// MLA) and indexer keys are repeated on every GPU; GQA heads are divided, at least one to a GPU.
EntryFormat entry_on_rank(const EntryFormat& format, const ModelSpec& model,
                          std::int64_t tensor_parallel);

// Everything the cache asks about bytes. All amounts are per GPU that holds the sequence, and
// `format` is that GPU's (entry_on_rank). V4 has one KV head, so tensor parallelism repeats all of
// it.
class CacheGeometry {
 public:
  CacheGeometry(const ModelSpec& model, const EntryFormat& format);

  // Compressed state of the first n tokens: csa floor(n/4), indexer, hca floor(n/128) entries, and
  // kv n entries. Never swa or tails. n >= 0.
  KindBytes compressed(Tokens n) const;
  // Window entries of n tokens in every window-keeping layer (n may exceed the window: `full` keeps
  // all).
  KindBytes window(Tokens n) const;
  // Compressor rows that a resume point at token position n needs beside the window: the CSA
  // layers' state and the HCA rows since the last multiple of 128 (none at a multiple).
  KindBytes tails_at(Tokens n) const;
  // Compressor state of one running sequence, whatever its length: all CSA rows and all 128 HCA
  // rows.
  KindBytes running_tails() const;

  bool has_window() const { return window_layers_ > 0; }
  Tokens window_tokens() const { return window_tokens_; }  // 128, or 0
  std::int64_t window_layers() const { return window_layers_; }
  std::int64_t layers() const { return layers_; }

 private:
  std::int64_t csa_layers_ = 0, hca_layers_ = 0, kv_layers_ = 0, kv_indexer_layers_ = 0;
  std::int64_t window_layers_ = 0, layers_ = 0;
  Tokens window_tokens_;
  EntryFormat format_;
};

}  // namespace v4cap
