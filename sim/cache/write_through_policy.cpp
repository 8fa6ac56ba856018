// Write policy `write_through`: whatever comes to the level above is copied at once. Nothing is lost
// when that level evicts it, at the price of writing also what nobody asks for again.
#include "sim/cache/write_policy.h"

namespace v4cap {

namespace {

class WriteThroughPolicy final : public WritePolicy {
 public:
  std::string name() const override { return "write_through"; }
  bool counts_uses() const override { return false; }
  bool on_use(std::int64_t) const override { return true; }
  bool on_leave(std::int64_t) const override { return false; }
};

const bool registered = WritePolicyRegistry::add(
    "write_through", [](const std::string& argument) -> std::unique_ptr<WritePolicy> {
      refuse_argument("write_through", argument);
      return std::make_unique<WriteThroughPolicy>();
    });

}  // namespace

}  // namespace v4cap
