// Router `round_robin`: each in turn, whatever it has to do. The default of SGLang's data parallel
// controller. Who cannot be chosen is passed over.
#include <algorithm>

#include "sim/cluster/router.h"

namespace v4cap {

namespace {

class RoundRobinRouter final : public Router {
 public:
  std::size_t choose(const RequestSpec&, Candidates candidates) override {
    const auto found = std::ranges::lower_bound(candidates, next_, {}, &Candidate::number);
    const auto chosen = found == candidates.end() ? candidates.begin() : found;
    next_ = chosen->number + 1;
    return static_cast<std::size_t>(chosen - candidates.begin());
  }
  bool looks() const override { return false; }

 private:
  std::size_t next_ = 0;
};

const bool registered =
    RouterRegistry::add("round_robin", [](const std::string& argument) -> std::unique_ptr<Router> {
      if (!argument.empty()) throw InputError(Place{}, "round_robin takes no argument");
      return std::make_unique<RoundRobinRouter>();
    });

}  // namespace

}  // namespace v4cap
