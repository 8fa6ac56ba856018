// What running a point of a sweep gave: the run's summary without wall time, or the reason why the
// scenario cannot run (its model does not fit, say).
#pragma once

#include <string>

namespace v4cap {

struct PointResult {
  std::string key;       // plan.h
  bool feasible = true;  // false: `document` is the reason
  std::string document;  // the summary (summary_json.h) as a JSON object on one line
  bool operator==(const PointResult&) const = default;
};

// A result as a line of JSON lines, without its end: {"key", "status", "reason" or "summary"}.
std::string result_line(const PointResult& result);

}  // namespace v4cap
