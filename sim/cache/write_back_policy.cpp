// Write policy `write_back`: what the level above evicts is copied then, as in a hierarchy of
// caches. What ends there while it is still above, or comes back up, is not written twice.
#include "sim/cache/write_policy.h"

namespace v4cap {

namespace {

class WriteBackPolicy final : public WritePolicy {
 public:
  std::string name() const override { return "write_back"; }
  bool counts_uses() const override { return false; }
  bool on_use(std::int64_t) const override { return false; }
  bool on_leave(std::int64_t) const override { return true; }
};

const bool registered = WritePolicyRegistry::add(
    "write_back", [](const std::string& argument) -> std::unique_ptr<WritePolicy> {
      refuse_argument("write_back", argument);
      return std::make_unique<WriteBackPolicy>();
    });

}  // namespace

}  // namespace v4cap
