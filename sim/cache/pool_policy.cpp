// Policy `pool=r`: the windows of all tokens are stored, in a pool of their own with its own order of
// use, which holds r times the tokens of the main pool (SGLang's swa_full_tokens_ratio). Windows go
// before the compressed entries they belong to; a hit resumes at the last position whose window is
// still there.
#include "sim/cache/swa_policy_parts.h"

namespace v4cap {

namespace {

class PoolPolicy final : public SwaPolicy {
 public:
  PoolPolicy(std::string name, double ratio, Tokens block, Tokens window)
      : name_(std::move(name)),
        ratio_(ratio),
        block_(block),
        points_a_hit_((window + block - Tokens{1}) / block) {}

  std::string name() const override { return name_; }
  std::string fallback() const override { return "the tokens behind the last window still there"; }
  std::optional<double> window_pool_ratio() const override { return ratio_; }
  std::int64_t points_a_hit() const override { return points_a_hit_; }
  Tokens next_point(Tokens position, const PointContext&) const override {
    return round_down(position, block_) + block_;
  }
  Resume resume(Tokens, Tokens last_point) const override { return {last_point, {}}; }

 private:
  std::string name_;
  double ratio_;
  Tokens block_;
  std::int64_t points_a_hit_;
};

const bool registered =
    PolicyRegistry::add("pool", [](const PolicyContext& context) -> std::unique_ptr<SwaPolicy> {
      const double ratio = parse_share(context, "pool=r");
      return std::make_unique<PoolPolicy>("pool=" + context.argument, ratio, context.block,
                                          context.geometry.window_tokens());
    });

}  // namespace

}  // namespace v4cap
