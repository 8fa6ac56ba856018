// A level of storage below GPU memory: host memory, an SSD, a remote store. It holds copies of
// blocks (compressed entries of a prefix's block, with the windows of its tokens where the policy
// stores those) and of points (a last window with the compressors' rows), each by the key of the
// block that it is or ends. What nobody used for longest goes first; what nobody used for its time
// to live is gone.
//
// Who shares a tier may be told the time at different instants; it takes the latest it was told.
//
// An object is `coming` until its bytes are there, and held while they are read: neither goes then.
//
// A tier that is lost has nothing in it and takes nothing until it is back.
#pragma once

#include <algorithm>
#include <array>
#include <boost/unordered/unordered_flat_map.hpp>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "sim/cache/stored_object.h"
#include "sim/core/time.h"
#include "sim/core/units.h"
#include "sim/model/cache_kind.h"

namespace v4cap {

struct TierSpec {
  std::string name;
  Bytes capacity;
  std::array<bool, kStoredKinds> holds{true, true};  // blocks, points
  std::int64_t points_every = 1;  // of points only those at the ends of every so many blocks
  std::array<std::optional<Duration>, kStoredKinds>
      to_live{};  // since the last use; none: for ever
};

// What a tier has done, in bytes by cache kind. written = resident + evicted + expired + lost.
struct TierBooks {
  KindBytes written, evicted, expired, lost, resident;
  // Had no room because everything was coming or held, or because the tier was lost.
  KindBytes refused;
  KindBytes read;
  Bytes peak;  // most that was resident
};

class Tier {
 public:
  // Bytes that an object takes here. The same for equal kinds and blocks.
  using Measure = std::function<KindBytes(StoredKind kind, std::int64_t block)>;

  Tier(TierSpec spec, Measure measure);

  const TierSpec& spec() const { return spec_; }
  // Whether such an object may come here.
  bool takes(const StoredObject& object) const {
    if (!spec_.holds[static_cast<std::size_t>(object.kind)]) return false;
    return object.kind == StoredKind::block || (object.block + 1) % spec_.points_every == 0;
  }

  KindBytes bytes_of(const StoredObject& object) const {
    return measure_(object.kind, object.block);
  }

  // Whoever asks for an object whose time is over sees it go: it is not here, whatever for.

  // Its bytes can be read.
  bool has(StoredKind kind, std::int64_t key, SimTime now);
  // It is here or coming.
  bool knows(StoredKind kind, std::int64_t key, SimTime now);

  // What has gone to make room, with its uses here.
  struct Gone {
    StoredObject object;
    std::int64_t uses = 0;
  };
  // Room for an object that is not known yet, which is coming from now on. False: there is none,
  // and nothing has changed but the book of refusals.
  bool expect(const StoredObject& object, SimTime now, std::vector<Gone>& gone);
  // Its bytes are there.
  void arrived(const StoredObject& object, SimTime now);
  // They do not come: what was expected is lost.
  void give_up(const StoredObject& object);
  // It becomes the youngest. Its uses, of which the first was its arrival; 0: it is not here.
  std::int64_t use(StoredKind kind, std::int64_t key, SimTime now);
  // So many of its bytes are read from now on, until release(). It must be here.
  void hold(StoredKind kind, std::int64_t key, const KindBytes& read);
  void release(StoredKind kind, std::int64_t key, SimTime now);

  // All that is in it is lost, and until come_back() it has no room. Nothing may be coming or held.
  void lose();
  void come_back() { there_ = true; }
  bool is_there() const { return there_; }

  const TierBooks& books() const { return books_; }
  std::size_t objects() const { return known_; }
  // Walks everything and compares with the books.
  void check() const;

 private:
  using EntryId = std::uint32_t;
  static constexpr EntryId kNone = 0;
  struct Entry {
    StoredObject object;
    EntryId older = kNone, younger = kNone;  // LRU neighbours; entry 0 closes the ring
    std::uint32_t uses = 0;
    std::uint32_t holds = 0;  // readers, and 1 while it is coming: then outside the ring
    bool coming = false;
    SimTime last_use;
  };
  struct KeyHash {
    std::size_t operator()(std::int64_t key) const noexcept;
  };
  using KeyMap = boost::unordered_flat_map<std::int64_t, EntryId, KeyHash>;

  EntryId find(StoredKind kind, std::int64_t key) const;
  EntryId alive(StoredKind kind, std::int64_t key, SimTime now);
  SimTime latest(SimTime now) { return now_ = std::max(now_, now); }
  bool over(const Entry& entry) const;
  void drop(EntryId id, KindBytes& book);
  void forget(EntryId id, KindBytes& book);
  void let_go(EntryId id, SimTime now);

  TierSpec spec_;
  Measure measure_;
  std::array<KeyMap, kStoredKinds> by_key_;  // never iterated
  std::vector<Entry> entries_;
  std::vector<EntryId> free_;
  std::size_t known_ = 0;
  bool there_ = true;
  SimTime now_;
  TierBooks books_;
};

}  // namespace v4cap
