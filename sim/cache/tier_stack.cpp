#include "sim/cache/tier_stack.h"

#include <algorithm>
#include <utility>

#include "sim/core/error.h"
#include "sim/core/hash.h"

namespace v4cap {

namespace {

std::size_t at(int tier) {
  return static_cast<std::size_t>(tier);
}

}  // namespace

std::size_t TierStack::KeyHash::operator()(std::int64_t key) const noexcept {
  return mix64(static_cast<std::uint64_t>(key));
}

TierStack::TierStack(std::vector<Level> levels) : levels_(std::move(levels)) {
  V4CAP_CHECK(!levels_.empty(), "a stack without a tier");
  counts_ =
      std::ranges::any_of(levels_, [](const Level& level) { return level.policy->counts_uses(); });
}

// The next tier below a level that takes the object.
std::optional<int> TierStack::next_holder(int level, const StoredObject& object) const {
  for (int tier = level + 1; tier < static_cast<int>(levels_.size()); ++tier) {
    if (levels_[at(tier)].tier->takes(object)) return tier;
  }
  return std::nullopt;
}

// An object was used at a level for the so-manyth time: is it copied to the next one?
void TierStack::consider(int level, const StoredObject& object, std::int64_t uses) {
  const auto below = next_holder(level, object);
  if (!below || !levels_[at(*below)].policy->on_use(uses)) return;
  if (!levels_[at(*below)].tier->knows(object.kind, object.key, now_))
    copy_down(level, *below, object);
}

void TierStack::used(const StoredObject& object) {
  const std::uint32_t on_gpu =
      counts_ ? ++uses_on_gpu_[static_cast<std::size_t>(object.kind)][object.key] : 1;
  // Used where it is before it is copied to where it is not: most often it is in the first tier, and
  // that is seen by looking there once.
  const auto first = next_holder(kGpuLevel, object);
  const std::int64_t in_first =
      first ? levels_[at(*first)].tier->use(object.kind, object.key, now_) : 0;
  if (first && in_first == 0) consider(kGpuLevel, object, on_gpu);
  for (int tier = 0; tier < static_cast<int>(levels_.size()); ++tier) {
    const std::int64_t below =
        tier == first ? in_first : levels_[at(tier)].tier->use(object.kind, object.key, now_);
    const bool last = tier + 1 == static_cast<int>(levels_.size());
    if (below > 0 && !last) consider(tier, object, below);
  }
}

void TierStack::left(const StoredObject& object) {
  std::int64_t count = 1;
  if (counts_) {
    auto& uses = uses_on_gpu_[static_cast<std::size_t>(object.kind)];
    const auto it = uses.find(object.key);
    V4CAP_CHECK(it != uses.end(), "what was never used left GPU memory");
    count = it->second;
    uses.erase(it);
  }
  const auto below = next_holder(kGpuLevel, object);
  if (below && levels_[at(*below)].policy->on_leave(count) &&
      !levels_[at(*below)].tier->knows(object.kind, object.key, now_)) {
    copy_down(kGpuLevel, *below, object);
  }
}

// Room in a tier, for which others may have to go further down.
bool TierStack::expect(int tier, const StoredObject& object) {
  std::vector<Tier::Gone> gone;
  gone.swap(gone_);  // its memory; what goes further down needs another
  gone.clear();
  const bool room = levels_[at(tier)].tier->expect(object, now_, gone);
  for (const Tier::Gone& one : gone) {
    const auto below = next_holder(tier, one.object);
    if (below && levels_[at(*below)].policy->on_leave(one.uses) &&
        !levels_[at(*below)].tier->knows(one.object.kind, one.object.key, now_)) {
      copy_down(tier, *below, one.object);
    }
  }
  gone_.swap(gone);
  return room;
}

void TierStack::copy_down(int from, int to, const StoredObject& object) {
  if (!expect(to, object)) return;
  Batch& batch = going_down_[{from, to}];
  batch.objects.push_back(object);
  batch.bytes += levels_[at(to)].tier->bytes_of(object);
}

std::optional<int> TierStack::find(StoredKind kind, std::int64_t key) {
  for (int tier = 0; tier < static_cast<int>(levels_.size()); ++tier) {
    if (levels_[at(tier)].tier->has(kind, key, now_)) return tier;
  }
  return std::nullopt;
}

int TierStack::load(std::uint32_t tag, const std::vector<LoadPiece>& pieces) {
  int orders = 0;
  // All are held before anything that is promoted can push one of them out.
  for (const LoadPiece& piece : pieces) {
    levels_[at(piece.tier)].tier->hold(piece.object.kind, piece.object.key, piece.read);
  }
  for (int tier = 0; tier < static_cast<int>(levels_.size()); ++tier) {
    Open open;
    for (const LoadPiece& piece : pieces) {
      if (piece.tier != tier) continue;
      open.objects.push_back(piece.object);
      open.order.bytes += piece.read.total();
      for (int above = 0; above < tier; ++above) {
        Tier& other = *levels_[at(above)].tier;
        if (!other.takes(piece.object) || other.knows(piece.object.kind, piece.object.key, now_))
          continue;
        if (expect(above, piece.object)) open.promoted.emplace_back(above, piece.object);
      }
    }
    if (open.objects.empty()) continue;
    open.order.id = next_id_++;
    open.order.from = tier;
    open.order.tag = tag;
    new_loads_.push_back(open.order);
    open_.emplace(open.order.id, std::move(open));
    ++orders;
  }
  return orders;
}

void TierStack::take_orders(std::vector<TransferOrder>& out) {
  out.insert(out.end(), new_loads_.begin(), new_loads_.end());
  new_loads_.clear();
  for (auto& [levels, batch] : going_down_) {
    Open open;
    open.order = {next_id_++, levels.first, levels.second, batch.bytes.total(), 0};
    open.objects = std::move(batch.objects);
    out.push_back(open.order);
    open_.emplace(open.order.id, std::move(open));
  }
  going_down_.clear();
}

void TierStack::performed(OrderId id) {
  const auto it = open_.find(id);
  V4CAP_CHECK(it != open_.end(), "an order was performed that nobody gave");
  const Open open = std::move(it->second);
  open_.erase(it);
  if (!open.order.load()) {
    // The end of a prefix becomes the oldest, so that it goes first.
    for (auto object = open.objects.rbegin(); object != open.objects.rend(); ++object) {
      levels_[at(open.order.to)].tier->arrived(*object, now_);
      consider(open.order.to, *object, 1);
    }
    return;
  }
  release(open);
  for (auto one = open.promoted.rbegin(); one != open.promoted.rend(); ++one) {
    levels_[at(one->first)].tier->arrived(one->second, now_);
    consider(one->first, one->second, 1);
  }
}

// A load reads no more.
void TierStack::release(const Open& open) {
  for (auto object = open.objects.rbegin(); object != open.objects.rend(); ++object) {
    levels_[at(open.order.from)].tier->release(object->kind, object->key, now_);
  }
}

void TierStack::broken_off(OrderId id) {
  const auto it = open_.find(id);
  V4CAP_CHECK(it != open_.end(), "an order was broken off that nobody gave");
  const Open open = std::move(it->second);
  open_.erase(it);
  if (open.order.load()) {
    release(open);
  } else {
    for (const StoredObject& object : open.objects) {
      levels_[at(open.order.to)].tier->give_up(object);
    }
  }
  for (const auto& [tier, object] : open.promoted) levels_[at(tier)].tier->give_up(object);
}

void TierStack::gpu_lost() {
  V4CAP_CHECK(open_.empty() && going_down_.empty(), "GPU memory is lost while it is copied");
  for (auto& uses : uses_on_gpu_) uses.clear();
}

void TierStack::forget(int tier) {
  V4CAP_CHECK(going_down_.empty() && new_loads_.empty(), "orders were not taken");
  for (auto& [id, open] : open_) {
    if (open.order.load() && open.order.from == tier) {
      release(open);
      open.objects.clear();
    }
    std::erase_if(open.promoted, [&](const auto& one) {
      if (one.first != tier) return false;
      levels_[at(tier)].tier->give_up(one.second);
      return true;
    });
  }
}

void TierStack::check() const {
  for (const Level& level : levels_) level.tier->check();
}

}  // namespace v4cap
