// One seed, many streams. Each subsystem draws from a generator derived from the run's seed and its
// own name, so that one more draw in one subsystem moves nothing in another. Engines of <random>
// are specified bit for bit; its distributions are not (WG21 P2059), so draws go through
// Boost.Random.
#pragma once

#include <cstdint>
#include <random>
#include <string_view>

namespace v4cap {

using RandomEngine = std::mt19937_64;

class RandomStreams {
 public:
  explicit RandomStreams(std::uint64_t seed) : seed_(seed) {}
  std::uint64_t seed() const { return seed_; }

  // The same seed and name always give the same sequence. Names in use: "acceptance", "arrivals",
  // "faults ENTRY REPLICA", "lengths", "sample", "sessions".
  RandomEngine stream(std::string_view name) const;

 private:
  std::uint64_t seed_;
};

}  // namespace v4cap
