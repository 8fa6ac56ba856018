#include "sim/core/parallel.h"

#include <doctest/doctest.h>

#include <stdexcept>
#include <string>

namespace v4cap {
namespace {

TEST_CASE("parallel work is done once each, whatever the number of threads") {
  for (const unsigned threads : {0U, 1U, 2U, 7U, 64U}) {
    for (const std::size_t count : {0U, 1U, 5U, 1000U}) {
      CAPTURE(threads);
      CAPTURE(count);
      std::vector<std::size_t> done(count, 0);
      parallel_for(
          count, [&](std::size_t i) { done[i] += i + 1; }, threads);
      for (std::size_t i = 0; i < count; ++i) REQUIRE(done[i] == i + 1);
    }
  }
}

TEST_CASE("parallel work: the first error by number is thrown, after all is done") {
  for (const unsigned threads : {1U, 4U}) {
    std::vector<int> done(100, 0);
    std::string message;
    try {
      parallel_for(
          100,
          [&](std::size_t i) {
            done[i] = 1;
            if (i == 17 || i == 60) throw std::runtime_error(std::to_string(i));
          },
          threads);
    } catch (const std::runtime_error& error) {
      message = error.what();
    }
    CHECK(message == "17");
    for (const int one : done) REQUIRE(one == 1);
  }
}

}  // namespace
}  // namespace v4cap
