#include "sim/compare/comparison.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <unordered_map>

#include "sim/core/quantiles.h"

namespace v4cap {

namespace {

constexpr std::array<Latency, 3> kPaired = {Latency::ttft, Latency::tpot, Latency::e2el};

std::string paired_name(Latency latency) {
  return "paired_" + std::string(name_of(latency));
}

std::optional<double> value_of(const MeasuredRequest& request, Latency latency) {
  switch (latency) {
    case Latency::ttft:
      return request.ttft_ms;
    case Latency::tpot:
      return request.tpot_ms;
    case Latency::e2el:
      return request.e2el_ms;
    case Latency::itl:
      break;
  }
  return std::nullopt;
}

ErrorLimit judge(const ErrorLimits& limits, const std::string& name, std::optional<double> error,
                 bool recorded) {
  const auto it = limits.find(name);
  if (it == limits.end()) return {};
  if (!recorded) return {it->second, LimitState::unknown};
  const bool held = error && std::abs(*error) <= it->second;
  return {it->second, held ? LimitState::held : LimitState::exceeded};
}

bool is_missed(const ErrorLimit& limit) {
  return limit.limit && limit.state != LimitState::held;
}

constexpr std::array<const char*, 3> kStepNames = {"step_total", "step_median", "step_p90"};

class Comparer {
 public:
  Comparer(MeasuredRun a, MeasuredRun b, std::optional<StepComparison> steps,
           const ErrorLimits& limits)
      : limits_(limits) {
    result_.a = std::move(a);
    result_.b = std::move(b);
    result_.steps = std::move(steps);
  }

  Comparison compare() {
    for (const ComparedFigure& figure : compared_figures()) compare_figure(figure);
    pair_requests();
    for (const Latency latency : kPaired) compare_paired(latency);
    result_.step_limits = judge_steps(result_.steps ? &*result_.steps : nullptr, limits_);
    for (const StepLimit& step : result_.step_limits) {
      if (is_missed(step.limit)) result_.exceeded.push_back(step.name);
    }
    return std::move(result_);
  }

 private:
  ErrorLimit judged(const std::string& name, std::optional<double> error, bool recorded) {
    const ErrorLimit limit = judge(limits_, name, error, recorded);
    if (is_missed(limit)) result_.exceeded.push_back(name);
    return limit;
  }

  void compare_figure(const ComparedFigure& figure) {
    FigureError row{
        .figure = &figure, .a = result_.a.figure(figure.name), .b = result_.b.figure(figure.name)};
    row.error = signed_error(figure, row.a, row.b);
    if (!row.a || !row.b) {
      row.why = row.b ? "not in A" : row.a ? "not in B" : "in neither";
    } else if (!row.error) {
      row.why = "A is 0";
    }
    row.limit = judged(figure.name, row.error, row.a && row.b);
    result_.figures.push_back(std::move(row));
  }

  void pair_requests() {
    const auto has_ids = [](const MeasuredRun& run) {
      return !run.requests.empty() && std::ranges::none_of(run.requests, [](const auto& request) {
        return request.id.empty();
      });
    };
    const bool in_a = has_ids(result_.a), in_b = has_ids(result_.b);
    if (in_a && in_b) {
      std::unordered_map<std::string_view, const MeasuredRequest*> by_id;
      for (const MeasuredRequest& request : result_.b.requests) by_id[request.id] = &request;
      for (const MeasuredRequest& request : result_.a.requests) {
        const auto it = by_id.find(request.id);
        if (it != by_id.end()) pairs_.emplace_back(&request, it->second);
      }
    }
    const auto count = static_cast<std::int64_t>(pairs_.size());
    result_.paired_requests = count;
    result_.only_in_a = static_cast<std::int64_t>(result_.a.requests.size()) - count;
    result_.only_in_b = static_cast<std::int64_t>(result_.b.requests.size()) - count;
    result_.pairing = pairing_text(in_a, in_b);
  }

  std::string pairing_text(bool in_a, bool in_b) const {
    const std::string only = ": only distributions are compared";
    if (!in_a && !in_b) return "neither side has single requests with ids" + only;
    if (!in_a || !in_b) {
      return std::string(in_a ? "B" : "A") + " has no single requests with ids" + only;
    }
    if (pairs_.empty()) return "no request id is on both sides" + only;
    std::string text = fmt::format("{} requests are paired by id", pairs_.size());
    if (result_.only_in_a > 0) text += fmt::format(", {} are only in A", result_.only_in_a);
    if (result_.only_in_b > 0) text += fmt::format(", {} are only in B", result_.only_in_b);
    return text;
  }

  void compare_paired(Latency latency) {
    PairedError row{.name = paired_name(latency), .latency = latency};
    std::vector<double> sizes, errors;
    for (const auto& [a, b] : pairs_) {
      const auto measured = value_of(*a, latency), simulated = value_of(*b, latency);
      if (!measured || !simulated) continue;
      const auto error = error_pct(*measured, *simulated);
      if (!error) continue;
      if (errors.empty() || std::abs(*error) > row.worst_pct) {
        row.worst_pct = std::abs(*error);
        row.worst_id = a->id;
      }
      errors.push_back(*error);
      sizes.push_back(std::abs(*error));
    }
    row.count = static_cast<std::int64_t>(errors.size());
    if (row.count > 0) {
      std::sort(errors.begin(), errors.end());
      std::sort(sizes.begin(), sizes.end());
      row.median_signed_pct = quantile_of_sorted(errors, 0.5);
      row.median_pct = quantile_of_sorted(sizes, 0.5);
      row.p90_pct = quantile_of_sorted(sizes, 0.9);
    }
    row.limit = judged(row.name, row.median_pct, row.count > 0);
    if (row.count > 0 || row.limit.limit) result_.paired.push_back(std::move(row));
  }

  const ErrorLimits& limits_;
  Comparison result_;
  std::vector<std::pair<const MeasuredRequest*, const MeasuredRequest*>> pairs_;
};

}  // namespace

std::vector<std::string> error_names() {
  std::vector<std::string> names;
  for (const Latency latency : kPaired) names.push_back(paired_name(latency));
  names.insert(names.end(), kStepNames.begin(), kStepNames.end());
  return names;
}

Comparison compare_runs(MeasuredRun a, MeasuredRun b, std::optional<StepComparison> steps,
                        const ErrorLimits& limits) {
  return Comparer(std::move(a), std::move(b), std::move(steps), limits).compare();
}

std::vector<StepLimit> judge_steps(const StepComparison* steps, const ErrorLimits& limits) {
  std::vector<StepLimit> judged;
  const bool any = steps != nullptr && steps->all.steps > 0;
  for (const char* name : kStepNames) {
    if (!limits.contains(name)) continue;
    StepLimit step{.name = name};
    if (any) {
      const StepErrors& all = steps->all;
      step.error = step.name == "step_total"    ? all.total_pct
                   : step.name == "step_median" ? all.median_pct
                                                : all.p90_pct;
    }
    step.limit = judge(limits, step.name, step.error, any);
    judged.push_back(std::move(step));
  }
  return judged;
}

}  // namespace v4cap
