// Prompts read by replicas of their own (prefill/decode disaggregation): who has a request on its
// way from one replica to another, and the links over which its state is sent.
//
// Each attention rank of a replica has a link out of its GPUs and one into them. A request's state
// goes from the rank that reads its prompt to the one that generates, once to each GPU of the
// latter, over the links of both; transfers on them share.
//
// When it is sent:
//   none     The prompt is read first. Then a replica that generates is chosen, takes memory for
//            the prompt, and all is fetched.
//   chunks   Memory for the prompt is taken first, then the prompt is read, and what a step has
//            computed is sent when the step has ended.
//   layers   The same, but each layer is sent when it is computed: of what a step computes, the
//            share of all layers but the last is sent while the step runs.
//
// The client has its first token when the replica that generates has all of the state.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <unordered_map>
#include <utility>
#include <vector>

#include "sim/cluster/replica_driver.h"
#include "sim/config/cluster_config.h"
#include "sim/core/earliest_of.h"
#include "sim/output/record.h"
#include "sim/transfer/links.h"

namespace v4cap {

// The replicas that read prompts, and what is sent from them.
struct PrefillParts {
  std::function<std::unique_ptr<Replica>()> make_replica;  // all are alike
  const CostModel* cost = nullptr;
  HostRules host;
  std::int64_t gpus = 1, decode_gpus = 1;  // of a replica of either kind
  // Of a rank's links, out of those that read and into those that generate.
  double out_bytes_per_s = 0, in_bytes_per_s = 0;
  std::int64_t copies = 1;  // GPUs of a rank that generates: each gets all of the state
  std::int64_t layers = 1;  // over which the state is spread evenly
};

class Handover {
 public:
  static constexpr std::size_t kNobody = static_cast<std::size_t>(-1);

  struct Journey {
    std::uint32_t request = 0;
    SimTime sent;                              // by its client
    std::size_t from = kNobody, to = kNobody;  // replicas; nobody: not chosen yet
    std::size_t from_rank = 0, to_rank = 0;
    bool held = false;     // no replica counts it
    bool read = false;     // its prompt is; `record` says more
    bool fetched = false;  // memory was taken where it generates; `bytes` says for what
    RequestRecord record;
    Tokens prompt, had;                // tokens, and of these there already
    Tokens begun, done;                // whose step has begun, has ended
    KindBytes bytes;                   // to be sent to each GPU
    Bytes all, started, arrived;       // over the links, copies included
    std::vector<TransferId> on_links;  // under way
    SimTime since;                     // it has waited for memory
    SimTime fetched_at;
  };

  // `senders` replicas from number `first_sender` on, `receivers` from 0 on, of so many ranks each.
  Handover(const PrefillParts& parts, const TransferConfig& config, std::size_t receivers,
           std::size_t receiver_ranks, std::size_t senders, std::size_t sender_ranks);

  bool ahead() const { return config_.overlap != TransferOverlap::none; }

  Journey& begin(std::uint32_t request, SimTime sent, Tokens prompt, SimTime now);
  Journey* find(std::uint32_t request);
  // Memory was taken for it on a rank of the replica that generates.
  void fetch(Journey& journey, std::size_t rank, const Fetch& fetch, SimTime now);
  // Sends what the journey's tokens are worth so far. Nothing where it is not known yet to whom.
  void send(Journey& journey, SimTime now);
  // Nothing is under way any more and nothing has arrived; what was sent counts as dropped.
  void call_back(Journey& journey, SimTime now);
  // All of it is there: the journey ends.
  void complete(const Journey& journey, SimTime now);
  // It ends otherwise.
  void abandon(std::uint32_t request, SimTime now);

  // When something may arrive next.
  SimTime next() const { return next_; }
  // Time passes up to `now`; journeys that are complete, in the order in which they became so.
  std::vector<std::uint32_t> advance(SimTime now);

  // Requests whose prompts are in steps of a replica that reads, and what of them is computed then.
  // Kept for the caller. `launched`: behind the step that runs.
  struct Steps {
    std::vector<std::pair<std::uint32_t, Tokens>> launched, running;
  };
  Steps& steps_of(std::size_t replica) { return steps_[replica - receivers_]; }

  // The request was taken away from there.
  void forget_steps(std::size_t replica, std::uint32_t request);

  std::vector<std::uint32_t> requests() const;  // on a journey, in order of their numbers

  // From now on the links of a replica have this share of their bandwidth, above 0 and at most 1:
  // those out of it where it reads prompts, those into it where it generates.
  void set_share(std::size_t replica, double share, SimTime now);

  // The warm-up is over, nothing is under way: what was counted is forgotten.
  void reset();
  TransferResult result() const;
  // What its links could move counts until then, where it is later than all that has happened.
  void idle_until(SimTime end);
  // Nothing is under way, and the books balance.
  void check_drained() const;

 private:
  void renew_next();
  double moved(const std::vector<LinkId>& links, bool offered) const;

  PrefillParts parts_;
  TransferConfig config_;
  std::size_t receivers_;
  Links links_;
  std::vector<std::vector<LinkId>> in_, out_;  // by replica of its kind and rank
  std::map<std::uint32_t, Journey> journeys_;  // by request
  std::unordered_map<TransferId, std::pair<std::uint32_t, Bytes>> transfers_;
  std::vector<Steps> steps_;
  SimTime next_ = kNever;
  TransferResult result_;
  double moved_in_ = 0, offered_in_ = 0, moved_out_ = 0, offered_out_ = 0;  // at the last reset
  std::vector<TransferId> delivered_;
};

}  // namespace v4cap
