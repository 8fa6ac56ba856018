#include "sim/import/flag_table.h"

#include <doctest/doctest.h>

#include <set>

#include "sim/import/engine_dialect.h"

namespace v4cap {
namespace {

FlagTable sample(FlagSyntax syntax) {
  FlagTable table(syntax);
  table.sets("--tensor-parallel-size --tp-size -tp")
      .sets("--enable-x", FlagKind::boolean)
      .sets("--config -c", FlagKind::json)
      .no_effect(FlagKind::list, "names")
      .no_effect(FlagKind::value, "port host")
      .not_modelled(FlagKind::value, "a reason", "max-seq|--max-length");
  return table;
}

FlagUses read(const FlagTable& table, const std::string& text) {
  const auto commands = read_shell("serve " + text, "run.sh");
  return table.read({commands.at(0).words.begin() + 1, commands.at(0).words.end()});
}

std::string value(const FlagUses& uses, std::string_view name) {
  const FlagUse* use = uses.find(name);
  return use == nullptr ? "absent" : use->value;
}

TEST_CASE("every way to write a value") {
  const FlagTable table = sample({.underscores_are_hyphens = true});
  for (const char* text : {"--tensor-parallel-size 8", "--tensor-parallel-size=8", "-tp 8", "-tp=8",
                           "--tp_size 8", "--tensor_parallel-size '8'", "--tp-size 2 -tp 8"}) {
    const std::string written = text;
    CAPTURE(written);
    const FlagUses uses = read(table, text);
    CHECK(value(uses, "--tensor-parallel-size") == "8");
    CHECK(uses.uses.size() == 1);
    CHECK(uses.unknown.empty());
  }
  CHECK(value(read(table, "--port -1"), "--port") == "-1");
}

TEST_CASE("underscores are hyphens only where the engine takes them so") {
  const FlagTable strict = sample({});
  CHECK(read(strict, "--tp_size 8").unknown.size() == 1);
}

TEST_CASE("booleans stand alone, are negated or are given") {
  const FlagTable table = sample({.no_prefix = true});
  CHECK(value(read(table, "--enable-x"), "--enable-x") == "true");
  CHECK(value(read(table, "--no-enable-x"), "--enable-x") == "false");
  CHECK(value(read(table, "--enable-x=False"), "--enable-x") == "false");
  CHECK(read(table, "--enable-x rest").positional.size() == 1);
  CHECK(read(sample({}), "--no-enable-x").unknown.size() == 1);
  CHECK_THROWS_AS(read(table, "--enable-x=maybe"), InputError);
}

TEST_CASE("an unambiguous beginning of a name will do for argparse") {
  const FlagTable table = sample({.prefixes = true});
  CHECK(value(read(table, "--tensor 8"), "--tensor-parallel-size") == "8");
  CHECK(read(table, "--max-s 8").uses.size() == 1);
  CHECK(read(table, "--max 8").uses.size() == 1);  // two names of one flag
  CHECK(read(table, "--n 8").uses.size() == 1);
  CHECK(read(table, "--t 8").uses.size() == 1);
}

TEST_CASE("JSON and dotted fields add up, the last one wins") {
  const FlagTable table = sample({});
  const FlagUses uses =
      read(table, "--config '{\"a\": 1, \"b\": {\"c\": \"x\", \"d\": true}}' --config.a=2 -c.e");
  const FlagUse* use = uses.find("--config");
  REQUIRE(use != nullptr);
  CHECK(use->fields.at("a") == "2");
  CHECK(use->fields.at("b.c") == "x");
  CHECK(use->fields.at("b.d") == "true");
  CHECK(use->fields.at("e") == "true");
}

TEST_CASE("lists take words up to the next flag") {
  const FlagTable table = sample({});
  const FlagUses uses = read(table, "--names a b --port 1 rest");
  CHECK(value(uses, "--names") == "a b");
  CHECK(value(uses, "--port") == "1");
  REQUIRE(uses.positional.size() == 1);
  CHECK(uses.positional[0].text == "rest");
}

TEST_CASE("an unknown flag is named with the nearest, and its value is no argument") {
  const FlagUses uses = read(sample({}), "model --prot 80 --zzzzzzzzzzzz");
  REQUIRE(uses.unknown.size() == 2);
  CHECK(uses.unknown[0].written == "--prot");
  CHECK(uses.unknown[0].nearest == "--port");
  CHECK(uses.unknown[0].place.column == 13);
  CHECK(uses.unknown[1].nearest.empty());
  CHECK(uses.positional.size() == 1);
}

TEST_CASE("a flag without its value and JSON that is none are refused with their place") {
  const auto error = [](const std::string& text) {
    try {
      read(sample({}), text);
    } catch (const InputError& e) {
      return to_string(e.diagnostics().front());
    }
    return std::string();
  };
  CHECK(error("--port --host x") == "run.sh:1:7: --port: expected a value after it");
  CHECK(error("--port") == "run.sh:1:7: --port: expected a value after it");
  CHECK(error("--config '{\"a\": }'").starts_with("run.sh:1:16: --config: expected JSON, found "));
}

TEST_CASE("no engine's table names a flag twice or leaves a reason out") {
  for (const std::string& name : DialectRegistry::names()) {
    CAPTURE(name);
    const auto dialect = (*DialectRegistry::find(name))();
    CHECK(dialect->flags().flags().size() > 30);  // building it checks for flags named twice
    for (const Flag& flag : dialect->flags().flags()) {
      CAPTURE(flag.names.front());
      CHECK(flag.note.empty() == (flag.effect != FlagEffect::not_modelled));
    }
  }
}

TEST_CASE("engines write large numbers in their own way") {
  CHECK(parse_engine_count("8192") == 8192);
  CHECK(parse_engine_count("1M") == 1048576);
  CHECK(parse_engine_count("1m") == 1000000);
  CHECK(parse_engine_count("25.6k") == 25600);
  CHECK(parse_engine_count("128K") == 131072);
  CHECK(parse_engine_count("-1") == -1);
  CHECK_FALSE(parse_engine_count("1.5"));
  CHECK_FALSE(parse_engine_count(""));
  CHECK_FALSE(parse_engine_count("8x"));
  CHECK_FALSE(parse_engine_count("K"));
}

}  // namespace
}  // namespace v4cap
