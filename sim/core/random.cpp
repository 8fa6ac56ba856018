#include "sim/core/random.h"

#include "sim/core/hash.h"

namespace v4cap {

RandomEngine RandomStreams::stream(std::string_view name) const {
  ContentHash hash;
  hash.add(seed_);
  hash.add(name);
  return RandomEngine{hash.value()};
}

}  // namespace v4cap
