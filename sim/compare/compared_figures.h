// The figures of a comparison in the order in which they are shown, and the error of one run's
// value against another's.
#pragma once

#include <optional>
#include <string>
#include <vector>

namespace v4cap {

// A figure of MeasuredRun, for tables and for --limit.
struct ComparedFigure {
  std::string name{};   // as in MeasuredRun::figures, and in JSON
  std::string group{};  // heading of the table
  std::string label{};
  std::string unit{};    // "" of a number of things
  bool is_rate = false;  // a fraction, shown in % and compared in points
};

const std::vector<ComparedFigure>& compared_figures();

// Signed error of `b` against `a`: 100 (b - a) / a in %, and 100 (b - a) points for a rate. Empty
// when either is missing, and in % when `a` is 0 and `b` is not; two zeros differ by 0.
std::optional<double> signed_error(const ComparedFigure& figure, std::optional<double> a,
                                   std::optional<double> b);

// Signed error in %; empty when `a` is 0 and `b` is not.
std::optional<double> error_pct(double a, double b);

}  // namespace v4cap
