// From raw measurements to a family of a profile: which interpolation each axis takes, how wrong
// predictions of samples are that were left out, and which samples can go because their neighbours
// say the same.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "sim/cost/profile.h"

namespace v4cap {

// What was measured with one choice of a family's keys. No point twice.
struct RawSeries {
  std::vector<std::string> keys;
  std::vector<Sample> samples;
};

// |predicted / measured - 1| in percent of samples on left-out grid lines: for every axis and every
// value on it but the least and the greatest, all samples with that value are left out at once and
// predicted from the rest. Only predictions that are no extrapolations count: the edge of a grid has
// nothing on its other side.
std::vector<double> held_out_errors(const std::vector<Sample>& samples,
                                    const std::vector<Interpolation>& axes, std::size_t axis);

// Summary of errors in percent; all 0 when there are none.
HeldOutError held_out_summary(std::vector<double> errors_pct);

// The samples that a grid needs to give every left-out one within `tolerance_pct`. First within the
// lines along the last axis (ends stay), then whole lines of the other axes. The same input gives
// the same choice.
std::vector<Sample> thinned(const std::vector<Sample>& samples,
                            const std::vector<Interpolation>& axes, double tolerance_pct);

struct FittedFamily {
  ProfileFamily family;
  std::vector<HeldOutError> by_axis;
  std::size_t kept = 0;  // samples after thinning; family.rows were given
};

// Completes `described` (all but interpolation, held-out error, rows and series): tries every
// combination of linear and log over the axes (log only where all values are above 0), takes the one
// with the least median held-out error (of equal ones the first, linear before log), and thins.
FittedFamily fit_family(ProfileFamily described, const std::vector<RawSeries>& raw,
                        double tolerance_pct);

}  // namespace v4cap
