// 64-bit content hash of a run's results (FNV-1a over little-endian words, finished by splitmix64).
// Not cryptographic: it says whether two runs decided the same.
#pragma once

#include <cstdint>
#include <string_view>

namespace v4cap {

// Finaliser of splitmix64 (Steele, Lea, Flood 2014): every input bit reaches every output bit.
constexpr std::uint64_t mix64(std::uint64_t x) {
  x += 0x9e3779b97f4a7c15ULL;
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9ULL;
  x = (x ^ (x >> 27)) * 0x94d049bb133111ebULL;
  return x ^ (x >> 31);
}

class ContentHash {
 public:
  constexpr void add(std::uint64_t word) {
    for (int i = 0; i < 8; ++i) byte(static_cast<std::uint8_t>(word >> (8 * i)));
  }
  constexpr void add(std::int64_t word) { add(static_cast<std::uint64_t>(word)); }
  constexpr void add(std::string_view text) {
    for (const char c : text) byte(static_cast<std::uint8_t>(c));
    add(static_cast<std::uint64_t>(text.size()));
  }
  constexpr std::uint64_t value() const { return mix64(state_); }

 private:
  constexpr void byte(std::uint8_t b) { state_ = (state_ ^ b) * 0x100000001b3ULL; }
  std::uint64_t state_ = 0xcbf29ce484222325ULL;
};

}  // namespace v4cap
