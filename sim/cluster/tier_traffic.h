// Moves what engines order between GPU memory and the tiers below it: the links of the tiers, the
// transfers on them, and who is told when one is done.
//
// Tier k is reached over its own link and those of all tiers above it, each with one direction up
// (read) and one down (write). A tier's link belongs to one attention rank (PCIe of its GPU) or is
// shared by all (an SSD, a network card).
//
// Loads may overlap with computing: the request may start when the first of its layers are there,
// and the step that first runs it lasts at least until the last one is there and computed, as far as
// the links' shares at its start say.
//
// A tier that is lost takes with it what was on its way from or to it: the copies, and the loads of
// requests that still wait for them. A load whose first layers are there is read to its end: its
// request was told that it may run, and others may share what it fills.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "sim/cluster/replica.h"
#include "sim/output/record.h"
#include "sim/transfer/links.h"

namespace v4cap {

struct TierLink {
  double read_bytes_per_s = 0, write_bytes_per_s = 0;
  Duration latency{};
  bool shared = false;  // by all attention ranks; so is the tier
  std::optional<Bytes> drive{};
};

struct TierLinks {
  std::vector<TierLink> tiers{};  // as in the stacks of the engines; empty: there are none
  // Layers over which a load is spread evenly; 1: a request starts when all of it is there.
  std::int64_t layers = 1;
};

// Links that move only a share of what they could, by name: of a tier, both directions or one, as
// `host`, `host read`, `host write`.
struct SlowLink {
  std::string link;
  double share = 1;  // above 0, at most 1
};

class TierTraffic {
 public:
  // The replica must outlive it; every rank has such tiers. Links are there since `since`.
  TierTraffic(Replica& replica, const TierLinks& links, SimTime since = kSimStart);

  // Starts what the engines have ordered.
  void collect(SimTime now);
  std::optional<SimTime> next_change() const { return links_.next_change(); }
  // Time passes up to `now`; engines hear of what is done.
  void advance(SimTime now);
  // The step of these plans runs requests whose loads are not complete: when they will be.
  SimTime loads_end(std::span<const StepPlan* const> ranks, SimTime now);

  // From now on links have these shares of their bandwidths, the least where several are given,
  // and all others the whole.
  void set_slow(const std::vector<SlowLink>& slow, SimTime now);
  // A tier is lost with all that is in it, and takes nothing until it is back. Returns how many
  // requests wait for a load no more.
  std::size_t lose_tier(const std::string& name, SimTime now);
  void tier_is_back(const std::string& name);
  // A rank is about to be lost: what is on its way to and from its GPUs, and all that is in tiers of
  // its own. What it left in those that all share stays there.
  void lose_rank(std::size_t rank, SimTime now);

  bool idle() const { return links_.under_way() == 0; }
  // What the tiers did since the run began, or since `reset`: their totals until then are taken off.
  std::vector<TierTotals> totals() const;
  void reset() { before_ = counted(); }
  // The replica is lost with its tiers and all that was on its way: what they held counts as
  // lost. Nothing but totals() is asked from now on.
  void lose(SimTime now);
  // Nothing is under way and the books of links and tiers balance.
  void check_drained() const;

 private:
  struct Transfer {
    std::size_t rank;
    TransferOrder order;
    Bytes rest;  // follows when this is delivered
    bool first;  // its end lets the request start
  };
  // A load whose request may run while it comes.
  struct Open {
    std::size_t rank;
    std::uint32_t slot;
    TransferId transfer;
  };
  struct Counted {
    std::vector<TierTotals> tiers;
    std::vector<LinkBooks> read, write;  // by tier, summed over its links
  };

  std::vector<LinkId> path(std::size_t rank, const TransferOrder& order) const;
  void delivered(TransferId id, SimTime now);
  std::size_t break_off(int tier, SimTime now);
  std::size_t tier_named(const std::string& name) const;
  std::vector<Tier*> copies_of(std::size_t tier);
  Counted counted() const;
  LinkBooks sum(const std::vector<LinkId>& links) const;

  Replica& replica_;
  TierLinks spec_;
  Links links_;
  std::vector<std::vector<LinkId>> read_, write_;  // by tier and rank; one where it is shared
  std::map<TransferId, Transfer> transfers_;
  std::vector<Open> open_;
  Counted before_;
  bool lost_ = false;
  std::vector<TransferOrder> orders_;  // scratch
  std::vector<TransferId> delivered_;
};

}  // namespace v4cap
