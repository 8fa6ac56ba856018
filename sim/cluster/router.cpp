#include "sim/cluster/router.h"

#include <tuple>

namespace v4cap {

std::unique_ptr<Router> make_router(const std::string& name) {
  const std::size_t equals = name.find('=');
  const std::string base = name.substr(0, equals);
  const auto* factory = RouterRegistry::find(base);
  if (factory == nullptr) {
    throw InputError(Place{},
                     "unknown router '" + base + "'" + suggestion(base, RouterRegistry::names()));
  }
  return (*factory)(equals == std::string::npos ? "" : name.substr(equals + 1));
}

std::size_t shortest_queue(Ranks ranks) {
  const auto load = [&](std::size_t rank) {
    return std::tuple(ranks[rank]->requests(), ranks[rank]->prompt_tokens());
  };
  std::size_t best = 0;
  for (std::size_t rank = 1; rank < ranks.size(); ++rank) {
    if (load(rank) < load(best)) best = rank;
  }
  return best;
}

}  // namespace v4cap
