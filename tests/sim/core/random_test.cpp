// One seed, many streams: equal names repeat, different names and seeds have nothing in common.
#include "sim/core/random.h"

#include <doctest/doctest.h>

#include <string>

#include <bit>
#include <vector>

namespace v4cap {
namespace {

std::vector<std::uint64_t> draws(std::uint64_t seed, std::string_view name, std::size_t n) {
  RandomEngine engine = RandomStreams(seed).stream(name);
  std::vector<std::uint64_t> out(n);
  for (auto& x : out) x = engine();
  return out;
}

// Share of equal bits; a half when two streams know nothing of each other.
double agreement(const std::vector<std::uint64_t>& a, const std::vector<std::uint64_t>& b) {
  int equal = 0;
  for (std::size_t i = 0; i < a.size(); ++i) equal += 64 - std::popcount(a[i] ^ b[i]);
  return equal / (64.0 * static_cast<double>(a.size()));
}

TEST_CASE("random streams: same seed and name, same sequence") {
  CHECK(draws(1, "arrivals", 100) == draws(1, "arrivals", 100));
}

TEST_CASE("random streams: known values, equal on every compiler") {
  // From an implementation of FNV-1a, splitmix64's finaliser and MT19937-64 in another language.
  const std::vector<std::uint64_t> expected = {16549426398241414179ULL, 10013791788587977157ULL};
  CHECK(draws(1, "arrivals", 2) == expected);
}

TEST_CASE("random streams: other names, seeds and neighbours are independent") {
  struct Row {
    std::string name;
    std::uint64_t seed;
    std::string stream;
  };
  const auto base = draws(1, "arrivals", 4000);
  const Row rows[] = {
      {"another subsystem", 1, "lengths"},    {"a near name", 1, "arrivalt"},
      {"a shorter name", 1, "arrival"},       {"the next seed", 2, "arrivals"},
      {"a far seed", 1ULL << 63, "arrivals"},
  };
  for (const Row& row : rows) {
    CAPTURE(row.name);
    // 256,000 bits: one standard deviation is 0.001.
    CHECK(agreement(base, draws(row.seed, row.stream, 4000)) == doctest::Approx(0.5).epsilon(0.01));
  }
}

TEST_CASE("random streams: a draw in one moves nothing in another") {
  const RandomStreams streams(7);
  RandomEngine arrivals = streams.stream("arrivals");
  arrivals.discard(12345);
  RandomEngine lengths = streams.stream("lengths");
  CHECK(lengths() == draws(7, "lengths", 1).front());
}

}  // namespace
}  // namespace v4cap
