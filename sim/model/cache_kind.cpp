#include "sim/model/cache_kind.h"

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
  return "?";
}

}  // namespace v4cap
