#include "sim/plan/load_search.h"

#include <algorithm>
#include <boost/math/distributions/students_t.hpp>
#include <cmath>

#include "sim/core/error.h"

namespace v4cap {

namespace {

class Search {
 public:
  Search(const LoadRange& range, const KeepsSlo& keeps) : range_(range), keeps_(keeps) {}

  HeldLoad run(double hint) {
    bracket(hint);
    // Each round ends or lowers the failing end to a load that was not known to fail.
    do {
      bisect();
    } while (fails_below());
    out_.held = held().value_or(0);
    out_.failing = failing();
    look_above();
    return std::move(out_);
  }

 private:
  // Loads that a run can have.
  double allowed(double load) const {
    load = std::clamp(load, range_.from, range_.to);
    return range_.whole ? std::round(load) : load;
  }

  bool keeps(double load) {
    const auto known = std::ranges::find(out_.probes, load, &LoadProbe::load);
    if (known != out_.probes.end()) return known->kept;
    const bool kept = keeps_(load);
    out_.probes.push_back({load, kept});
    return kept;
  }

  std::optional<double> failing() const {
    std::optional<double> lowest;
    for (const LoadProbe& p : out_.probes) {
      if (!p.kept && (!lowest || p.load < *lowest)) lowest = p.load;
    }
    return lowest;
  }

  // The largest kept load below every failure.
  std::optional<double> held() const {
    const std::optional<double> limit = failing();
    std::optional<double> best;
    for (const LoadProbe& p : out_.probes) {
      if (p.kept && (!limit || p.load < *limit) && (!best || p.load > *best)) best = p.load;
    }
    return best;
  }

  void bracket(double hint) {
    constexpr double kStep = 1.5;
    double load = allowed(hint);
    if (keeps(load)) {
      while (load < range_.to && keeps(load)) {
        load = std::max(allowed(load * kStep), range_.whole ? load + 1 : load);
      }
      if (load >= range_.to) keeps(range_.to);
      return;
    }
    while (load > range_.from && !keeps(load)) {
      load = std::min(allowed(load / kStep), range_.whole ? load - 1 : load);
    }
    keeps(load);
  }

  bool close(double low, double high) const {
    if (range_.whole && high - low <= 1) return true;
    return high - low <= range_.tolerance * low;
  }

  void bisect() {
    for (;;) {
      const std::optional<double> low = held(), high = failing();
      if (!high) return;
      if (!low) {
        // Everything that was run from here down failed.
        if (*high <= range_.from) return;
        const double next = allowed(*high / 2);
        keeps(next < *high ? next : range_.from);
        continue;
      }
      if (close(*low, *high)) return;
      const double middle = allowed((*low + *high) / 2);
      if (middle <= *low || middle >= *high) return;
      keeps(middle);
    }
  }

  // Runs two loads just below the answer; true when one of them fails.
  bool fails_below() {
    const std::optional<double> best = held();
    if (!best || !failing()) return false;
    for (const double share : {0.9, 0.8}) {
      const double load = allowed(*best * share);
      if (load < *best && !keeps(load)) return true;
    }
    return false;
  }

  void look_above() {
    constexpr double kAbove = 1.1;
    if (!out_.failing || out_.held == 0) return;
    const double load = allowed(*out_.failing * kAbove);
    if (load > *out_.failing) keeps(load);
    out_.noisy = std::ranges::any_of(
        out_.probes, [&](const LoadProbe& p) { return p.kept && p.load > *out_.failing; });
  }

  LoadRange range_;
  const KeepsSlo& keeps_;
  HeldLoad out_;
};

}  // namespace

HeldLoad search_load(const LoadRange& range, double hint, const KeepsSlo& keeps) {
  V4CAP_CHECK(range.from > 0 && range.from <= range.to && range.tolerance >= 0,
              "a range of loads that is none");
  V4CAP_CHECK(range.whole || range.tolerance > 0, "loads that are not whole need a tolerance");
  return Search(range, keeps).run(hint);
}

SeedInterval interval_of(const std::vector<double>& values) {
  SeedInterval out;
  if (values.empty()) return out;
  const auto n = static_cast<double>(values.size());
  double sum = 0;
  for (const double v : values) sum += v;
  out.mean = sum / n;
  out.low = *std::ranges::min_element(values);
  out.high = *std::ranges::max_element(values);
  if (values.size() < 2) return out;
  double squares = 0;
  for (const double v : values) squares += (v - out.mean) * (v - out.mean);
  const double t = boost::math::quantile(boost::math::students_t(n - 1), 0.975);
  const double half = t * std::sqrt(squares / (n - 1) / n);
  out.t95_low = out.mean - half;
  out.t95_high = out.mean + half;
  return out;
}

}  // namespace v4cap
