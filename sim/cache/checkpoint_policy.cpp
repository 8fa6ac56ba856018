// Policies `checkpoint=K`, `checkpoint=K+ends` and `tail`: the last window of all layers and the
// compressors' rows are kept every K tokens, at the ends of prompts and outputs, or both. A hit
// resumes at the last kept point c <= P; the tokens between c and P are computed again, although
// their compressed entries are still there.
//
// `tail` is what DeepSeek's own production does (two points a turn: V4.1 report); vLLM keeps tails
// at segment and prompt ends (PR 43447: VLLM_PREFIX_CACHE_RETENTION_INTERVAL).
#include <algorithm>
#include <charconv>

#include "sim/cache/swa_policy.h"

namespace v4cap {

namespace {

class CheckpointPolicy final : public SwaPolicy {
 public:
  // Without an interval only ends are kept.
  CheckpointPolicy(std::string name, std::optional<Tokens> interval, bool ends)
      : name_(std::move(name)), interval_(interval), ends_(ends) {}

  std::string name() const override { return name_; }
  std::string fallback() const override { return "the tokens behind the last kept point"; }
  Tokens next_point(Tokens position, const PointContext& context) const override {
    const Tokens regular = interval_ ? round_down(position, *interval_) + *interval_ : kNoPoint;
    const bool end_ahead = ends_ && context.prompt_end > position;
    return end_ahead ? std::min(regular, context.prompt_end) : regular;
  }
  bool keeps_output_end() const override { return ends_; }
  std::optional<Tokens> interval_by_position() const override {
    return ends_ ? std::nullopt : interval_;
  }
  Resume resume(Tokens, Tokens last_point) const override { return {last_point, {}}; }

 private:
  std::string name_;
  std::optional<Tokens> interval_;
  bool ends_;
};

// Far above any model's context: a longer interval is a slip, because it keeps no point at all.
constexpr std::int64_t kIntervalMax = std::int64_t{1} << 24;
constexpr std::string_view kEnds = "+ends";

std::unique_ptr<SwaPolicy> make_checkpoint(const PolicyContext& context) {
  std::string_view text = context.argument;
  const bool ends = text.ends_with(kEnds);
  if (ends) text.remove_suffix(kEnds.size());
  std::int64_t value = 0;
  const auto result = std::from_chars(text.data(), text.data() + text.size(), value);
  if (result.ec != std::errc{} || result.ptr != text.data() + text.size() || value <= 0 ||
      value > kIntervalMax) {
    throw InputError(Place{}, "expected 'checkpoint=K' or 'checkpoint=K+ends' with K from 1 to " +
                                  std::to_string(kIntervalMax) +
                                  " tokens between checkpoints, got '" + context.name + "'");
  }
  if (value % context.block.value != 0) {
    throw InputError(Place{}, "the interval of '" + context.name +
                                  "' must be a multiple of the block of " +
                                  std::to_string(context.block.value) + " tokens");
  }
  std::string name = "checkpoint=" + std::to_string(value);
  if (ends) name += kEnds;
  return std::make_unique<CheckpointPolicy>(std::move(name), Tokens{value}, ends);
}

std::unique_ptr<SwaPolicy> make_tail(const PolicyContext& context) {
  if (!context.argument.empty()) {
    throw InputError(Place{}, "policy 'tail' takes no argument, got '" + context.argument + "'");
  }
  return std::make_unique<CheckpointPolicy>("tail", std::nullopt, true);
}

const bool registered =
    PolicyRegistry::add("checkpoint", make_checkpoint) && PolicyRegistry::add("tail", make_tail);

}  // namespace

}  // namespace v4cap
