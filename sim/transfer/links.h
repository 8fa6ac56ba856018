// Links that transfers share: PCIe, a network, an SSD. A transfer of so many bytes takes a path of
// one or more links and gets, at every instant, the least of its shares on them: bandwidth is
// divided max-min fair, so that no transfer could have more without one that has no more than it
// having less. On a single link that is processor sharing. A link may also serve one transfer at a
// time, in the order in which they came to it.
//
// A transfer first waits for the latency of all its links, during which it takes no bandwidth, and
// is delivered with its last byte.
//
// There is no clock and no polling: next_change() says when something happens next, advance() goes
// there. Shares are integers in 2^-40 bytes per nanosecond, rounded down, times in whole
// nanoseconds, rounded up: no link ever moves more than its bandwidth, and going to an instant in
// one step or in many gives the same.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "sim/core/time.h"
#include "sim/core/units.h"

namespace v4cap {

using LinkId = std::uint32_t;
using TransferId = std::uint64_t;  // in the order in which transfers were started, from 0

enum class LinkSharing : std::uint8_t {
  equal,          // all transfers at once
  one_at_a_time,  // first come, first served
};

struct LinkSpec {
  std::string name;
  double bytes_per_s = 0;  // from kLeastBandwidth to kMostBandwidth
  Duration latency{};
  LinkSharing sharing = LinkSharing::equal;
};

// Below it a share of many could be rounded to nothing.
inline constexpr double kLeastBandwidth = 1e6;  // bytes/s
// Above it a share does not fit into 64 bits.
inline constexpr double kMostBandwidth = 8e15;  // bytes/s
// Far from what time can hold, however many transfers wait for one another.
inline constexpr Duration kLongestLatency = std::chrono::hours(1);

// What a link has done. asked = delivered + cancelled + what is under way.
struct LinkBooks {
  std::int64_t transfers = 0;  // started
  Bytes asked, delivered, cancelled;
  Duration busy{};           // a transfer took bandwidth
  double moved_bytes = 0;    // also of transfers that were cancelled later
  double offered_bytes = 0;  // what the link could have moved since kSimStart

  // Share of its bandwidth that was used, 0 to 1.
  double utilisation() const { return offered_bytes > 0 ? moved_bytes / offered_bytes : 0; }
};

class Links {
 public:
  LinkId add(LinkSpec spec);
  std::size_t size() const { return links_.size(); }
  const LinkSpec& link(LinkId id) const { return links_[id].spec; }

  // Bytes begin to move over all links of `path` (at least one, none twice) after their latencies,
  // or at once where they follow others that have just arrived.
  TransferId start(std::span<const LinkId> path, Bytes bytes, SimTime now, bool follows = false);
  // It is not delivered. It must be under way.
  void cancel(TransferId id, SimTime now);
  bool under_way(TransferId id) const;
  // When a transfer under way ends if all shares stay as they are; the largest time there is while
  // it waits for its turn.
  SimTime end_if_nothing_changes(TransferId id) const;
  std::size_t under_way() const { return waiting_.size() + moving_.size(); }

  // From now on a link has another bandwidth: it has become slow, or is well again.
  void set_bandwidth(LinkId link, double bytes_per_s, SimTime now);

  // When advance() has next something to do; nothing when no transfer is under way. Another
  // transfer, a cancelled one or another bandwidth may change it.
  std::optional<SimTime> next_change() const;
  // Time passes up to `now`, not before the last instant given to this object. Transfers delivered
  // meanwhile are appended to `delivered`, in the order of their ends and, at one instant, in the
  // order in which they came to their links.
  void advance(SimTime now, std::vector<TransferId>& delivered);

  SimTime now() const { return now_; }  // the last instant given to this object
  // Up to that instant.
  LinkBooks books(LinkId id) const;
  // Each link's books balance.
  void check() const;

 private:
  struct Link {
    LinkSpec spec;
    std::int64_t rate = 0;  // shares per nanosecond
    std::int64_t transfers = 0;
    Bytes asked, delivered, cancelled;
    Duration busy{};
    Int128 moved = 0, offered = 0;  // shares
    std::int64_t taken = 0;         // of the rate, by transfers that move now
  };
  struct Transfer {
    TransferId id;
    std::vector<LinkId> path;
    Bytes bytes;
    SimTime moves_at;  // when it comes to its links
    Int128 left;       // shares
    std::int64_t rate = 0;
  };

  void go_to(SimTime at);
  void share();
  SimTime end_of(const Transfer& transfer) const;

  std::vector<Link> links_;
  std::vector<Transfer> waiting_;  // for their latency, by id
  std::vector<Transfer> moving_;   // in the order in which they came to their links
  std::vector<TransferId> early_;  // delivered up to the instant of a start, a cancel or a change
  SimTime now_;
  TransferId next_id_ = 0;
  std::vector<std::int64_t> left_of_link_, users_of_link_;  // scratch of share()
};

}  // namespace v4cap
