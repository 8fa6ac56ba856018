// A host tier over an SSD below each rank of a toy engine, and worlds that have them.
#pragma once

#include <array>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "tests/sim/cluster/toy_world.h"

namespace v4cap {

struct ToyTiers {
  std::int64_t host = 600, ssd = 3000;  // bytes
  std::string to_host = "write_through", to_ssd = "write_back";
  double host_bytes_per_s = 1e9, ssd_bytes_per_s = 1e8;
  Duration latency{1000};
  bool shared = false;
  std::int64_t layers = 1;
  std::array<std::array<bool, kStoredKinds>, 2> holds{{{true, true}, {true, true}}};
  std::array<std::optional<Duration>, kStoredKinds> to_live{};

  void attach(Replica& replica) const {
    std::shared_ptr<Tier> shared_ssd;
    for (std::size_t rank = 0; rank < replica.size(); ++rank) {
      const Tier::Measure measure = replica.rank(rank).cache().stored();
      const TierSpec host_spec{
          .name = "host", .capacity = Bytes{host}, .holds = holds[0], .to_live = to_live};
      const TierSpec ssd_spec{
          .name = "ssd", .capacity = Bytes{ssd}, .holds = holds[1], .to_live = to_live};
      if (shared_ssd == nullptr || !shared) shared_ssd = std::make_shared<Tier>(ssd_spec, measure);
      std::vector<TierStack::Level> levels;
      levels.push_back({std::make_shared<Tier>(host_spec, measure), make_write_policy(to_host)});
      levels.push_back({shared_ssd, make_write_policy(to_ssd)});
      replica.rank(rank).attach(std::make_unique<TierStack>(std::move(levels)));
    }
  }
  HostRules rules() const {
    HostRules rules;
    rules.tiers.layers = layers;
    rules.tiers.tiers.push_back({host_bytes_per_s, host_bytes_per_s, latency, false, {}});
    rules.tiers.tiers.push_back({ssd_bytes_per_s, ssd_bytes_per_s, latency, shared, {}});
    return rules;
  }
};

// Two turns of one session, with another session between them that takes all GPU memory.
inline Trace two_visits() {
  Trace trace;
  trace.block = Tokens{64};
  std::int64_t at_ms = 0;
  for (const std::int64_t first : {0, 5000, 0}) {
    TraceRequest& r = add_request(trace, 64 * 8 + 1, 1, kSimStart + Duration{1'000'000} * at_ms);
    trace.runs.push_back({first, 8});
    r.runs_end = static_cast<std::uint32_t>(trace.runs.size());
    at_ms += 1000;
  }
  trace.next_free_id = 10'000;
  return trace;
}

inline ToyEngine small_engine() {
  ToyEngine settings;
  settings.policy = "full";
  settings.costs = {10'000 * 11, 10'000, 0, 0, 0};
  settings.step_tokens = Tokens{1024};
  return settings;
}

// The same tiers below each replica of a cluster.
inline RunResult play_cluster(const ToyTiers& tiers, const Trace& trace,
                              const WorkloadConfig& config, const ToyEngine& settings,
                              const ClusterConfig& cluster, std::size_t ranks,
                              bool overlapped = false) {
  Workload world(trace, config, 1);
  const LinearCost cost;
  HostRules host = tiers.rules();
  host.overlapped = overlapped;
  const auto make_replica = [&] {
    auto replica = std::make_unique<Replica>(toy_ranks(settings, ranks));
    tiers.attach(*replica);
    return replica;
  };
  return Simulation(trace, world, {make_replica, &cost, cluster, 1}, host).run();
}

}  // namespace v4cap
