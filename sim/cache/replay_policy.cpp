// Policy `replay`: no window state is kept, and a hit runs only the last 128 tokens again, in all
// layers. Approximate: their own windows reach back to tokens whose state is gone, so deeper layers
// see less than in an uninterrupted prefill. V4.1 does so in its encoder (bounded replay; vLLM PRs
// 56227 and 58132: a hit not longer than the window is not adopted).
#include "sim/cache/swa_policy.h"

namespace v4cap {

namespace {

class ReplayPolicy final : public SwaPolicy {
 public:
  explicit ReplayPolicy(Tokens window) : window_(window) {}

  std::string name() const override { return "replay"; }
  std::string fallback() const override {
    return "hits up to " + std::to_string(window_.value) + " tokens are prefilled plainly";
  }
  std::string caveat() const override {
    return "approximate: outputs differ from those of an uninterrupted prefill";
  }
  Tokens next_point(Tokens, const PointContext&) const override { return kNoPoint; }
  std::optional<Tokens> interval_by_position() const override { return Tokens{0}; }
  Resume resume(Tokens cached, Tokens) const override {
    if (cached <= window_) return {};
    return {cached, window_};
  }

 private:
  Tokens window_;
};

const bool registered =
    PolicyRegistry::add("replay", [](const PolicyContext& context) -> std::unique_ptr<SwaPolicy> {
      if (!context.argument.empty()) {
        throw InputError(Place{},
                         "policy 'replay' takes no argument, got '" + context.argument + "'");
      }
      return std::make_unique<ReplayPolicy>(context.geometry.window_tokens());
    });

}  // namespace

}  // namespace v4cap
