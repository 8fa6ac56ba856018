// Whoever wants to know what an engine decides, in the order in which it decides it. Observers
// change nothing.
#pragma once

#include "sim/engine/request.h"
#include "sim/engine/request_record.h"
#include "sim/engine/step_plan.h"

namespace v4cap {

class EngineObserver {
 public:
  virtual ~EngineObserver() = default;
  // The request in `slot` runs from now on: `computed` of its tokens are there, and `rebuild_left`
  // positions before that are to be run again.
  virtual void admitted(RequestIndex slot, const LiveRequest& request) = 0;
  // It has lost its memory and waits again.
  virtual void preempted(RequestIndex slot, const LiveRequest& request) = 0;
  // It has ended; `slot` is free.
  virtual void finished(RequestIndex slot, const LiveRequest& request) = 0;
  // It can never run here, and has no slot.
  virtual void refused(const RequestRecord& record) = 0;
};

}  // namespace v4cap
