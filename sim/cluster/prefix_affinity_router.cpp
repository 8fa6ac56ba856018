// Router `prefix_affinity=SHARE,FACTOR` (0.5,1.5 when left out): the one whose cache serves the
// longest prefix of the request, when that is more than SHARE of its prompt and it is not too busy: it has at most FACTOR times the mean number of requests, or at most kFewRequests more than
// the mean, which chance alone makes. Else the shortest queue. Of ranks with equal prefixes the one
// with the shortest queue.
//
// SGLang's router follows the same rule (cache_threshold, balance_rel_threshold,
// balance_abs_threshold) on a tree of its own that guesses what the ranks hold; here the ranks'
// caches are asked, so that nothing is guessed.
#include <charconv>

#include "sim/cluster/router.h"

namespace v4cap {

namespace {

constexpr double kFewRequests = 8;

class PrefixAffinityRouter final : public Router {
 public:
  PrefixAffinityRouter(double share, double factor) : share_(share), factor_(factor) {}

  std::size_t choose(const RequestSpec& request, Candidates candidates) override {
    const double enough = share_ * static_cast<double>(request.prompt.value);
    const auto requests = [&](std::size_t i) { return candidates[i].target->requests(); };
    std::size_t best = candidates.size();
    Tokens longest;
    for (std::size_t i = 0; i < candidates.size(); ++i) {
      const Tokens hit = candidates[i].target->would_hit(request);
      const bool better = hit > longest || (hit == longest && best < candidates.size() &&
                                            requests(i) < requests(best));
      if (static_cast<double>(hit.value) <= enough || !better) continue;
      best = i;
      longest = hit;
    }
    if (best == candidates.size() || too_busy(best, candidates)) return shortest_queue(candidates);
    return best;
  }

 private:
  bool too_busy(std::size_t i, Candidates candidates) const {
    double all = 0;
    for (const Candidate& one : candidates) all += static_cast<double>(one.target->requests());
    const double mean = all / static_cast<double>(candidates.size());
    const auto load = static_cast<double>(candidates[i].target->requests());
    return load > factor_ * mean && load > mean + kFewRequests;
  }

  double share_, factor_;
};

std::unique_ptr<Router> from_argument(const std::string& argument) {
  double share = 0.5, factor = 1.5;
  if (!argument.empty()) {
    const char* const end = argument.data() + argument.size();
    const auto first = std::from_chars(argument.data(), end, share);
    bool good = first.ec == std::errc() && share >= 0 && share <= 1;
    if (good && first.ptr != end) {
      good = *first.ptr == ',';
      const auto second = std::from_chars(first.ptr + 1, end, factor);
      good = good && second.ec == std::errc() && second.ptr == end && factor >= 1;
    }
    if (!good) {
      throw InputError(Place{},
                       "expected prefix_affinity=SHARE or prefix_affinity=SHARE,FACTOR "
                       "with a share from 0 to 1 and a factor of at least 1, got '" +
                           argument + "'");
    }
  }
  return std::make_unique<PrefixAffinityRouter>(share, factor);
}

const bool registered = RouterRegistry::add("prefix_affinity", from_argument);

}  // namespace

}  // namespace v4cap
