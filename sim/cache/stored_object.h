// What is kept of a prefix and may be moved as one: a block or a point.
#pragma once

#include <cstddef>
#include <cstdint>

namespace v4cap {

enum class StoredKind : std::uint8_t {
  block,  // compressed entries, with the windows of its tokens where a policy stores those
  point,  // a last window and the compressors' rows to go on from
};
inline constexpr std::size_t kStoredKinds = 2;

struct StoredObject {
  StoredKind kind = StoredKind::block;
  std::int64_t key = 0;    // of the block that it is or ends: names the whole prefix
  std::int64_t block = 0;  // place of that block in its sequence, from 0
};

}  // namespace v4cap
