// How an engine lays cached state out in GPU memory: which pools it has, and what each object costs
// in them. The cache decides what to keep and asks the layout what that takes; a layout decides
// nothing. One file per engine layout, registered by name.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "sim/core/registry.h"
#include "sim/core/units.h"
#include "sim/model/cache_geometry.h"
#include "sim/model/cache_kind.h"
#include "sim/model/model.h"

namespace v4cap {

// A piece of GPU memory with a fixed capacity that some cache kinds share.
struct PoolSpec {
  std::string name;
  Bytes capacity;
  std::array<bool, kCacheKinds> holds{};  // kinds whose bytes are taken from this pool

  bool has(CacheKind kind) const { return holds[static_cast<std::size_t>(kind)]; }
  // Compressed entries, not just windows and compressor rows.
  bool has_blocks() const {
    return has(CacheKind::csa) || has(CacheKind::hca) || has(CacheKind::kv);
  }
  // What of `bytes` this pool holds.
  std::int64_t bytes_of(const KindBytes& bytes) const;
};

// A figure that an engine computes at start-up, most of which it also logs.
struct LogFigure {
  std::string key;      // "kv_cache_tokens", the same in every layout that has such a figure
  std::string label;    // as the engine words it
  double value = 0;     // in `unit`
  std::string unit;     // "tokens", "GiB", "B", "blocks", "requests"
  std::string formula;  // how it comes about, in words
};

// Keys that several layouts share.
inline constexpr const char* kTokensFigure = "kv_cache_tokens";
inline constexpr const char* kConcurrencyFigure = "max_concurrency";  // of max_context requests
inline constexpr const char* kNeededFigure = "needed_gib";            // of one such request
inline constexpr const char* kLongestFigure = "max_model_len";        // that fits alone

class Layout {
 public:
  virtual ~Layout() = default;
  // Every kind is held by exactly one pool.
  virtual const std::vector<PoolSpec>& pools() const = 0;
  // Blocks [begin, end) of a sequence, `window`: with the window entries of all their tokens.
  // Additive: blocks(a, c) = blocks(a, b) + blocks(b, c).
  virtual KindBytes blocks(std::int64_t begin, std::int64_t end, bool window) const = 0;
  // A kept point at a token position: the last window in every layer and the compressor rows to go
  // on from. Nothing at 0.
  virtual KindBytes point(Tokens position) const = 0;
  // Window entries of all tokens of blocks [begin, end), with the compressor rows to go on from
  // each of the block ends: what a policy keeps that stores windows in a pool of their own.
  // Additive.
  virtual KindBytes windows(std::int64_t begin, std::int64_t end) const = 0;
  // State of one running sequence beside its blocks: compressor rows and, unless `window` entries
  // are in its blocks anyway, the ring of its last window. `in_flight`: most new tokens that its
  // steps run at once (a chunk of prefill, 1 in decode); what an engine must then hold besides the
  // window. Never less for more tokens.
  virtual KindBytes running(bool window, Tokens in_flight) const = 0;
  // Does a running sequence keep the windows of all that its steps ran until it ends, not just the
  // last one? Its last chunk of prefill and all that it generated then stay charged.
  virtual bool running_windows_stay() const { return false; }
  // Where windows have a pool of their own and hits end where one is kept: are entries that are
  // cached behind the last window of a branch given up with it (DeadEnds)?
  virtual bool drops_dead_ends() const { return false; }
  // Where windows have a pool of their own: tokens that it holds for each token of the main pool.
  virtual std::optional<double> window_pool_ratio() const { return {}; }
  // What the engine says of this memory when it starts; nothing where no engine lays out so.
  virtual std::vector<LogFigure> engine_log() const { return {}; }
};

// Windows have a pool without compressed entries in it, so that they can go before their blocks.
bool separates_windows(const Layout& layout);

// Bytes that points may take when they may take a share `retention` of the windows of all cached
// tokens: of memory M that compressed entries (c a token) and windows (w a token) share,
// M f w / (c + f w). No bound without a retention.
std::int64_t point_budget(const Layout& layout, std::optional<double> retention);
// The figure with this key, or nullptr.
const LogFigure* find_figure(const std::vector<LogFigure>& figures, const std::string& key);

// A number that a layout's engine has by version or by flag. A scenario may set it
// (kv_cache.layout_options), scenarios/engines/<layout>.yaml holds its values by version.
struct LayoutParameter {
  std::string name;
  std::string meaning;  // with its unit, for people
  double fallback = 0;  // where neither says
  double min = 0, max = 0;
  bool whole = true;  // false: fractions have a meaning
};

// The parameters of a layout, by the layout's name; a layout without any need not be there.
using LayoutParameters = Registry<std::vector<LayoutParameter>>;

// What can be known of a layout without laying anything out, by the layout's name; a layout that
// need not say any of it need not be there.
struct LayoutTraits {
  bool window_pool = false;                   // takes LayoutContext::window_pool_ratio
  std::vector<std::int64_t> engine_blocks{};  // block sizes its engine has; empty: any
};
using LayoutTraitsRegistry = Registry<LayoutTraits>;
LayoutTraits layout_traits(const std::string& layout);

// "layout vllm has no pool for windows (ideal, sglang have one)", for errors; "" where it has one.
std::string lacks_window_pool(const std::string& layout);

// Why a value is none of the parameter's: "expected a whole number from 0 to 2, got 0.4"; "" where
// it is one.
std::string refused_value(const LayoutParameter& parameter, double value);

struct LayoutContext {
  const CacheGeometry& geometry;
  const ModelSpec& model;
  Tokens block;
  Bytes memory;  // KV memory of one GPU
  // Windows have a pool of their own that holds this share of the tokens that the main pool holds
  // (policy `pool=r`); empty: the layout's default. It stands for the engine's own flag.
  std::optional<double> window_pool_ratio;
  std::map<std::string, double> options{};  // of the layout's parameters; absent: their fallbacks
  EntryFormat entry{};                      // bytes of entries on this GPU
  Tokens step_tokens{8192};                 // most tokens that a step runs
  std::int64_t steps_in_flight = 1;         // steps whose tokens are held at once
  std::int64_t draft_tokens = 0;            // speculative tokens of a step, 0 = no draft
  std::int64_t max_running = 256;           // requests at a time
  Tokens max_context{1 << 20};
  // The policy needs a window for every token (`full`), so a pool of windows holds as many tokens as
  // the main one. No engine splits so: what it logs stays with its own ratio.
  bool window_of_every_token = false;
};

// Value of a declared parameter: the option, else its fallback.
double layout_option(const LayoutContext& context, const std::string& layout,
                     const std::string& name);

using LayoutRegistry = Registry<std::unique_ptr<Layout> (*)(const LayoutContext&)>;

// Throws InputError (without a place) for an unknown name.
std::unique_ptr<Layout> make_layout(const std::string& name, const LayoutContext& context);

}  // namespace v4cap
