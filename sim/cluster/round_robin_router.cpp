// Router `round_robin`: each rank in turn, whatever it has to do. The default of SGLang's data
// parallel controller.
#include "sim/cluster/router.h"

namespace v4cap {

namespace {

class RoundRobinRouter final : public Router {
 public:
  std::size_t choose(const RequestSpec&, Ranks ranks) override {
    const std::size_t rank = next_ % ranks.size();
    next_ = rank + 1;
    return rank;
  }

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
