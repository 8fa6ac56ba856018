#include "sim/sweep/point_result.h"

#include "sim/output/json_writer.h"

namespace v4cap {

std::string result_line(const PointResult& result) {
  if (!result.feasible) {
    JsonWriter json;
    json.begin_object().member("key", result.key).member("status", "infeasible");
    json.member("reason", result.document).end_object();
    return json.text();
  }
  // The summary is JSON already, and has to stay the bytes that it is.
  return "{\"key\":\"" + result.key + "\",\"status\":\"done\",\"summary\":" + result.document + '}';
}

}  // namespace v4cap
