// The points of a sweep in their order, each with the key of its result. A plan is a file
// (plan.json) that says everything there is to run, the base scenario included, and carries a hash
// of its own content, so that shards on other machines run the same points or refuse.
//
// A result's key is a hash of all that it depends on: the resolved scenario (its seed included),
// the simulator's version, sources and definitions, and the content of the trace and of the
// profile. Equal keys mean equal results, whichever sweep they are of.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "sim/config/scenario.h"
#include "sim/sweep/sweep_file.h"

namespace v4cap {

struct PlannedPoint {
  std::vector<std::uint32_t> rows;  // of each axis
  std::string key;                  // 32 hexadecimal digits
};

struct SweepPlan {
  std::string name;
  std::string base_file, base_text;
  std::vector<std::string> set;
  std::vector<Axis> axes;
  std::vector<Condition> thresholds;
  std::vector<PlannedPoint> points;
  std::int64_t left_out = 0;  // points that broke a constraint
};

// What the options of the command line say of every point.
struct PointOptions {
  std::string trace_dir;
  unsigned threads = 0;  // 0 = as many as there are cores
};

// All points that keep the constraints, each checked as far as it can be without running it. Throws
// InputError with the place of the value that is wrong, and in how many points.
SweepPlan make_plan(const SweepFile& sweep, const PointOptions& options);

// Scenarios of a plan's points; the base is parsed once. Safe on several threads.
class PlannedScenarios {
 public:
  PlannedScenarios(const SweepPlan& plan, std::string trace_dir);
  // Throws InputError.
  Scenario scenario(const PlannedPoint& point) const;

 private:
  const SweepPlan& plan_;
  std::string trace_dir_;
  YamlNode base_;
};

// Throws InputError when the points' scenarios, traces or profiles are no longer what they were
// when the plan was made, or when another version of the simulator made it.
void check_unchanged(const SweepPlan& plan, const std::vector<std::size_t>& points,
                     const PointOptions& options);

// The plan file; equal plans give equal text.
std::string plan_text(const SweepPlan& plan);
// Its content hash, 32 hexadecimal digits.
std::string plan_hash(const SweepPlan& plan);
// Throws InputError for a file that is no plan, or was changed after it was made.
SweepPlan read_plan(const std::string& path);
// Whether the file says of itself that it is a plan.
bool is_plan(const std::string& path);

// Values of a point by axis path, in the order of paths_of_axes.
std::vector<std::string> paths_of_axes(const SweepPlan& plan);
std::vector<std::string> values_of(const SweepPlan& plan, const PlannedPoint& point);

}  // namespace v4cap
