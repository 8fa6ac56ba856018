#include "sim/cache/tier.h"

#include <algorithm>
#include <utility>

#include "sim/cache/ring.h"
#include "sim/core/error.h"
#include "sim/core/hash.h"

namespace v4cap {

std::size_t Tier::KeyHash::operator()(std::int64_t key) const noexcept {
  return mix64(static_cast<std::uint64_t>(key));
}

Tier::Tier(TierSpec spec, Measure measure) : spec_(std::move(spec)), measure_(std::move(measure)) {
  entries_.emplace_back();  // closes the ring
}

Tier::EntryId Tier::find(StoredKind kind, std::int64_t key) const {
  const KeyMap& map = by_key_[static_cast<std::size_t>(kind)];
  const auto it = map.find(key);
  return it == map.end() ? kNone : it->second;
}

bool Tier::over(const Entry& entry) const {
  const auto& to_live = spec_.to_live[static_cast<std::size_t>(entry.object.kind)];
  return to_live && entry.holds == 0 && now_ - entry.last_use > *to_live;
}

// What is here or coming at that time; one whose time is over goes.
Tier::EntryId Tier::alive(StoredKind kind, std::int64_t key, SimTime now) {
  latest(now);
  const EntryId id = find(kind, key);
  if (id == kNone || !over(entries_[id])) return id;
  drop(id, books_.expired);
  return kNone;
}

bool Tier::has(StoredKind kind, std::int64_t key, SimTime now) {
  const EntryId id = alive(kind, key, now);
  return id != kNone && !entries_[id].coming;
}

bool Tier::knows(StoredKind kind, std::int64_t key, SimTime now) {
  return alive(kind, key, now) != kNone;
}

// An object that nobody holds goes, into this book.
void Tier::drop(EntryId id, KindBytes& book) {
  V4CAP_CHECK(entries_[id].holds == 0, "what is read or written goes from tier " + spec_.name);
  ring_remove(entries_, id);
  forget(id, book);
}

// The same of one that is not in the ring.
void Tier::forget(EntryId id, KindBytes& book) {
  const Entry& entry = entries_[id];
  const KindBytes bytes = bytes_of(entry.object);
  books_.resident -= bytes;
  book += bytes;
  by_key_[static_cast<std::size_t>(entry.object.kind)].erase(entry.object.key);
  free_.push_back(id);
  --known_;
}

bool Tier::expect(const StoredObject& object, SimTime now, std::vector<Gone>& gone) {
  V4CAP_CHECK(!knows(object.kind, object.key, now), "tier " + spec_.name + " is given what it has");
  V4CAP_CHECK(takes(object), "tier " + spec_.name + " is given what it does not hold");
  const KindBytes bytes = bytes_of(object);
  if (!there_) {
    books_.refused += bytes;
    return false;
  }
  const Bytes room = spec_.capacity - bytes.total();
  while (books_.resident.total() > room) {
    const EntryId oldest = entries_[kNone].younger;
    if (oldest == kNone) {
      books_.refused += bytes;
      return false;
    }
    if (over(entries_[oldest])) {
      drop(oldest, books_.expired);
      continue;
    }
    gone.push_back({entries_[oldest].object, entries_[oldest].uses});
    drop(oldest, books_.evicted);
  }
  EntryId id;
  if (free_.empty()) {
    id = static_cast<EntryId>(entries_.size());
    entries_.emplace_back();
  } else {
    id = free_.back();
    free_.pop_back();
  }
  entries_[id] = {};
  entries_[id].object = object;
  entries_[id].coming = true;
  entries_[id].holds = 1;
  entries_[id].last_use = now_;
  by_key_[static_cast<std::size_t>(object.kind)].emplace(object.key, id);
  ++known_;
  books_.written += bytes;
  books_.resident += bytes;
  books_.peak = std::max(books_.peak, books_.resident.total());
  return true;
}

// One reader or writer less; the last of them makes it the youngest.
void Tier::let_go(EntryId id, SimTime now) {
  Entry& entry = entries_[id];
  V4CAP_CHECK(entry.holds > 0, "an object of tier " + spec_.name + " is let go too often");
  entry.last_use = latest(now);
  if (--entry.holds == 0) ring_push_youngest(entries_, id);
}

void Tier::arrived(const StoredObject& object, SimTime now) {
  const EntryId id = find(object.kind, object.key);
  V4CAP_CHECK(id != kNone && entries_[id].coming, "tier " + spec_.name + " did not expect it");
  entries_[id].coming = false;
  entries_[id].uses = 1;
  let_go(id, now);
}

void Tier::give_up(const StoredObject& object) {
  const EntryId id = find(object.kind, object.key);
  V4CAP_CHECK(id != kNone && entries_[id].coming, "tier " + spec_.name + " did not expect it");
  forget(id, books_.lost);
}

std::int64_t Tier::use(StoredKind kind, std::int64_t key, SimTime now) {
  const EntryId id = alive(kind, key, now);
  if (id == kNone || entries_[id].coming) return 0;
  Entry& entry = entries_[id];
  entry.last_use = now_;
  if (entry.holds == 0) {
    ring_remove(entries_, id);
    ring_push_youngest(entries_, id);
  }
  return ++entry.uses;
}

void Tier::hold(StoredKind kind, std::int64_t key, const KindBytes& read) {
  const EntryId id = find(kind, key);
  V4CAP_CHECK(id != kNone && !entries_[id].coming,
              "tier " + spec_.name + " is read where it is empty");
  if (entries_[id].holds++ == 0) ring_remove(entries_, id);
  books_.read += read;
}

void Tier::release(StoredKind kind, std::int64_t key, SimTime now) {
  const EntryId id = find(kind, key);
  V4CAP_CHECK(id != kNone, "what was read has gone from tier " + spec_.name);
  let_go(id, now);
}

void Tier::lose() {
  while (entries_[kNone].younger != kNone) drop(entries_[kNone].younger, books_.lost);
  V4CAP_CHECK(known_ == 0, "tier " + spec_.name + " is lost while it is read or written");
  there_ = false;
}

void Tier::check() const {
  KindBytes resident;
  std::size_t listed = 0, known = 0, held = 0;
  std::vector<bool> is_free(entries_.size(), false);
  for (const EntryId id : free_) is_free[id] = true;
  for (EntryId id = 1; id < entries_.size(); ++id) {
    if (is_free[id]) continue;
    ++known;
    resident += bytes_of(entries_[id].object);
    held += entries_[id].holds > 0 ? 1 : 0;
  }
  SimTime last = kSimStart;
  for (EntryId id = entries_[kNone].younger; id != kNone; id = entries_[id].younger) {
    V4CAP_CHECK(entries_[id].last_use >= last, "order of use in tier " + spec_.name);
    last = entries_[id].last_use;
    ++listed;
  }
  V4CAP_CHECK(there_ || known_ == 0, "tier " + spec_.name + " is lost and holds something");
  V4CAP_CHECK(known == known_ && listed + held == known,
              "objects of tier " + spec_.name + " were lost");
  V4CAP_CHECK(resident == books_.resident && resident.total() <= spec_.capacity,
              "bytes of tier " + spec_.name + " and its objects differ");
  V4CAP_CHECK(books_.written == books_.resident + books_.evicted + books_.expired + books_.lost,
              "bytes of tier " + spec_.name + " were lost");
}

}  // namespace v4cap
