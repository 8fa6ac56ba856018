// Layout `ideal`: bytes as the model defines them, one pool, no padding and no fixed part. What an
// engine could at best reach, and the yardstick for those that page, pad and reserve.
#include <array>

#include "sim/cache/layout.h"
#include "sim/model/compression.h"

namespace v4cap {

namespace {

class IdealLayout final : public Layout {
 public:
  explicit IdealLayout(const LayoutContext& context)
      : geometry_(context.geometry),
        block_(context.block),
        blocks_alike_(context.block.value % kHcaTokensPerEntry == 0) {
    one_block_[false] = geometry_.compressed(block_);
    one_block_[true] = one_block_[false] + geometry_.window(block_);
    PoolSpec pool{"kv", context.memory, {}};
    pool.holds.fill(true);
    if (context.window_pool_ratio) {
      ratio_ = context.window_pool_ratio;
      split(pool, *ratio_);
    } else {
      pools_.push_back(pool);
    }
  }

  const std::vector<PoolSpec>& pools() const override { return pools_; }

  std::optional<double> window_pool_ratio() const override { return ratio_; }

  KindBytes blocks(std::int64_t begin, std::int64_t end, bool window) const override {
    if (blocks_alike_) {
      const KindBytes& one = one_block_[window];
      const std::int64_t count = end - begin;
      return {{one.bytes[0] * count, one.bytes[1] * count, one.bytes[2] * count,
               one.bytes[3] * count, one.bytes[4] * count, one.bytes[5] * count}};
    }
    KindBytes bytes = geometry_.compressed(block_ * end) - geometry_.compressed(block_ * begin);
    if (window) bytes += geometry_.window(block_ * (end - begin));
    return bytes;
  }

  KindBytes point(Tokens position) const override {
    if (position == Tokens{0}) return {};
    return geometry_.window(geometry_.window_tokens()) + geometry_.tails_at(position);
  }

  KindBytes windows(std::int64_t begin, std::int64_t end) const override {
    KindBytes bytes = geometry_.window(block_ * (end - begin));
    for (std::int64_t b = begin + 1; b <= end; ++b) bytes += geometry_.tails_at(block_ * b);
    return bytes;
  }

  KindBytes running(bool window, Tokens) const override {
    KindBytes bytes = geometry_.running_tails();
    if (!window) bytes += geometry_.window(geometry_.window_tokens());
    return bytes;
  }

 private:
  // Two pools of the same memory: when the main one holds N tokens, the other holds the windows and
  // compressor rows of r N.
  void split(PoolSpec main, double ratio) {
    const Tokens period{block_.value * kHcaTokensPerEntry};  // every block end of it is different
    const auto blocks = period / block_;
    const double main_bytes = static_cast<double>(geometry_.compressed(period).total().value);
    const double window_bytes = static_cast<double>(windows(0, blocks).total().value) * ratio;
    PoolSpec swa{"swa", {}, {}};
    swa.capacity = {static_cast<std::int64_t>(static_cast<double>(main.capacity.value) *
                                              window_bytes / (main_bytes + window_bytes))};
    main.capacity -= swa.capacity;
    for (const CacheKind kind : {CacheKind::swa, CacheKind::tails}) {
      main.holds[static_cast<std::size_t>(kind)] = false;
      swa.holds[static_cast<std::size_t>(kind)] = true;
    }
    pools_ = {main, swa};
  }

  CacheGeometry geometry_;
  Tokens block_;
  bool blocks_alike_;  // none shares an entry with the next one
  static_assert(kCacheKinds == 6, "blocks() lists them");
  std::array<KindBytes, 2> one_block_;  // then: without and with its windows
  std::optional<double> ratio_;
  std::vector<PoolSpec> pools_;
};

const bool registered =
    LayoutRegistry::add("ideal", [](const LayoutContext& context) -> std::unique_ptr<Layout> {
      return std::make_unique<IdealLayout>(context);
    });

const bool described =
    LayoutTraitsRegistry::add("ideal", {.window_pool = true, .engine_blocks = {}});

}  // namespace

}  // namespace v4cap
