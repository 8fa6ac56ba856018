// Layout `ideal`: bytes as the model defines them, one pool, no padding and no fixed part. What an
// engine could at best reach, and the yardstick for those that page, pad and reserve.
#include "sim/cache/layout.h"

namespace v4cap {

namespace {

class IdealLayout final : public Layout {
 public:
  explicit IdealLayout(const LayoutContext& context)
      : geometry_(context.geometry), block_(context.block) {
    PoolSpec pool{"kv", context.memory, {}};
    pool.holds.fill(true);
    pools_.push_back(pool);
  }

  const std::vector<PoolSpec>& pools() const override { return pools_; }

  KindBytes blocks(std::int64_t begin, std::int64_t end, bool window) const override {
    KindBytes bytes = geometry_.compressed(block_ * end) - geometry_.compressed(block_ * begin);
    if (window) bytes += geometry_.window(block_ * (end - begin));
    return bytes;
  }

  KindBytes point(Tokens position) const override {
    return geometry_.window(geometry_.window_tokens()) + geometry_.tails_at(position);
  }

  KindBytes running(bool window) const override {
    KindBytes bytes = geometry_.running_tails();
    if (!window) bytes += geometry_.window(geometry_.window_tokens());
    return bytes;
  }

 private:
  CacheGeometry geometry_;
  Tokens block_;
  std::vector<PoolSpec> pools_;
};

const bool registered =
    LayoutRegistry::add("ideal", [](const LayoutContext& context) -> std::unique_ptr<Layout> {
      return std::make_unique<IdealLayout>(context);
    });

}  // namespace

}  // namespace v4cap
