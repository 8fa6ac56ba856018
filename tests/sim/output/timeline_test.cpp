#include "sim/output/timeline.h"

#include <doctest/doctest.h>

#include "tests/golden.h"
#include "tests/sim/output/sample_run.h"

using namespace v4cap;

TEST_CASE("timeline: one row a sample, nanoseconds exact") {
  std::string text;
  write_timeline(sample_run().occupancy, [&](std::string_view piece) { text += piece; });
  check_golden("timeline.csv", text);
}
