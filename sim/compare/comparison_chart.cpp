#include "sim/compare/comparison_chart.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <tuple>

#include "sim/compare/svg_chart.h"
#include "sim/core/quantiles.h"
#include "sim/output/humanise.h"

namespace v4cap {

namespace {

constexpr std::size_t kCurvePoints = 400, kDotsMax = 4000;

// Share of requests at most so long. From single values a curve, from statistics rings at p50, p90
// and p99.
ChartSeries distribution(const MeasuredRun& run, Latency latency, const char* side, int color) {
  ChartSeries series{.label = side, .color = color};
  const std::vector<double>& sample = run.sample(latency);
  if (sample.empty()) {
    series.mark = ChartSeries::Mark::rings;
    const std::string name(name_of(latency));
    for (const auto& [key, share] :
         {std::pair{"_p50", 0.5}, std::pair{"_p90", 0.9}, std::pair{"_p99", 0.99}}) {
      if (const auto value = run.figure(name + key)) series.points.push_back({*value, share});
    }
    return series;
  }
  series.mark = color == 0 ? ChartSeries::Mark::line : ChartSeries::Mark::dashed_line;
  const std::size_t points = std::min(kCurvePoints, std::max<std::size_t>(2, sample.size()));
  for (std::size_t i = 0; i < points; ++i) {
    const double share = static_cast<double>(i) / static_cast<double>(points - 1);
    series.points.push_back({quantile_of_sorted(sample, share), share});
  }
  return series;
}

// Long tails are seen on a logarithmic axis only.
bool wants_log(const std::vector<ChartSeries>& all) {
  double low = 0, high = 0;
  bool any = false;
  for (const ChartSeries& series : all) {
    for (const ChartPoint& point : series.points) {
      low = any ? std::min(low, point.x) : point.x;
      high = any ? std::max(high, point.x) : point.x;
      any = true;
    }
  }
  constexpr double kWide = 12;
  return any && low > 0 && high / low > kWide;
}

ChartPanel latency_panel(const Comparison& c, Latency latency) {
  ChartPanel panel{
      .title = std::string(label_of(latency)), .x_label = "ms", .y_label = "share of requests"};
  panel.empty_text = "recorded on neither side";
  panel.series = {distribution(c.a, latency, "A", 0), distribution(c.b, latency, "B", 1)};
  panel.log_x = wants_log(panel.series);
  if (panel.log_x) panel.x_label = "ms, logarithmic";
  return panel;
}

// The errors that a picture has to show: all but the outermost of each side, and 0.
std::pair<double, double> error_range(const StepComparison& steps) {
  std::vector<double> errors;
  for (const StepPair& pair : steps.pairs) errors.push_back(pair.error_pct());
  std::sort(errors.begin(), errors.end());
  constexpr double kLeast = 5, kMost = 300, kOutside = 0.005, kRoom = 1.15;
  if (errors.empty()) return {-kLeast, kLeast};
  return {std::clamp(kRoom * quantile_of_sorted(errors, kOutside), -100.0, -kLeast),
          std::clamp(kRoom * quantile_of_sorted(errors, 1 - kOutside), kLeast, kMost)};
}

template <class Position>
ChartPanel step_panel(const StepComparison& steps, const char* title, const char* x_label,
                      Position position) {
  ChartPanel panel{.title = title, .x_label = x_label, .y_label = "error of B, %"};
  panel.log_x = true;
  std::tie(panel.y_min, panel.y_max) = error_range(steps);
  panel.zero_line = true;
  panel.wide = true;
  panel.empty_text = "no steps";
  for (const StepKind kind :
       {StepKind::decode, StepKind::prefill, StepKind::mixed, StepKind::rebuild}) {
    panel.series.push_back({.label = std::string(name_of(kind)),
                            .color = static_cast<int>(kind),
                            .mark = ChartSeries::Mark::dots});
  }
  struct Bucket {
    double x_sum = 0;
    std::vector<double> errors;
  };
  std::map<int, Bucket> buckets;
  const std::size_t stride = std::max<std::size_t>(1, steps.pairs.size() / kDotsMax);
  for (std::size_t i = 0; i < steps.pairs.size(); ++i) {
    const StepPair& pair = steps.pairs[i];
    const double x = std::max(1.0, position(pair));
    if (i % stride == 0) {
      panel.series[static_cast<std::size_t>(pair.kind)].points.push_back({x, pair.error_pct()});
    }
    Bucket& bucket = buckets[bucket_of(x)];
    bucket.x_sum += x;
    bucket.errors.push_back(pair.error_pct());
  }
  ChartSeries median{.label = "median", .color = 4, .mark = ChartSeries::Mark::line};
  for (auto& [number, bucket] : buckets) {
    std::sort(bucket.errors.begin(), bucket.errors.end());
    median.points.push_back({bucket.x_sum / static_cast<double>(bucket.errors.size()),
                             quantile_of_sorted(bucket.errors, 0.5)});
  }
  panel.series.push_back(std::move(median));
  return panel;
}

void add_steps(const StepComparison& steps, std::vector<ChartPanel>& panels) {
  panels.push_back(step_panel(steps, "Steps", "sequences in the step, logarithmic",
                              [](const StepPair& p) { return static_cast<double>(p.batch); }));
  panels.push_back(step_panel(steps, "Steps", "mean context in tokens, logarithmic",
                              [](const StepPair& p) { return p.context_tokens; }));
}

std::string shortened(const std::string& path) {
  constexpr std::size_t kShown = 90;
  return path.size() <= kShown ? path : "..." + path.substr(path.size() - kShown);
}

}  // namespace

std::string comparison_chart(const Comparison& c) {
  std::vector<ChartPanel> panels;
  for (const Latency latency : {Latency::ttft, Latency::tpot, Latency::e2el}) {
    panels.push_back(latency_panel(c, latency));
  }
  if (c.steps) add_steps(*c.steps, panels);
  return svg_chart("B against A",
                   {"A: " + shortened(c.a.path) + ", " + c.a.format,
                    "B: " + shortened(c.b.path) + ", " + c.b.format, c.pairing},
                   panels);
}

std::string steps_chart(const std::string& path, const StepComparison& steps) {
  std::vector<ChartPanel> panels;
  add_steps(steps, panels);
  return svg_chart("Step times", {"A: " + shortened(path), steps.how}, panels);
}

}  // namespace v4cap
