// Random damage to a scenario: whatever comes out is either a scenario or a refusal, never a crash,
// a hang or any other exception. The seed is printed with a failure; the sanitizer preset runs the
// same mutations.
#include <doctest/doctest.h>

#include <algorithm>
#include <random>

#include "sim/config/scenario_file.h"
#include "sim/config/yaml_tree.h"
#include "tests/temp_dir.h"

using namespace v4cap;

namespace {

constexpr int kMutants = 2000;

// Bytes and words that YAML, units and numbers trip over.
const std::vector<std::string> kPieces = {":",
                                          ": ",
                                          "-",
                                          "- ",
                                          "\n",
                                          "\n  ",
                                          "\t",
                                          "{",
                                          "}",
                                          "[",
                                          "]",
                                          ",",
                                          "&a ",
                                          "*a",
                                          "<<: ",
                                          "#",
                                          "'",
                                          "\"",
                                          "|\n",
                                          ">\n",
                                          "? ",
                                          "!!int ",
                                          "%",
                                          "@",
                                          "`",
                                          "---\n",
                                          "...\n",
                                          "~",
                                          "null",
                                          "0",
                                          "-1",
                                          "1e400",
                                          "010",
                                          "0x1F",
                                          ".nan",
                                          "9999999999999999999",
                                          " GiB",
                                          " ms",
                                          " TB/s",
                                          "=",
                                          "true",
                                          "yes",
                                          "\\",
                                          "\xc3",
                                          "\xff",
                                          std::string(1, '\0'),
                                          "model",
                                          "kv_cache",
                                          "repeat",
                                          "base",
                                          "{repeat: 3, of: [csa]}"};

class Mutator {
 public:
  explicit Mutator(std::uint64_t seed) : engine_(seed) {}

  std::string mutated(std::string text) {
    for (std::size_t i = 1 + below(3); i > 0; --i) damage(text);
    return text;
  }

 private:
  std::size_t below(std::size_t n) {
    return static_cast<std::size_t>(engine_() % std::max<std::size_t>(n, 1));
  }

  void damage(std::string& text) {
    const std::size_t at = below(text.size() + 1);
    switch (below(5)) {
      case 0:
        text.insert(at, kPieces[below(kPieces.size())]);
        break;
      case 1:
        text.erase(at, 1 + below(8));
        break;
      case 2:
        text.insert(at, text.substr(below(text.size() + 1), below(80)));
        break;
      case 3:
        text = text.substr(0, at);
        break;
      default:
        if (at < text.size())
          text[at] =
              below(8) == 0 ? static_cast<char>(engine_() & 0xffU) : text[below(text.size())];
    }
  }

  std::mt19937_64 engine_;
};

// Without comments nearly every mutation hits something that means something.
std::string without_comments(const std::string& text) {
  std::string out;
  for (std::size_t begin = 0; begin < text.size();) {
    const std::size_t end = std::min(text.find('\n', begin), text.size());
    std::string line = text.substr(begin, end - begin);
    line = line.substr(0, line.find('#'));
    line.erase(line.find_last_not_of(' ') + 1);
    if (!line.empty()) out += line + '\n';
    begin = end + 1;
  }
  return out;
}

struct Outcome {
  int accepted = 0, refused = 0;
};

Outcome run_mutants(const std::string& text, std::uint64_t first_seed, int count) {
  const TempDir traces;
  traces.write("agents_small.jsonl.gz", "");
  Outcome outcome;
  for (int i = 0; i < count; ++i) {
    const std::uint64_t seed = first_seed + static_cast<std::uint64_t>(i);
    CAPTURE(seed);
    const std::string mutant = Mutator(seed).mutated(text);
    try {
      const Scenario s = parse_scenario(mutant, "s.yaml", {{}, std::nullopt, traces.path()});
      const Scenario again =
          parse_scenario(s.resolved_yaml, "r.yaml", {{}, std::nullopt, traces.path()});
      CHECK(again.resolved_yaml == s.resolved_yaml);
      ++outcome.accepted;
    } catch (const InputError& e) {
      CHECK_FALSE(e.diagnostics().empty());
      ++outcome.refused;
    }
  }
  return outcome;
}

}  // namespace

TEST_CASE("a damaged scenario is read or refused") {
  const std::string text = without_comments(
      read_text_file(std::string(V4CAP_SOURCE_DIR) + "/scenarios/quickstart.yaml"));
  const Outcome outcome = run_mutants(text, 1, kMutants);
  CHECK(outcome.accepted + outcome.refused == kMutants);
  CHECK(outcome.refused > kMutants / 2);
  CHECK(outcome.accepted > 10);
}

TEST_CASE("a damaged resolved scenario is read or refused") {
  const TempDir traces;
  traces.write("agents_small.jsonl.gz", "");
  const Scenario s = load_scenario(std::string(V4CAP_SOURCE_DIR) + "/scenarios/quickstart.yaml",
                                   {{}, std::nullopt, traces.path()});
  const Outcome outcome = run_mutants(s.resolved_yaml, 100'000, kMutants);
  CHECK(outcome.accepted + outcome.refused == kMutants);
  CHECK(outcome.accepted > 10);
}

TEST_CASE("a damaged override is read or refused") {
  const TempDir traces;
  traces.write("agents_small.jsonl.gz", "");
  const std::string file = std::string(V4CAP_SOURCE_DIR) + "/scenarios/quickstart.yaml";
  for (std::uint64_t seed = 1; seed <= 300; ++seed) {
    CAPTURE(seed);
    const std::string set = Mutator(seed).mutated("kv_cache.swa_policy=checkpoint=2048");
    try {
      load_scenario(file, {{set}, std::nullopt, traces.path()});
    } catch (const InputError& e) {
      CHECK_FALSE(e.diagnostics().empty());
    }
  }
}
