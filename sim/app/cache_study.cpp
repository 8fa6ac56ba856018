#include "sim/app/cache_study.h"

#include <algorithm>
#include <cmath>

#include "sim/cache/hit_curve.h"
#include "sim/cluster/run_scenario.h"
#include "sim/core/parallel.h"

namespace v4cap {

namespace {

// Two digits are enough for a grid, and round ones are easier to talk about.
Bytes two_digits_of_gib(double bytes) {
  const double gib = bytes / static_cast<double>(kGiB);
  const double unit = std::pow(10.0, std::floor(std::log10(gib)) - 1);
  return {static_cast<std::int64_t>(std::round(gib / unit) * unit * static_cast<double>(kGiB))};
}

// False where an engine's fixed reserves leave nothing.
bool holds_anything(const Scenario& scenario, Bytes memory) {
  try {
    return make_cache_parts(scenario, memory).layout->pools().front().capacity > Bytes{0};
  } catch (const RunError&) {
    return false;
  }
}

// From a 256th of what all compressed entries of the trace take to all of it, in steps of four, and
// no end.
std::vector<Bytes> memory_grid(const Trace& trace, Scenario scenario) {
  scenario.kv_cache.swa_policy = scenario.model.window > Tokens{0} ? "replay" : "full";
  const CacheParts parts = make_cache_parts(scenario, kEndlessMemory);
  const KvCacheConfig& kv = scenario.kv_cache;
  const CacheTotals all =
      replay_cache(trace, *parts.layout, *parts.policy, {kv.block, kv.reuse_generated});
  std::vector<Bytes> grid;
  for (const double part : {256.0, 64.0, 16.0, 4.0, 1.0}) {
    const double bytes = static_cast<double>(all.written.total().value) / part;
    if (bytes >= static_cast<double>(kGiB) / 1024) grid.push_back(two_digits_of_gib(bytes));
  }
  std::erase_if(grid, [&](Bytes memory) { return !holds_anything(scenario, memory); });
  grid.push_back(kEndlessMemory);
  return grid;
}

Scenario with_policy(const Scenario& scenario, const std::string& policy) {
  Scenario out = scenario;
  out.kv_cache.swa_policy = policy;
  return out;
}

}  // namespace

CacheStudy study_cache(const Trace& trace, const Scenario& scenario,
                       const std::vector<std::string>& policies, std::vector<Bytes> memories) {
  check_blocks(scenario, trace);
  const KvCacheConfig& kv = scenario.kv_cache;
  CacheStudy study;
  study.trace = trace.name;
  study.requests = trace.requests.size();
  study.layout = kv.layout;
  study.block = kv.block;
  study.reuse_generated = kv.reuse_generated;
  study.memories = memories.empty() ? memory_grid(trace, scenario) : std::move(memories);
  std::sort(study.memories.begin(), study.memories.end());
  study.memories.erase(std::unique(study.memories.begin(), study.memories.end()),
                       study.memories.end());
  for (const Bytes memory : study.memories) {
    if (holds_anything(scenario, memory)) continue;
    throw RunError("layout " + kv.layout + " reserves more than the " +
                   std::to_string(to_gib(memory)) +
                   " GiB of KV memory that were asked for; nothing is left for the cache");
  }
  const std::size_t columns = study.memories.size();
  const ReplayOptions options{kv.block, kv.reuse_generated};

  for (const std::string& name : policies) {
    const CacheParts parts = make_cache_parts(with_policy(scenario, name), kEndlessMemory);
    CacheRow row{parts.policy->name(), parts.policy->caveat(), parts.policy->fallback(), true, {}};
    row.exact = row.caveat.empty();
    row.points.resize(columns);
    study.rows.push_back(std::move(row));
  }
  // One piece of work a policy where one pass does all memories, else one a policy and memory.
  struct Piece {
    std::size_t row;
    std::optional<std::size_t> column;
  };
  std::vector<Piece> pieces;
  for (std::size_t r = 0; r < policies.size(); ++r) {
    const CacheParts parts = make_cache_parts(with_policy(scenario, policies[r]), kEndlessMemory);
    if (parts.policy->interval_by_position() && parts.layout->pools().size() == 1) {
      pieces.push_back({r, std::nullopt});
    } else {
      for (std::size_t c = 0; c < columns; ++c) pieces.push_back({r, c});
    }
  }
  const bool yardstick = kv.block == trace.block && !kv.reuse_generated;
  if (yardstick) study.hindsight.resize(columns);

  parallel_for(pieces.size() + (yardstick ? columns : 0), [&](std::size_t i) {
    if (i >= pieces.size()) {
      const std::size_t c = i - pieces.size();
      const CacheParts parts = make_cache_parts(
          with_policy(scenario, scenario.model.window > Tokens{0} ? "replay" : "full"),
          study.memories[c]);
      study.hindsight[c] = hindsight(trace, *parts.layout, kv.block, study.memories[c]);
      return;
    }
    const auto [r, column] = pieces[i];
    std::vector<CachePoint>& points = study.rows[r].points;
    const Scenario own = with_policy(scenario, policies[r]);
    if (column) {
      const CacheParts parts = make_cache_parts(own, study.memories[*column]);
      points[*column] = {replay_cache(trace, *parts.layout, *parts.policy, options), false};
      return;
    }
    std::vector<Bytes> pools;  // what the layout makes of each memory
    for (const Bytes memory : study.memories) {
      pools.push_back(make_cache_parts(own, memory).layout->pools().front().capacity);
    }
    const CacheParts parts = make_cache_parts(own, kEndlessMemory);
    const auto totals = hit_curve(trace, *parts.layout, *parts.policy, options, pools);
    for (std::size_t c = 0; c < columns; ++c) points[c] = {totals[c], true};
  });
  return study;
}

}  // namespace v4cap
