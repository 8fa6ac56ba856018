// What an engine says of a request when it ended: when what happened, in whichever world's time, and what the
// cache did for it. Written by the simulator and the executor alike.
#pragma once

#include <cstdint>

#include "sim/core/time.h"
#include "sim/core/units.h"

namespace v4cap {

enum class RequestEnd : std::uint8_t {
  finished,
  refused,      // can never run
  failed,       // lost with its replica more often than it may be sent again
  handed_over,  // its prompt is read and another engine goes on; no run's records have it
};

struct RequestRecord {
  std::uint32_t id = 0;  // position in the workload
  std::int32_t session = -1, turn = 0;
  RequestEnd end = RequestEnd::finished;
  // kSimStart where it never happened.
  SimTime arrival{}, admitted{}, first_token{}, second_token{}, finished{};
  Tokens prompt{}, output{};
  // At first admission prompt = hit + computed; rebuilt (layer-tokens / layers) comes on top.
  Tokens hit{}, computed{}, rebuilt{};
  Tokens recomputed_after_preemption{};
  std::int32_t preemptions = 0;
  // Of a cluster: the replica that ended it, and how often it was sent again because one was lost.
  // All else is of the last time, but `arrival`.
  std::int32_t replica = 0, retries = 0;
  std::int32_t rank = 0;  // of the replica's attention ranks
  // Where prompts are read by replicas of their own: the one that did, and when. -1: none.
  std::int32_t prefill_replica = -1;
  SimTime prompt_read{};
};

}  // namespace v4cap
