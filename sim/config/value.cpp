#include "sim/config/value.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <limits>
#include <span>
#include <vector>

#include "sim/core/error.h"

namespace v4cap {

namespace {

__extension__ using Wide = __int128;

struct Unit {
  std::string_view name;
  std::int64_t factor;
};

constexpr std::int64_t kThousand = 1000;
constexpr std::int64_t kMillion = kThousand * kThousand;
constexpr std::int64_t kBillion = kThousand * kMillion;

constexpr std::array<Unit, 9> kByteUnits{{{"B", 1},
                                          {"KB", kThousand},
                                          {"KiB", kKiB},
                                          {"MB", kMillion},
                                          {"MiB", kKiB* kKiB},
                                          {"GB", kBillion},
                                          {"GiB", kGiB},
                                          {"TB", kThousand* kBillion},
                                          {"TiB", kKiB* kGiB}}};
constexpr std::array<Unit, 6> kTimeUnits{{{"ns", 1},
                                          {"us", kThousand},
                                          {"ms", kMillion},
                                          {"s", kBillion},
                                          {"min", 60 * kBillion},
                                          {"h", 3600 * kBillion}}};
constexpr std::array<Unit, 5> kByteRateUnits{{{"B/s", 1},
                                              {"KB/s", kThousand},
                                              {"MB/s", kMillion},
                                              {"GB/s", kBillion},
                                              {"TB/s", kThousand* kBillion}}};
constexpr std::array<Unit, 5> kFlopRateUnits{{{"FLOP/s", 1},
                                              {"MFLOP/s", kMillion},
                                              {"GFLOP/s", kBillion},
                                              {"TFLOP/s", kThousand* kBillion},
                                              {"PFLOP/s", kMillion* kBillion}}};

bool is_digit(char c) {
  return c >= '0' && c <= '9';
}

// -?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)? : length of the longest such start of `text`, 0 if
// none.
std::size_t number_length(std::string_view text) {
  std::size_t i = 0;
  const auto digits = [&] {
    const std::size_t begin = i;
    while (i < text.size() && is_digit(text[i])) ++i;
    return i - begin;
  };
  if (i < text.size() && text[i] == '-') ++i;
  const std::size_t first = i;
  const std::size_t whole = digits();
  if (whole == 0 || (whole > 1 && text[first] == '0')) return 0;
  if (i + 1 < text.size() && text[i] == '.' && is_digit(text[i + 1])) {
    ++i;
    digits();
  }
  const std::size_t end = i;
  if (i < text.size() && (text[i] == 'e' || text[i] == 'E')) {
    ++i;
    if (i < text.size() && (text[i] == '+' || text[i] == '-')) ++i;
    if (digits() > 0) return i;
  }
  return end;
}

// What is odd about something that ought to be a number.
std::string number_hint(std::string_view text) {
  const std::string_view digits = text.substr(text.starts_with('-') ? 1 : 0);
  if (digits.size() > 1 && digits[0] == '0' && (digits[1] == 'x' || digits[1] == 'X')) {
    return "; numbers are decimal";
  }
  if (digits.size() > 1 && digits[0] == '0' && is_digit(digits[1])) {
    return "; leading zeros are not allowed";
  }
  if (digits.find('_') != std::string_view::npos || digits.find(',') != std::string_view::npos) {
    return "; write digits only, without separators";
  }
  if (text.starts_with('+')) return "; leave out the plus sign";
  return "";
}

template <class T>
std::optional<T> parse_whole(std::string_view text, std::string& hint) {
  const std::size_t length = number_length(text);
  if (length == 0 || length != text.size()) {
    hint = number_hint(text);
    return std::nullopt;
  }
  T value{};
  const auto [end, failure] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (failure == std::errc::result_out_of_range) hint = "; it does not fit into 64 bits";
  if (failure != std::errc{} || end != text.data() + text.size()) return std::nullopt;
  return value;
}

std::optional<double> parse_double(std::string_view text, std::string& hint) {
  if (number_length(text) != text.size() || text.empty()) {
    hint = number_hint(text);
    return std::nullopt;
  }
  double value = 0;
  const auto [end, failure] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (failure == std::errc::result_out_of_range || !std::isfinite(value)) {
    hint = "; it is outside the range of a double";
    return std::nullopt;
  }
  return end == text.data() + text.size() ? std::optional(value) : std::nullopt;
}

std::string double_text(double value) {
  std::array<char, 32> buffer{};
  const auto [end, failure] = std::to_chars(buffer.data(), buffer.data() + buffer.size(), value);
  V4CAP_CHECK(failure == std::errc{}, "a double did not fit");
  return std::string(buffer.data(), end);
}

// A unit that differs in case only is meant, before any that is near.
std::string unit_suggestion(std::string_view name, std::span<const Unit> units) {
  const auto lower = [](char c) {
    return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  };
  for (const Unit& unit : units) {
    if (std::ranges::equal(name, unit.name, {}, lower, lower)) {
      return "; did you mean '" + std::string(unit.name) + "'?";
    }
  }
  std::vector<std::string> names;
  for (const Unit& unit : units) names.emplace_back(unit.name);
  return suggestion(name, names);
}

struct Amount {
  std::string_view number;
  Unit unit;
};

// "46 GiB" or "46GiB" -> {46, GiB}.
std::optional<Amount> split_amount(std::string_view text, std::span<const Unit> units,
                                   std::string& hint) {
  const std::size_t length = number_length(text);
  if (length == 0) {
    hint = number_hint(text);
    return std::nullopt;
  }
  std::string_view name = text.substr(length);
  if (name.starts_with(' ')) name.remove_prefix(1);
  if (name.empty()) {
    hint = "; the unit is missing";
    return std::nullopt;
  }
  for (const Unit& unit : units) {
    if (unit.name == name) return Amount{text.substr(0, length), unit};
  }
  hint = number_hint(text);
  if (hint.empty())
    hint = "; unknown unit '" + std::string(name) + "'" + unit_suggestion(name, units);
  return std::nullopt;
}

// number * factor as an integer, or nullopt when it does not fit or, with `exact`, is none. Exact
// arithmetic on the decimal digits; a rest is rounded to the nearest, halves away from zero.
std::optional<std::int64_t> scaled(std::string_view number, std::int64_t factor, bool exact,
                                   std::string& hint) {
  constexpr int kDigitsMax = 19;
  Wide mantissa = 0, divisor = 1;
  bool negative = false, fraction = false;
  int digits = 0;
  for (const char c : number) {
    if (c == '-') {
      negative = true;
    } else if (c == '.') {
      fraction = true;
    } else if (!is_digit(c) || ++digits > kDigitsMax) {
      hint = "; write at most 19 digits and no exponent";
      return std::nullopt;
    } else {
      mantissa = mantissa * 10 + (c - '0');
      if (fraction) divisor *= 10;
    }
  }
  const Wide product = mantissa * factor;  // < 10^19 * 2^50, far below 2^127
  if (exact && product % divisor != 0) {
    hint = "; it is finer than the smallest unit";
    return std::nullopt;
  }
  const Wide rounded = (2 * product + divisor) / (2 * divisor);
  if (rounded > std::numeric_limits<std::int64_t>::max()) {
    hint = "; it does not fit into 64 bits";
    return std::nullopt;
  }
  const auto value = static_cast<std::int64_t>(rounded);
  return negative ? -value : value;
}

std::optional<std::int64_t> parse_amount(std::string_view text, std::span<const Unit> units,
                                         bool exact, std::string& hint) {
  const auto amount = split_amount(text, units, hint);
  if (!amount) return std::nullopt;
  return scaled(amount->number, amount->unit.factor, exact || amount->unit.factor == 1, hint);
}

// In the largest of the units `preferred` that divides the value.
std::string amount_text(std::int64_t value, std::span<const Unit> units) {
  const Unit* best = &units.front();
  for (const Unit& unit : units) {
    if (value != 0 && value % unit.factor == 0 && unit.factor > best->factor) best = &unit;
  }
  return std::to_string(value / best->factor) + ' ' + std::string(best->name);
}

std::optional<double> parse_rate(std::string_view text, std::span<const Unit> units,
                                 std::string& hint) {
  const auto amount = split_amount(text, units, hint);
  if (!amount) return std::nullopt;
  const auto number = parse_double(amount->number, hint);
  if (!number) return std::nullopt;
  const double value = *number * static_cast<double>(amount->unit.factor);
  return std::isfinite(value) ? std::optional(value) : std::nullopt;
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
std::optional<bool> parse_value(std::string_view text, std::string& hint) {
  if (text == "true") return true;
  if (text == "false") return false;
  if (text == "yes" || text == "no" || text == "on" || text == "off")
    hint = "; write true or false";
  return std::nullopt;
}
template <>
std::optional<std::int64_t> parse_value(std::string_view text, std::string& hint) {
  return parse_whole<std::int64_t>(text, hint);
}
template <>
std::optional<std::uint64_t> parse_value(std::string_view text, std::string& hint) {
  return parse_whole<std::uint64_t>(text, hint);
}
template <>
std::optional<double> parse_value(std::string_view text, std::string& hint) {
  return parse_double(text, hint);
}
template <>
std::optional<std::string> parse_value(std::string_view text, std::string&) {
  return std::string(text);
}
template <>
std::optional<Tokens> parse_value(std::string_view text, std::string& hint) {
  const auto value = parse_whole<std::int64_t>(text, hint);
  return value ? std::optional(Tokens{*value}) : std::nullopt;
}
template <>
std::optional<Bytes> parse_value(std::string_view text, std::string& hint) {
  const auto value = parse_amount(text, kByteUnits, false, hint);
  return value ? std::optional(Bytes{*value}) : std::nullopt;
}
template <>
std::optional<Duration> parse_value(std::string_view text, std::string& hint) {
  const auto value = parse_amount(text, kTimeUnits, true, hint);
  return value ? std::optional(Duration{*value}) : std::nullopt;
}
template <>
std::optional<BytesPerSecond> parse_value(std::string_view text, std::string& hint) {
  const auto value = parse_rate(text, kByteRateUnits, hint);
  return value ? std::optional(BytesPerSecond{*value}) : std::nullopt;
}
template <>
std::optional<FlopPerSecond> parse_value(std::string_view text, std::string& hint) {
  const auto value = parse_rate(text, kFlopRateUnits, hint);
  return value ? std::optional(FlopPerSecond{*value}) : std::nullopt;
}

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
