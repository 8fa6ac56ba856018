// Paged caches, as serving engines lay them out.
//
// KV page of P entries ("MODEL1" of FlashMLA), for the window, CSA and HCA alike:
//   P x 576 B   448 e4m3 codes (channels without RoPE), then 64 bf16 (channels with)
//   P x   8 B   7 UE8M0 scales, one per 64 codes, and a byte of padding
// An entry is thus 584 B in two places; a page's stride is rounded up to a multiple of 576 B.
//
// Indexer page of 64 keys (DeepGEMM's paged logits):
//   FP8   64 x 128 B e4m3 codes, then 64 float scales                       8448 B
//   FP4   64 x  64 B e2m1 codes, then 64 x 4 UE8M0 scales (one per 32)      4352 B
//
// Every pool pages by 256 raw tokens: 256 window entries, 64 CSA entries or keys, 2 HCA entries.
// Sources: FlashMLA tests/quant.py; DeepGEMM mqa_logits.
#pragma once

#include <cstdint>

#include "kernels/formats/host_device.h"

namespace v4cap::kernels {

inline constexpr int kHeadDim = 512;   // channels of a query head and of a KV entry
inline constexpr int kRopeDim = 64;    // of them rotated, the last ones
inline constexpr int kNopeDim = 448;   // of them not
inline constexpr int kNopeBlock = 64;  // channels that share a scale
inline constexpr int kNopeScales = 7;
inline constexpr int kEntryDataBytes = 576;
inline constexpr int kEntryScaleBytes = 8;
inline constexpr int kWindow = 128;         // positions of the sliding window
inline constexpr int kTokensPerPage = 256;  // raw tokens

inline constexpr int kIndexHeads = 64;
inline constexpr int kIndexDim = 128;
inline constexpr int kKeysPerPage = 64;

// A pool of KV pages.
struct KvPool {
  std::uint8_t* base = nullptr;
  std::int64_t page_bytes = 0;  // stride, see kv_page_bytes
  int page_entries = 0;

  V4CAP_HD std::uint8_t* data(std::int64_t page, int offset) const {
    return base + page * page_bytes + static_cast<std::int64_t>(offset) * kEntryDataBytes;
  }
  V4CAP_HD std::uint8_t* scales(std::int64_t page, int offset) const {
    return base + page * page_bytes + static_cast<std::int64_t>(page_entries) * kEntryDataBytes +
           static_cast<std::int64_t>(offset) * kEntryScaleBytes;
  }
};

enum class KeyFormat : std::uint8_t { fp8, fp4 };

// A pool of indexer keys, kKeysPerPage to a page.
struct KeyPool {
  std::uint8_t* base = nullptr;
  KeyFormat format = KeyFormat::fp8;

  V4CAP_HD constexpr int code_bytes() const { return format == KeyFormat::fp8 ? 128 : 64; }
  V4CAP_HD constexpr std::int64_t page_bytes() const {
    return static_cast<std::int64_t>(kKeysPerPage) * (code_bytes() + 4);
  }
  V4CAP_HD std::uint8_t* codes(std::int64_t page, int offset) const {
    return base + page * page_bytes() + static_cast<std::int64_t>(offset) * code_bytes();
  }
  V4CAP_HD std::uint8_t* scales(std::int64_t page, int offset) const {
    return base + page * page_bytes() + static_cast<std::int64_t>(kKeysPerPage) * code_bytes() +
           static_cast<std::int64_t>(offset) * 4;
  }
};

// Which page holds an entry of a sequence: pages[sequence * stride + (entry / page_entries) %
// length]. A window keeps only its last pages and wraps around them; other caches have length =
// stride and never wrap.
struct PageTable {
  const std::int32_t* pages = nullptr;  // [sequences, stride]
  std::int32_t stride = 0;
  std::int32_t length = 0;

  V4CAP_HD std::int64_t page(int sequence, std::int64_t entry, int page_entries) const {
    return pages[static_cast<std::int64_t>(sequence) * stride + (entry / page_entries) % length];
  }
};

constexpr std::int64_t kv_page_bytes(int page_entries) {
  const std::int64_t bytes =
      static_cast<std::int64_t>(page_entries) * (kEntryDataBytes + kEntryScaleBytes);
  return (bytes + kEntryDataBytes - 1) / kEntryDataBytes * kEntryDataBytes;
}

}  // namespace v4cap::kernels
