#include "sim/output/json_writer.h"

#include <doctest/doctest.h>

#include <cmath>
#include <limits>

using v4cap::json_escaped;
using v4cap::JsonWriter;

TEST_CASE("json: nesting and commas on one line") {
  JsonWriter json;
  json.begin_object().member("a", 1).key("b").begin_array();
  json.value(2).begin_object().end_object().value("x").begin_array().end_array().end_array();
  json.member("c", true).end_object();
  CHECK(json.text() == R"({"a":1,"b":[2,{},"x",[]],"c":true})");
}

TEST_CASE("json: indented document") {
  JsonWriter json{2};
  json.begin_object().key("a").begin_array().value(1).value(2).end_array();
  json.key("b").begin_object().end_object().end_object();
  CHECK(json.text() == "{\n  \"a\": [\n    1,\n    2\n  ],\n  \"b\": {}\n}");
}

TEST_CASE("json: numbers are the shortest that read back and what is not finite is null") {
  const auto written = [](double number) { return JsonWriter{}.value(number).text(); };
  CHECK(written(0.1) == "0.1");
  CHECK(written(255.886568) == "255.886568");
  CHECK(written(1.0 / 3) == "0.3333333333333333");
  CHECK(written(1e300) == "1e+300");
  CHECK(written(5) == "5");
  CHECK(written(std::nan("")) == "null");
  CHECK(written(std::numeric_limits<double>::infinity()) == "null");
  CHECK(written(-std::numeric_limits<double>::infinity()) == "null");
  CHECK(JsonWriter{}.value(std::numeric_limits<std::int64_t>::min()).text() ==
        "-9223372036854775808");
  CHECK(JsonWriter{}.value(std::numeric_limits<std::uint64_t>::max()).text() ==
        "18446744073709551615");
  CHECK(JsonWriter{}.value(std::optional<double>{}).text() == "null");
}

TEST_CASE("json: strings cannot break out") {
  CHECK(json_escaped("a\"b\\c") == "a\\\"b\\\\c");
  CHECK(json_escaped("\n\r\t") == "\\n\\r\\t");
  CHECK(json_escaped(std::string_view("\0\x1b\x7f", 3)) == "\\u0000\\u001b\\u007f");
  CHECK(json_escaped("gr\xC3\xBC\xC3\x9F") == "gr\xC3\xBC\xC3\x9F");
  // A lone continuation byte and a truncated sequence.
  CHECK(json_escaped("a\x80z") == "a\xEF\xBF\xBDz");
  CHECK(json_escaped("\xE2\x82") == "\xEF\xBF\xBD\xEF\xBF\xBD");
  CHECK(JsonWriter{}.begin_object().member("k\"", "v").end_object().text() == R"({"k\"":"v"})");
}
