// Fault `replica_lost`: a whole replica is gone (a host, a driver, a process), and back later.
#include "sim/cluster/fault.h"

namespace v4cap {

namespace {

const bool registered = FaultKinds::add(
    "replica_lost", {.meaning = "a replica is gone, its KV cache and requests lost",
                     .strike = [](FaultTarget& target, const Fault& f, SimTime now) {
                       target.lose_replica(f.replica, now + f.lasts, now);
                     }});

}  // namespace

}  // namespace v4cap
