// Layout `trtllm`: TensorRT-LLM's V4 cache manager (tensorrt_llm/_torch/attention_backend/sparse/
// deepseek_v4/cache_manager.py). Every layer is registered several times: its window (128 tokens
// and the draft's), its compressed entries (all tokens), its compressor state (window 8 or 128 and
// the draft's). Each is paged by blocks of tokens_per_block; what a window no longer needs is
// freed. Prefill holds the windows of all tokens in flight, unless the version reuses their blocks
// as scratch (PRs 13368, 14698). No public log states its tokens with all that is needed to check
// them: derived from the source, not verified.
//
// Kinds: entries as csa and hca, keys as indexer, windows as swa, states as tails.
#include <cmath>

#include "sim/cache/layout.h"
#include "sim/cache/v4_layers.h"
#include "sim/model/compression.h"

namespace v4cap {

namespace {

const std::string kName = "trtllm";

constexpr std::int64_t kCsaStateRows = 8;

class TrtllmLayout final : public Layout {
 public:
  explicit TrtllmLayout(const LayoutContext& context)
      : layers_(v4_layers(context.model, kName)),
        block_(context.block),
        entry_(context.entry),
        draft_(context.draft_tokens),
        steps_in_flight_(context.steps_in_flight),
        max_running_(context.max_running),
        max_context_(context.max_context) {
    if (block_.value != 128 && block_.value != 256) {
      throw InputError(Place{}, "expected block_tokens of 128 or 256 with layout trtllm, got " +
                                    std::to_string(block_.value));
    }
    entry_.entry_bytes = std::llround(layout_option(context, kName, "entry_bytes"));
    scratch_reuse_ = layout_option(context, kName, "scratch_reuse") != 0;
    PoolSpec pool{"kv", context.memory, {}};
    pool.holds.fill(true);
    pools_.push_back(pool);
  }

  const std::vector<PoolSpec>& pools() const override { return pools_; }

  KindBytes blocks(std::int64_t begin, std::int64_t end, bool window) const override {
    KindBytes block;
    const std::int64_t csa = layers_.csa * block_.value / kCsaTokensPerEntry;
    block[CacheKind::csa] = csa * entry_.entry_bytes;
    block[CacheKind::indexer] = csa * entry_.indexer_bytes;
    block[CacheKind::hca] = layers_.hca * block_.value / kHcaTokensPerEntry * entry_.entry_bytes;
    if (window) block += window_block();
    return block * (end - begin);
  }

  KindBytes point(Tokens position) const override {
    if (position == Tokens{0}) return {};
    return window_block() * ceil_div(layers_.window.value, block_.value) + states();
  }

  KindBytes windows(std::int64_t begin, std::int64_t end) const override {
    return (window_block() + states()) * (end - begin);
  }

  KindBytes running(bool window, Tokens in_flight) const override {
    const std::int64_t flight = scratch_reuse_ ? 1 : in_flight.value;
    const std::int64_t held = layers_.window.value - 1 + (flight + draft_) * steps_in_flight_;
    KindBytes bytes = states();
    if (!window) bytes += window_block() * (ceil_div(held, block_.value) + 1);
    return bytes;
  }

  std::vector<LogFigure> engine_log() const override {
    const double token =
        static_cast<double>(blocks(0, 1, false).total().value) / static_cast<double>(block_.value);
    const Bytes fixed = running(false, Tokens{1}).total();
    const double length = static_cast<double>(max_context_.value);
    const double request = token * length + static_cast<double>(fixed.value);
    const double memory = static_cast<double>(pools_.front().capacity.value);
    const double slots = static_cast<double>(max_running_) * static_cast<double>(fixed.value);
    const double tokens = std::max(0.0, std::floor((memory - slots) / token));
    return {
        {"bytes_per_token", "compressed bytes of a token", token, "B",
         "entries and keys of the CSA layers over 4, of the HCA layers over 128"},
        {"bytes_per_request", "windows and states of a request", static_cast<double>(fixed.value),
         "B", "in generation: the last window of every layer and both states"},
        {kTokensFigure, "max tokens in the KV cache", tokens, "tokens",
         "(memory - windows and states of max_running requests) / bytes of a token"},
        {kConcurrencyFigure, "requests of max_seq_len", memory / request, "requests",
         "memory / bytes of such a request in generation"},
        {kNeededFigure, "KV cache of one request", request / static_cast<double>(kGiB), "GiB",
         "max_seq_len x bytes of a token + windows and states"},
        {kLongestFigure, "longest request",
         std::min(length,
                  std::max(0.0, std::floor((memory - static_cast<double>(fixed.value)) / token))),
         "tokens", "what one request alone can have, at most max_seq_len"},
    };
  }

 private:
  KindBytes window_block() const {
    KindBytes bytes;
    bytes[CacheKind::swa] = layers_.all * block_.value * entry_.entry_bytes;
    return bytes;
  }

  // Rows of both windows of state and of the drafts that may be taken back.
  KindBytes states() const {
    KindBytes bytes;
    bytes[CacheKind::tails] =
        layers_.csa * entry_.csa_tail_bytes / kCsaStateRows * (kCsaStateRows + draft_) +
        layers_.hca * entry_.hca_tail_row_bytes * (kHcaTokensPerEntry + draft_);
    return bytes;
  }

  V4Layers layers_;
  Tokens block_;
  EntryFormat entry_;
  std::int64_t draft_, steps_in_flight_, max_running_;
  Tokens max_context_;
  bool scratch_reuse_ = false;
  std::vector<PoolSpec> pools_;
};

const bool registered =
    LayoutRegistry::add(kName, [](const LayoutContext& context) -> std::unique_ptr<Layout> {
      return std::make_unique<TrtllmLayout>(context);
    });

const bool described =
    LayoutTraitsRegistry::add(kName, {.window_pool = false, .engine_blocks = {128, 256}});

const bool declared = LayoutParameters::add(
    kName,
    {
        {"entry_bytes", "of one entry: 512 FP8, 1,024 BF16, 584 with footer scales", 512, 64, 4096},
        {"scratch_reuse", "1: prefill reuses window blocks as scratch", 1, 0, 1},
    });

}  // namespace

}  // namespace v4cap
