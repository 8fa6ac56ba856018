// The time of a step while it is added up: by where it comes from, and by part for --explain.
#pragma once

#include <array>
#include <cstddef>
#include <string_view>
#include <vector>

#include "sim/core/error.h"
#include "sim/cost/cost_model.h"
#include "sim/cost/sample_grid.h"

namespace v4cap {

inline constexpr double kUsPerSecond = 1e6;

inline double to_us(Duration duration) {
  return to_seconds(duration) * kUsPerSecond;
}

inline TimeSource source_of(SampleKind kind) {
  switch (kind) {
    case SampleKind::measured:
      return TimeSource::measured;
    case SampleKind::interpolated:
      return TimeSource::interpolated;
    case SampleKind::extrapolated:
      return TimeSource::extrapolated;
  }
  V4CAP_CHECK(false, "a sample kind without a source");
}

// Microseconds by SampleKind.
using SampleSums = std::array<double, 3>;

// Microseconds by TimeSource.
using SourceUs = std::array<double, 6>;

inline double total_of(const SourceUs& us) {
  double sum = 0;
  for (const double part : us) sum += part;
  return sum;
}

inline TimeShare share_of(const SourceUs& us) {
  const auto seconds = [&us](TimeSource source) {
    return us[static_cast<std::size_t>(source)] / kUsPerSecond;
  };
  return {.measured_s = seconds(TimeSource::measured),
          .interpolated_s = seconds(TimeSource::interpolated),
          .extrapolated_s = seconds(TimeSource::extrapolated),
          .transferred_s = seconds(TimeSource::transferred),
          .roofline_s = seconds(TimeSource::roofline),
          .host_s = seconds(TimeSource::host)};
}

// An amount that was added.
struct TimeAdded {
  TimeSource source{};
  double us = 0;
};

struct TimeAccount {
  SourceUs us{};
  CostLedger* ledger = nullptr;             // nullptr: parts are not asked for
  bool transferred = false;                 // all samples are of another GPU
  std::vector<TimeAdded>* added = nullptr;  // where each amount is noted, too

  double total() const { return total_of(us); }
  // What `fill` adds to an account, summed by itself first: results that are kept are sums.
  template <class Fill>
  void add_part(const Fill& fill) {
    TimeAccount part{.ledger = ledger, .transferred = transferred};
    fill(part);
    add(part.us);
  }
  void add(std::string_view part, double amount_us, TimeSource source) {
    if (transferred && source < TimeSource::transferred) source = TimeSource::transferred;
    us[static_cast<std::size_t>(source)] += amount_us;
    if (added != nullptr) added->push_back({source, amount_us});
    if (ledger != nullptr) ledger->add(part, amount_us / kUsPerSecond);
  }
  void add(std::string_view part, double count, const SampleTime& time) {
    add(part, count * time.us, source_of(time.kind));
  }
  void add(std::string_view part, double count, const SampleSums& sums) {
    for (std::size_t kind = 0; kind < sums.size(); ++kind) {
      if (sums[kind] > 0) add(part, count * sums[kind], source_of(static_cast<SampleKind>(kind)));
    }
  }
  void add(const SourceUs& other) {
    for (std::size_t i = 0; i < us.size(); ++i) us[i] += other[i];
  }

  TimeShare share() const { return share_of(us); }
};

}  // namespace v4cap
