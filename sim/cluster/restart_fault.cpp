// Fault `restart`: a planned one. The replica takes no more requests, ends those it has, and is
// down for a while. Nothing is lost but its cache.
#include "sim/cluster/fault.h"

namespace v4cap {

namespace {

const bool registered = FaultKinds::add(
    "restart", {.meaning = "planned: a replica ends its requests, is down, and comes back empty",
                .strike = [](FaultTarget& target, const Fault& f, SimTime now) {
                  target.restart(f.replica, f.lasts, now);
                }});

}  // namespace

}  // namespace v4cap
