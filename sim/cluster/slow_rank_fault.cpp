// Fault `slow_rank`: the GPUs of one attention rank run slower for a while (heat, power, a broken
// link to the host), and in lockstep everyone waits for them.
#include "sim/cluster/fault.h"

namespace v4cap {

namespace {

const bool registered = FaultKinds::add(
    "slow_rank",
    {.meaning = "an attention rank needs `factor` times as long for its part of a step",
     .of_rank = true,
     .has_factor = true,
     .strike = [](FaultTarget& target, const Fault& f, SimTime now) {
       target.slow_rank(f.replica, f.rank, f.factor, now + f.lasts, now);
     }});

}  // namespace

}  // namespace v4cap
