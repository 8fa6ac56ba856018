#include "sim/core/named.h"

#include <charconv>
#include <cmath>

namespace v4cap {

std::vector<double> numbers_of(const std::string& argument, std::size_t count) {
  std::vector<double> out;
  const char* at = argument.data();
  const char* const end = at + argument.size();
  while (out.size() < count) {
    double number = 0;
    const auto read = std::from_chars(at, end, number);
    if (read.ec != std::errc() || !std::isfinite(number)) return {};
    out.push_back(number);
    at = read.ptr;
    if (at == end) break;
    if (*at++ != ',') return {};
  }
  return at == end && out.size() == count ? out : std::vector<double>{};
}

}  // namespace v4cap
