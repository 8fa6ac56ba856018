#include "sim/cluster/router.h"

#include <tuple>

#include "sim/core/named.h"

namespace v4cap {

std::unique_ptr<Router> make_router(const std::string& name) {
  return make_named<RouterRegistry>("router", name);
}

std::size_t shortest_queue(Candidates candidates) {
  const auto load = [&](std::size_t i) {
    const RouteTarget& target = *candidates[i].target;
    return std::tuple(target.requests(), target.prompt_tokens());
  };
  std::size_t best = 0;
  for (std::size_t i = 1; i < candidates.size(); ++i) {
    if (load(i) < load(best)) best = i;
  }
  return best;
}

}  // namespace v4cap
