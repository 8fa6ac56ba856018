// Writing values and describing what was expected; sim/config/value.cpp reads them.
#include <charconv>
#include <span>

#include "sim/config/value.h"
#include "sim/config/value_units.h"
#include "sim/core/error.h"

namespace v4cap {

namespace {

std::string double_text(double value) {
  std::array<char, 32> buffer{};
  const auto [end, failure] = std::to_chars(buffer.data(), buffer.data() + buffer.size(), value);
  V4CAP_CHECK(failure == std::errc{}, "a double did not fit");
  return std::string(buffer.data(), end);
}

// In the largest unit that divides the value.
std::string amount_text(std::int64_t value, std::span<const Unit> units) {
  const Unit* best = &units.front();
  for (const Unit& unit : units) {
    if (value != 0 && value % unit.factor == 0 && unit.factor > best->factor) best = &unit;
  }
  return std::to_string(value / best->factor) + ' ' + std::string(best->name);
}

// In the largest unit that keeps the number at 1 or more and the value exact.
std::string rate_text(double value, std::span<const Unit> units) {
  for (std::size_t i = units.size(); i-- > 1;) {
    const double factor = static_cast<double>(units[i].factor);
    const double number = value / factor;
    if (number >= 1 && number * factor == value) {
      return double_text(number) + ' ' + std::string(units[i].name);
    }
  }
  return double_text(value) + ' ' + std::string(units.front().name);
}

// " from a to b", " of at least a", " above a and up to b", "".
template <class T>
std::string limits_text(const Limits<T>& limits) {
  const std::string min = limits.min ? value_text(*limits.min) : "";
  const std::string max = limits.max ? value_text(*limits.max) : "";
  if (limits.min && limits.above_min)
    return " above " + min + (limits.max ? " and up to " + max : "");
  if (limits.min && limits.max) return " from " + min + " to " + max;
  if (limits.min) return " of at least " + min;
  return limits.max ? " of at most " + max : "";
}

}  // namespace

template <>
std::string value_text(const bool& value) {
  return value ? "true" : "false";
}
template <>
std::string value_text(const std::int64_t& value) {
  return std::to_string(value);
}
template <>
std::string value_text(const std::uint64_t& value) {
  return std::to_string(value);
}
template <>
std::string value_text(const double& value) {
  return double_text(value);
}
template <>
std::string value_text(const std::string& value) {
  return value;
}
template <>
std::string value_text(const Tokens& value) {
  return std::to_string(value.value);
}
template <>
std::string value_text(const Bytes& value) {
  return amount_text(value.value, kByteUnits);
}
template <>
std::string value_text(const Duration& value) {
  return amount_text(value.count(), kTimeUnits);
}
template <>
std::string value_text(const BytesPerSecond& value) {
  return rate_text(value.value, kByteRateUnits);
}
template <>
std::string value_text(const FlopPerSecond& value) {
  return rate_text(value.value, kFlopRateUnits);
}

template <>
std::string expected_text(const Limits<bool>&) {
  return "true or false";
}
template <>
std::string expected_text(const Limits<std::int64_t>& limits) {
  return "a whole number" + limits_text(limits);
}
template <>
std::string expected_text(const Limits<std::uint64_t>&) {
  return "a whole number from 0 to 18446744073709551615";
}
template <>
std::string expected_text(const Limits<double>& limits) {
  return "a number" + limits_text(limits);
}
template <>
std::string expected_text(const Limits<std::string>&) {
  return "a text";
}
template <>
std::string expected_text(const Limits<Tokens>& limits) {
  return "a number of tokens" + limits_text(limits);
}
template <>
std::string expected_text(const Limits<Bytes>& limits) {
  return "bytes with their unit, such as 46 GiB or 584 B" +
         (limits.min || limits.max ? "," + limits_text(limits) : "");
}
template <>
std::string expected_text(const Limits<Duration>& limits) {
  return "a time with its unit, such as 2 s or 50 us" +
         (limits.min || limits.max ? "," + limits_text(limits) : "");
}
template <>
std::string expected_text(const Limits<BytesPerSecond>& limits) {
  return "bytes per second with their unit, such as 7.7 TB/s" +
         (limits.min || limits.max ? "," + limits_text(limits) : "");
}
template <>
std::string expected_text(const Limits<FlopPerSecond>& limits) {
  return "a FLOP rate with its unit, such as 4500 TFLOP/s" +
         (limits.min || limits.max ? "," + limits_text(limits) : "");
}

}  // namespace v4cap
