#include "sim/core/earliest_of.h"

#include <doctest/doctest.h>

#include <vector>

#include "sim/core/random.h"

namespace v4cap {
namespace {

SimTime at(std::int64_t ns) {
  return SimTime{Duration{ns}};
}

TEST_CASE("earliest of: nothing comes until something is set") {
  for (const std::size_t count : {1U, 2U, 5U, 8U}) {
    EarliestOf first(count);
    CHECK(first.next().at == kNever);
    first.set(count - 1, {at(7), 0});
    CHECK(first.first() == count - 1);
    first.set(count - 1, {});
    CHECK(first.next().at == kNever);
  }
}

TEST_CASE("earliest of: time, then rank, then the lower number") {
  EarliestOf first(3);
  first.set(2, {at(5), 0});
  first.set(1, {at(5), 2});
  CHECK(first.first() == 2);
  first.set(0, {at(5), 0});
  CHECK(first.first() == 0);
  first.set(1, {at(4), 9});
  CHECK(first.first() == 1);
}

TEST_CASE("earliest of: the same as a search through all") {
  RandomEngine random = RandomStreams(3).stream("earliest of");
  for (const std::size_t count : {1U, 3U, 7U, 16U, 33U}) {
    EarliestOf first(count);
    std::vector<EarliestOf::Next> all(count);
    for (int change = 0; change < 2000; ++change) {
      const std::size_t i = random() % count;
      all[i] = {random() % 8 == 0 ? kNever : at(static_cast<std::int64_t>(random() % 20)),
                static_cast<std::uint8_t>(random() % 3)};
      first.set(i, all[i]);
      std::size_t best = 0;
      for (std::size_t j = 1; j < count; ++j) {
        if (EarliestOf::comes_before(all[j], all[best])) best = j;
      }
      CHECK(first.first() == best);
    }
  }
}

}  // namespace
}  // namespace v4cap
