// A calibration that cannot go on, with a word for programs beside the message for people. Nothing
// that was measured is lost by it.
#pragma once

#include <string>
#include <utility>

#include "sim/core/error.h"

namespace v4cap::exec::calibrate {

class Fault : public RunError {
 public:
  // `kind`: a constant, such as "other_gpu".
  Fault(std::string kind, const std::string& message) : RunError(message, std::move(kind)) {}
};

}  // namespace v4cap::exec::calibrate
