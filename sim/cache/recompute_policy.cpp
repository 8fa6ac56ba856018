// Policies `recompute` and `recompute=pyramid`: no window state is kept. A hit of P tokens runs the
// tokens before P again, because each layer's window reaches 128 tokens further back. The result is
// exact, R = P, and no compressed entry is written twice.
//
// rectangle: every layer over the last L x 128 tokens, 7,808 on V4-Pro. SGLang aligns to its page
// (rebuilt_rectangle): 7,936 with pages of 256.
//
// pyramid: layer l needs only the last 128 (L - l + 1) tokens, in all 128 L (L + 1) / 2
// layer-tokens: half the work, equally exact. No engine is known to ship it.
//
// What is rebuilt is the request's own: no point is kept where it resumes, and the next hit there
// rebuilds again. So has vLLM's bounded replay it (PR 56227), whose windows are no part of its prefix
// cache. SGLang publishes the last page of what it rebuilt (PR 31713), which is not modelled.
//
// Below a threshold a hit is not worth it and the prompt is prefilled plainly. The default is twice
// what is rebuilt, as SGLang does.
#include "sim/cache/swa_policy_parts.h"

namespace v4cap {

namespace {

// Layer-tokens / layers: 128 L (L + 1) / 2 / L, whole because 128 is even.
Tokens pyramid(const CacheGeometry& geometry) {
  return geometry.window_tokens() * (geometry.layers() + 1) / 2;
}

class RecomputePolicy final : public SwaPolicy {
 public:
  RecomputePolicy(std::string name, std::string caveat, Tokens rebuilt, Tokens threshold)
      : name_(std::move(name)),
        caveat_(std::move(caveat)),
        rebuilt_(rebuilt),
        threshold_(threshold) {}

  std::string name() const override { return name_; }
  std::string fallback() const override {
    return "hits below " + std::to_string(threshold_.value) + " tokens are prefilled plainly";
  }
  std::string caveat() const override { return caveat_; }
  Tokens next_point(Tokens, const PointContext&) const override { return kNoPoint; }
  std::optional<Tokens> interval_by_position() const override { return Tokens{0}; }
  Resume resume(Tokens cached, Tokens) const override {
    if (cached < threshold_) return {};
    return {cached, rebuilt_};
  }

 private:
  std::string name_, caveat_;
  Tokens rebuilt_, threshold_;
};

std::unique_ptr<SwaPolicy> make_recompute(const PolicyContext& context) {
  const bool is_pyramid = context.argument == "pyramid";
  if (!is_pyramid && !context.argument.empty() && context.argument != "rectangle") {
    throw InputError(Place{},
                     "expected 'recompute', 'recompute=rectangle' or 'recompute=pyramid', got '" +
                         context.name + "'");
  }
  const Tokens rebuilt = is_pyramid ? pyramid(context.geometry)
                                    : rebuilt_rectangle(context.geometry, context.rebuild_page);
  // Both shapes start at the same token, which must be a cached one.
  const Tokens reach =
      rebuilt_rectangle(context.geometry, is_pyramid ? Tokens{1} : context.rebuild_page);
  const Tokens threshold = rebuild_threshold(context, std::max(rebuilt * 2, reach), reach);
  return std::make_unique<RecomputePolicy>(
      is_pyramid ? "recompute=pyramid" : "recompute",
      is_pyramid ? "hypothetical: no engine is known to ship it" : "", rebuilt, threshold);
}

const bool registered = PolicyRegistry::add("recompute", make_recompute);

}  // namespace

}  // namespace v4cap
