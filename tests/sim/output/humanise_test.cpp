#include "sim/output/humanise.h"

#include <doctest/doctest.h>

#include <cmath>
#include <limits>

using namespace v4cap;

TEST_CASE("humanise: thousands separators") {
  CHECK(grouped(std::int64_t{0}) == "0");
  CHECK(grouped(std::int64_t{999}) == "999");
  CHECK(grouped(std::int64_t{1000}) == "1,000");
  CHECK(grouped(std::int64_t{-1234567}) == "-1,234,567");
  CHECK(grouped(std::numeric_limits<std::int64_t>::min()) == "-9,223,372,036,854,775,808");
  CHECK(grouped(1234.5678, 1) == "1,234.6");
  CHECK(grouped(999.95, 0) == "1,000");
  CHECK(grouped(-0.001, 2) == "0.00");
  CHECK(grouped(std::nan(""), 2) == "-");
  CHECK(grouped(std::numeric_limits<double>::infinity(), 2) == "-");
}

TEST_CASE("humanise: three significant digits") {
  CHECK(decimals_for(0) == 2);
  CHECK(decimals_for(9.99) == 2);
  CHECK(decimals_for(9.996) == 1);  // shown as 10.0
  CHECK(decimals_for(-42) == 1);
  CHECK(decimals_for(99.96) == 0);  // shown as 100
  CHECK(decimals_for(std::nan("")) == 0);
}

TEST_CASE("humanise: bytes, tokens, durations") {
  CHECK(human(Bytes{1023}) == "1,023 B");
  CHECK(human(Bytes{1024}) == "1.00 KiB");
  CHECK(human(Bytes{36 * kGiB}) == "36.0 GiB");
  CHECK(human(Bytes{kGiB - 1}) == "1.00 GiB");
  CHECK(human(Bytes{0}) == "0 B");
  CHECK(human(Tokens{950}) == "950");
  CHECK(human(Tokens{12345}) == "12.3 k");
  CHECK(human(Tokens{999'999}) == "1.00 M");
  CHECK(human(Tokens{3'700'000}) == "3.70 M");
  CHECK(human(Duration{250}) == "250 ns");
  CHECK(human(Duration{1'500'000}) == "1.50 ms");
  CHECK(human(Duration{12'345'000'000}) == "12.3 s");
  CHECK(human(Duration{245'000'000'000}) == "4 min 05 s");
  CHECK(human(Duration{7'380'000'000'000}) == "2 h 03 min");
  CHECK(human(Duration{3'599'600'000'000}) == "1 h 00 min");
  CHECK(human(Duration{-245'000'000'000}) == "-4 min 05 s");
}
