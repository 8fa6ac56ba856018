#include "sim/output/text_width.h"

#include <doctest/doctest.h>

using namespace v4cap;

TEST_CASE("text width: columns of a terminal") {
  struct Row {
    std::string name;
    const char* text;
    std::size_t columns;
  };
  const Row rows[] = {
      {"empty", "", 0},
      {"ascii", "full", 4},
      {"two-byte letters",
       "Gr\xC3\xB6\xC3\x9F"
       "e",
       5},
      {"CJK is wide", "\xE7\xBC\x93\xE5\xAD\x98", 4},
      {"hangul is wide", "\xED\x95\x9C", 2},
      {"fullwidth letter", "\xEF\xBC\xA1", 2},
      {"emoji is wide", "\xF0\x9F\x9A\x80", 2},
      {"combining accent takes nothing", "e\xCC\x81", 1},
      {"zero-width space",
       "a\xE2\x80\x8B"
       "b",
       2},
      {"invalid byte shows one replacement",
       "a\xFF"
       "b",
       3},
  };
  for (const Row& row : rows) {
    CAPTURE(row.name);
    CHECK(display_width(row.text) == row.columns);
  }
}

TEST_CASE("text width: labels lose what could drive a terminal") {
  CHECK(printable("a\x1b[31mred\x07\n\tb") == "a[31mredb");
  CHECK(printable("x\xC2\x9B"
                  "31m") == "x31m");  // C1 CSI
  CHECK(printable("a\xE2\x80\xAE"
                  "b") == "ab");  // right-to-left override
  CHECK(printable("caf\xC3\xA9 \xE7\xBC\x93") == "caf\xC3\xA9 \xE7\xBC\x93");
}

TEST_CASE("text width: only well-formed UTF-8 passes") {
  const std::string bad = "\xEF\xBF\xBD";
  CHECK(valid_utf8("\xC0\xAF") == bad + bad);                      // overlong '/'
  CHECK(valid_utf8("\xE0\x80\x80") == bad + bad + bad);            // overlong
  CHECK(valid_utf8("\xED\xA0\x80") == bad + bad + bad);            // surrogate
  CHECK(valid_utf8("\xF4\x90\x80\x80") == bad + bad + bad + bad);  // above U+10FFFF
  CHECK(valid_utf8("\xF4\x8F\xBF\xBF") == "\xF4\x8F\xBF\xBF");     // U+10FFFF
  CHECK(valid_utf8("\xED\x9F\xBF") == "\xED\x9F\xBF");             // last before the surrogates
  CHECK(valid_utf8("ok\xC3") == "ok" + bad);
}
