#include "sim/core/error.h"

#include <doctest/doctest.h>

#include <string>
#include <vector>

namespace v4cap {
namespace {

TEST_CASE("nearest name: what was probably meant, or nothing") {
  const std::vector<std::string> known = {"checkpoint", "full", "recompute"};
  struct Row {
    std::string word;
    std::string meant;
  };
  const Row rows[] = {
      {"full", "full"},
      {"ful", "full"},
      {"fulll", "full"},
      {"checkpiont", "checkpoint"},
      {"recomputed", "recompute"},
      {"recmopute", "recompute"},
      {"banana", ""},
      {"qqqqqqqqqqqq", ""},
  };
  for (const Row& row : rows) {
    CAPTURE(row.word);
    CHECK(nearest_name(row.word, known) == row.meant);
  }
  CHECK(nearest_name("x", {}) == "");
  // Nearer by letters is "gb200".
  CHECK(nearest_name("b200", {"gb200", "hgx-b200", "hgx-h200"}) == "hgx-b200");
  CHECK(nearest_name("h200", {"gb200", "hgx-b200", "hgx-h200"}) == "hgx-h200");
}

TEST_CASE("nearest name: a short word is not taken for one that shares no letter with it") {
  CHECK(nearest_name("zz", {"kv"}) == "");
  CHECK(nearest_name("", {"kv"}) == "");
  CHECK(nearest_name("kw", {"kv"}) == "kv");
}

TEST_CASE("suggestion names the nearest, else lists all") {
  const std::vector<std::string> known = {"full", "recompute"};
  CHECK(suggestion("ful", known) == "; did you mean 'full'?");
  CHECK(suggestion("banana split", known) == "; one of: full, recompute");
  CHECK(suggestion("x", {}) == "");
}

TEST_CASE("a diagnostic shows as much of its place as is known") {
  struct Row {
    Place place;
    const char* text;
  };
  const Row rows[] = {
      {{"a.yaml", 3, 7}, "a.yaml:3:7: wrong"},
      {{"a.yaml", 3, 0}, "a.yaml:3: wrong"},
      {{"a.yaml", 0, 0}, "a.yaml: wrong"},
      {{"a.yaml", 0, 7}, "a.yaml: wrong"},
      {{"", 0, 0}, "wrong"},
  };
  for (const Row& row : rows) CHECK(to_string(Diagnostic{row.place, "wrong"}) == row.text);
}

TEST_CASE("an input error carries all its diagnostics, a line each") {
  const InputError error({{{"a", 1, 0}, "first"}, {{"a", 2, 0}, "second"}});
  CHECK(error.diagnostics().size() == 2);
  CHECK(std::string(error.what()) == "a:1: first\na:2: second");
}

}  // namespace
}  // namespace v4cap
