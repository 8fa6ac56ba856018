// Families of single operators. The suite of an operator (exec/suites) has the cases that check and
// bench walk over; a grid beside them makes more of the same cases at the shapes of a rank. Each
// point is timed twice, with L2 cold and warm, as two series of the key `l2`.
//
//   const RegisterGrid kGrid{{.name = "topk", ...}};
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "exec/calibrate/family.h"
#include "exec/suite.h"

namespace v4cap::exec::calibrate {

struct OperatorGrid {
  std::string name;                      // of the family
  std::vector<std::string> covers = {};  // operators of the cost model
  std::vector<std::string> keys = {};    // besides l2
  std::vector<ProfileAxis> axes = {};
  std::string note = {};
  std::function<std::vector<Point>(const Rank& rank, GridSize size)> points = {};  // without l2
  std::function<std::unique_ptr<Case>(const Rank& rank, const Point& point)> make = {};
  FamilyCost cost = {.setup_s = 2, .point_s = 0.08};
};

struct RegisterGrid {
  explicit RegisterGrid(OperatorGrid grid);
};

}  // namespace v4cap::exec::calibrate
