#include "sim/config/section.h"

#include <doctest/doctest.h>

#include "tests/dies.h"

using namespace v4cap;

namespace {

Document document_of(const std::string& text) {
  return Document(parse_yaml(text, "f.yaml"), "f.yaml");
}

// All messages of a document, one a line; "" when it is sound.
std::string errors_of(const Document& document) {
  try {
    document.checkpoint();
  } catch (const InputError& e) {
    return e.what();
  }
  return "";
}

enum class Fruit { apple, pear };

}  // namespace

TEST_CASE("a section reads values and defaults and writes both into the resolved text") {
  Document document = document_of(
      "cache:\n  memory: 1024 KiB\n  share: 0.50\nnote: 'a: b'\nsizes: [4 KiB, 1 B]\nfruit: "
      "pear\n");
  Section top = document.root();
  Section cache = top.child("cache");
  CHECK(cache.required<Bytes>("memory") == Bytes{kKiB * kKiB});
  CHECK(cache.required<double>("share", between(0.0, 1.0)) == 0.5);
  CHECK(cache.optional<Tokens>("block_tokens", Tokens{256}) == Tokens{256});
  CHECK(cache.optional_or<Duration>("pause", "none") == std::nullopt);
  CHECK(cache.optional<bool>("reuse", true));
  cache.reject_unknown();
  CHECK(top.required<std::string>("note") == "a: b");
  CHECK(top.required_list<Bytes>("sizes") == std::vector<Bytes>{Bytes{4096}, Bytes{1}});
  CHECK(top.one_of<Fruit>("fruit", {{"apple", Fruit::apple}, {"pear", Fruit::pear}}) ==
        Fruit::pear);
  CHECK_FALSE(top.child("absent").has("x"));
  top.reject_unknown();
  CHECK(errors_of(document) == "");
  CHECK(document.resolved() ==
        "cache:\n  memory: 1 MiB\n  share: 0.5\n  block_tokens: 256\n  pause: none\n  reuse: true\n"
        "note: \"a: b\"\nsizes: [4 KiB, 1 B]\nfruit: pear\n");
}

TEST_CASE("errors are collected and come in the order of lines") {
  Document document = document_of("b: -1\na:\n  memory: 46\n  extra: 1\nmispelled: 1\n");
  Section top = document.root();
  Section a = top.child("a");
  CHECK(a.required<Bytes>("memory") == Bytes{0});
  a.required<std::int64_t>("missing");
  a.reject_unknown();
  CHECK(top.required<Tokens>("b", at_least(Tokens{1})) == Tokens{0});
  top.optional<bool>("misspelled", false);
  top.reject_unknown();
  CHECK(errors_of(document) ==
        "f.yaml:1:4: b: expected a number of tokens of at least 1, got \"-1\"\n"
        "f.yaml:3:3: a.missing: expected a value, the key is missing\n"
        "f.yaml:3:11: a.memory: expected bytes with their unit, such as 46 GiB or 584 B, of at "
        "least 0 B, "
        "got \"46\"; the unit is missing\n"
        "f.yaml:4:3: unknown key 'extra' in 'a'; one of: memory, missing\n"
        "f.yaml:5:1: unknown key 'mispelled' at the top level; did you mean 'misspelled'?");
}

TEST_CASE("a child of the wrong kind is reported once and its readers stay silent") {
  Document document = document_of("a: 5\nb: [1]\nc:\n");
  Section top = document.root();
  for (const char* key : {"a", "b", "c", "d"}) {
    Section child = top.child(key, true);
    child.required<std::int64_t>("x");
    child.child("y", true).required<Bytes>("z");
    child.error("x", "anything");
    child.reject_unknown();
  }
  top.reject_unknown();
  CHECK(errors_of(document) ==
        "f.yaml:1:1: d: expected a map (key: value), the key is missing\n"
        "f.yaml:1:4: a: expected a map (key: value), got \"5\"\n"
        "f.yaml:2:4: b: expected a map (key: value), got a list\n"
        "f.yaml:3:1: c: expected a map (key: value), got nothing");
}

TEST_CASE("limits are inclusive unless they say otherwise") {
  struct Row {
    std::string text;
    bool above_zero, from_zero;
  };
  const Row rows[] = {
      {"0", false, true}, {"1", true, true}, {"1.0000001", false, false}, {"-0.1", false, false}};
  for (const Row& row : rows) {
    CAPTURE(row.text);
    Document one = document_of(std::string("x: ") + row.text);
    one.root().required<double>("x", above_up_to(0.0, 1.0));
    CHECK((errors_of(one) == "") == row.above_zero);
    Document two = document_of(std::string("x: ") + row.text);
    two.root().required<double>("x", between(0.0, 1.0));
    CHECK((errors_of(two) == "") == row.from_zero);
  }
}

TEST_CASE("strings survive the resolved text whatever they hold") {
  for (const std::string text :
       {"plain", "two words", "",        " edge ",      "true",      "null",      "~",   "- x",
        "a: b",  "a #b",      "quo\"te", "back\\slash", "tab\there", "new\nline", "{x}", "[x]",
        "*x",    "&x",        "!x",      "%x",          "\xc3\xa4",  "---",       "'",   "=",
        "<<",    "?",         "1.0",     "@x",          "`x"}) {
    CAPTURE(text);
    const std::string yaml = "x: " + yaml_scalar(text) + "\n";
    CAPTURE(yaml);
    Document document = document_of(yaml);
    CHECK(document.root().required<std::string>("x") == text);
    CHECK(errors_of(document) == "");
    CHECK(document.resolved() == yaml);
  }
}

TEST_CASE("places of values are kept by path") {
  Document document = document_of("a:\n  b: 1\n");
  document.root().child("a").required<std::int64_t>("b");
  const auto& places = document.places();
  REQUIRE(places.count("a.b") == 1);
  CHECK(places.at("a.b").line == 2);
  CHECK(places.at("a.b").column == 6);
}

namespace {

const std::vector<KeySpec>& bowl_keys() {
  static const std::vector<KeySpec> keys = {key<double>("share", "of the bowl").within(0, 1),
                                            choice_key(
                                                "fruit",
                                                [] {
                                                  return Names{"apple", "pear"};
                                                },
                                                "in it")
                                                .must(),
                                            key_or<Bytes>("size", "any", "of it")};
  return keys;
}

const std::vector<KeySpec>& table_keys() {
  static const std::vector<KeySpec> keys = {section_key("bowl", bowl_keys, "on it"),
                                            list_key<double>("legs", "their lengths"),
                                            key<double>("*", "anything else")};
  return keys;
}

// Reads `read` of the map bowl of a document whose keys are declared.
template <class Read>
void with_bowl(const Read& read) {
  Document document = document_of("bowl: {share: 0.5, fruit: pear, size: 1 B}\nlegs: [1, 2]\n");
  Section top = document.root(table_keys);
  Section bowl = top.child("bowl");
  read(top, bowl);
}

}  // namespace

TEST_CASE("a section is read with the keys that are declared for it") {
  with_bowl([](Section& top, Section& bowl) {
    CHECK(bowl.optional<double>("share", 1, between(0.0, 0.9)) == 0.5);  // narrower is fine
    CHECK(bowl.choice("fruit", {"apple", "pear"}, std::nullopt) == 1);
    CHECK(bowl.optional_or<Bytes>("size", "any") == Bytes{1});
    CHECK(top.required_list<double>("legs").size() == 2);
    CHECK(top.optional<double>("height", 3) == 3);  // declared by *
  });
}

TEST_CASE("a section that is read otherwise than its keys are declared stops the program") {
  const auto refused = [](const auto& read) { return dies([&] { with_bowl(read); }); };
  using S = Section;
  CHECK_FALSE(refused([](S&, S& bowl) { bowl.node("share"); }));
  CHECK(refused([](S&, S& bowl) { bowl.node("spoon"); }));                  // not declared
  CHECK(refused([](S&, S& bowl) { bowl.optional<bool>("share", true); }));  // another type
  CHECK(refused([](S&, S& bowl) { bowl.required_list<double>("share", between(0.0, 1.0)); }));
  CHECK(
      refused([](S&, S& bowl) { bowl.optional<double>("share", 1, between(0.0, 2.0)); }));  // wider
  CHECK(refused([](S&, S& bowl) { bowl.optional<double>("share", 1, Limits<double>{}); }));
  CHECK(refused([](S&, S& bowl) { bowl.choice("fruit", {"apple", "pear"}, 0); }));  // not required
  CHECK(refused([](S&, S& bowl) { bowl.choice("fruit", {"apple", "plum"}, std::nullopt); }));
  CHECK(refused([](S&, S& bowl) { bowl.optional_or<Bytes>("size", "all"); }));  // another word
  CHECK(refused([](S& top, S&) { top.child("legs"); }));                        // no map
}
