#include "sim/cache/capacity.h"

#include <algorithm>
#include <limits>
#include <numeric>

#include "sim/core/error.h"
#include "sim/model/compression.h"

namespace v4cap {
namespace {

// Long enough that the first point's distance from the start no longer shows in averages.
constexpr Tokens kLong{std::int64_t{1} << 20};

// Where averages are taken: whole blocks, whole compressed entries, and the end of a whole interval
// between points when there are any.
Tokens length_for_averages(const SwaPolicy& policy, Tokens block) {
  const Tokens whole{std::lcm(block.value, kHcaTokensPerEntry)};
  const Tokens plain = std::max(whole, round_down(kLong, whole));
  Tokens last;
  for (Tokens p = policy.next_point(Tokens{0}, {}); p != kNoPoint && p <= plain;
       p = policy.next_point(p, {})) {
    last = p;
  }
  return last > Tokens{0} ? last : plain;
}

KindBytes share_of(KindBytes bytes, double share) {
  for (std::int64_t& b : bytes.bytes) {
    b = static_cast<std::int64_t>(static_cast<double>(b) * share);
  }
  return bytes;
}

}  // namespace

Capacity::Capacity(const Layout& layout, const SwaPolicy& policy, Tokens block)
    : layout_(layout), policy_(policy), block_(block) {
  V4CAP_CHECK(block.value > 0, "block of " + std::to_string(block.value) + " tokens");
  const Tokens length = length_for_averages(policy, block);
  const KindBytes bytes = cached(length);
  for (const CacheKind kind : all_cache_kinds()) {
    per_token_[static_cast<std::size_t>(kind)] =
        static_cast<double>(bytes[kind]) / static_cast<double>(length.value);
  }
}

KindBytes Capacity::cached(Tokens length) const {
  const std::int64_t blocks = length / block_;
  KindBytes bytes = layout_.blocks(0, blocks, policy_.stores_window_of_every_token());
  if (const auto ratio = policy_.window_pool_ratio()) {
    return bytes + share_of(layout_.windows(0, blocks), *ratio);
  }
  if (const auto retention = policy_.retention()) {
    return bytes + share_of(layout_.blocks(0, blocks, true) - bytes, *retention);
  }
  const Tokens end = block_ * blocks;
  const PointContext ends{end, {}};
  for (Tokens p = policy_.next_point(Tokens{0}, ends); p != kNoPoint && p <= end;
       p = policy_.next_point(p, ends)) {
    bytes += layout_.point(p);
  }
  return bytes;
}

KindBytes Capacity::running() const {
  return layout_.running(policy_.stores_window_of_every_token(), Tokens{1});
}

KindBytes Capacity::point() const {
  return layout_.point(Tokens{std::lcm(block_.value, kHcaTokensPerEntry)});
}

double Capacity::bytes_per_token() const {
  return std::accumulate(per_token_.begin(), per_token_.end(), 0.0);
}

Tokens Capacity::tokens() const {
  double fewest = static_cast<double>(std::numeric_limits<std::int64_t>::max() / 2);
  for (const PoolSpec& pool : layout_.pools()) {
    double bytes = 0;
    for (std::size_t i = 0; i < kCacheKinds; ++i) bytes += pool.holds[i] ? per_token_[i] : 0;
    if (bytes > 0) fewest = std::min(fewest, static_cast<double>(pool.capacity.value) / bytes);
  }
  return {static_cast<std::int64_t>(fewest)};
}

std::int64_t Capacity::copies_that_fit(const KindBytes& one) const {
  std::int64_t fewest = std::numeric_limits<std::int64_t>::max();
  for (const PoolSpec& pool : layout_.pools()) {
    std::int64_t bytes = 0;
    for (std::size_t i = 0; i < kCacheKinds; ++i) bytes += pool.holds[i] ? one.bytes[i] : 0;
    if (bytes > 0) fewest = std::min(fewest, pool.capacity.value / bytes);
  }
  return fewest;
}

std::int64_t Capacity::running_sequences(Tokens length) const {
  const Tokens allocated = round_down(length + block_ - Tokens{1}, block_);
  return copies_that_fit(cached(allocated) + running());
}

std::int64_t Capacity::cached_sequences(Tokens length) const {
  return copies_that_fit(cached(length));
}

}  // namespace v4cap
