// Measured times of one GPU under one engine: what a cost model looks up instead of a roofline. A
// profile knows nothing of hardware descriptions; its `gpu` is matched against theirs by name.
//
// A family is one kind of measurement (the CSA attention module in decode, the all-reduce); a series
// is one choice of the family's keys (model=deepseek-v4-pro tp=8), with a grid over its axes.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "sim/cost/host_cost.h"
#include "sim/cost/sample_grid.h"

namespace v4cap {

// What one time stands for: a single kernel, a whole part of a layer as an engine runs it, or a
// whole step, which has coefficients (sim/cost/step_fit.h) instead of series.
enum class ProfileGrain : std::uint8_t { kernel, module, step };

struct ProfileAxis {
  std::string name;  // "batch", "past"
  std::string unit;  // rows, tokens or bytes
  Interpolation interpolation = Interpolation::linear;
  bool monotone = false;  // samples are raised to a running maximum along it when read
};

// Error of predicting samples that were left out, |predicted / measured - 1|.
struct HeldOutError {
  double median_pct = 0, p90_pct = 0, worst_pct = 0;
  std::int64_t samples = 0;  // predictions made; 0: the grid has no interior
};

struct ProfileSeries {
  std::vector<std::string> keys;  // values, in the order of the family's keys
  SampleGrid grid;                // us over the family's axes
};

// Whose steps a log is of, as far as it is known: names and widths as a scenario has them.
struct StepDeployment {
  std::string model;  // "": not stated
  std::optional<std::int64_t> tensor_parallel, data_parallel, expert_parallel, draft_tokens;

  // The numbers by the paths that they have in a scenario.
  using Number = std::pair<const char*, std::optional<std::int64_t>>;
  std::array<Number, 4> numbers() const {
    return {Number{"deployment.tensor_parallel", tensor_parallel},
            Number{"deployment.data_parallel", data_parallel},
            Number{"deployment.expert_parallel", expert_parallel},
            Number{"engine.draft_tokens", draft_tokens}};
  }
};

struct ProfileFamily {
  std::string name;
  ProfileGrain grain = ProfileGrain::module;
  std::string engine, engine_version, kernel_source;
  std::vector<std::string> keys;  // names
  std::vector<ProfileAxis> axes;
  std::vector<std::string> covers;  // operators of the cost model, or the part it stands for
  std::vector<std::string> marks;   // "l2_warm", "topk_corrected"
  std::string note;                 // how its samples were chosen or corrected; may be ""
  HeldOutError held_out;
  std::map<std::string, std::int64_t> refused_rows;  // by reason
  std::int64_t rows = 0;                             // accepted, before thinning
  std::vector<ProfileSeries> series;                 // in the order of the file
  // Of grain step, else empty: coefficients, and the most of what any step had (kStepSizes).
  std::map<std::string, double> coefficients, largest;
  StepDeployment deployment;
  Raised raised;  // by monotone axes, when read

  bool has_mark(std::string_view mark) const;
  // The series with exactly these keys, in any order; nullptr when there is none, or when a name is
  // no key of this family.
  const ProfileSeries* find(
      const std::vector<std::pair<std::string_view, std::string_view>>& wanted) const;
};

struct Profile {
  std::string name, file;  // file: path of the YAML file
  std::string gpu;         // as in hardware files: B200, H200, H100
  std::string engine, engine_version;
  std::string device, driver, clocks, date, source, licence;  // "not recorded" where unknown
  std::vector<ProfileFamily> families;
  // The host that the steps were launched from, where it was measured with them.
  std::optional<HostCost> host;

  const ProfileFamily* find(std::string_view family) const;  // nullptr when absent
  // The family of grain step, which has no other beside it; nullptr when absent.
  const ProfileFamily* whole_steps() const;
};

}  // namespace v4cap
