#include "traces/length_sampler.h"

#include <algorithm>
#include <boost/random/exponential_distribution.hpp>
#include <boost/random/lognormal_distribution.hpp>
#include <boost/random/uniform_int_distribution.hpp>
#include <charconv>
#include <cmath>

#include "traces/reader.h"

namespace v4cap {

namespace {

const std::vector<std::string> kKinds = {"constant", "uniform", "lognormal", "exponential",
                                         "table"};

[[noreturn]] void refuse(const std::string& name, const std::string& message) {
  throw InputError(Place{}, name + ": " + message);
}

void check_tokens(const char* name, const char* part, double value, double low) {
  constexpr auto kHigh = static_cast<double>(kTraceTokensMax);
  if (value >= low && value <= kHigh) return;
  refuse(name, std::string(part) + " expected from " + std::to_string(low) + " to " +
                   std::to_string(kHigh) + " tokens, found " + std::to_string(value));
}

double parse_number(const std::string& name, std::string_view text) {
  double value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || end != text.data() + text.size() || !std::isfinite(value)) {
    refuse(name, "expected a number, found '" + std::string(text) + "'");
  }
  return value;
}

void parse_parts(const std::string& name, std::string_view parts, LengthSpec& spec) {
  while (!parts.empty()) {
    const std::string_view part = parts.substr(0, parts.find(','));
    parts.remove_prefix(std::min(parts.size(), part.size() + 1));
    const std::size_t equals = part.find('=');
    const std::string key(part.substr(0, equals));
    double* field = key == "mean"    ? &spec.mean
                    : key == "sigma" ? &spec.sigma
                    : key == "min"   ? &spec.min
                    : key == "max"   ? &spec.max
                                     : nullptr;
    if (field == nullptr || equals == std::string_view::npos) {
      refuse(name, "expected mean=, sigma=, min= or max=, found '" + std::string(part) + "'");
    }
    *field = parse_number(name, part.substr(equals + 1));
  }
}

}  // namespace

LengthSpec parse_length_spec(const std::string& name, const std::string& text) {
  LengthSpec spec;
  const std::size_t colon = text.find(':');
  if (colon == std::string::npos) {
    spec.mean = parse_number(name, text);
    return spec;
  }
  spec.kind = text.substr(0, colon);
  const std::string_view rest = std::string_view(text).substr(colon + 1);
  if (spec.kind == "constant") {
    spec.mean = parse_number(name, rest);
  } else if (spec.kind == "uniform") {
    const std::size_t dots = rest.find("..");
    if (dots == std::string_view::npos)
      refuse(name, "expected uniform:MIN..MAX, found '" + text + "'");
    spec.min = parse_number(name, rest.substr(0, dots));
    spec.max = parse_number(name, rest.substr(dots + 2));
  } else if (spec.kind == "table") {
    spec.table = std::string(rest);
  } else if (spec.kind == "lognormal" || spec.kind == "exponential") {
    parse_parts(name, rest, spec);
  } else {
    refuse(name, "unknown kind of length '" + spec.kind + "'" + suggestion(spec.kind, kKinds));
  }
  return spec;
}

LengthSampler::LengthSampler(const char* name, const LengthSpec& spec, Column column)
    : spec_(spec) {
  if (std::find(kKinds.begin(), kKinds.end(), spec.kind) == kKinds.end()) {
    refuse(name, "unknown kind of length '" + spec.kind + "'" + suggestion(spec.kind, kKinds));
  }
  check_tokens(name, "min", spec.min, 0);
  if (spec.max != 0 && !(spec.max >= std::max(1.0, spec.min))) {
    refuse(name, "max expected to be at least min, found " + std::to_string(spec.max));
  }
  if (spec.kind == "uniform") {
    check_tokens(name, "min", spec.min, 1);
    check_tokens(name, "max", spec.max, spec.min);
  } else if (spec.kind == "table") {
    if (spec.table.empty()) refuse(name, "expected the path of a length table, found none");
    for (const TraceRequest& request : read_trace(spec.table).requests) {
      const Tokens tokens = column == Column::prompt ? request.prompt : request.output;
      table_.push_back(static_cast<double>(tokens.value));
    }
  } else {
    check_tokens(name, "mean", spec.mean, 1);
  }
  constexpr double kSigmaMax = 10;
  if (spec.kind == "lognormal" && !(spec.sigma >= 0 && spec.sigma <= kSigmaMax)) {
    refuse(name, "sigma expected from 0 to 10, found " + std::to_string(spec.sigma));
  }
}

double LengthSampler::draw_unbounded(RandomEngine& engine) const {
  if (spec_.kind == "uniform") {
    return static_cast<double>(boost::random::uniform_int_distribution<std::int64_t>(
        std::llround(spec_.min), std::llround(spec_.max))(engine));
  }
  if (spec_.kind == "lognormal") {
    // The logarithm's mean that makes `mean` the mean of the lengths.
    const double log_mean = std::log(spec_.mean) - spec_.sigma * spec_.sigma / 2;
    return boost::random::lognormal_distribution<double>(log_mean, spec_.sigma)(engine);
  }
  if (spec_.kind == "exponential") {
    return boost::random::exponential_distribution<double>(1.0 / spec_.mean)(engine);
  }
  if (spec_.kind == "table") {
    return table_[boost::random::uniform_int_distribution<std::size_t>(0,
                                                                       table_.size() - 1)(engine)];
  }
  return spec_.mean;
}

Tokens LengthSampler::draw(RandomEngine& engine) const {
  double tokens = std::max(draw_unbounded(engine), std::max(1.0, spec_.min));
  if (spec_.max > 0) tokens = std::min(tokens, spec_.max);
  tokens = std::min(tokens, static_cast<double>(kTraceTokensMax));
  return Tokens{std::llround(tokens)};
}

}  // namespace v4cap
