// Router `session`: a session stays where its first request went, by the shortest queue; also a
// request without a session goes there. Where its place cannot be chosen, lost or shut down, the
// session moves for good. What cookies and consistent hashing do, without their imbalance.
#include <algorithm>
#include <unordered_map>

#include "sim/cluster/router.h"

namespace v4cap {

namespace {

class SessionRouter final : public Router {
 public:
  std::size_t choose(const RequestSpec& request, Candidates candidates) override {
    if (request.session < 0) return shortest_queue(candidates);
    const auto known = place_.find(request.session);
    if (known != place_.end()) {
      const auto found =
          std::ranges::lower_bound(candidates, known->second, {}, &Candidate::number);
      if (found != candidates.end() && found->number == known->second) {
        return static_cast<std::size_t>(found - candidates.begin());
      }
    }
    const std::size_t chosen = shortest_queue(candidates);
    place_[request.session] = candidates[chosen].number;
    return chosen;
  }

 private:
  std::unordered_map<std::int32_t, std::size_t> place_;  // numbers of candidates
};

const bool registered =
    RouterRegistry::add("session", [](const std::string& argument) -> std::unique_ptr<Router> {
      if (!argument.empty()) throw InputError(Place{}, "session takes no argument");
      return std::make_unique<SessionRouter>();
    });

}  // namespace

}  // namespace v4cap
