#include "sim/output/timeline.h"

#include <fmt/format.h>

#include <iterator>
#include <string>

namespace v4cap {

void write_timeline(const std::vector<OccupancySample>& samples, const TextSink& sink) {
  std::string line = "time_s,running,waiting";
  for (const CacheKind kind : all_cache_kinds()) {
    line += fmt::format(",{0}_in_use_bytes,{0}_cached_bytes", name_of(kind));
  }
  sink(line + '\n');
  for (const OccupancySample& sample : samples) {
    // Integers all the way: the nanoseconds are exact.
    const std::int64_t ns = sample.at.time_since_epoch().count();
    line = fmt::format("{}.{:09},{},{}", ns / 1'000'000'000, ns % 1'000'000'000, sample.running,
                       sample.waiting);
    for (const CacheKind kind : all_cache_kinds()) {
      fmt::format_to(std::back_inserter(line), ",{},{}", sample.in_use[kind], sample.cached[kind]);
    }
    sink(line + '\n');
  }
}

}  // namespace v4cap
