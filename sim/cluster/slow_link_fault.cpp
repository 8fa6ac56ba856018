// Fault `slow_link`: the links of a tier, or those over which a replica hands requests over, have less
// bandwidth for a while (a lane down, a neighbour on the same network, a drive that collects garbage).
// What is on its way goes on, slower.
#include "sim/cluster/fault.h"

namespace v4cap {

namespace {

const bool registered = FaultKinds::add(
    "slow_link",
    {.meaning = "links of a tier, or to other replicas, have only `share` of their bandwidth",
     .of_link = true,
     .has_share = true,
     .strike = [](FaultTarget& target, const Fault& f, SimTime now) {
       target.slow_link(f.replica, f.place, f.share, now + f.lasts, now);
     }});

}  // namespace

}  // namespace v4cap
