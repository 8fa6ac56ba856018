// Fault `lost_tier`: a tier below GPU memory is gone with all that is in it (a drive, a store behind
// the network, its process), and back later, empty. Requests whose prefix was on its way from there
// compute it, as far as it is nowhere else.
#include "sim/cluster/fault.h"

namespace v4cap {

namespace {

const bool registered = FaultKinds::add(
    "lost_tier", {.meaning = "a tier below GPU memory is gone with its contents, and back empty",
                  .of_tier = true,
                  .strike = [](FaultTarget& target, const Fault& f, SimTime now) {
                    target.lose_tier(f.replica, f.place, now + f.lasts, now);
                  }});

}  // namespace

}  // namespace v4cap
