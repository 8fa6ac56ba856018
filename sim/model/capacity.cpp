#include "sim/model/capacity.h"

#include <algorithm>

#include "sim/core/error.h"
#include "sim/model/compression.h"

namespace v4cap {
namespace {

// Both compressors have whole entries here, so averages over it are those of a long sequence.
constexpr Tokens kWholeBlock{kHcaTokensPerEntry};

}  // namespace

std::string to_string(const RetentionPolicy& policy) {
  switch (policy.kind) {
    case Retention::full:
      return "full";
    case Retention::checkpoint:
      return "checkpoint=" + std::to_string(policy.every.value);
    case Retention::recompute:
      return "recompute";
  }
  V4CAP_CHECK(false, "a retention without a name");
}

Capacity::Capacity(const CacheGeometry& geometry, RetentionPolicy policy, Bytes kv_memory)
    : geometry_(geometry), policy_(policy), kv_memory_(kv_memory) {
  V4CAP_CHECK(policy.kind != Retention::checkpoint || policy.every.value >= 1, to_string(policy));
}

KindBytes Capacity::point() const {
  const Tokens at = policy_.kind == Retention::checkpoint ? policy_.every : kWholeBlock;
  return geometry_.window(std::min(at, geometry_.window_tokens())) + geometry_.tails_at(at);
}

std::array<double, kCacheKinds> Capacity::bytes_per_token_by_kind() const {
  const KindBytes compressed = geometry_.compressed(kWholeBlock);
  const KindBytes windows = geometry_.window(kWholeBlock);
  std::array<double, kCacheKinds> out{};
  for (const CacheKind kind : all_cache_kinds()) {
    double& bytes = out[static_cast<std::size_t>(kind)];
    bytes = static_cast<double>(compressed[kind]) / static_cast<double>(kWholeBlock.value);
    if (policy_.kind == Retention::full) {
      bytes += static_cast<double>(windows[kind]) / static_cast<double>(kWholeBlock.value);
    } else if (policy_.kind == Retention::checkpoint) {
      bytes += static_cast<double>(point()[kind]) / static_cast<double>(policy_.every.value);
    }
  }
  return out;
}

double Capacity::bytes_per_token() const {
  double sum = 0;
  for (const double bytes : bytes_per_token_by_kind()) sum += bytes;
  return sum;
}

KindBytes Capacity::bytes_per_request() const {
  return geometry_.window(geometry_.window_tokens()) + geometry_.running_tails();
}

KindBytes Capacity::cached(Tokens length) const {
  const KindBytes compressed = geometry_.compressed(length);
  switch (policy_.kind) {
    case Retention::full:
      return compressed + geometry_.window(length);
    case Retention::checkpoint:
      return compressed + point() * (length / policy_.every);
    case Retention::recompute:
      return compressed;
  }
  return compressed;
}

Tokens Capacity::tokens() const {
  const double per_token = bytes_per_token();
  V4CAP_CHECK(per_token > 0, "a model whose tokens take no memory");
  return {static_cast<std::int64_t>(static_cast<double>(kv_memory_.value) / per_token)};
}

std::int64_t Capacity::running_sequences(Tokens length) const {
  return kv_memory_ / (cached(length) + bytes_per_request()).total();
}

std::int64_t Capacity::cached_sequences(Tokens length) const {
  const Bytes one = cached(length).total();
  V4CAP_CHECK(one.value > 0, "a sequence of " + std::to_string(length.value) + " tokens");
  return kv_memory_ / one;
}

}  // namespace v4cap
