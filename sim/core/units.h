// Quantities as types: an amount of tokens cannot be added to an amount of bytes. Integers
// throughout; rates (bytes/s, FLOP/s) are doubles whose unit is in the name.
#pragma once

#include <compare>
#include <cstdint>

namespace v4cap {

template <class Tag>
struct Quantity {
  std::int64_t value = 0;

  constexpr auto operator<=>(const Quantity&) const = default;
  constexpr Quantity& operator+=(Quantity o) {
    value += o.value;
    return *this;
  }
  constexpr Quantity& operator-=(Quantity o) {
    value -= o.value;
    return *this;
  }
  friend constexpr Quantity operator+(Quantity a, Quantity b) { return {a.value + b.value}; }
  friend constexpr Quantity operator-(Quantity a, Quantity b) { return {a.value - b.value}; }
  friend constexpr Quantity operator*(Quantity a, std::int64_t n) { return {a.value * n}; }
  friend constexpr Quantity operator*(std::int64_t n, Quantity a) { return {a.value * n}; }
  friend constexpr Quantity operator/(Quantity a, std::int64_t n) { return {a.value / n}; }
  friend constexpr std::int64_t operator/(Quantity a, Quantity b) { return a.value / b.value; }
  friend constexpr Quantity operator%(Quantity a, Quantity b) { return {a.value % b.value}; }
};

using Tokens = Quantity<struct TokensTag>;  // positions of a sequence
using Bytes = Quantity<struct BytesTag>;    // a capacity or a traffic, never a rate

// Largest multiple of `unit` that is not above `n`; n >= 0, unit > 0.
constexpr Tokens round_down(Tokens n, Tokens unit) {
  return n - n % unit;
}

// For sums of products that leave 63 bits: requests x nanoseconds, tokens x bytes of a whole run.
__extension__ using Int128 = __int128;

inline constexpr std::int64_t kKiB = std::int64_t{1} << 10;
inline constexpr std::int64_t kGiB = std::int64_t{1} << 30;

constexpr double to_gib(Bytes b) {
  return static_cast<double>(b.value) / static_cast<double>(kGiB);
}

}  // namespace v4cap
