#include "sim/model/model.h"

#include <algorithm>

namespace v4cap {

std::int64_t ModelSpec::count(LayerKind kind) const {
  return std::count(layers.begin(), layers.end(), kind);
}

}  // namespace v4cap
