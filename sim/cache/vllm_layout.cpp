// Layout `vllm`: one pool of equal blocks that all cache groups draw from (vLLM
// vllm/v1/core/kv_cache_utils.py and kv_cache_interface.py).
//
// Groups: CSA entries, their indexer keys and HCA entries together (logical block 256 tokens); the
// windows of all layers in one or more groups of equal size (64); CSA state with its indexer's (4,
// window 8); HCA state (8, window 128). A block id belongs to one group at a time, so every block
// of every group costs the bytes S of a pool block, however little of it the group uses.
//
// Packing, by version:
//   0  every slot holds a page of each size: S = d (csa + indexer + hca)     (seen in 0.22)
//   1  slots are counted by page size: S = sum over sizes of page x slots    (PR 44454)
//   2  a group's pages lie densely, groups overlay: S = the largest group    (PR 48993)
// with d, the layers of a tuple, chosen so that splitting all groups into tuples pads least. At the
// engine's own block (256) windows and states fit into the pages of 0 and 1; with other blocks S is
// at least the largest group in every packing, because a block has to hold any group's pages.
//
// Kinds: a block of the first group is booked as csa, indexer and hca by its pages, what it leaves
// empty as csa; blocks of window groups as swa, of state groups as tails, empty parts included.
#include <algorithm>
#include <array>
#include <cmath>
#include <limits>

#include "sim/cache/layout.h"
#include "sim/cache/v4_layers.h"
#include "sim/model/compression.h"

namespace v4cap {

namespace {

const std::string kName = "vllm";

// Rows of compressor state that a CSA entry is made of: its own four tokens and the four before.
constexpr std::int64_t kCsaStateRows = 8;

// Blocks of one sliding-window group.
struct WindowGroup {
  std::int64_t window = 0;  // tokens
  std::int64_t block = 0;   // tokens
  std::int64_t copies = 1;  // groups alike

  // Reserved for a request of `length` tokens with `flight` of them not yet processed: the window
  // before them and one block more, because they need not begin at a block's edge.
  std::int64_t reserved(std::int64_t length, std::int64_t flight) const {
    return copies * (ceil_div(std::min(window - 1 + flight, length), block) + 1);
  }
  // That a prefix hit needs before its end.
  std::int64_t hit() const { return copies * ceil_div(window - 1, block); }
};

class VllmLayout final : public Layout {
 public:
  explicit VllmLayout(const LayoutContext& context)
      : layers_(v4_layers(context.model, kName)),
        block_(context.block),
        entry_(context.entry),
        step_tokens_(context.step_tokens),
        steps_in_flight_(context.steps_in_flight),
        draft_tokens_(context.draft_tokens),
        max_context_(context.max_context) {
    if (block_.value % kHcaTokensPerEntry != 0) {
      throw InputError(Place{},
                       "expected block_tokens of a multiple of 128 with layout vllm, got " +
                           std::to_string(block_.value));
    }
    const auto option = [&](const std::string& name) {
      return std::llround(layout_option(context, kName, name));
    };
    const std::int64_t window_layers =
        layers_.all + (context.draft_tokens > 0 ? context.model.mtp_layers : 0);
    const std::int64_t tuple = layers_of_tuple(window_layers);
    swa_ = {layers_.window.value, option("swa_block_tokens"), ceil_div(window_layers, tuple)};
    csa_state_ = {kCsaStateRows, option("csa_state_block_tokens"), 1};
    hca_state_ = {kHcaTokensPerEntry, option("hca_state_block_tokens"), 1};
    set_pages(option("page_alignment_bytes"), option("indexer_row_min_bytes"));
    set_block_bytes(option("packing"), tuple, window_layers, option("page_alignment_bytes"));
    pool_blocks_ = context.memory.value / block_bytes_;
    PoolSpec pool{"kv", Bytes{pool_blocks_ * block_bytes_}, {}};
    pool.holds.fill(true);
    pools_.push_back(pool);
  }

  const std::vector<PoolSpec>& pools() const override { return pools_; }

  KindBytes blocks(std::int64_t begin, std::int64_t end, bool window) const override {
    KindBytes bytes = first_group_block() * (end - begin);
    if (window) bytes += windows(begin, end);
    return bytes;
  }

  // Blocks whose presence lets vLLM take a hit that ends here.
  KindBytes point(Tokens position) const override {
    if (position == Tokens{0}) return {};
    return state_blocks(swa_.hit(), csa_state_.hit() + hca_state_.hit());
  }

  // The window blocks of all tokens, and at each block's end the states that a hit asks for.
  KindBytes windows(std::int64_t begin, std::int64_t end) const override {
    const std::int64_t swa = swa_.copies * ceil_div(block_.value, swa_.block);
    return state_blocks(swa, csa_state_.hit() + hca_state_.hit()) * (end - begin);
  }

  // While a chunk is in flight its tokens are all held: blocks behind the window are freed only
  // once it was processed. In decode what is left is 26 blocks.
  KindBytes running(bool window, Tokens in_flight) const override {
    const std::int64_t flight = (in_flight.value + draft_tokens_) * steps_in_flight_;
    const std::int64_t long_enough = std::numeric_limits<std::int64_t>::max();
    return state_blocks(
        window ? 0 : swa_.reserved(long_enough, flight),
        csa_state_.reserved(long_enough, flight) + hca_state_.reserved(long_enough, flight));
  }

  std::vector<LogFigure> engine_log() const override {
    const std::int64_t length = max_context_.value;
    const std::int64_t request = request_blocks(length);
    const double concurrency = static_cast<double>(pool_blocks_) / static_cast<double>(request);
    const double tokens = std::floor(concurrency * static_cast<double>(length));
    const std::int64_t flight = step_tokens_.value * steps_in_flight_;
    return {
        {"block_bytes", "bytes of a pool block", static_cast<double>(block_bytes_), "B",
         "the pages that all groups overlay in one block"},
        {"num_gpu_blocks", "num_gpu_blocks", static_cast<double>(pool_blocks_), "blocks",
         "KV memory / block bytes, rounded down"},
        {"request_blocks", "blocks reserved for one request", static_cast<double>(request),
         "blocks",
         std::to_string(ceil_div(length, block_.value)) + " of compressed entries and " +
             std::to_string(request - ceil_div(length, block_.value)) +
             " of windows and states for " + std::to_string(flight) + " tokens in flight"},
        {kConcurrencyFigure, "Maximum concurrency", concurrency, "requests",
         "blocks / blocks of one request of " + std::to_string(length) + " tokens"},
        {kTokensFigure, "GPU KV cache size", tokens, "tokens",
         "concurrency x max_model_len, so not a number of tokens that fit"},
        {kNeededFigure, "KV cache needed for one request", to_gib(Bytes{request * block_bytes_}),
         "GiB", "its blocks x block bytes"},
        {kLongestFigure, "estimated maximum model length", static_cast<double>(longest()), "tokens",
         "the longest request whose blocks fit, at most max_model_len"},
    };
  }

 private:
  // vLLM tries every d from the entries' own tuple count up and takes the first that pads least.
  std::int64_t layers_of_tuple(std::int64_t window_layers) const {
    const std::int64_t least = std::max(layers_.csa, layers_.hca);
    const std::array<std::int64_t, 4> counts = {least, window_layers, layers_.csa, layers_.hca};
    std::int64_t best = least, best_padding = std::numeric_limits<std::int64_t>::max();
    for (std::int64_t d = least; d <= *std::max_element(counts.begin(), counts.end()); ++d) {
      std::int64_t padding = 0;
      for (const std::int64_t n : counts) padding += round_up_to(n, d) - n;
      if (padding < best_padding) {
        best = d;
        best_padding = padding;
      }
    }
    return best;
  }

  void set_pages(std::int64_t alignment, std::int64_t least_indexer_row) {
    const std::int64_t csa_rows = block_.value / kCsaTokensPerEntry;
    csa_page_ = round_up_to(csa_rows * entry_.entry_bytes, alignment);
    indexer_page_ =
        round_up_to(csa_rows * std::max(entry_.indexer_bytes, least_indexer_row), alignment);
    hca_page_ = round_up_to(block_.value / kHcaTokensPerEntry * entry_.entry_bytes, alignment);
  }

  void set_block_bytes(std::int64_t packing, std::int64_t tuple, std::int64_t window_layers,
                       std::int64_t alignment) {
    const std::int64_t group = std::min(tuple, window_layers);
    const std::int64_t first = layers_.csa * (csa_page_ + indexer_page_) + layers_.hca * hca_page_;
    const std::int64_t swa_page = round_up_to(swa_.block * entry_.entry_bytes, alignment);
    const std::int64_t csa_state =
        round_up_to(csa_state_.block * entry_.csa_tail_bytes / kCsaStateRows, alignment);
    const std::int64_t hca_state =
        round_up_to(hca_state_.block * entry_.hca_tail_row_bytes, alignment);
    block_bytes_ =
        std::max({first, group * swa_page, layers_.csa * csa_state, layers_.hca * hca_state});
    if (packing == 0) {
      block_bytes_ = std::max(block_bytes_, tuple * (csa_page_ + indexer_page_ + hca_page_));
    } else if (packing == 1) {
      // Window and main state pages share the slots of CSA pages, the indexer's states its own.
      block_bytes_ =
          std::max(block_bytes_, std::max({layers_.csa, layers_.hca, group}) * csa_page_ +
                                     layers_.csa * indexer_page_ + layers_.hca * hca_page_);
    }
  }

  // One block of the first group.
  KindBytes first_group_block() const {
    KindBytes bytes;
    bytes[CacheKind::indexer] = layers_.csa * indexer_page_;
    bytes[CacheKind::hca] = layers_.hca * hca_page_;
    bytes[CacheKind::csa] = block_bytes_ - bytes[CacheKind::indexer] - bytes[CacheKind::hca];
    return bytes;
  }

  KindBytes state_blocks(std::int64_t swa, std::int64_t tails) const {
    KindBytes bytes;
    bytes[CacheKind::swa] = swa * block_bytes_;
    bytes[CacheKind::tails] = tails * block_bytes_;
    return bytes;
  }

  // Blocks that vLLM counts for a request of `length` tokens at its worst.
  std::int64_t request_blocks(std::int64_t length) const {
    const std::int64_t flight = step_tokens_.value * steps_in_flight_;
    return ceil_div(length, block_.value) + swa_.reserved(length, flight) +
           csa_state_.reserved(length, flight) + hca_state_.reserved(length, flight);
  }

  std::int64_t longest() const {
    std::int64_t fits = 0, above = max_context_.value + 1;
    while (above - fits > 1) {
      const std::int64_t middle = fits + (above - fits) / 2;
      (request_blocks(middle) <= pool_blocks_ ? fits : above) = middle;
    }
    return fits;
  }

  V4Layers layers_;
  Tokens block_;
  EntryFormat entry_;
  Tokens step_tokens_;
  std::int64_t steps_in_flight_, draft_tokens_;
  Tokens max_context_;
  WindowGroup swa_, csa_state_, hca_state_;
  std::int64_t csa_page_ = 0, indexer_page_ = 0, hca_page_ = 0;
  std::int64_t block_bytes_ = 0, pool_blocks_ = 0;
  std::vector<PoolSpec> pools_;
};

const bool registered =
    LayoutRegistry::add(kName, [](const LayoutContext& context) -> std::unique_ptr<Layout> {
      return std::make_unique<VllmLayout>(context);
    });

// The one block that all cache groups of V4 agree on.
const bool described =
    LayoutTraitsRegistry::add(kName, {.window_pool = false, .engine_blocks = {256}});

const bool declared = LayoutParameters::add(
    kName, {
               {"packing", "0 padded slots, 1 slots by page size, 2 dense groups", 2, 0, 2},
               {"swa_block_tokens", "tokens of a block of a window group", 64, 1, 65536},
               {"csa_state_block_tokens", "rows of a block of CSA state", 4, 1, 65536},
               {"hca_state_block_tokens", "rows of a block of HCA state", 8, 1, 65536},
               {"page_alignment_bytes", "pages are padded to a multiple", 576, 1, 1 << 20},
               {"indexer_row_min_bytes", "bytes that an indexer key takes at least", 0, 0, 4096},
           });

}  // namespace

}  // namespace v4cap
