#include "sim/output/timeline.h"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>
#include <string>

namespace v4cap {

namespace {

std::string header() {
  std::string line = "time_s,running,waiting";
  for (const CacheKind kind : all_cache_kinds()) {
    line += fmt::format(",{0}_in_use_bytes,{0}_cached_bytes", name_of(kind));
  }
  return line + '\n';
}

std::string line_of(const OccupancySample& sample) {
  // Integers all the way: the nanoseconds are exact.
  const std::int64_t ns = sample.at.time_since_epoch().count();
  std::string line = fmt::format("{}.{:09},{},{}", ns / 1'000'000'000, ns % 1'000'000'000,
                                 sample.running, sample.waiting);
  for (const CacheKind kind : all_cache_kinds()) {
    fmt::format_to(std::back_inserter(line), ",{},{}", sample.in_use[kind], sample.cached[kind]);
  }
  return line + '\n';
}

}  // namespace

void write_timeline(const std::vector<OccupancySample>& samples, const TextSink& sink) {
  sink(header());
  for (const OccupancySample& sample : samples) sink(line_of(sample));
}

void write_timelines(const std::vector<ReplicaResult>& replicas, const TextSink& sink) {
  sink("replica," + header());
  for (std::size_t n = 0; n < replicas.size(); ++n) {
    for (const OccupancySample& sample : replicas[n].occupancy) {
      sink(fmt::format("{},", n) + line_of(sample));
    }
  }
}

bool has_rank_timelines(const RunResult& result) {
  if (!result.cluster) return !result.ranks.empty();
  return std::ranges::any_of(result.cluster->replicas,
                             [](const ReplicaResult& replica) { return !replica.ranks.empty(); });
}

void write_rank_timelines(const RunResult& result, const TextSink& sink) {
  sink("replica,rank," + header());
  const auto write = [&](std::size_t n, const std::vector<std::vector<OccupancySample>>& ranks) {
    for (std::size_t rank = 0; rank < ranks.size(); ++rank) {
      for (const OccupancySample& sample : ranks[rank]) {
        sink(fmt::format("{},{},", n, rank) + line_of(sample));
      }
    }
  };
  if (!result.cluster) return write(0, result.ranks);
  for (std::size_t n = 0; n < result.cluster->replicas.size(); ++n) {
    write(n, result.cluster->replicas[n].ranks);
  }
}

}  // namespace v4cap
