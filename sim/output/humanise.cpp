#include "sim/output/humanise.h"

#include <fmt/format.h>

#include <array>
#include <cmath>
#include <cstdlib>

namespace v4cap {

namespace {

// Inserts separators into a plain decimal number, sign and fraction untouched.
std::string with_separators(std::string digits) {
  const std::size_t begin = digits.starts_with('-') ? 1 : 0;
  std::size_t end = digits.find('.');
  if (end == std::string::npos) end = digits.size();
  for (std::size_t at = end; at > begin + 3;) {
    at -= 3;
    digits.insert(at, 1, ',');
  }
  return digits;
}

// Three significant digits with the largest unit that leaves at least 1 in front of it.
template <std::size_t N>
std::string scaled(double number, double step, const std::array<const char*, N>& units) {
  std::size_t unit = 0;
  // 999.5 would be printed as 1000: it belongs to the next unit.
  while (unit + 1 < N && std::abs(number) >= step * (unit == 0 ? 1.0 : 0.9995)) {
    number /= step;
    ++unit;
  }
  const int decimals = unit == 0 ? 0 : decimals_for(number);
  const std::string figure = grouped(number, decimals);
  return *units[unit] == '\0' ? figure : figure + ' ' + units[unit];
}

}  // namespace

std::string grouped(std::int64_t number) {
  return with_separators(fmt::format("{}", number));
}

std::string grouped(double number, int decimals) {
  if (!std::isfinite(number)) return "-";
  std::string digits = fmt::format("{:.{}f}", number, decimals);
  // A small negative number that rounds to nothing is shown without its sign.
  if (digits.find_first_not_of("-0.") == std::string::npos && digits.starts_with('-')) {
    digits.erase(0, 1);
  }
  return with_separators(std::move(digits));
}

int decimals_for(double number) {
  const double size = std::abs(number);
  if (!(size < 99.95)) return 0;
  return size < 9.995 ? 2 : 1;
}

std::string human(Bytes bytes) {
  static constexpr std::array<const char*, 6> kUnits{"B", "KiB", "MiB", "GiB", "TiB", "PiB"};
  return scaled(static_cast<double>(bytes.value), 1024, kUnits);
}

std::string human(Tokens tokens) {
  static constexpr std::array<const char*, 5> kUnits{"", "k", "M", "G", "T"};
  return scaled(static_cast<double>(tokens.value), 1000, kUnits);
}

std::string human(Duration time) {
  const std::int64_t ns = time.count();
  const std::int64_t second = 1'000'000'000;
  if (std::abs(ns) < 60 * second) {
    static constexpr std::array<const char*, 4> kUnits{"ns", "us", "ms", "s"};
    return scaled(static_cast<double>(ns), 1000, kUnits);
  }
  const std::int64_t seconds = (ns + (ns < 0 ? -second / 2 : second / 2)) / second;
  const std::int64_t size = std::abs(seconds);
  const char* sign = seconds < 0 ? "-" : "";
  if (size < 3600) return fmt::format("{}{} min {:02} s", sign, size / 60, size % 60);
  return fmt::format("{}{} h {:02} min", sign, grouped(size / 3600), size % 3600 / 60);
}

}  // namespace v4cap
