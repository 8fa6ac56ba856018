// A request inside the engine, as an explicit state machine:
//
//   waiting --admit--> rebuilding --> prefilling --> decoding --> finished
//      ^                    |              |             |
//      +-------------------preempt---------+-------------+        waiting --> refused (can never
//      run)
//   waiting --load--> loading --> waiting: its prefix is brought up from tiers below GPU memory
//   prefilling --> sending --> finished: another engine goes on with it and fetches its state
//   waiting --> receiving --> decoding: its prompt was read by another engine
//
// rebuilding is skipped when the cache policy has nothing to rebuild. A preempted request waits at
// the front of the queue and computes prompt and generated tokens again, as far as they are not
// cached.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "sim/cache/kv_cache.h"
#include "sim/core/time.h"
#include "sim/core/units.h"

namespace v4cap {

enum class RequestState : std::uint8_t {
  waiting,
  rebuilding,
  prefilling,
  decoding,
  finished,
  refused,
  loading,
  sending,
  receiving,
};

std::string_view name_of(RequestState state);

// What of a request an engine does. Where prompts are read by engines of their own, one reads the
// prompt and keeps its state until another one, which generates the rest, has it.
enum class RequestPart : std::uint8_t { whole, prompt, rest };

// What a workload asks of an engine.
struct RequestSpec {
  std::uint32_t id = 0;  // the workload's
  Tokens prompt, output;
  std::vector<KeyRun> keys;   // of all full blocks of prompt + output (sim/cache/block_keys.h)
  std::int32_t session = -1;  // of the workload; -1: none
  RequestPart part = RequestPart::whole;
};

// A request's life in the engine. Times are kSimStart until they happen.
struct LiveRequest {
  std::uint32_t id = 0;
  RequestState state = RequestState::waiting;
  RequestPart part = RequestPart::whole;
  Tokens prompt, output;
  Tokens generated;        // tokens produced so far
  Tokens computed;         // positions whose state is in the cache
  Tokens points_reserved;  // up to where the cache was asked for points
  Tokens quiet_until;  // decodes up to there, at most its end, need not ask the cache; 0: not known
  std::int64_t decode_steps = 0;  // over all its life
  Tokens reached;                 // most that `computed` has ever been
  Tokens prefill_target;          // prompt, plus generated tokens after a preemption
  Tokens rebuild_left;            // positions still to run again before `computed`
  CachedSequence sequence;

  // The words of the cache, fixed at first admission.
  Tokens hit, computed_at_admission, rebuilt;
  Tokens recomputed_after_preemption;  // run again below `reached`, rebuilds included
  std::int32_t preemptions = 0;
  bool admitted_before = false;
  int loads = 0;        // parts that it still waits for
  bool loaded = false;  // since it last began to wait: no more is looked for below the GPU
  SimTime arrival, submitted, admitted, first_token, second_token, ended;
};

// Moves to `next`, which must be an edge of the diagram above.
void advance(LiveRequest& request, RequestState next);

}  // namespace v4cap
