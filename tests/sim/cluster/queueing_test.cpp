// The simulator against queueing theory. With one request at a time, prompts of one token and steps
// of constant time, service takes `output` steps: a single server, first come first served. Poisson
// arrivals and geometric outputs (mean 1,000 steps, an exponential but for its grain) make it
// M/M/1, constant outputs M/D/1. Mean time in system, with load rho and mean service S:
//
//   M/M/1  S / (1 - rho)                    (the grain of a step changes this by less than 0.05 %)
//   M/D/1  S + rho S / (2 (1 - rho))        (Pollaczek and Khinchine)
//
// Each seed is one run from empty; its first requests are dropped until the queue has forgotten
// that (relaxation takes about S / (1 - sqrt(rho))^2: 12 services at load 0.5, 90 at 0.8). The
// means of the seeds are independent, so theory must lie in Student's 99.9 % interval around them.
#include <doctest/doctest.h>

#include <boost/random/exponential_distribution.hpp>
#include <cmath>
#include <string>

#include "sim/core/quantiles.h"
#include "sim/core/random.h"
#include "tests/sim/cluster/toy_world.h"

namespace v4cap {
namespace {

#if defined(__SANITIZE_ADDRESS__)
#define V4CAP_SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define V4CAP_SANITIZED 1
#endif
#endif

// Sanitizers cost a factor of ten: fewer seeds, a wider interval.
#ifdef V4CAP_SANITIZED
constexpr std::uint64_t kSeeds = 10;
constexpr double kStudent = 4.781;  // quantile 0.9995 at 9 degrees of freedom
#else
constexpr std::uint64_t kSeeds = 200;
constexpr double kStudent = 3.340;  // at 199
#endif

constexpr double kServiceSteps = 1000;
constexpr Duration kStep{1'000'000};
constexpr double kService_s = 1.0;

enum class Service { exponential, constant };

Trace service_times(Service service, std::size_t requests, std::uint64_t seed) {
  RandomEngine random = RandomStreams(seed).stream("lengths");
  // 1 + floor(x) of an exponential x is geometric; this mean makes its own kServiceSteps.
  boost::random::exponential_distribution<double> length(-std::log1p(-1 / kServiceSteps));
  Trace trace;
  for (std::size_t i = 0; i < requests; ++i) {
    const double steps =
        service == Service::constant ? kServiceSteps : 1 + std::floor(length(random));
    add_request(trace, 1, static_cast<std::int64_t>(steps));
  }
  return trace;
}

struct Load {
  double rho;
  std::size_t warm_up, measured;  // requests
};

// Mean time in system of one run, without its warm-up.
double mean_time_s(Service service, const Load& load, std::uint64_t seed) {
  const Trace trace = service_times(service, load.warm_up + load.measured, seed);
  WorkloadConfig config;
  config.arrivals = ArrivalMode::poisson;
  config.rate_per_s = load.rho / kService_s;
  ToyEngine settings;
  settings.max_running = 1;
  settings.block = Tokens{1024};
  const RunResult result = play(trace, config, settings, ConstantCost(kStep), seed);
  double sum_s = 0;
  for (std::size_t i = load.warm_up; i < trace.requests.size(); ++i) {
    sum_s += to_seconds(result.records[i].finished - result.records[i].arrival);
  }
  return sum_s / static_cast<double>(load.measured);
}

void check_against_theory(const std::string& name, Service service,
                          double (*theory_s)(double rho)) {
  for (const Load& load : {Load{0.5, 100, 300}, Load{0.8, 400, 600}}) {
    CAPTURE(load.rho);
    std::vector<double> means_s;
    for (std::uint64_t seed = 1; seed <= kSeeds; ++seed) {
      means_s.push_back(mean_time_s(service, load, seed));
    }
    const Distribution d = describe(means_s);
    const auto n = static_cast<double>(kSeeds);
    const double half_width_s = kStudent * d.stddev * std::sqrt(n / (n - 1)) / std::sqrt(n);
    const double off_s = d.mean - theory_s(load.rho);
    MESSAGE(name, " load ", load.rho, ", seeds 1-", kSeeds, ": ", d.mean, " s, theory ",
            theory_s(load.rho), " s, ", std::round(100 * std::abs(off_s) / half_width_s),
            " % of the 99.9 % interval of +-", half_width_s, " s used");
    CHECK(std::abs(off_s) < half_width_s);
    // The interval is narrow enough to tell the two queues and wrong loads apart.
    CHECK(half_width_s < 0.15 * theory_s(load.rho) * std::sqrt(200 / n));
  }
}

TEST_CASE("M/M/1: mean time in system") {
  check_against_theory("M/M/1", Service::exponential,
                       [](double rho) { return kService_s / (1 - rho); });
}

TEST_CASE("M/D/1: mean time in system") {
  check_against_theory("M/D/1", Service::constant,
                       [](double rho) { return kService_s + rho * kService_s / (2 * (1 - rho)); });
}

}  // namespace
}  // namespace v4cap
