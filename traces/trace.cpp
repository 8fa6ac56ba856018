#include "traces/trace.h"

#include <algorithm>

#include "sim/core/error.h"

namespace v4cap {

namespace {

// Id of block `index` of a prompt that has more blocks than that.
std::int64_t id_at(std::span<const IdRun> runs, std::int64_t index) {
  for (const IdRun& run : runs) {
    if (index < run.count) return run.first + index;
    index -= run.count;
  }
  V4CAP_CHECK(false, "block index beyond the prompt's ids");
  return 0;
}

// Do both begin with the same `blocks` ids? Both have at least as many. Runs may be cut
// differently.
bool same_prefix(std::span<const IdRun> a, std::span<const IdRun> b, std::int64_t blocks) {
  std::size_t i = 0, j = 0;
  std::int64_t into_a = 0, into_b = 0;
  while (blocks > 0) {
    if (a[i].first + into_a != b[j].first + into_b) return false;
    const std::int64_t step = std::min({a[i].count - into_a, b[j].count - into_b, blocks});
    blocks -= step;
    into_a += step;
    into_b += step;
    if (into_a == a[i].count) ++i, into_a = 0;
    if (into_b == b[j].count) ++j, into_b = 0;
  }
  return true;
}

// Ids are chained, so the last full block alone rules nearly every other candidate out.
bool continues(const Trace& trace, const TraceRequest& earlier, const TraceRequest& later) {
  if (later.prompt < earlier.prompt + earlier.output) return false;
  const std::int64_t blocks = earlier.prompt / trace.block;
  const auto a = trace.runs_of(earlier), b = trace.runs_of(later);
  return id_at(a, blocks - 1) == id_at(b, blocks - 1) && same_prefix(a, b, blocks);
}

}  // namespace

void link_continuations(Trace& trace) {
  if (!trace.has_sessions || trace.block.value == 0) return;
  std::vector<std::vector<std::uint32_t>> sessions(trace.session_names.size());
  for (std::uint32_t i = 0; i < trace.requests.size(); ++i) {
    const std::int32_t session = trace.requests[i].session;
    if (session != kNoSession) sessions[static_cast<std::size_t>(session)].push_back(i);
  }
  for (const auto& session : sessions) {
    for (std::size_t k = 0; k < session.size(); ++k) {
      TraceRequest& earlier = trace.requests[session[k]];
      earlier.continued_by = kNoRequest;
      if (earlier.prompt < trace.block) continue;
      const auto later = std::find_if(session.begin() + static_cast<std::ptrdiff_t>(k) + 1,
                                      session.end(), [&](std::uint32_t candidate) {
                                        return continues(trace, earlier, trace.requests[candidate]);
                                      });
      if (later != session.end()) earlier.continued_by = *later;
    }
  }
}

void append_output_ids(const Trace& trace, const TraceRequest& request, std::vector<IdRun>& out) {
  if (request.continued_by == kNoRequest) return;
  std::int64_t skip = request.prompt / trace.block;
  std::int64_t left = (request.prompt + request.output) / trace.block - skip;
  for (const IdRun& run : trace.runs_of(trace.requests[request.continued_by])) {
    if (left == 0) return;
    const std::int64_t skipped = std::min(skip, run.count);
    const std::int64_t taken = std::min(left, run.count - skipped);
    if (taken > 0) out.push_back({run.first + skipped, taken});
    skip -= skipped;
    left -= taken;
  }
  V4CAP_CHECK(left == 0, "a continuation is shorter than what it continues");
}

}  // namespace v4cap
