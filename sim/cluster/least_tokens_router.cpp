// Router `least_tokens`: the one with the fewest prompt tokens, of requests that run and wait; of
// equal ones that with the fewest requests, then the first. Where lengths differ much, requests say
// little about load.
#include <tuple>

#include "sim/cluster/router.h"

namespace v4cap {

namespace {

class LeastTokensRouter final : public Router {
 public:
  std::size_t choose(const RequestSpec&, Candidates candidates) override {
    const auto load = [&](std::size_t i) {
      const RouteTarget& target = *candidates[i].target;
      return std::tuple(target.prompt_tokens(), target.requests());
    };
    std::size_t best = 0;
    for (std::size_t i = 1; i < candidates.size(); ++i) {
      if (load(i) < load(best)) best = i;
    }
    return best;
  }
};

const bool registered =
    RouterRegistry::add("least_tokens", [](const std::string& argument) -> std::unique_ptr<Router> {
      if (!argument.empty()) throw InputError(Place{}, "least_tokens takes no argument");
      return std::make_unique<LeastTokensRouter>();
    });

}  // namespace

}  // namespace v4cap
