// Write policy `selective=N`: copied with its Nth use in the level above, of which its coming there
// is the first. What is used less often is lost when that level evicts it.
#include <charconv>

#include "sim/cache/write_policy.h"

namespace v4cap {

namespace {

constexpr std::int64_t kUsesMax = 1'000'000;

class SelectivePolicy final : public WritePolicy {
 public:
  explicit SelectivePolicy(std::int64_t uses) : uses_(uses) {}
  std::string name() const override { return "selective=" + std::to_string(uses_); }
  // Above it, too: the copy may have gone since.
  bool on_use(std::int64_t uses) const override { return uses >= uses_; }
  bool on_leave(std::int64_t) const override { return false; }

 private:
  std::int64_t uses_;
};

const bool registered = WritePolicyRegistry::add(
    "selective", [](const std::string& argument) -> std::unique_ptr<WritePolicy> {
      std::int64_t uses = 0;
      const char* end = argument.data() + argument.size();
      const auto result = std::from_chars(argument.data(), end, uses);
      if (result.ec != std::errc{} || result.ptr != end || uses < 2 || uses > kUsesMax) {
        throw InputError(Place{}, "expected 'selective=N' with N from 2 to " +
                                      std::to_string(kUsesMax) + " uses, got 'selective=" +
                                      argument + "' (with the first use: write_through)");
      }
      return std::make_unique<SelectivePolicy>(uses);
    });

}  // namespace

}  // namespace v4cap
