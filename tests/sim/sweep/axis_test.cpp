// Axes of a sweep: what each notation means, and what is refused where.
#include "sim/sweep/axis.h"

#include <doctest/doctest.h>

namespace v4cap {
namespace {

YamlNode entry(const std::string& text) {
  return parse_yaml(text, "sweep.yaml").children.front();
}

std::vector<std::string> values(const std::string& text) {
  std::vector<std::string> out;
  for (const auto& row : read_axis(entry(text)).rows) {
    std::string joined;
    for (const YamlNode& value : row) joined += (joined.empty() ? "" : " ") + text_of(value);
    out.push_back(joined);
  }
  return out;
}

using Texts = std::vector<std::string>;

TEST_CASE("axis: lists, grids, ranges and keys that move together") {
  CHECK(values("a.b: [full, recompute, checkpoint=2048]") ==
        Texts{"full", "recompute", "checkpoint=2048"});
  CHECK(values("a: [1, null]") == Texts{"1", "null"});
  CHECK(values("a: {from: 16, to: 64, step: 16}") == Texts{"16", "32", "48", "64"});
  CHECK(values("a: {from: 1, to: 6, step: 2}") == Texts{"1", "3", "5"});
  CHECK(values("a: {from: 7, to: 7, step: 2}") == Texts{"7"});
  CHECK(values("a: {from: 4 GiB, to: 8 GiB, step: 2 GiB}") == Texts{"4 GiB", "6 GiB", "8 GiB"});
  CHECK(values("a: {log: [1, 64], points: 7}") == Texts{"1", "2", "4", "8", "16", "32", "64"});
  CHECK(values("a: {log: [8 GiB, 64 GiB], points: 4}") ==
        Texts{"8 GiB", "16 GiB", "32 GiB", "64 GiB"});
  CHECK(values("a: {log: [0.01, 1], points: 3}") == Texts{"0.01", "0.1", "1"});
  CHECK(values("a: {keys: [x, y.z], rows: [[1, p], [2, q]]}") == Texts{"1 p", "2 q"});
}

TEST_CASE("axis: a grid of tenths has its end and no stray digits") {
  CHECK(values("a: {from: 0.1, to: 1, step: 0.1}") ==
        Texts{"0.1", "0.2", "0.3", "0.4", "0.5", "0.6", "0.7", "0.8", "0.9", "1"});
}

TEST_CASE("axis: whole numbers that fall together count once") {
  CHECK(values("a: {log: [1, 4], points: 9}") == Texts{"1", "2", "3", "4"});
}

TEST_CASE("axis: what is wrong is refused at its place") {
  struct Row {
    std::string text;
    std::int64_t line, column;
    std::string fragment;
  };
  const std::vector<Row> rows = {
      {"a: 5", 1, 4, "expected a list of values"},
      {"a: []", 1, 4, "expected a list of values"},
      {"a: {}", 1, 4, "expected a list of values"},
      {"a: [1, [2]]", 1, 8, "expected single values, got a list"},
      {"a: [1, {b: 2}]", 1, 8, "expected single values, got a map"},
      {"a: [1, 2, 1]", 1, 11, "expected each value once, got \"1\" again"},
      {"a: {from: 1, to: 5}", 1, 4, "expected key 'step' beside 'from'"},
      {"a: {from: 1, to: 5, stp: 1}", 1, 21, "unknown key \"stp\"; did you mean 'step'?"},
      {"a: {from: 1, to: 5, step: 0}", 1, 27, "expected a step above 0, got \"0\""},
      {"a: {from: 1, to: 5, step: -1}", 1, 27, "expected a step above 0"},
      {"a: {from: 5, to: 1, step: 1}", 1, 18, "expected at least 5, got \"1\""},
      {"a: {from: one, to: 5, step: 1}", 1, 11, "expected a number"},
      {"a: {from: 1 GiB, to: 5, step: 1 GiB}", 1, 22, "expected a number with the unit GiB"},
      {"a: {from: 1, to: 5 GiB, step: 1}", 1, 18, "expected a number without a unit"},
      {"a: {from: 1 GiB, to: 5 GiB, step: 1}", 1, 35, "expected a step in GiB"},
      {"a: {from: 0, to: 1, step: 1e-9}", 1, 27, "expected at most 100000 values"},
      {"a: {log: [1, 64]}", 1, 4, "expected key 'points' beside 'log'"},
      {"a: {log: [1, 64, 3], points: 3}", 1, 10, "expected [from, to], got a list"},
      {"a: {log: [0, 64], points: 3}", 1, 11, "expected a number above 0, got \"0\""},
      {"a: {log: [1, 64], points: 1}", 1, 27, "from 2 to 100000, got \"1\""},
      {"a: {log: [1, 64], points: x}", 1, 27, "from 2 to 100000, got \"x\""},
      {"a: {log: [1, 64], step: 3}", 1, 19, "unknown key \"step\""},
      {"a: {keys: [x, y]}", 1, 4, "expected key 'rows' beside 'keys'"},
      {"a: {keys: x, rows: [[1]]}", 1, 11, "expected [key.path, ...]"},
      {"a: {keys: [x, y], rows: [[1, 2], [3]]}", 1, 34,
       "expected 2 values, as there are keys, got 1"},
      {"a: {keys: [x], rows: [1]}", 1, 23, "expected a row"},
      {"a: {keys: [x], rows: [[1], [1]]}", 1, 29, "expected each value once"},
  };
  for (const Row& row : rows) {
    CAPTURE(row.text);
    try {
      read_axis(entry(row.text));
      FAIL("was accepted");
    } catch (const InputError& error) {
      const Diagnostic& d = error.diagnostics().front();
      CAPTURE(to_string(d));
      CHECK(d.place.line == row.line);
      CHECK(d.place.column == row.column);
      CHECK(d.message.find(row.fragment) != std::string::npos);
    }
  }
}

}  // namespace
}  // namespace v4cap
