// Policy `reuse`: keeps the points most likely to be used again, and the blocks they need, under a
// byte budget.
//
// Candidates are cheap to have, because prefill passes them anyway: where a prompt or an output
// ended, where an earlier request went another way (a prefix seen twice), and every 8,192 tokens,
// for the first fork nobody could know of. Which of them stay is decided when memory is short, by
// what a serving engine can know (ReuseScores).
//
// On a hit the last kept point is resumed from. Where that is further back than a rebuilt window
// costs (SGLang's rectangle), the window is rebuilt instead: a lost point costs at most so much.
//
// `reuse=F`: points may take the share F of what the windows of all cached tokens would (0.05 by
// default: a point every 2,560 tokens).
#include <algorithm>

#include "sim/cache/reuse_scores.h"
#include "sim/cache/swa_policy_parts.h"

namespace v4cap {

namespace {

// Chosen on mooncake-conversation, mooncake-synthetic and weka-agentic-v8 at three budgets each:
// closer points push out too much else where memory is short, none at all miss too many first forks.
constexpr Tokens kInterval{8192};
constexpr double kRetention = 0.05;

class ReusePolicy final : public SwaPolicy {
 public:
  ReusePolicy(const PolicyContext& context, double retention)
      : name_(context.name),
        block_(context.block),
        retention_(retention),
        rebuilt_(rebuilt_rectangle(context.geometry, context.rebuild_page)),
        threshold_(context.recompute_threshold.value_or(rebuilt_ * 2)),
        token_bytes_(bytes_per_token(context.geometry)) {
    if (threshold_ < rebuilt_) {
      throw InputError(Place{}, "recompute_threshold_tokens must be at least the " +
                                    std::to_string(rebuilt_.value) +
                                    " tokens that a hit rebuilds, got " +
                                    std::to_string(threshold_.value));
    }
  }

  std::string name() const override { return name_; }
  std::string fallback() const override {
    return "the tokens behind the last kept point, or " + std::to_string(rebuilt_.value) +
           " rebuilt ones where that is less";
  }
  Tokens next_point(Tokens position, const PointContext& context) const override {
    Tokens next = round_down(round_down(position, kInterval) + kInterval, block_);
    if (next <= position) next += block_;
    if (context.prompt_end > position) next = std::min(next, context.prompt_end);
    if (context.cached > position) next = std::min(next, context.cached);
    return next;
  }
  PointReason reason(Tokens position, const PointContext& context) const override {
    if (position == context.prompt_end) return PointReason::prompt_end;
    if (position == context.cached) return PointReason::fork;
    return PointReason::interval;
  }
  bool keeps_output_end() const override { return true; }
  // Only the very same prompt would resume there, and the block before is as good for all others.
  bool keeps_partial_blocks() const override { return false; }
  Resume resume(Tokens cached, Tokens last_point) const override {
    if (cached >= threshold_ && cached - rebuilt_ > last_point) return {cached, rebuilt_};
    return {last_point, {}};
  }
  std::unique_ptr<PointScores> make_scores() const override {
    return std::make_unique<ReuseScores>(rebuilt_, threshold_, token_bytes_);
  }
  std::optional<double> retention() const override { return retention_; }

 private:
  static double bytes_per_token(const CacheGeometry& geometry) {
    constexpr Tokens long_sequence{std::int64_t{1} << 20};
    return static_cast<double>(geometry.compressed(long_sequence).total().value) /
           static_cast<double>(long_sequence.value);
  }

  std::string name_;
  Tokens block_;
  double retention_;
  Tokens rebuilt_, threshold_;
  double token_bytes_;
};

const bool registered =
    PolicyRegistry::add("reuse", [](const PolicyContext& context) -> std::unique_ptr<SwaPolicy> {
      const double share = context.argument.empty() ? kRetention : parse_share(context, "reuse=F");
      return std::make_unique<ReusePolicy>(context, share);
    });

}  // namespace

}  // namespace v4cap
