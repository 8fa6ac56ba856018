#include "sim/model/cache_kind.h"

#include "sim/core/error.h"

namespace v4cap {

std::string_view name_of(CacheKind kind) {
  switch (kind) {
    case CacheKind::csa:
      return "csa";
    case CacheKind::hca:
      return "hca";
    case CacheKind::indexer:
      return "indexer";
    case CacheKind::swa:
      return "swa";
    case CacheKind::tails:
      return "tails";
    case CacheKind::kv:
      return "kv";
  }
  V4CAP_CHECK(false, "a cache kind without a name");
}

}  // namespace v4cap
