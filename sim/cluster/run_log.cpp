#include "sim/cluster/run_log.h"

#include <fmt/format.h>

#include <utility>

#include "sim/core/error.h"

namespace v4cap {

RunLog::RunLog(Replica& replica, TextSink steps, TextSink decisions)
    : engine_(replica.rank(0)),
      steps_sink_(std::move(steps)),
      decisions_sink_(std::move(decisions)),
      evicted_(engine_.cache().evicted()) {
  V4CAP_CHECK(replica.size() == 1, "a log of steps has one rank");
  steps_sink_(StepLines::header());
  decisions_sink_("step,decision,request,slot,hit,compute,rebuild,bytes\n");
  engine_.watch(this);
}

void RunLog::step_timed(SimTime begin, std::span<const StepPlan* const> ranks,
                        const StepTime& time) {
  note_evictions();
  step_.index = steps_++;
  step_.begin = begin;
  step_.time = time.total;
  step_.plan = *ranks.front();
  steps_sink_(lines_.line(step_));
}

void RunLog::admitted(RequestIndex slot, const LiveRequest& request) {
  note("admit", request.id,
       fmt::format("{},{},{},{},", slot, request.computed.value,
                   (request.prefill_target - request.computed).value, request.rebuild_left.value));
}

void RunLog::preempted(RequestIndex slot, const LiveRequest& request) {
  note("preempt", request.id, fmt::format("{},,,,", slot));
}

void RunLog::finished(RequestIndex slot, const LiveRequest& request) {
  note("finish", request.id, fmt::format("{},,,,", slot));
}

void RunLog::refused(const RequestRecord& record) {
  note("refuse", record.id, ",,,,");
}

void RunLog::note(const char* decision, std::uint32_t request, const std::string& rest) {
  note_evictions();
  decisions_sink_(fmt::format("{},{},{},{}\n", steps_, decision, request, rest));
}

void RunLog::note_evictions() {
  const KindBytes& now = engine_.cache().evicted();
  if (now == evicted_) return;
  std::string bytes;
  for (const CacheKind kind : all_cache_kinds()) {
    const std::int64_t gone = now[kind] - evicted_[kind];
    if (gone > 0) bytes += fmt::format("{}{}={}", bytes.empty() ? "" : " ", name_of(kind), gone);
  }
  evicted_ = now;
  decisions_sink_(fmt::format("{},evict,,,,,,{}\n", steps_, bytes));
}

}  // namespace v4cap
