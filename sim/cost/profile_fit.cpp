#include "sim/cost/profile_fit.h"

#include <algorithm>
#include <cmath>
#include <optional>
#include <span>
#include <utility>

#include "sim/core/parallel.h"
#include "sim/core/quantiles.h"

namespace v4cap {

namespace {

double error_pct(double predicted, double measured) {
  return 100 * std::abs(predicted / measured - 1);
}

std::vector<double> values_on(const std::vector<Sample>& samples, std::size_t axis) {
  std::vector<double> values;
  for (const Sample& s : samples) values.push_back(s.at[axis]);
  std::ranges::sort(values);
  values.erase(std::unique(values.begin(), values.end()), values.end());
  return values;
}

// Of samples that differ in the last axis only: from each that is kept the next is the furthest
// whose straight connection gives all between within the tolerance.
std::vector<Sample> thinned_line(std::span<const Sample> line, std::size_t last,
                                 Interpolation interpolation, double tolerance_pct) {
  std::vector<Sample> out = {line.front()};
  for (std::size_t from = 0; from + 1 < line.size();) {
    std::size_t to = from + 1;
    for (std::size_t end = from + 2; end < line.size(); ++end) {
      const SampleGrid two({interpolation}, {{{line[from].at[last]}, line[from].us},
                                             {{line[end].at[last]}, line[end].us}});
      bool fits = true;
      for (std::size_t i = from + 1; i < end && fits; ++i) {
        const double x = line[i].at[last];
        fits = error_pct(two.at(std::span(&x, 1)).us, line[i].us) <= tolerance_pct;
      }
      if (fits) to = end;
    }
    out.push_back(line[to]);
    from = to;
  }
  return out;
}

bool same_line(const Sample& a, const Sample& b, std::size_t axes) {
  return std::equal(a.at.begin(), a.at.begin() + static_cast<std::ptrdiff_t>(axes), b.at.begin());
}

// All samples with the same first `axes` values as `sample` go; nullopt when nothing would be left.
std::optional<std::vector<Sample>> without_line(const std::vector<Sample>& samples,
                                                const Sample& sample, std::size_t axes) {
  std::vector<Sample> rest;
  for (const Sample& s : samples) {
    if (!same_line(s, sample, axes)) rest.push_back(s);
  }
  return rest.empty() ? std::nullopt : std::optional(std::move(rest));
}

bool reproduces(const SampleGrid& grid, const std::vector<Sample>& samples, double tolerance_pct) {
  return std::ranges::all_of(samples, [&](const Sample& s) {
    const SampleTime got = grid.at(std::span(s.at.data(), grid.axes()));
    return got.kind != SampleKind::extrapolated && error_pct(got.us, s.us) <= tolerance_pct;
  });
}

std::vector<double> pooled_errors(const std::vector<RawSeries>& raw,
                                  const std::vector<Interpolation>& axes, std::size_t axis) {
  std::vector<std::vector<double>> parts(raw.size());
  parallel_for(raw.size(),
               [&](std::size_t i) { parts[i] = held_out_errors(raw[i].samples, axes, axis); });
  std::vector<double> all;
  for (const auto& part : parts) all.insert(all.end(), part.begin(), part.end());
  return all;
}

bool may_be_log(const std::vector<RawSeries>& raw, std::size_t axis) {
  return std::ranges::all_of(raw, [axis](const RawSeries& series) {
    return std::ranges::all_of(series.samples, [axis](const Sample& s) { return s.at[axis] > 0; });
  });
}

struct Choice {
  std::vector<Interpolation> axes;
  std::vector<HeldOutError> by_axis;
  HeldOutError all;
};

Choice best_interpolation(const std::vector<RawSeries>& raw, std::size_t axes) {
  std::optional<Choice> best;
  for (unsigned bits = 0; bits < 1U << axes; ++bits) {
    Choice choice;
    bool possible = true;
    for (std::size_t i = 0; i < axes; ++i) {
      const bool is_log = (bits >> i & 1U) != 0;
      possible = possible && (!is_log || may_be_log(raw, i));
      choice.axes.push_back(is_log ? Interpolation::log : Interpolation::linear);
    }
    if (!possible) continue;
    std::vector<double> all;
    for (std::size_t i = 0; i < axes; ++i) {
      const std::vector<double> errors = pooled_errors(raw, choice.axes, i);
      all.insert(all.end(), errors.begin(), errors.end());
      choice.by_axis.push_back(held_out_summary(errors));
    }
    choice.all = held_out_summary(std::move(all));
    if (!best || choice.all.median_pct < best->all.median_pct) best = std::move(choice);
  }
  return *std::move(best);
}

}  // namespace

std::vector<double> held_out_errors(const std::vector<Sample>& samples,
                                    const std::vector<Interpolation>& axes, std::size_t axis) {
  std::vector<double> errors;
  const std::vector<double> values = values_on(samples, axis);
  for (std::size_t i = 1; i + 1 < values.size(); ++i) {
    std::vector<Sample> rest, left_out;
    for (const Sample& s : samples) (s.at[axis] == values[i] ? left_out : rest).push_back(s);
    const SampleGrid grid(axes, std::move(rest));
    for (const Sample& s : left_out) {
      const SampleTime got = grid.at(std::span(s.at.data(), axes.size()));
      if (got.kind == SampleKind::interpolated) errors.push_back(error_pct(got.us, s.us));
    }
  }
  return errors;
}

HeldOutError held_out_summary(std::vector<double> errors_pct) {
  HeldOutError out;
  if (errors_pct.empty()) return out;
  std::ranges::sort(errors_pct);
  out.median_pct = quantile_of_sorted(errors_pct, 0.5);
  out.p90_pct = quantile_of_sorted(errors_pct, 0.9);
  out.worst_pct = errors_pct.back();
  out.samples = static_cast<std::int64_t>(errors_pct.size());
  return out;
}

std::vector<Sample> thinned(const std::vector<Sample>& samples,
                            const std::vector<Interpolation>& axes, double tolerance_pct) {
  std::vector<Sample> sorted = samples, kept;
  std::ranges::sort(sorted, {}, &Sample::at);
  const std::size_t last = axes.size() - 1;
  for (std::size_t begin = 0; begin < sorted.size();) {
    std::size_t end = begin;
    while (end < sorted.size() && same_line(sorted[begin], sorted[end], last)) ++end;
    const auto line = thinned_line(std::span(sorted).subspan(begin, end - begin), last, axes[last],
                                   tolerance_pct);
    kept.insert(kept.end(), line.begin(), line.end());
    begin = end;
  }
  for (std::size_t depth = 1; depth <= last; ++depth) {
    std::vector<Sample> heads;  // one sample of each line
    for (const Sample& s : kept) {
      if (heads.empty() || !same_line(heads.back(), s, depth)) heads.push_back(s);
    }
    for (const Sample& head : heads) {
      auto rest = without_line(kept, head, depth);
      if (rest && reproduces(SampleGrid(axes, *rest), sorted, tolerance_pct)) {
        kept = *std::move(rest);
      }
    }
  }
  return kept;
}

FittedFamily fit_family(ProfileFamily described, const std::vector<RawSeries>& raw,
                        double tolerance_pct) {
  FittedFamily out;
  Choice choice = best_interpolation(raw, described.axes.size());
  out.by_axis = std::move(choice.by_axis);
  described.held_out = choice.all;
  for (std::size_t i = 0; i < described.axes.size(); ++i) {
    described.axes[i].interpolation = choice.axes[i];
  }
  described.series.assign(raw.size(), {});
  parallel_for(raw.size(), [&](std::size_t i) {
    described.series[i] = {
        raw[i].keys, SampleGrid(choice.axes, thinned(raw[i].samples, choice.axes, tolerance_pct))};
  });
  for (std::size_t i = 0; i < raw.size(); ++i) {
    described.rows += static_cast<std::int64_t>(raw[i].samples.size());
    out.kept += described.series[i].grid.size();
  }
  out.family = std::move(described);
  return out;
}

}  // namespace v4cap
