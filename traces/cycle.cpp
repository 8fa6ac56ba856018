#include "traces/cycle.h"

#include <algorithm>
#include <string>

#include "sim/core/error.h"

namespace v4cap {

namespace {

void refuse(const Trace& trace, const std::string& why) {
  throw InputError(Place{}, "expected a trace of lengths alone, " + trace.name + ' ' + why);
}

}  // namespace

void clip_prompts(Trace& trace, Tokens most) {
  if (trace.block > Tokens{0}) {
    refuse(trace, "names the blocks of its prompts, which would no longer be those");
  }
  for (std::size_t r = 0; r < trace.requests.size(); ++r) {
    TraceRequest& request = trace.requests[r];
    if (request.output >= most) {
      throw InputError(Place{}, "expected more tokens than the longest output, request " +
                                    std::to_string(r) + " of " + trace.name + " generates " +
                                    std::to_string(request.output.value));
    }
    request.prompt = std::min(request.prompt, most - request.output);
  }
}

void cycle_requests(Trace& trace, std::int64_t requests) {
  if (trace.block > Tokens{0}) {
    refuse(trace, "names the blocks of its prompts: what comes again would hit by accident");
  }
  if (!trace.session_names.empty() || !trace.after.empty()) {
    refuse(trace, "has sessions, which would go on when they come again");
  }
  V4CAP_CHECK(trace.phases.empty() && requests > 0 && requests < std::int64_t{kNoRequest},
              "a client's requests are not cycled");
  if (!trace.requests.empty()) trace.cycled_to = static_cast<std::uint32_t>(requests);
}

}  // namespace v4cap
