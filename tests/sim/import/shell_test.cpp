#include "sim/import/shell.h"

#include <doctest/doctest.h>

namespace v4cap {
namespace {

std::vector<std::string> words(const std::string& text) {
  const auto commands = read_shell(text, "run.sh");
  REQUIRE(commands.size() == 1);
  std::vector<std::string> out;
  for (const ShellWord& word : commands[0].words) out.push_back(word.text);
  return out;
}

using Words = std::vector<std::string>;

TEST_CASE("words are split as a shell splits them") {
  CHECK(words("a b\tc") == Words{"a", "b", "c"});
  CHECK(words("a \\\n  b \\\r\n c") == Words{"a", "b", "c"});
  CHECK(words("a 'b  c' \"d \\\" e\" f\\ g ''") == Words{"a", "b  c", "d \" e", "f g", ""});
  CHECK(words("a 'x'\"y\"z") == Words{"a", "xyz"});
  CHECK(words("# nothing\na b # and no more") == Words{"a", "b"});
  CHECK(words("a --x='{\"k\": 1}'") == Words{"a", "--x={\"k\": 1}"});
}

TEST_CASE("what a command is redirected to is no argument") {
  CHECK(words("serve --port 1 > log.txt 2>&1 &") == Words{"serve", "--port", "1"});
  CHECK(words("serve &> log 2>/dev/null") == Words{"serve"});
  const auto commands = read_shell("cat <<EOF > x\nvllm serve not-this\nEOF\nb", "run.sh");
  REQUIRE(commands.size() == 2);
  CHECK(commands[1].words[0].text == "b");
  CHECK(commands[1].words[0].place.line == 4);
}

TEST_CASE("commands end at operators, and assignments belong to their command") {
  const auto commands = read_shell("export A=1; B=2 C='3 4' run x && next | last", "run.sh");
  REQUIRE(commands.size() == 4);
  CHECK(commands[0].words.empty());
  REQUIRE(commands[0].assignments.size() == 1);
  CHECK(commands[0].assignments[0].name == "A");
  REQUIRE(commands[1].assignments.size() == 2);
  CHECK(commands[1].assignments[1].value.text == "3 4");
  CHECK(commands[1].words.size() == 2);
  CHECK(commands[3].words[0].text == "last");
}

TEST_CASE("variables that the text gives a value are replaced, others are named") {
  const auto commands = read_shell(
      "TP=8\nrun --tp $TP --model \"${DIR}/m\" ${CTX:-4096} $(nproc) `pwd` '$TP' \\$TP", "run.sh");
  REQUIRE(commands.size() == 2);
  const auto& w = commands[1].words;
  REQUIRE(w.size() == 10);
  CHECK(w[2].text == "8");
  CHECK(w[2].unresolved.empty());
  CHECK(w[4].text == "${DIR}/m");
  CHECK(w[4].unresolved == Words{"${DIR}"});
  CHECK(w[5].text == "4096");
  CHECK(w[6].unresolved == Words{"$(nproc)"});
  CHECK(w[7].unresolved == Words{"`pwd`"});
  for (const std::size_t quoted : {8, 9}) {
    CHECK(w[quoted].text == "$TP");
    CHECK(w[quoted].unresolved.empty());
  }
}

TEST_CASE("an assignment before a command is not seen by later ones") {
  const auto commands = read_shell("A=1 first\nsecond $A", "run.sh");
  REQUIRE(commands.size() == 2);
  CHECK(commands[1].words[1].text == "$A");
}

TEST_CASE("a command in a list is a command") {
  const auto commands = read_shell("CMD=(\n  vllm serve m\n  --port 1\n)\n\"${CMD[@]}\"", "run.sh");
  REQUIRE(commands.size() == 2);
  CHECK(commands[0].words.size() == 5);
  CHECK(commands[1].words[0].unresolved == Words{"${CMD[@]}"});
}

TEST_CASE("what is not closed is refused where it was opened") {
  const auto place_of = [](const std::string& text) {
    try {
      read_shell(text, "run.sh");
    } catch (const InputError& e) {
      return to_string(e.diagnostics().front()).substr(0, 11);
    }
    return std::string("nothing");
  };
  CHECK(place_of("a\nbb 'c") == "run.sh:2:4:");
  CHECK(place_of("a \"b\nc") == "run.sh:1:3:");
  CHECK(place_of("a $(b") == "run.sh:1:4:");
  CHECK(place_of("a ${b") == "run.sh:1:4:");
}

}  // namespace
}  // namespace v4cap
