#include "sim/compare/step_times.h"

#include <filesystem>

#include "sim/output/steps_file.h"

namespace v4cap {

namespace {

std::string log_of(const std::string& directory) {
  return directory + '/' + kStepsFile;
}

double ms_of(Duration time) {
  constexpr double kNsPerMs = 1e6;
  return static_cast<double>(time.count()) / kNsPerMs;
}

StepPair pair_of(const StepPlan& plan, Duration a, Duration b) {
  return step_pair(plan, ms_of(a), ms_of(b));
}

}  // namespace

bool has_step_log(const std::string& directory) {
  return std::filesystem::is_regular_file(log_of(directory));
}

std::optional<StepComparison> compare_equal_steps(const std::string& a, const std::string& b) {
  StepsReader steps_of_a(log_of(a)), steps_of_b(log_of(b));
  std::vector<StepPair> pairs;
  for (;;) {
    const RecordedStep* const in_a = steps_of_a.next();
    const RecordedStep* const in_b = steps_of_b.next();
    if (in_a == nullptr && in_b == nullptr) break;
    if (in_a == nullptr || in_b == nullptr) return std::nullopt;
    if (in_a->plan.pieces != in_b->plan.pieces || in_a->plan.copies != in_b->plan.copies) {
      return std::nullopt;
    }
    pairs.push_back(pair_of(in_a->plan, in_a->time, in_b->time));
  }
  return summarise_steps(std::move(pairs),
                         "both sides made the same steps; B's times are those of its own log");
}

StepComparison compare_steps(const std::string& a, const CostModel& cost,
                             const std::string& source) {
  StepsReader steps(log_of(a));
  std::vector<StepPair> pairs;
  while (const RecordedStep* const step = steps.next()) {
    pairs.push_back(pair_of(step->plan, step->time, cost.step_time(step->plan).total));
  }
  return summarise_steps(std::move(pairs),
                         "B's times are what the cost model of " + source + " gives for A's steps");
}

}  // namespace v4cap
