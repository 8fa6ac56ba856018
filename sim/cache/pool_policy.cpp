// Policies `pool=r` and `pool=r+recompute`: the windows of all tokens are stored, in a pool of their
// own with its own order of use, which holds r times the tokens of the main pool (SGLang's
// swa_full_tokens_ratio). Windows go before the compressed entries they belong to; a hit resumes at
// the last position whose window is still there.
//
// With `+recompute` (SGLang's SGLANG_OPT_SWA_RECOMPUTE_WINDOW, PRs 28058 and 31713, off by default) a
// hit whose own window has gone resumes at its end all the same, and runs as many tokens again as
// policy `recompute` does, from the same length up. Entries then stay useful without a window. What is
// rebuilt is not kept, as with `recompute`, while SGLang publishes its last page at the resume point:
// a hit that ends where another one was rebuilt before finds a window there, and rebuilds here.
#include "sim/cache/swa_policy_parts.h"

namespace v4cap {

namespace {

// What a hit runs again without a window at its end, and how long it must be.
struct Rebuild {
  Tokens tokens, threshold;
};

class PoolPolicy final : public SwaPolicy {
 public:
  PoolPolicy(std::string name, double ratio, Tokens block, Tokens window,
             std::optional<Rebuild> rebuild)
      : name_(std::move(name)),
        ratio_(ratio),
        block_(block),
        points_a_hit_((window + block - Tokens{1}) / block),
        rebuild_(rebuild) {}

  std::string name() const override { return name_; }
  std::string fallback() const override {
    const std::string behind = "the tokens behind the last window still there";
    if (!rebuild_) return behind;
    return "from hits of " + std::to_string(rebuild_->threshold.value) + " tokens " +
           std::to_string(rebuild_->tokens.value) + ", else " + behind;
  }
  std::optional<double> window_pool_ratio() const override { return ratio_; }
  std::int64_t points_a_hit() const override { return points_a_hit_; }
  bool hits_end_at_points() const override { return !rebuild_; }
  Tokens next_point(Tokens position, const PointContext&) const override {
    return round_down(position, block_) + block_;
  }
  Resume resume(Tokens cached, Tokens last_point) const override {
    const bool rebuilt = rebuild_ && last_point < cached && cached >= rebuild_->threshold;
    return rebuilt ? Resume{cached, rebuild_->tokens} : Resume{last_point, {}};
  }

 private:
  std::string name_;
  double ratio_;
  Tokens block_;
  std::int64_t points_a_hit_;
  std::optional<Rebuild> rebuild_;
};

constexpr std::string_view kRecompute = "+recompute";

std::unique_ptr<SwaPolicy> make_pool(const PolicyContext& context) {
  const bool rebuilds = context.argument.ends_with(kRecompute);
  PolicyContext share = context;
  std::optional<Rebuild> rebuild;
  if (rebuilds) {
    share.argument.resize(share.argument.size() - kRecompute.size());
    const Tokens tokens = rebuilt_rectangle(context.geometry, context.rebuild_page);
    rebuild = Rebuild{tokens, rebuild_threshold(context, tokens * 2, tokens)};
  }
  const double ratio = parse_share(share, "pool=r' or 'pool=r+recompute");
  return std::make_unique<PoolPolicy>("pool=" + context.argument, ratio, context.block,
                                      context.geometry.window_tokens(), rebuild);
}

const bool registered = PolicyRegistry::add("pool", make_pool);

}  // namespace

}  // namespace v4cap
