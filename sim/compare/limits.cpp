#include "sim/compare/limits.h"

#include <charconv>
#include <cmath>

#include "sim/compare/compared_figures.h"
#include "sim/compare/comparison.h"
#include "sim/core/error.h"

namespace v4cap {

namespace {

constexpr const char* kOption = "--limit";

// Names of single figures, in the order of the table.
std::vector<std::string> single_names() {
  std::vector<std::string> names;
  for (const ComparedFigure& figure : compared_figures()) names.push_back(figure.name);
  for (const std::string& name : error_names()) names.push_back(name);
  return names;
}

double parse_value(const std::string& text, std::string_view digits) {
  double value = 0;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), value);
  if (error != std::errc{} || end != digits.data() + digits.size() || !std::isfinite(value) ||
      value < 0) {
    throw InputError(Place{kOption},
                     "expected NAME=PERCENT with a number of at least 0, found '" + text + "'");
  }
  return value;
}

void add(ErrorLimits& limits, const std::string& text) {
  const std::size_t equals = text.find('=');
  if (equals == std::string::npos) {
    throw InputError(Place{kOption}, "expected NAME=PERCENT, found '" + text + "'");
  }
  const std::string name = text.substr(0, equals);
  const double value = parse_value(text, std::string_view(text).substr(equals + 1));
  bool found = false;
  for (const std::string& figure : single_names()) {
    if (figure != name && !figure.starts_with(name + '_')) continue;
    limits[figure] = value;
    found = true;
  }
  if (!found) {
    throw InputError(Place{kOption},
                     "unknown figure '" + name + "'" + suggestion(name, limit_names()));
  }
}

}  // namespace

const std::vector<LimitSet>& limit_sets() {
  // What is asked of a simulation beside a replay of the same scenario on the GPU.
  static const std::vector<LimitSet> sets = {
      {"replay",
       {"ttft_p50=2", "tpot_p50=2", "e2el_p50=2", "ttft_p90=5", "tpot_p90=5", "e2el_p90=5",
        "ttft_p99=8", "throughput=2", "hit_rate=0.5", "rebuilt_tokens=2", "kv_peak=2"}}};
  return sets;
}

std::vector<std::string> limit_names() {
  std::vector<std::string> names = {"ttft", "tpot", "itl", "e2el", "throughput", "paired", "step"};
  for (const std::string& name : single_names()) names.push_back(name);
  return names;
}

ErrorLimits parse_limits(const std::string& set, const std::vector<std::string>& texts) {
  ErrorLimits limits;
  if (!set.empty()) {
    std::vector<std::string> names;
    const LimitSet* chosen = nullptr;
    for (const LimitSet& one : limit_sets()) {
      names.push_back(one.name);
      if (one.name == set) chosen = &one;
    }
    if (chosen == nullptr) {
      throw InputError(Place{"--limits"}, "unknown set '" + set + "'" + suggestion(set, names));
    }
    for (const std::string& text : chosen->limits) add(limits, text);
  }
  for (const std::string& text : texts) add(limits, text);
  return limits;
}

}  // namespace v4cap
