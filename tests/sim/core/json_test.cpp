#include "sim/core/json.h"

#include <doctest/doctest.h>

#include <functional>
#include <limits>

namespace v4cap {
namespace {

const Place kPlace{"file", 7};

// Where and why parsing `text` and then `read` is refused.
Diagnostic refusal_of(std::string_view text, const std::function<void(JsonValue)>& read = {}) {
  JsonLine line;
  try {
    const JsonValue value = line.parse(text, kPlace);
    if (read) read(value);
  } catch (const InputError& error) {
    CHECK(error.diagnostics()[0].place.file == "file");
    CHECK(error.diagnostics()[0].place.line == 7);
    return error.diagnostics()[0];
  }
  FAIL("accepted");
  return {};
}

TEST_CASE("values are read as written") {
  JsonLine line;
  const JsonValue v = line.parse(
      R"({"i":-5,"r":2.5,"w":3.0,"s":"a\n\"b\u00e9","e":"","t":true,"n":null,"a":[1,[2,3],{"x":4}],"o":{"a b":[]}})",
      kPlace);
  CHECK(v.size() == 9);
  CHECK(v.at("i").integer(-10, 10) == -5);
  CHECK(v.at("r").number(0, 3) == 2.5);
  CHECK(v.at("w").integer(0, 3) == 3);
  CHECK(v.at("i").number(-10, 10) == -5.0);
  CHECK(v.at("s").string() == "a\n\"b\xc3\xa9");
  CHECK(v.at("e").string().empty());
  CHECK(v.at("t").boolean());
  CHECK_FALSE(v.find("n"));
  CHECK_FALSE(v.find("missing"));
  CHECK(v.at("o").at("a b").size() == 0);
  std::vector<JsonKind> kinds;
  for (const JsonValue element : v.at("a").array()) kinds.push_back(element.kind());
  CHECK(kinds == std::vector<JsonKind>{JsonKind::integer, JsonKind::array, JsonKind::object});
}

TEST_CASE("numbers are rounded correctly and kept at the ends of int64") {
  JsonLine line;
  const JsonValue v = line.parse(
      "[9223372036854775807,-9223372036854775808,0.1,-1.7976931348623157e308,72057594037927945.0,"
      "123.456e-7]",
      kPlace);
  auto it = v.array().begin();
  constexpr auto kLow = std::numeric_limits<std::int64_t>::min();
  constexpr auto kHigh = std::numeric_limits<std::int64_t>::max();
  CHECK((*it).integer(kLow, kHigh) == kHigh);
  CHECK((*++it).integer(kLow, kHigh) == kLow);
  CHECK((*++it).number(0, 1) == 0.1);
  CHECK((*++it).number(-1.7976931348623157e308, 0) == -1.7976931348623157e308);
  CHECK((*++it).number(0, 1e300) == 72057594037927945.0);
  CHECK((*++it).number(0, 1) == 123.456e-7);
}

TEST_CASE("a parser is used again and again, also after an error") {
  JsonLine line;
  for (int i = 0; i < 3; ++i) {
    CHECK(line.parse(R"({"a":[1,2]})", kPlace).at("a").size() == 2);
    CHECK_THROWS_AS(line.parse(R"({"a":[1,2)", kPlace), InputError);
    CHECK_THROWS_AS(line.parse(R"({"a":1,"a":2})", kPlace), InputError);
  }
}

TEST_CASE("what is no JSON is refused at its column") {
  struct Row {
    const char* text;
    std::int64_t column;
    const char* fragment;
  };
  std::string deep(40, '[');
  const Row rows[] = {
      {"", 1, "end of the line"},
      {"   ", 4, "end of the line"},
      {R"({"a":)", 6, "expected the rest of a JSON value"},
      {R"({"a":1)", 7, "expected the rest of a JSON value"},
      {R"({"a":"x)", 8, "expected the rest of a JSON value"},
      {R"({"a" 1})", 6, "found 1"},
      {R"({"a":1,})", 8, "found }"},
      {R"({"a":1} x)", 9, "expected the end of the line after a JSON value, found x"},
      {R"({"a":NaN})", 6, "found NaN"},
      {R"({"a":01})", 7, "found 1"},
      {R"({"a":1e400})", 6, "range of double, found 1e400"},
      {R"({"a":-1e999999999999})", 0, "expected"},
      {R"({"a":Infinity})", 6, "found Infinity"},
      {R"({'a':1})", 2, "found 'a':1"},
      {"{\"a\":\"x\ty\"}", 8, "expected JSON"},
      {"{\"a\":\"\xff\"}", 7, "expected JSON"},
      {"\x01\x02", 1, "found ??"},
      {R"({"a":1,"b":{"c":1,"d":2,"c":3}})", 25, "each key once, found 'c' twice"},
      {R"({"a":1,"\u0061":2})", 8, "each key once, found 'a' twice"},
  };
  for (const Row& row : rows) {
    CAPTURE(row.text);
    const Diagnostic found = refusal_of(row.text);
    if (row.column > 0) CHECK(found.place.column == row.column);
    CHECK(found.place.column > 0);
    CAPTURE(found.message);
    CHECK(found.message.find(row.fragment) != std::string::npos);
  }
  CHECK(refusal_of(deep).message.find("too deep") != std::string::npos);
}

TEST_CASE("a duplicate among many keys is found without comparing all pairs") {
  std::string text = "{";
  for (int i = 0; i < 100'000; ++i) text += "\"k" + std::to_string(i) + "\":0,";
  const std::size_t duplicate = text.size();
  text += "\"k77\":1}";
  CHECK(refusal_of(text).place.column == static_cast<std::int64_t>(duplicate) + 1);
}

TEST_CASE("wrong types and ranges are refused with key, expectation, finding and column") {
  struct Row {
    const char* text;
    std::function<void(JsonValue)> read;
    std::int64_t column;
    const char* message;
  };
  const auto integer = [](JsonValue v) { v.at("n").integer(1, 100); };
  const Row rows[] = {
      {R"({"n":0})", integer, 6, "'n': expected an integer from 1 to 100, found 0"},
      {R"({"n": -3})", integer, 7, "'n': expected an integer from 1 to 100, found -3"},
      {R"({"n":101})", integer, 6, "'n': expected an integer from 1 to 100, found 101"},
      {R"({"n":1.5})", integer, 6, "'n': expected an integer from 1 to 100, found 1.5"},
      {R"({"n":"5"})", integer, 6, "'n': expected an integer from 1 to 100, found \"5\""},
      {R"({"n":18446744073709551615})", integer, 6,
       "'n': expected an integer from 1 to 100, found 18446744073709551615"},
      {R"({"n":99999999999999999999})", integer, 6,
       "'n': expected an integer from 1 to 100, found 99999999999999999999"},
      {R"({"lenght":5,"x":{"length":5}})", [](JsonValue v) { v.at("length"); }, 1,
       "expected key 'length', found none; is it 'lenght'?"},
      {R"({"x":{"n":5}})", integer, 1, "expected key 'n', found none"},
      {R"({"n":null})", integer, 1, "expected key 'n', found none"},
      {R"([1])", integer, 1, "expected an object, found [1"},
      {R"({"n":true})", [](JsonValue v) { v.at("n").number(0, 1); }, 6,
       "'n': expected a number from 0 to 1, found true"},
      {R"({"n":1})", [](JsonValue v) { v.at("n").boolean(); }, 6,
       "'n': expected true or false, found 1"},
      {R"({"n":1})", [](JsonValue v) { v.at("n").string(); }, 6, "'n': expected a string, found 1"},
      {R"({"n":{}})", [](JsonValue v) { v.at("n").array(); }, 6, "'n': expected an array, found {"},
      {R"({"a":"n,[","n":[[1],[2,"x"]]})",
       [](JsonValue v) {
         for (const JsonValue e : v.at("n").array()) {
           for (const JsonValue f : e.array()) f.integer(0, 9);
         }
       },
       24, "'n': expected an integer from 0 to 9, found \"x\""},
  };
  for (const Row& row : rows) {
    CAPTURE(row.text);
    const Diagnostic found = refusal_of(row.text, row.read);
    CHECK(found.place.column == row.column);
    CHECK(found.message == row.message);
  }
}

TEST_CASE("keys that a reader does not know are counted") {
  JsonLine line;
  KeyCensus census({"a"});
  census.see(line.parse(R"({"a":1})", kPlace));
  CHECK(census.note().empty());
  census.see(line.parse(R"({"a":1,"b":2})", kPlace));
  census.see(line.parse(R"({"b":1,"c":2})", kPlace));
  CHECK(census.note() == "keys that were not used: b (2), c (1)");
}

TEST_CASE("quoted text reads back") {
  const std::string text = "a\"\\\n\x01\xc3\xa9/";
  JsonLine line;
  const std::string quoted = json_quoted(text);
  CHECK(line.parse(quoted, kPlace).string() == text);
}

}  // namespace
TEST_CASE("json: places in a document of several lines") {
  JsonLine line;
  const std::string text = "{\n  \"a\": 1,\n  \"b\": [1,\n    \"x\"]\n}\n";
  const JsonValue document = line.parse(text, {"f", 1, 0});
  CHECK(document.place().line == 1);
  CHECK(document.at("a").place().line == 2);
  CHECK(document.at("a").place().column == 8);
  for (const JsonValue element : document.at("b").array()) {
    if (element.kind() != JsonKind::string) continue;
    CHECK_THROWS_WITH(element.number(0, 1),
                      "f:4:5: 'b': expected a number from 0 to 1, found \"x\"");
  }
  CHECK_THROWS_WITH(line.parse("{\n\"a\": x\n}", {"f", 7, 0}),
                    "f:8:6: expected JSON, found x (syntax error)");
}

}  // namespace v4cap
