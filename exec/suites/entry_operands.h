// Operands that the suites of the cache-entry operators share: the tokens of a step, the RoPE
// table, page tables, and memory that an operator changes in place.
#pragma once

#include <cuda_runtime_api.h>

#include <algorithm>
#include <cstdint>
#include <numeric>
#include <string>
#include <utility>
#include <vector>

#include "exec/device.h"
#include "exec/fill.h"
#include "exec/suite.h"
#include "kernels/batch.h"
#include "kernels/cuda/check.h"
#include "kernels/formats/pages.h"
#include "kernels/rope_table.h"

namespace v4cap::exec {

// A sequence's new tokens: positions [start, start + tokens).
struct Part {
  int start = 0, tokens = 0;
};

// `count` sequences with one new token each, at start, start + step, ...
inline std::vector<Part> decode_parts(int count, int start, int step = 1) {
  std::vector<Part> parts;
  for (int i = 0; i < count; ++i) parts.push_back({start + i * step, 1});
  return parts;
}

class BatchOperand {
 public:
  explicit BatchOperand(std::vector<Part> parts) : parts_(std::move(parts)) {
    std::vector<std::int32_t> positions, sequence_of, first_token{0};
    for (std::size_t s = 0; s < parts_.size(); ++s) {
      for (int i = 0; i < parts_[s].tokens; ++i) {
        positions.push_back(parts_[s].start + i);
        sequence_of.push_back(static_cast<std::int32_t>(s));
      }
      first_token.push_back(static_cast<std::int32_t>(positions.size()));
      max_new_tokens_ = std::max(max_new_tokens_, parts_[s].tokens);
      max_context_ = std::max(max_context_, parts_[s].start + parts_[s].tokens);
    }
    positions_ = Buffer<std::int32_t>(std::move(positions));
    sequence_of_ = Buffer<std::int32_t>(std::move(sequence_of));
    first_token_ = Buffer<std::int32_t>(std::move(first_token));
  }

  const std::vector<Part>& parts() const { return parts_; }
  int tokens() const { return static_cast<int>(positions_.size()); }
  int sequences() const { return static_cast<int>(parts_.size()); }
  int max_context() const { return max_context_; }
  kernels::Batch at(Side side) {
    return {.tokens = tokens(),
            .sequences = sequences(),
            .max_new_tokens = max_new_tokens_,
            .max_context = max_context_,
            .positions = positions_.at(side),
            .sequence_of = sequence_of_.at(side),
            .first_token = first_token_.at(side)};
  }
  // New tokens at which a block of `ratio` ends.
  int emitted(int ratio) const {
    int count = 0;
    for (const Part& p : parts_) count += (p.start + p.tokens) / ratio - p.start / ratio;
    return count;
  }

 private:
  std::vector<Part> parts_;
  int max_new_tokens_ = 0, max_context_ = 0;
  Buffer<std::int32_t> positions_, sequence_of_, first_token_;
};

// The table of as many positions as the batch needs.
inline Buffer<float> rope_operand(const BatchOperand& batch, bool yarn = true) {
  return Buffer<float>(kernels::rope_table(yarn, batch.max_context()));
}

// `pages` pages for each sequence, no two alike and in no order.
class PagesOperand {
 public:
  PagesOperand(int sequences, int pages) : sequences_(sequences), pages_(pages) {
    const std::int64_t total = this->total();
    std::int64_t step = std::max<std::int64_t>(total * 5 / 8, 1);
    while (std::gcd(step, total) != 1) ++step;
    std::vector<std::int32_t> table;
    for (std::int64_t i = 0; i < total; ++i) {
      table.push_back(static_cast<std::int32_t>((i * step + 1) % total));
    }
    table_ = Buffer<std::int32_t>(std::move(table));
  }
  std::int64_t total() const { return std::int64_t{sequences_} * pages_; }
  kernels::PageTable at(Side side) {
    return {.pages = table_.at(side), .stride = pages_, .length = pages_};
  }

 private:
  int sequences_, pages_;
  Buffer<std::int32_t> table_;
};

// Which bytes of a pool belong to some entries or keys of it: to those that a launch may read, or
// to those that it writes.
class EntryBytes {
 public:
  explicit EntryBytes(std::int64_t pool_bytes)
      : use_(static_cast<std::size_t>(pool_bytes), Use::other) {}

  void add(const kernels::KvPool& pool, std::int64_t page, int offset) {
    mark(pool.data(page, offset) - pool.base, kernels::kEntryDataBytes, Use::number);
    const std::int64_t scales = pool.scales(page, offset) - pool.base;
    mark(scales, kernels::kNopeScales, Use::number);
    mark(scales + kernels::kNopeScales, kernels::kEntryScaleBytes - kernels::kNopeScales,
         Use::padding);
  }
  void add(const kernels::KeyPool& pool, std::int64_t page, int offset) {
    mark(pool.codes(page, offset) - pool.base, pool.code_bytes(), Use::number);
    mark(pool.scales(page, offset) - pool.base, 4, Use::number);
  }

  // All bytes but their numbers become 0xff: NaN as e4m3, bf16 and float, infinite as a scale. (The
  // poison of outputs, 0x7f, is a finite bf16 and a scale of 1: harmless where it is weighed 0.)
  void make_others_nan(Buffer<std::uint8_t>& pool) const {
    std::vector<std::uint8_t> bytes = pool.host();
    for (std::size_t i = 0; i < bytes.size(); ++i) {
      if (use_[i] != Use::number) bytes[i] = 0xff;
    }
    pool.upload(std::move(bytes));
  }

  // Of a pool that was poisoned before the launch: how many bytes outside the entries have changed.
  Finding others_untouched(Buffer<std::uint8_t>& pool) const {
    const std::vector<std::uint8_t>& bytes = pool.host();
    std::int64_t changed = 0;
    for (std::size_t i = 0; i < bytes.size(); ++i) {
      changed += use_[i] == Use::other && bytes[i] != 0x7f ? 1 : 0;
    }
    return {"bytes outside these entries, changed", static_cast<double>(changed), 0};
  }

 private:
  enum class Use : std::uint8_t { other, number, padding };

  void mark(std::int64_t first, std::int64_t count, Use use) {
    std::fill_n(use_.begin() + first, count, use);
  }

  std::vector<Use> use_;
};

// State slots of sequences, in falling order and with one left free below them.
inline Buffer<std::int32_t> state_slots(int sequences) {
  std::vector<std::int32_t> slots;
  for (int s = 0; s < sequences; ++s) slots.push_back(sequences - s);
  return Buffer<std::int32_t>(std::move(slots));
}

// An operand that a launch changes: kernels get a copy, references the original.
template <class T>
class ChangedInPlace {
 public:
  explicit ChangedInPlace(std::int64_t count) : original_(count), copy_(count) {}
  Buffer<T>& original() { return original_; }
  Buffer<T>& copy() { return copy_; }
  T* at(Side side) { return side == Side::device ? copy_.device() : original_.at(Side::host); }
  void reset() {
    if (original_.size() == 0) return;
    V4CAP_CUDA(cudaMemcpy(copy_.device(), original_.device(),
                          static_cast<std::size_t>(original_.size()) * sizeof(T),
                          cudaMemcpyDeviceToDevice));
    copy_.touched();
  }

 private:
  Buffer<T> original_, copy_;
};

}  // namespace v4cap::exec
