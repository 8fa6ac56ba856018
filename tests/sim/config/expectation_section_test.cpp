// Section `expect`: what it reads, refuses and writes back.
#include "sim/config/expectation_section.h"

#include <doctest/doctest.h>

#include "sim/config/scenario_file.h"

using namespace v4cap;

namespace {

const std::string kHead =
    "model: deepseek-v4-pro\nhardware: hgx-b200\nworkload: {trace: t.jsonl}\n";

Scenario parsed(const std::string& rest) {
  ScenarioOptions options;
  options.find_traces = false;
  return parse_scenario(kHead + rest, "s.yaml", options);
}

std::string errors_of(const std::string& rest) {
  try {
    parsed(rest);
  } catch (const InputError& e) {
    return e.what();
  }
  return "accepted";
}

bool says(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

}  // namespace

TEST_CASE("a tolerance is a share, points of a rate, or an amount") {
  CHECK(Tolerance::parse("5 %")->around(200) == 10);
  CHECK(Tolerance::parse("5%")->around(-200) == 10);
  CHECK(Tolerance::parse("5 points")->around(0.9) == doctest::Approx(0.05));
  CHECK(Tolerance::parse("12")->around(1e6) == 12);
  for (const std::string text : {"5 %", "0.5 points", "0.05", "0"}) {
    CAPTURE(text);
    CHECK(Tolerance::parse(text)->text() == text);
  }
  for (const std::string text : {"", "%", "-1 %", "five", "5 percent", "5 % %"}) {
    CAPTURE(text);
    CHECK_FALSE(Tolerance::parse(text).has_value());
  }
}

TEST_CASE("expectations and the note are read, and written back the same") {
  const Scenario s = parsed(
      "note: >-\n  two\n  lines: 3.8 \"KB\"\n"
      "expect:\n"
      "  - {figure: kv_tokens, value: 1.2e6, within: 5 %, source: \"a: b, May 2026\"}\n"
      "  - {figure: hit_rate, value: 0, within: 5 points, source: b,\n"
      "     set: [kv_cache.swa_policy=reuse=0.22, kv_cache.memory=9 GiB]}\n");
  CHECK(s.note == "two lines: 3.8 \"KB\"");
  REQUIRE(s.expect.size() == 2);
  CHECK(s.expect[0].figure == "kv_tokens");
  CHECK(s.expect[0].value == 1.2e6);
  CHECK(s.expect[0].within.around(100) == 5);
  CHECK(s.expect[0].source == "a: b, May 2026");
  CHECK(s.expect[0].set.empty());
  CHECK(s.expect[0].place.line == 8);
  CHECK(s.expect[1].set ==
        std::vector<std::string>{"kv_cache.swa_policy=reuse=0.22", "kv_cache.memory=9 GiB"});

  ScenarioOptions options;
  options.find_traces = false;
  const Scenario again = parse_scenario(s.resolved_yaml + "", "again.yaml", options);
  CHECK(again.resolved_yaml == s.resolved_yaml);
  CHECK(again.note == s.note);
  CHECK(again.expect[1].set == s.expect[1].set);
  CHECK(again.expect[1].within.text() == "5 points");
}

TEST_CASE("a scenario without expectations has none in its resolved copy") {
  const Scenario s = parsed("");
  CHECK(s.expect.empty());
  CHECK_FALSE(says(s.resolved_yaml, "expect"));
  CHECK_FALSE(says(s.resolved_yaml, "note"));
}

TEST_CASE("what is wrong in an expectation is refused where it is") {
  CHECK(says(errors_of("expect: 5\n"), "s.yaml:4:9: expect: expected a list"));
  CHECK(says(errors_of("expect: []\n"), "expected a list"));
  const std::string unknown =
      errors_of("expect: [{figure: a, value: 1, within: 1, source: b, sourse: c}]\n");
  CHECK(says(unknown, "unknown key 'sourse'"));
  CHECK(says(unknown, "did you mean 'source'"));
  const std::string missing = errors_of("expect: [{figure: a, value: 1}]\n");
  CHECK(says(missing, "within"));
  CHECK(says(missing, "source"));
  CHECK(says(errors_of("expect: [{figure: a, value: x, within: 1, source: b}]\n"), "value"));
  CHECK(says(errors_of("expect: [{figure: a, value: 1, within: few, source: b}]\n"),
             "expected \"5 %\""));
  CHECK(says(errors_of("expect: [{figure: a, value: 1, within: 1, source: b, set: x}]\n"), "set"));
}
