// Policy `recompute` (rectangle): no window state is kept. A hit of P tokens runs the last L x 128
// tokens through all L layers again, because each layer's window reaches 128 tokens further back:
// 7,808 tokens on V4-Pro. The result is exact, R = P, and no compressed entry is written twice.
//
// Below a threshold a hit is not worth it and the prompt is prefilled plainly. The default is twice
// the rebuilt length, as SGLang does (sglang PRs 28058 and 31713: triggered when matched >= 2 W_r).
#include "sim/cache/swa_policy.h"

namespace v4cap {

namespace {

class RecomputePolicy final : public SwaPolicy {
 public:
  RecomputePolicy(Tokens rebuilt, Tokens threshold) : rebuilt_(rebuilt), threshold_(threshold) {}

  std::string name() const override { return "recompute"; }
  bool stores_window_of_every_token() const override { return false; }
  Tokens next_point(Tokens) const override { return kNoPoint; }
  Resume resume(Tokens cached, Tokens) const override {
    if (cached < threshold_) return {};
    return {cached, rebuilt_};
  }

 private:
  Tokens rebuilt_, threshold_;
};

const bool registered = PolicyRegistry::add(
    "recompute", [](const PolicyContext& context) -> std::unique_ptr<SwaPolicy> {
      if (!context.argument.empty() && context.argument != "rectangle") {
        throw InputError(
            Place{}, "expected 'recompute' or 'recompute=rectangle', got '" + context.name + "'");
      }
      const Tokens rebuilt = context.geometry.window_tokens() * context.geometry.layers();
      const Tokens threshold = context.recompute_threshold.value_or(rebuilt * 2);
      if (threshold < rebuilt) {
        throw InputError(Place{}, "recompute_threshold_tokens must be at least the " +
                                      std::to_string(rebuilt.value) +
                                      " tokens that a hit rebuilds, got " +
                                      std::to_string(threshold.value));
      }
      return std::make_unique<RecomputePolicy>(rebuilt, threshold);
    });

}  // namespace

}  // namespace v4cap
