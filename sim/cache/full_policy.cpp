// Policy `full`: window entries of every token stay with the compressed entries. No token is
// computed twice and R = P, at about eight times the bytes of the compressed entries on V4-Pro.
//
// The compressors' rows before R are not stored. At a multiple of 128 HCA needs none, and the four
// rows that CSA wants come back from running the four tokens before R along with the first chunk,
// whose windows are all in the cache. (With blocks that end elsewhere, `tails: stored`, HCA's rows
// since the last multiple of 128 come back the same way.) So few tokens a hit are below what this
// model resolves and are not counted.
#include "sim/cache/swa_policy.h"

namespace v4cap {

namespace {

class FullPolicy final : public SwaPolicy {
 public:
  std::string name() const override { return "full"; }
  bool stores_window_of_every_token() const override { return true; }
  std::string fallback() const override { return "none: every cached token can be resumed from"; }
  Tokens next_point(Tokens, const PointContext&) const override { return kNoPoint; }
  std::optional<Tokens> interval_by_position() const override { return Tokens{0}; }
  Resume resume(Tokens cached, Tokens) const override { return {cached, {}}; }
};

const bool registered =
    PolicyRegistry::add("full", [](const PolicyContext& context) -> std::unique_ptr<SwaPolicy> {
      if (!context.argument.empty()) {
        throw InputError(Place{},
                         "policy 'full' takes no argument, got '" + context.argument + "'");
      }
      return std::make_unique<FullPolicy>();
    });

}  // namespace

}  // namespace v4cap
