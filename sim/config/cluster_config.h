// Several replicas of a scenario's deployment behind a router: what is asked for. Nothing asked for
// is one replica that is always there.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "sim/core/error.h"
#include "sim/core/time.h"
#include "sim/core/units.h"

namespace v4cap {

// Replicas are started and shut down with the load.
struct AutoscaleConfig {
  std::string policy = "requests=32";  // name[=argument] in the scaling registry
  std::int64_t min = 1, max = 1;       // replicas that are up or starting
  Duration start_up{};                 // from the decision until it takes requests, its cache empty
  Duration interval{};                 // between two decisions
  Duration hold{};                     // fewer replicas only when fewer were wanted for so long
};

// What faults call the links over which a replica hands requests over: out of its GPUs where it reads
// prompts, into them where it generates (sim/cluster/handover.h).
inline constexpr const char* kTransferLinks = "transfer";

// One fault at an instant, or faults at random.
struct FaultConfig {
  std::string kind;            // in the registry of faults
  std::optional<Duration> at;  // after the run's begin; else at random
  Duration mtbf{};             // random: mean time between two on one replica, exponential
  Duration lasts{};
  // Which, or all of them; a random one strikes every replica, each in its own time.
  std::optional<std::int64_t> replica = 0;
  std::int64_t rank = 0;
  double factor = 1;
  std::string place;  // a tier of the scenario, links of one (SlowLink) or kTransferLinks
  double share = 1;   // of its bandwidth
  std::optional<Place> stated{};  // where a file says so
};

// When the state of a prompt is sent to the replica that generates.
enum class TransferOverlap : std::uint8_t { none, chunks, layers };  // sim/cluster/handover.h

// What is sent between replicas that read prompts and those that generate.
struct TransferConfig {
  double bytes_per_s = 0;  // of one GPU, in each direction
  Duration latency{};
  TransferOverlap overlap = TransferOverlap::none;
  bool reuse = true;  // entries that are cached where it goes are not sent again
  Tokens room{512};   // by which each request there must be able to grow before one more comes
};

// Replicas of their own that read prompts; those of ClusterConfig::replicas then generate.
struct PrefillConfig {
  std::int64_t replicas = 1;
  std::string router = "round_robin";
  TransferConfig transfer{};
};

struct ClusterConfig {
  std::int64_t replicas = 1;  // at the begin
  std::string router = "round_robin";
  // Requests of what is lost are sent again so often, after so long, and elsewhere or not.
  std::int64_t retry_limit = 3;
  Duration retry_delay{};
  bool retry_on_return = false;
  Duration window{};  // of figures over time
  std::optional<AutoscaleConfig> autoscale;
  std::vector<FaultConfig> faults;
  std::optional<PrefillConfig> prefill;

  // Whether there is anything to route, to scale or to lose.
  bool asked() const { return replicas > 1 || autoscale || !faults.empty() || prefill; }
  // Those that generate come first by number, those that read prompts after them.
  std::int64_t most_decode_replicas() const {
    return autoscale && autoscale->max > replicas ? autoscale->max : replicas;
  }
  std::int64_t most_replicas() const {
    return most_decode_replicas() + (prefill ? prefill->replicas : 0);
  }
};

}  // namespace v4cap
