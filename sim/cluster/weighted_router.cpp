// Router `weighted=HIT,LOAD` (1,1 when left out): the highest score
//   HIT x share of the prompt that its cache serves - LOAD x its requests over the most that
//   anyone has,
// both from 0 to 1; of equal ones the shortest queue. A weighted sum of scorers is how routers on
// Kubernetes (llm-d's endpoint picker, Dynamo's KV router) trade locality for balance; here the
// caches are asked instead of an index of what was sent where.
#include <algorithm>

#include "sim/cluster/router.h"
#include "sim/core/named.h"

namespace v4cap {

namespace {

class WeightedRouter final : public Router {
 public:
  WeightedRouter(double hit, double load) : hit_(hit), load_(load) {}

  std::size_t choose(const RequestSpec& request, Candidates candidates) override {
    double most = 1;
    for (const Candidate& one : candidates) {
      most = std::max(most, static_cast<double>(one.target->requests()));
    }
    const double prompt = static_cast<double>(request.prompt.value);
    double highest = 0;
    best_.clear();
    for (const Candidate& one : candidates) {
      const double hit = static_cast<double>(one.target->would_hit(request).value) / prompt;
      const double load = static_cast<double>(one.target->requests()) / most;
      const double score = hit_ * hit - load_ * load;
      if (!best_.empty() && score < highest) continue;
      if (best_.empty() || score > highest) best_.clear();
      highest = score;
      best_.push_back(one);
    }
    const std::size_t number = best_[shortest_queue(best_)].number;
    const auto found = std::ranges::lower_bound(candidates, number, {}, &Candidate::number);
    return static_cast<std::size_t>(found - candidates.begin());
  }

 private:
  double hit_, load_;
  std::vector<Candidate> best_;  // all with the highest score
};

std::unique_ptr<Router> from_argument(const std::string& argument) {
  const auto weights = argument.empty() ? std::vector<double>{1, 1} : numbers_of(argument, 2);
  if (weights.empty() || weights[0] < 0 || weights[1] < 0 || weights[0] + weights[1] <= 0) {
    throw InputError(Place{},
                     "expected weighted=HIT,LOAD with weights of at least 0, not both 0, got '" +
                         argument + "'");
  }
  return std::make_unique<WeightedRouter>(weights[0], weights[1]);
}

const bool registered = RouterRegistry::add("weighted", from_argument);

}  // namespace

}  // namespace v4cap
