// Comparisons of constraints and thresholds.
#include "sim/sweep/condition.h"

#include <doctest/doctest.h>

#include <map>

namespace v4cap {
namespace {

const Place kPlace{"sweep.yaml", 3, 5};

std::optional<std::string> known(const std::string& name) {
  static const std::map<std::string, std::string> values = {{"tp", "4"},
                                                            {"dp", "2"},
                                                            {"policy", "checkpoint=2048"},
                                                            {"mem", "8 GiB"},
                                                            {"mem_mib", "512 MiB"},
                                                            {"wait", "2 s"}};
  const auto it = values.find(name);
  return it == values.end() ? std::nullopt : std::optional(it->second);
}

TEST_CASE("condition: numbers, products, units and texts") {
  struct Row {
    std::string text;
    bool holds;
  };
  const std::vector<Row> rows = {
      {"tp <= 4", true},
      {"tp < 4", false},
      {"tp > 3.5", true},
      {"tp >= 5", false},
      {"tp == 4", true},
      {"tp != 4", false},
      {"tp * dp <= 8", true},
      {"tp * dp < 8", false},
      {"tp <= dp * 2", true},
      {"tp * 2 * dp == 16", true},
      {"mem >= 8192 MiB", true},
      {"mem < 8 GB", false},
      {"mem_mib * tp <= mem", true},
      {"wait <= 2000 ms", true},
      {"policy == checkpoint=2048", true},
      {"policy != full", true},
      {"policy == full", false},
      {"policy == 5", false},
  };
  for (const Row& row : rows) {
    CAPTURE(row.text);
    CHECK(Condition(row.text, kPlace).holds(known) == row.holds);
  }
}

TEST_CASE("condition: what does not compare is refused at its place") {
  struct Row {
    std::string text, fragment;
  };
  const std::vector<Row> rows = {
      {"tp", "expected NAME OPERATOR VALUE"},
      {"tp<=4", "with spaces between"},
      {"<= 4", "expected a name, a number"},
      {"tp <=", "expected a name, a number"},
      {"1 < tp < 4", "expected one comparison"},
      {"tp dp <= 4", "a product of them"},
      {"tp * <= 4", "a product of them"},
      {"* tp <= 4", "a product of them"},
      {"4 <= tp", "expected a name on the left"},
      {"policy < 4", "expected numbers on both sides of '<'"},
      {"policy * 2 == 4", "expected numbers in a product, got \"checkpoint=2048\" for policy"},
      {"mem <= 8", "expected numbers of the same unit"},
      {"mem <= 8 s", "expected numbers of the same unit"},
      {"mem * mem <= 8 GiB", "expected one factor with a unit at most"},
  };
  for (const Row& row : rows) {
    CAPTURE(row.text);
    try {
      Condition(row.text, kPlace).holds(known);
      FAIL("was accepted");
    } catch (const InputError& error) {
      const Diagnostic& d = error.diagnostics().front();
      CAPTURE(d.message);
      CHECK(d.place.line == 3);
      CHECK(d.place.column == 5);
      CHECK(d.message.find(row.fragment) != std::string::npos);
    }
  }
}

}  // namespace
}  // namespace v4cap
