// Layout `sglang`: a full pool and a window pool whose sizes are tied by a ratio (SGLang
// pool_configurator.py, deepseek_v4_memory_pool.py). For every token of the full pool the window
// pool holds r tokens, each with the entries of all layers and its share of the CSA state ring, so
// that a full token costs
//   B = e nCSA / 4 + e nHCA / 128 + i nCSA / 4 + r (e L + ring4 / w x csa_row x nCSA [+ HCA ring])
// bytes (e entry, i indexer key, L layers, w window), times (L + 1) / L with a draft model. HCA
// state came with each window token up to mid-2026 and is reserved by request slot since; slots are
// taken off the memory before it is divided by B and belong to no pool.
//
// A policy that needs a window for every token gets pools of ratio 1, which SGLang itself does not
// make: what it logs is computed with its own ratio all the same.
//
// Kinds: csa, hca and indexer in the full pool; swa and the state rings (as tails) in the window
// pool. A draft's share is booked with each kind.
#include <fmt/format.h>

#include <cmath>

#include "sim/cache/layout.h"
#include "sim/cache/v4_layers.h"
#include "sim/model/compression.h"

namespace v4cap {

namespace {

const std::string kName = "sglang";

constexpr std::int64_t kCsaStateRows = 8;  // that EntryFormat::csa_tail_bytes stands for
constexpr double kNoSlotsGiven = -1;

class SglangLayout final : public Layout {
 public:
  explicit SglangLayout(const LayoutContext& context)
      : layers_(v4_layers(context.model, kName)),
        page_(context.block),
        draft_(context.draft_tokens),
        steps_in_flight_(context.steps_in_flight),
        step_tokens_(context.step_tokens),
        max_context_(context.max_context) {
    if (page_.value % kHcaTokensPerEntry != 0) {
      throw InputError(Place{},
                       "expected block_tokens of a multiple of 128 with layout sglang, got " +
                           std::to_string(page_.value));
    }
    const auto option = [&](const std::string& name) {
      return layout_option(context, kName, name);
    };
    const bool drafts = draft_ > 0;
    csa_ring_ = std::llround(option(drafts ? "csa_ring_rows_draft" : "csa_ring_rows"));
    hca_ring_ = std::llround(option(drafts ? "hca_ring_rows_draft" : "hca_ring_rows"));
    const double ratio = context.window_pool_ratio.value_or(option("swa_full_tokens_ratio"));
    const bool by_slot = option("hca_state_by_slot") != 0;
    windows_stay_ = option("running_windows_stay") != 0;
    drops_dead_ends_ = option("dead_ends_dropped") != 0;
    set_token_bytes(context.entry, std::llround(option("draft_entry_counted")), by_slot);
    const double slots = option("request_slots");
    slots_ = slots == kNoSlotsGiven ? context.max_running : std::llround(slots);
    if (by_slot && slots_ > 0) reserve_ = slot_bytes(context.entry);
    logged_ = split(ratio, context.memory);
    split_ = context.window_of_every_token ? split(1, context.memory) : logged_;
    set_pools();
  }

  const std::vector<PoolSpec>& pools() const override { return pools_; }

  std::optional<double> window_pool_ratio() const override { return split_.ratio; }

  KindBytes blocks(std::int64_t begin, std::int64_t end, bool window) const override {
    KindBytes bytes = full_page_ * (end - begin);
    if (window) bytes += windows(begin, end);
    return bytes;
  }

  // The pages that hold the last window before a page's end.
  KindBytes point(Tokens position) const override {
    if (position == Tokens{0}) return {};
    return window_page_ * ceil_div(layers_.window.value, page_.value);
  }

  KindBytes windows(std::int64_t begin, std::int64_t end) const override {
    return window_page_ * (end - begin);
  }

  // Window pages of what is computed and of the window before it; HCA state has its slot already.
  KindBytes running(bool window, Tokens in_flight) const override {
    if (window) return {};
    const std::int64_t flight = (in_flight.value + draft_) * steps_in_flight_;
    return window_page_ * (ceil_div(layers_.window.value - 1 + flight, page_.value) + 1);
  }

  bool running_windows_stay() const override { return windows_stay_; }

  // SWARadixCache and UnifiedRadixCache: a leaf of the tree whose windows are evicted goes whole, and
  // so do its ancestors that have neither windows nor other children.
  bool drops_dead_ends() const override { return drops_dead_ends_; }

  std::vector<LogFigure> engine_log() const override {
    const double full = static_cast<double>(logged_.full_tokens);
    const double swa = static_cast<double>(logged_.window_tokens);
    return {
        {"bytes_per_full_token", "bytes_per_full_token", logged_.bytes_per_full_token, "B",
         fmt::format("compressed entries and keys of a token, and {:g} of a window token with its "
                     "state rows",
                     logged_.ratio)},
        {"request_slot_gib", "C128 state of request slots", to_gib(reserve_), "GiB",
         "rows of " + std::to_string(slots_) + " slots, taken off before the division"},
        {kTokensFigure, "max_total_num_tokens", full, "tokens",
         "(KV memory - slots) / bytes_per_full_token, down to a page"},
        {"swa_tokens", "swa size", swa, "tokens", "ratio x full, down to a page"},
        {"c4_entries", "c4 size", full / kCsaTokensPerEntry, "entries", "full / 4"},
        {"c128_entries", "c128 size", full / kHcaTokensPerEntry, "entries", "full / 128"},
        {"c4_state_rows", "c4_state size",
         static_cast<double>(logged_.window_tokens / layers_.window.value * csa_ring_), "rows",
         "ring of " + std::to_string(csa_ring_) + " for each window of swa"},
        {kConcurrencyFigure, "requests of max_model_len",
         full / static_cast<double>(max_context_.value), "requests",
         "full / max_model_len, not logged"},
        {kNeededFigure, "full pool of one request",
         logged_.bytes_per_full_token * static_cast<double>(max_context_.value) /
             static_cast<double>(kGiB),
         "GiB", "max_model_len x bytes_per_full_token, not logged"},
        {kLongestFigure, "longest request", std::min(full, static_cast<double>(max_context_.value)),
         "tokens", "full, at most max_model_len, not logged"},
    };
  }

 private:
  // How the memory is divided between the pools.
  struct Split {
    double ratio = 0, bytes_per_full_token = 0;
    std::int64_t full_tokens = 0, window_tokens = 0;
  };

  void set_token_bytes(const EntryFormat& entry, std::int64_t counted_drafts, bool by_slot) {
    const auto e = static_cast<double>(entry.entry_bytes);
    const auto csa = static_cast<double>(layers_.csa), hca = static_cast<double>(layers_.hca);
    const auto window = static_cast<double>(layers_.window.value);
    const double csa_row = static_cast<double>(entry.csa_tail_bytes) / kCsaStateRows;
    const double full =
        (e * csa + static_cast<double>(entry.indexer_bytes) * csa) / kCsaTokensPerEntry +
        e * hca / kHcaTokensPerEntry;
    const std::int64_t window_layers = layers_.all + counted_drafts;
    double state = static_cast<double>(csa_ring_) / window * csa_row * csa;
    if (!by_slot) {
      state += static_cast<double>(hca_ring_) / window *
               static_cast<double>(entry.hca_tail_row_bytes) * hca;
    }
    const double spread =
        draft_ > 0 ? static_cast<double>(layers_.all + 1) / static_cast<double>(layers_.all) : 1.0;
    compressed_bytes_ = full;
    window_bytes_ = e * static_cast<double>(window_layers) + state;
    spread_ = spread;
    set_pages(entry, window_layers, state, spread);
  }

  // Bytes of whole pages, so that sums of them are exact.
  void set_pages(const EntryFormat& entry, std::int64_t window_layers, double state,
                 double spread) {
    const auto page = [&](double bytes_per_token) {
      return std::llround(bytes_per_token * static_cast<double>(page_.value) * spread);
    };
    const auto e = static_cast<double>(entry.entry_bytes);
    const auto csa = static_cast<double>(layers_.csa), hca = static_cast<double>(layers_.hca);
    full_page_[CacheKind::csa] = page(e * csa / kCsaTokensPerEntry);
    full_page_[CacheKind::indexer] =
        page(static_cast<double>(entry.indexer_bytes) * csa / kCsaTokensPerEntry);
    full_page_[CacheKind::hca] = page(e * hca / kHcaTokensPerEntry);
    window_page_[CacheKind::swa] = page(e * static_cast<double>(window_layers));
    window_page_[CacheKind::tails] = page(state);
  }

  // Rows of all slots, of one more for padding and of the ring that an allocator may run ahead.
  Bytes slot_bytes(const EntryFormat& entry) const {
    const std::int64_t rows =
        round_up_to((slots_ + 1) * hca_ring_ + hca_ring_ + 1, kHcaTokensPerEntry);
    return Bytes{rows * entry.hca_tail_row_bytes * layers_.hca};
  }

  Split split(double ratio, Bytes memory) const {
    Split out;
    out.ratio = ratio;
    out.bytes_per_full_token = (compressed_bytes_ + ratio * window_bytes_) * spread_;
    const auto whole_pages = [&](double tokens) {
      return tokens > 0 ? static_cast<std::int64_t>(tokens) / page_.value * page_.value
                        : std::int64_t{0};
    };
    const double free = static_cast<double>((memory - reserve_).value);
    out.full_tokens = whole_pages(free / out.bytes_per_full_token);
    out.window_tokens = whole_pages(static_cast<double>(out.full_tokens) * ratio);
    return out;
  }

  void set_pools() {
    PoolSpec full{"full", full_page_.total() * (split_.full_tokens / page_.value), {}};
    full.holds.fill(true);
    PoolSpec swa{"swa", window_page_.total() * (split_.window_tokens / page_.value), {}};
    for (const CacheKind kind : {CacheKind::swa, CacheKind::tails}) {
      full.holds[static_cast<std::size_t>(kind)] = false;
      swa.holds[static_cast<std::size_t>(kind)] = true;
    }
    pools_ = {full, swa};
  }

  V4Layers layers_;
  Tokens page_;
  std::int64_t draft_, steps_in_flight_;
  Tokens step_tokens_, max_context_;
  std::int64_t csa_ring_ = 0, hca_ring_ = 0, slots_ = 0;
  bool windows_stay_ = false, drops_dead_ends_ = false;
  double compressed_bytes_ = 0, window_bytes_ = 0, spread_ = 1;  // of a token, without the draft
  Bytes reserve_;
  Split logged_, split_;  // as the engine divides the memory, and as the pools are
  KindBytes full_page_, window_page_;
  std::vector<PoolSpec> pools_;
};

const bool registered =
    LayoutRegistry::add(kName, [](const LayoutContext& context) -> std::unique_ptr<Layout> {
      return std::make_unique<SglangLayout>(context);
    });

// 256 is the page that SGLang takes for V4.
const bool described =
    LayoutTraitsRegistry::add(kName, {.window_pool = true, .engine_blocks = {256}});

const bool declared = LayoutParameters::add(
    kName,
    {
        {"swa_full_tokens_ratio", "window tokens for each token of the full pool", 0.1, 0, 1,
         false},
        {"csa_ring_rows", "rows of CSA state for each window of the window pool", 8, 1, 4096},
        {"csa_ring_rows_draft", "the same with a draft model", 16, 1, 4096},
        {"hca_ring_rows", "rows of HCA state for each window, or for each slot", 128, 1, 4096},
        {"hca_ring_rows_draft", "the same with a draft model", 256, 1, 4096},
        {"hca_state_by_slot", "1: HCA state is reserved by request slot, 0: by window", 1, 0, 1},
        {"draft_entry_counted", "1: the MTP layer counts as a window layer even if unused", 0, 0,
         1},
        {"running_windows_stay",
         "1: windows of a running request's last chunk and output stay until it ends", 0, 0, 1},
        {"dead_ends_dropped", "1: entries cached behind a branch's last window go with that window",
         0, 0, 1},
        {"request_slots", "slots that HCA state is reserved for; -1: engine.max_running",
         kNoSlotsGiven, kNoSlotsGiven, 1 << 20},
    });

}  // namespace

}  // namespace v4cap
