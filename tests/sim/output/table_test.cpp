#include "sim/output/table.h"

#include <doctest/doctest.h>

using namespace v4cap;

TEST_CASE("table: alignment with wide characters and control characters") {
  Table table{{"", "full", "\xE7\xBC\x93\xE5\xAD\x98"}};  // two wide characters: four columns
  table.group("Cache");
  table.row({"hit, %", "61.3", "1"});
  table.row({"x\x1b[2J", "1,234,567", ""});
  CHECK(table.text({}) ==
        "               full  \xE7\xBC\x93\xE5\xAD\x98\n"
        "Cache\n"
        "  hit, %       61.3     1\n"
        "  x[2J    1,234,567\n");
}

TEST_CASE("table: rows without a group are not indented") {
  Table table{{"kind", "B"}};
  table.row({"csa", "584"});
  CHECK(table.text({}) == "kind    B\ncsa   584\n");
}

TEST_CASE("table: colour only on a terminal that wants it") {
  struct Row {
    std::string name;
    bool terminal, option;
    const char* environment;
    bool color;
  };
  const Row rows[] = {
      {"terminal", true, false, nullptr, true},   {"pipe", false, false, nullptr, false},
      {"--no-color", true, true, nullptr, false}, {"NO_COLOR=1", true, false, "1", false},
      {"NO_COLOR empty", true, false, "", true},
  };
  for (const Row& row : rows) {
    CAPTURE(row.name);
    CHECK(text_style(row.terminal, row.option, row.environment).color == row.color);
  }
  Table table{{"a", "b"}};
  table.row({"c", "d"});
  CHECK(table.text({.color = true}) == "\x1b[1ma  b\x1b[0m\nc  d\n");
}

TEST_CASE("table: text is broken at spaces") {
  CHECK(wrapped("one two  three", 7) == "one two\nthree");
  CHECK(wrapped("abcdefghij k", 4) == "abcdefghij\nk");
  CHECK(wrapped("", 10).empty());
}
