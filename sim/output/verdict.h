// What holds a run back, in words that a planner acts on.
//
// The engine books every nanosecond of the run to one cause (BindingTime). The binding constraint
// is:
//   1. "none"      when nothing was booked (every request was refused), or most were refused and the
//      node was idle for more than half of the time;
//   2. when saturated, or idle for more than half of the time though requests waited for longer than
//      they ran (clients may pause for hours), the cause at the head of the queue for the longest
//      time: "memory:<pool>", "running_cap" or "prefill" (the step's token budget was spent);
//   3. "arrivals"  when the node was idle for more than half of the time;
//   4. otherwise the cause with the largest share of the time among
//        memory:<pool>  the request at the head of the queue waited for memory of that pool,
//        running_cap    it waited for one of max_running slots,
//        prefill        it waited for token budget, or nothing waited and prefill made up the
//        steps, decode         nothing waited and decode made up the steps.
// Equal shares go to the earlier in that list, pools in the order of the layout.
//
// The text is one to three sentences: refused requests first, then what binds and for how much of
// the time, then what to try, then
// whether evictions cost hits.
#pragma once

#include <string>

#include "sim/output/record.h"

namespace v4cap {

struct Verdict {
  std::string binding;  // "memory:<pool>", "running_cap", "prefill", "decode", "arrivals", "none"
  double share = 0;     // of the run's time, 0..1
  bool saturated = false;
  std::string text;
};

Verdict make_verdict(const RunTotals& totals);

}  // namespace v4cap
