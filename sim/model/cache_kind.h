// The kinds of state that a sequence leaves behind, and amounts of memory split by kind.
#pragma once

#include <array>
#include <cstdint>
#include <string_view>

#include "sim/core/units.h"

namespace v4cap {

enum class CacheKind : std::uint8_t {
  csa,      // CSA entries, one per 4 tokens
  hca,      // HCA entries, one per 128 tokens
  indexer,  // indexer keys: per CSA entry (V4) or per token (V3.2)
  swa,      // sliding-window entries, in every layer of V4
  tails,    // compressor state (rows not yet compressed), main and indexer
  kv,       // MLA latents or GQA keys and values, one per token
};

inline constexpr std::size_t kCacheKinds = 6;

constexpr std::array<CacheKind, kCacheKinds> all_cache_kinds() {
  return {CacheKind::csa, CacheKind::hca,   CacheKind::indexer,
          CacheKind::swa, CacheKind::tails, CacheKind::kv};
}

// "csa", "hca", "indexer", "swa", "tails", "kv": the names in every output.
std::string_view name_of(CacheKind kind);

// Bytes per cache kind on one GPU.
struct KindBytes {
  std::array<std::int64_t, kCacheKinds> bytes{};

  std::int64_t& operator[](CacheKind k) { return bytes[static_cast<std::size_t>(k)]; }
  std::int64_t operator[](CacheKind k) const { return bytes[static_cast<std::size_t>(k)]; }
  KindBytes& operator+=(const KindBytes& o) {
    for (std::size_t i = 0; i < kCacheKinds; ++i) bytes[i] += o.bytes[i];
    return *this;
  }
  KindBytes& operator-=(const KindBytes& o) {
    for (std::size_t i = 0; i < kCacheKinds; ++i) bytes[i] -= o.bytes[i];
    return *this;
  }
  friend KindBytes operator+(KindBytes a, const KindBytes& b) { return a += b; }
  friend KindBytes operator-(KindBytes a, const KindBytes& b) { return a -= b; }
  friend KindBytes operator*(KindBytes a, std::int64_t n) {
    for (auto& x : a.bytes) x *= n;
    return a;
  }
  bool operator==(const KindBytes&) const = default;
  Bytes total() const {
    std::int64_t sum = 0;
    for (const auto x : bytes) sum += x;
    return {sum};
  }
};

}  // namespace v4cap
