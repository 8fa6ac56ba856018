#include "sim/import/shell.h"

#include <doctest/doctest.h>

#include <algorithm>

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

TEST_CASE("what the text does not say is not taken from an earlier line") {
  const auto last = [](const std::string& text) {
    return read_shell(text + "\nrun ${TP:-9}", "run.sh").back().words[1].text;
  };
  CHECK(last("") == "9");
  CHECK(last("TP=8") == "8");
  CHECK(last("TP=1\nTP+=6") == "16");
  for (const std::string rebinds :
       {"for TP in 1 2; do x; done", "read TP", "read -r A TP", "while IFS= read -r TP; do x; done",
        "select TP in 1 2", "TP=$(nproc)", "TP+=$X", "if x; then TP=4; fi", "declare -i TP=4",
        "unset TP", "getopts ab TP"}) {
    CAPTURE(rebinds);
    CHECK(last("TP=8\n" + rebinds) == "${TP:-9}");
  }
  const auto commands = read_shell("TP=1\nfor TP in 2 4; do\n  vllm -tp $TP\ndone", "run.sh");
  const auto launch = std::ranges::find_if(commands, [](const ShellCommand& c) {
    return c.words.size() > 2 && c.words[1].text == "-tp";
  });
  REQUIRE(launch != commands.end());
  CHECK(launch->words[2].unresolved == Words{"$TP"});
}

TEST_CASE("variables that grow without end are refused where they do") {
  const auto error = [](const std::string& text) {
    try {
      read_shell(text, "run.sh");
    } catch (const InputError& e) {
      return to_string(e.diagnostics().front());
    }
    return std::string("nothing");
  };
  std::string doubling = "A=aaaaaaaaaa\n";
  for (int i = 0; i < 27; ++i) doubling += "A=$A$A\n";
  // 10 x 2^17 bytes are the first above 1 MiB.
  CHECK(error(doubling).starts_with(
      "run.sh:18:1: expected a word of at most 1 MiB with its variables replaced, got 1310"));
  std::string adding = "A=aaaaaaaaaa\n";
  for (int i = 0; i < 27; ++i) adding += "A+=$A\n";
  CHECK(error(adding).starts_with("run.sh:18:4: expected a word of at most 1 MiB"));
  // Words that are each allowed, but 640 MiB together.
  std::string wide = doubling.substr(0, doubling.find('\n') + 1);
  for (int i = 0; i < 16; ++i) wide += "A=$A$A\n";
  for (int i = 0; i < 1024; ++i) wide += "run $A\n";
  CHECK(error(wide).find("expected variables whose values take at most 64 MiB") !=
        std::string::npos);
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
