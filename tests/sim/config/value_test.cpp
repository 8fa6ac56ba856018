#include "sim/config/value.h"

#include <doctest/doctest.h>

using namespace v4cap;

namespace {

template <class T>
std::optional<T> parsed(std::string_view text) {
  std::string hint;
  return parse_value<T>(text, hint);
}

}  // namespace

TEST_CASE("amounts of memory know binary and decimal units") {
  struct Row {
    std::string text;
    std::int64_t bytes;
  };
  const Row rows[] = {{"584 B", 584},
                      {"1 KB", 1000},
                      {"1 KiB", 1024},
                      {"46 GiB", 46 * kGiB},
                      {"46GiB", 46 * kGiB},
                      {"865 GB", 865'000'000'000},
                      {"1.5 GiB", 3 * kGiB / 2},
                      {"0.1 KiB", 102},              // 102.4, rounded
                      {"148.66 GiB", 159622459556},  // 159622459555.84, rounded
                      {"0 B", 0}};
  for (const Row& row : rows) {
    CAPTURE(row.text);
    const auto bytes = parsed<Bytes>(row.text);
    REQUIRE(bytes.has_value());
    CHECK(bytes->value == row.bytes);
  }
}

TEST_CASE("texts that are no amount of memory") {
  for (const char* text : {"46", "46 GB/s", "46 gib", "GiB", "", "46  GiB", "46 GiB ", "0.5 B",
                           "1e3 B", "9000000000 GiB", "0x10 B", "010 B", "1,000 B", "nan B", "-"}) {
    CAPTURE(text);
    CHECK_FALSE(parsed<Bytes>(text).has_value());
  }
}

TEST_CASE("whole numbers are decimal and fit into 64 bits") {
  CHECK(parsed<std::int64_t>("-9223372036854775808") == std::numeric_limits<std::int64_t>::min());
  CHECK(parsed<std::int64_t>("0") == 0);
  CHECK(parsed<std::uint64_t>("18446744073709551615") == std::numeric_limits<std::uint64_t>::max());
  for (const char* text : {"010", "0x1F", "1_000", "1e3", "1.0", "+1", " 1", "1 ", "", "-", "0o7",
                           "9223372036854775808", "true", ".nan", "1,000"}) {
    CAPTURE(text);
    CHECK_FALSE(parsed<std::int64_t>(text).has_value());
  }
  CHECK_FALSE(parsed<std::uint64_t>("-1").has_value());
}

TEST_CASE("doubles are finite decimals") {
  CHECK(parsed<double>("0.9") == 0.9);
  CHECK(parsed<double>("1.6e12") == 1.6e12);
  CHECK(parsed<double>("-3") == -3.0);
  for (const char* text :
       {".nan", ".inf", "nan", "inf", "1e400", "0x1p3", "1.", ".5", "1e", "01", "1_0", ""}) {
    CAPTURE(text);
    CHECK_FALSE(parsed<double>(text).has_value());
  }
}

TEST_CASE("times are exact to a nanosecond") {
  CHECK(parsed<Duration>("50 us") == std::chrono::microseconds(50));
  CHECK(parsed<Duration>("1.5 ms") == std::chrono::microseconds(1500));
  CHECK(parsed<Duration>("2 s") == std::chrono::seconds(2));
  CHECK(parsed<Duration>("3 min") == std::chrono::minutes(3));
  CHECK(parsed<Duration>("1 h") == std::chrono::hours(1));
  for (const char* text : {"2", "2 sec", "0.5 ns", "0.0001 us", "300000000 h", "2s 3ms"}) {
    CAPTURE(text);
    CHECK_FALSE(parsed<Duration>(text).has_value());
  }
}

TEST_CASE("rates carry their unit") {
  CHECK(parsed<BytesPerSecond>("7.7 TB/s")->value == 7.7e12);
  CHECK(parsed<FlopPerSecond>("4500 TFLOP/s")->value == 4.5e15);
  CHECK_FALSE(parsed<BytesPerSecond>("7.7 TB").has_value());
  CHECK_FALSE(parsed<BytesPerSecond>("7.7e300 TB/s").has_value());
  CHECK_FALSE(parsed<FlopPerSecond>("4500 TFLOPS").has_value());
}

TEST_CASE("hints say what to mind") {
  const auto hint_of = [](std::string_view text) {
    std::string hint;
    static_cast<void>(parse_value<Bytes>(text, hint));
    return hint;
  };
  CHECK(hint_of("46") == "; the unit is missing");
  CHECK(hint_of("46 Gib") == "; unknown unit 'Gib'; did you mean 'GiB'?");
  CHECK(hint_of("010 B") == "; leading zeros are not allowed");
  CHECK(hint_of("0x10 B") == "; numbers are decimal");
  CHECK(hint_of("1_000 B") == "; write digits only, without separators");
}

TEST_CASE("what was written reads back as the same value") {
  for (const std::int64_t n :
       {std::int64_t{0}, std::int64_t{1}, std::int64_t{584}, std::int64_t{1000}, 46 * kGiB,
        46 * kGiB + 1, std::int64_t{9'223'372'036'854'775'807}}) {
    CAPTURE(n);
    CHECK(parsed<Bytes>(value_text(Bytes{n})) == Bytes{n});
    CHECK(parsed<Duration>(value_text(Duration{n})) == Duration{n});
    CHECK(parsed<Tokens>(value_text(Tokens{n})) == Tokens{n});
  }
  for (const double x :
       {0.0, 0.1, 1.0 / 3.0, 7.7e12, 3.35e12, 123456789.123, 1e-300, 9e15, 1e300}) {
    CAPTURE(x);
    CHECK(parsed<double>(value_text(x)) == x);
    CHECK(parsed<BytesPerSecond>(value_text(BytesPerSecond{x})) == BytesPerSecond{x});
    CHECK(parsed<FlopPerSecond>(value_text(FlopPerSecond{x})) == FlopPerSecond{x});
  }
  CHECK(value_text(Bytes{46 * kGiB}) == "46 GiB");
  CHECK(value_text(Bytes{865'000'000'000}) == "865 GB");
  CHECK(value_text(Duration{50'000}) == "50 us");
  CHECK(value_text(BytesPerSecond{3.35e12}) == "3.35 TB/s");
}
