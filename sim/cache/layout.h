// How an engine lays cached state out in GPU memory: which pools it has, and what each object costs
// in them. The cache decides what to keep and asks the layout what that takes; a layout decides
// nothing. One file per engine layout, registered by name.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "sim/core/registry.h"
#include "sim/core/units.h"
#include "sim/model/cache_geometry.h"
#include "sim/model/cache_kind.h"

namespace v4cap {

// A piece of GPU memory with a fixed capacity that some cache kinds share.
struct PoolSpec {
  std::string name;
  Bytes capacity;
  std::array<bool, kCacheKinds> holds{};  // kinds whose bytes are taken from this pool
};

class Layout {
 public:
  virtual ~Layout() = default;
  // Every kind is held by exactly one pool.
  virtual const std::vector<PoolSpec>& pools() const = 0;
  // Blocks [begin, end) of a sequence, `window`: with the window entries of all their tokens.
  // Additive: blocks(a, c) = blocks(a, b) + blocks(b, c).
  virtual KindBytes blocks(std::int64_t begin, std::int64_t end, bool window) const = 0;
  // A kept point at a token position: the last window in every layer and the compressor rows to go
  // on from.
  virtual KindBytes point(Tokens position) const = 0;
  // State of one running sequence beside its blocks: compressor rows and, unless `window` entries
  // are in its blocks anyway, the ring of its last window.
  virtual KindBytes running(bool window) const = 0;
};

struct LayoutContext {
  const CacheGeometry& geometry;
  Tokens block;
  Bytes memory;  // KV memory of one GPU
};

using LayoutRegistry = Registry<std::unique_ptr<Layout> (*)(const LayoutContext&)>;

// Throws InputError (without a place) for an unknown name.
std::unique_ptr<Layout> make_layout(const std::string& name, const LayoutContext& context);

}  // namespace v4cap
