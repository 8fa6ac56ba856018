// Policy `checkpoint=K`: every K tokens the last window of all layers and the compressors' rows are
// kept. A hit resumes at the last checkpoint c <= P; the tokens between c and P are computed again,
// although their compressed entries are still there.
#include <charconv>

#include "sim/cache/swa_policy.h"

namespace v4cap {

namespace {

class CheckpointPolicy final : public SwaPolicy {
 public:
  explicit CheckpointPolicy(Tokens interval) : interval_(interval) {}

  std::string name() const override { return "checkpoint=" + std::to_string(interval_.value); }
  bool stores_window_of_every_token() const override { return false; }
  Tokens next_point(Tokens position) const override {
    return round_down(position, interval_) + interval_;
  }
  Resume resume(Tokens, Tokens last_point) const override { return {last_point, {}}; }

 private:
  Tokens interval_;
};

// Far above any model's context: a longer interval is a slip, because it keeps no point at all.
constexpr std::int64_t kIntervalMax = std::int64_t{1} << 24;

Tokens parse_interval(const PolicyContext& context) {
  std::int64_t value = 0;
  const std::string& text = context.argument;
  const char* end = text.data() + text.size();
  const auto result = std::from_chars(text.data(), end, value);
  if (result.ec != std::errc{} || result.ptr != end || value <= 0 || value > kIntervalMax) {
    throw InputError(Place{}, "expected 'checkpoint=K' with K from 1 to " +
                                  std::to_string(kIntervalMax) +
                                  " tokens between checkpoints, got '" + context.name + "'");
  }
  if (value % context.block.value != 0) {
    throw InputError(Place{}, "the interval of '" + context.name +
                                  "' must be a multiple of the block of " +
                                  std::to_string(context.block.value) + " tokens");
  }
  return Tokens{value};
}

const bool registered = PolicyRegistry::add(
    "checkpoint", [](const PolicyContext& context) -> std::unique_ptr<SwaPolicy> {
      return std::make_unique<CheckpointPolicy>(parse_interval(context));
    });

}  // namespace

}  // namespace v4cap
