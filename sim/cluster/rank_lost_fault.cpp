// Fault `rank_lost`: one attention rank of a replica is gone, and back later. The others go on as
// they did: their experts are taken to be held elsewhere, as engines with redundant experts do. Tiers
// of its own are lost with it, those that all ranks share are not.
#include "sim/cluster/fault.h"

namespace v4cap {

namespace {

const bool registered = FaultKinds::add(
    "rank_lost", {.meaning = "an attention rank is gone, its KV cache and requests lost",
                  .of_rank = true,
                  .strike = [](FaultTarget& target, const Fault& f, SimTime now) {
                    target.lose_rank(f.replica, f.rank, now + f.lasts, now);
                  }});

}  // namespace

}  // namespace v4cap
