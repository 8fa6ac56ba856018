// Router `shortest_queue`: the one with the fewest requests, running and waiting.
#include "sim/cluster/router.h"

namespace v4cap {

namespace {

class ShortestQueueRouter final : public Router {
 public:
  std::size_t choose(const RequestSpec&, Candidates candidates) override {
    return shortest_queue(candidates);
  }
};

const bool registered = RouterRegistry::add(
    "shortest_queue", [](const std::string& argument) -> std::unique_ptr<Router> {
      if (!argument.empty()) throw InputError(Place{}, "shortest_queue takes no argument");
      return std::make_unique<ShortestQueueRouter>();
    });

}  // namespace

}  // namespace v4cap
