// What goes wrong in a cluster, or is done to it on purpose. One file per kind, registered by name:
// a function that says what becomes of the cluster when it strikes.
#pragma once

#include <cstddef>
#include <string>

#include "sim/core/registry.h"
#include "sim/core/time.h"

namespace v4cap {

struct Fault {
  std::size_t replica = 0, rank = 0;
  double factor = 1;
  std::string place;  // the tier or links
  double share = 1;
  Duration lasts{};
};

// What faults can do. Each ends what it began. A fault that strikes what is not there does nothing.
class FaultTarget {
 public:
  virtual ~FaultTarget() = default;
  // The replica is lost with its KV cache and its requests, and up again at `back`, empty.
  virtual void lose_replica(std::size_t replica, SimTime back, SimTime now) = 0;
  // The same of one attention rank, while the others go on; of the last one it is the replica.
  virtual void lose_rank(std::size_t replica, std::size_t rank, SimTime back, SimTime now) = 0;
  // The rank needs `factor` times as long for its part of a step, and the others wait for it.
  virtual void slow_rank(std::size_t replica, std::size_t rank, double factor, SimTime until,
                         SimTime now) = 0;
  // Links of a tier (SlowLink), or those to other replicas (kTransferLinks), move no more than this
  // share of what they could.
  virtual void slow_link(std::size_t replica, const std::string& link, double share, SimTime until,
                         SimTime now) = 0;
  // A tier below GPU memory is lost with its contents, and takes nothing until `back`.
  virtual void lose_tier(std::size_t replica, const std::string& tier, SimTime back,
                         SimTime now) = 0;
  // The replica takes no more requests; when it has none left it is down for so long, and then up
  // again, empty.
  virtual void restart(std::size_t replica, Duration down, SimTime now) = 0;
};

struct FaultKind {
  std::string meaning;  // for people
  bool of_rank = false, has_factor = false;
  bool of_tier = false, of_link = false, has_share = false;
  void (*strike)(FaultTarget& target, const Fault& fault, SimTime now) = nullptr;
};
using FaultKinds = Registry<FaultKind>;

}  // namespace v4cap
