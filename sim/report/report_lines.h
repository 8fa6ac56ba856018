// A report on the terminal, for those who read no HTML: a line of KV occupancy for each run, and the
// Pareto chart of what one GPU yields against what one user sees, for several runs or a sweep.
//
//   KV memory  full            ▂▅▇███████████████████▇▇▇▆  peak 44.8 of 44.8 GiB
#pragma once

#include <string>
#include <vector>

#include "sim/report/report_document.h"

namespace v4cap {

// A run or a point of a sweep: tokens a second of one user (1000 / TPOT p50) and output tokens a
// second of one GPU.
struct ParetoPoint {
  std::string label{};
  double interactivity = 0, throughput = 0;
  bool steady = true;  // else it is drawn, and never on the front
};

// Places of the points that no other one dominates, ascending by interactivity. Of equal points
// the first.
std::vector<std::size_t> pareto_front(const std::vector<ParetoPoint>& points);

// Of the runs of the report; of its sweeps where it has none. Points without both figures are left
// out.
std::vector<ParetoPoint> pareto_points(const Report& report);

std::string occupancy_lines(const std::vector<ReportRun>& runs);
// "" of fewer than two points. Points of the front are letters, explained below the chart, others
// dots.
std::string pareto_chart(const std::vector<ParetoPoint>& points);

}  // namespace v4cap
