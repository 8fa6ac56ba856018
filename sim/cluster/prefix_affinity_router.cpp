// Router `prefix_affinity=SHARE,FACTOR` (0.5,1.5 when left out): the rank whose cache serves the
// longest prefix of the request, when that is more than SHARE of its prompt and the rank is not too
// busy: it has at most FACTOR times the mean number of requests, or at most kFewRequests more than
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

  std::size_t choose(const RequestSpec& request, Ranks ranks) override {
    const double enough = share_ * static_cast<double>(request.prompt.value);
    std::size_t best = ranks.size();
    Tokens longest;
    for (std::size_t rank = 0; rank < ranks.size(); ++rank) {
      const Tokens hit = ranks[rank]->would_hit(request);
      const bool better = hit > longest || (hit == longest && best < ranks.size() &&
                                            ranks[rank]->requests() < ranks[best]->requests());
      if (static_cast<double>(hit.value) <= enough || !better) continue;
      best = rank;
      longest = hit;
    }
    if (best == ranks.size() || too_busy(best, ranks)) return shortest_queue(ranks);
    return best;
  }

 private:
  bool too_busy(std::size_t rank, Ranks ranks) const {
    double all = 0;
    for (const auto& engine : ranks) all += static_cast<double>(engine->requests());
    const double mean = all / static_cast<double>(ranks.size());
    const auto load = static_cast<double>(ranks[rank]->requests());
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
