#include "traces/summary.h"

#include <algorithm>

#include "traces/prefix_stats.h"

namespace v4cap {

namespace {

double busiest_minute_per_s(const std::vector<Duration>& arrivals) {
  constexpr Duration kMinute = std::chrono::minutes{1};
  std::int64_t most = 0, in_minute = 0, minute = -1;
  for (const Duration at : arrivals) {
    const std::int64_t now = (at - arrivals.front()) / kMinute;
    in_minute = now == minute ? in_minute + 1 : 1;
    minute = now;
    most = std::max(most, in_minute);
  }
  return static_cast<double>(most) / to_seconds(kMinute);
}

ArrivalSummary summarize_arrivals(const Trace& trace) {
  std::vector<Duration> at;
  for (const TraceRequest& request : trace.requests) {
    if (request.after_begin == request.after_end) at.push_back(request.arrival);
  }
  std::sort(at.begin(), at.end());
  ArrivalSummary summary;
  summary.count = static_cast<std::int64_t>(at.size());
  if (at.size() < 2) return summary;
  std::vector<double> gaps_s;
  for (std::size_t i = 1; i < at.size(); ++i) gaps_s.push_back(to_seconds(at[i] - at[i - 1]));
  const Distribution gaps = describe(std::move(gaps_s));
  summary.span_s = to_seconds(at.back() - at.front());
  if (summary.span_s > 0) summary.mean_per_s = static_cast<double>(at.size()) / summary.span_s;
  // What does not last whole minutes has its last requests in a part of one, and less than all of
  // them in any other: no minute is less busy than the mean.
  summary.busiest_minute_per_s = std::max(summary.mean_per_s, busiest_minute_per_s(at));
  if (gaps.mean > 0) summary.gap_cv = gaps.stddev / gaps.mean;
  return summary;
}

std::int64_t count_groups(const Trace& trace) {
  std::vector<std::int32_t> groups;
  for (const TraceRequest& request : trace.requests) {
    if (request.group >= 0) groups.push_back(request.group);
  }
  std::sort(groups.begin(), groups.end());
  return std::unique(groups.begin(), groups.end()) - groups.begin();
}

}  // namespace

TraceSummary summarize(const Trace& trace) {
  TraceSummary summary;
  summary.requests = static_cast<std::int64_t>(trace.requests.size());
  summary.sessions = static_cast<std::int64_t>(trace.session_names.size());
  summary.groups = count_groups(trace);
  summary.block = trace.block;
  summary.has_ids = trace.block.value > 0;
  summary.has_arrivals = trace.has_arrivals;
  std::vector<double> prompts, outputs, think_s, turns(trace.session_names.size());
  for (const TraceRequest& request : trace.requests) {
    prompts.push_back(static_cast<double>(request.prompt.value));
    outputs.push_back(static_cast<double>(request.output.value));
    if (request.after_begin != request.after_end) think_s.push_back(to_seconds(request.think));
    if (request.session != kNoSession) ++turns[static_cast<std::size_t>(request.session)];
  }
  summary.prompt_tokens = describe(std::move(prompts));
  summary.output_tokens = describe(std::move(outputs));
  summary.think_s = describe(std::move(think_s));
  summary.turns_per_session = describe(std::move(turns));
  if (summary.has_ids) {
    summary.ideal_hit_rate = ideal_hit_rate(trace, GeneratedTokens::forgotten);
    summary.ideal_hit_rate_with_output = ideal_hit_rate(trace, GeneratedTokens::kept);
  }
  if (trace.has_arrivals) summary.arrivals = summarize_arrivals(trace);
  return summary;
}

Distribution summarize(const RateTable& table) {
  return describe(table.requests_per_s);
}

}  // namespace v4cap
