#include "sim/config/yaml_tree.h"

#include <doctest/doctest.h>
#include <sys/stat.h>

#include "tests/temp_dir.h"

using namespace v4cap;

namespace {

std::string refusal(const std::string& text) {
  try {
    parse_yaml(text, "f.yaml");
  } catch (const InputError& e) {
    return e.what();
  }
  return "accepted";
}

std::string repeated(const std::string& piece, int times) {
  std::string text;
  for (int i = 0; i < times; ++i) text += piece;
  return text;
}

std::string read_refusal(const std::string& path) {
  try {
    read_text_file(path);
  } catch (const InputError& e) {
    return e.diagnostics().front().message;
  }
  return "accepted";
}

}  // namespace

TEST_CASE("what yaml-cpp would let pass is refused with its place") {
  struct Row {
    std::string name;
    std::string text;
    const char* expected;  // beginning of the message
  };
  const Row rows[] = {
      {"duplicate key", "a: 1\nb:\n  c: 1\n  c: 2\n",
       "f.yaml:4:3: duplicate key \"c\", first given in line 3"},
      {"two duplicates at once", "a: 1\na: 2\na: 3\n",
       "f.yaml:2:1: duplicate key \"a\", first given in line 1\nf.yaml:3:1: duplicate key"},
      {"duplicate in flow style", "x: {a: 1, a: 2}", "f.yaml:1:11: duplicate key \"a\""},
      {"merge key", "a: 1\n<<: {b: 2}\n", "f.yaml:2:1: merge keys (<<) are not allowed"},
      {"anchor", "a: &x 1\n", "f.yaml:1:4: anchors (&name) are not allowed"},
      {"cycle", "a: &x [*x]\n", "f.yaml:1:4: anchors (&name) are not allowed"},
      {"bomb", "a: &a [1,1]\nb: &b [*a,*a]\nc: [*b,*b]\n", "f.yaml:1:4: anchors"},
      {"tag", "a: !!int 1\n", "f.yaml:1:4: tags are not allowed"},
      {"two documents", "a: 1\n---\nb: 2\n",
       "f.yaml:2:1: expected the end of the file, found another"},
      {"deep flow", "a: " + repeated("[", 400) + repeated("]", 400),
       "f.yaml:1:67: expected at most 64 levels of nesting"},
      {"deep and unclosed", "a: " + repeated("[", 5000), "f.yaml:1:"},
      {"deep block", repeated("- ", 5000) + "x",
       "f.yaml:1:129: expected at most 64 levels of nesting"},
      {"deep in a second document", "a: 1\n---\n" + repeated("[", 5000),
       "f.yaml:2:1: expected the end of the file"},
      {"many nodes", "a: [" + repeated("1,", 120'000) + "1]",
       "f.yaml:1:199999: expected at most 100000 keys"},
      {"list as key", "[a, b]: 1\n", "f.yaml:1:1: expected a key, got a list"},
      {"nothing as key", ": 1\n", "f.yaml:1:1: expected a key, got nothing"},
      {"unclosed", "a: [1, 2\n", "f.yaml:2:1: not well-formed YAML"},
      {"unclosed quote", "a: 1\nb: \"x\n",
       "f.yaml:2:4: not well-formed YAML: the quote is never closed"},
      {"unclosed quote and escapes", "a: \"x\\\"\n", "f.yaml:1:4: not well-formed YAML: the quote"},
      {"unclosed single quote", "a: 'x''\n", "f.yaml:1:4: not well-formed YAML: the quote"},
      {"tab as indentation", "a:\n\tb: 1\n", "f.yaml:2:"},
      {"control byte", "a: 1\nb: \x01\n", "f.yaml:2:4: expected UTF-8 text, got the byte 0x01"},
      {"NUL byte", std::string("a: 1\0", 5), "f.yaml:1:5: expected UTF-8 text, got the byte 0x00"},
      {"invalid UTF-8", "a: \xff\xfe", "f.yaml:1:4: expected UTF-8 text, got the byte 0xff"},
      {"overlong UTF-8", "\xc0\xaf: 1", "f.yaml:1:1: expected UTF-8 text, got the byte 0xc0"},
      {"cut UTF-8", "a: \xe2\x82", "f.yaml:1:4: expected UTF-8 text, got the byte 0xe2"},
      {"a brace and a colon", "{:", "f.yaml:"},
  };
  for (const Row& row : rows) {
    CAPTURE(row.name);
    const std::string message = refusal(row.text);
    CHECK(message.substr(0, std::string_view(row.expected).size()) == row.expected);
  }
}

TEST_CASE("a lone comma ends") {
  // YAML::LoadAll never returns on it (jbeder/yaml-cpp issue 1040).
  CHECK(refusal(",") != "accepted");
  CHECK(refusal("a: 1\n,") != "accepted");
}

TEST_CASE("a tree keeps order, kinds and places") {
  const YamlNode root =
      parse_yaml("# note\nb: 1\na: {x: 'null', y: null}\nl: [p, [q]]\n", "f.yaml");
  REQUIRE(root.children.size() == 3);
  CHECK(root.children[0].key == "b");
  CHECK(root.children[0].key_place.line == 2);
  CHECK(root.children[0].place.column == 4);
  CHECK(root.children[1].find("x")->kind == YamlNode::Kind::scalar);
  CHECK(root.children[1].find("x")->quoted);
  CHECK(root.children[1].find("y")->kind == YamlNode::Kind::null);
  CHECK(root.children[2].children[1].children[0].text == "q");
  CHECK(root.find("z") == nullptr);
}

TEST_CASE("documents with markers and without content") {
  CHECK(parse_yaml("---\na: 1\n...\n", "f").find("a") != nullptr);
  CHECK(parse_yaml("", "f").kind == YamlNode::Kind::null);
  CHECK(parse_yaml("# nothing\n", "f").kind == YamlNode::Kind::null);
  CHECK(parse_yaml("\xef\xbb\xbf"
                   "a: 1\n",
                   "f")
            .find("a") != nullptr);
  CHECK(parse_yaml("a: 1\r\nb: 2\r\n", "f").find("b")->text == "2");
  CHECK(parse_yaml("\xc3\xa4: 'it''s'\n", "f").find("\xc3\xa4")->text == "it's");
  CHECK(parse_yaml("a: \"x\\\"\"  # end\n", "f").find("a")->text == "x\"");
}

TEST_CASE("only regular files of at most 1 MiB are read") {
  const TempDir dir;
  CHECK(read_refusal(dir.path()) == "expected a file, got a directory");
  CHECK(read_refusal(dir.path() + "/none") == "expected a file, found none of that name");
  const std::string fifo = dir.path() + "/fifo";
  REQUIRE(mkfifo(fifo.c_str(), 0600) == 0);
  CHECK(read_refusal(fifo) == "expected a regular file");
  CHECK(read_refusal(dir.write("full", std::string(kYamlBytesMax, ' '))) == "accepted");
  CHECK(read_refusal(dir.write("over", std::string(kYamlBytesMax + 1, ' '))) ==
        "expected at most 1 MiB of YAML, the file is larger");
}

TEST_CASE("overlays replace values and merge maps") {
  const YamlNode whole = overlaid(parse_yaml("a: 1\nm: {x: 1, y: 2}\nl: [1, 2]\n", "base"),
                                  parse_yaml("m: {y: 3, z: 4}\nl: [9]\n", "over"));
  CHECK(whole.find("a")->text == "1");
  CHECK(whole.find("m")->find("x")->text == "1");
  CHECK(whole.find("m")->find("y")->text == "3");
  CHECK(whole.find("m")->find("y")->place.file == "over");
  CHECK(whole.find("m")->find("z")->text == "4");
  CHECK(whole.find("l")->children.size() == 1);
}

TEST_CASE("paths are set, made and removed") {
  const Place place{"--set", 0, 0};
  YamlNode root = parse_yaml("a: 1\nmodel: pro\n", "f");
  set_path(root, "a", "2", place, {});
  set_path(root, "b.c", "[1, 2]", place, {});
  set_path(root, "model.heads", "4", place, {"model"});
  CHECK(root.find("a")->text == "2");
  CHECK(root.find("a")->place.file == "--set");
  CHECK(root.find("b")->find("c")->children.size() == 2);
  CHECK(root.find("model")->find("base")->text == "pro");
  CHECK(root.find("model")->find("heads")->text == "4");
  set_path(root, "a", "null", place, {});
  CHECK(root.find("a") == nullptr);
  CHECK_THROWS_WITH_AS(set_path(root, "b.c.d", "1", place, {}),
                       "--set: 'b.c' is a list, not a map with keys below it", InputError);
  CHECK_THROWS_WITH_AS(set_path(root, "b..d", "1", place, {}),
                       "--set: expected path.to.key=VALUE, a part of the path is empty",
                       InputError);
  CHECK_THROWS_AS(set_path(root, "b.d", "[1", place, {}), InputError);
}

TEST_CASE("yaml: a value is put and found by its path, with its place") {
  YamlNode root = parse_yaml("a: {b: 1}\nmodel: pro\n", "f.yaml");
  YamlNode value = YamlNode::made(YamlNode::Kind::scalar, {"sweep.yaml", 3, 7});
  value.text = "a: b";  // a text, not YAML
  set_path(root, "a.c.d", value, {});
  REQUIRE(find_path(root, "a.c.d") != nullptr);
  CHECK(find_path(root, "a.c.d")->text == "a: b");
  CHECK(find_path(root, "a.c.d")->place.line == 3);
  CHECK(find_path(root, "a.b")->text == "1");
  CHECK(find_path(root, "a.x") == nullptr);
  CHECK(find_path(root, "a.b.c") == nullptr);
  set_path(root, "model.heads", value, {"model"});
  CHECK(find_path(root, "model.base")->text == "pro");
  value.kind = YamlNode::Kind::null;
  set_path(root, "a.c", value, {});
  CHECK(find_path(root, "a.c") == nullptr);
}

TEST_CASE("shown texts are short and printable") {
  CHECK(shown("plain") == "\"plain\"");
  CHECK(shown("\x1b[31m") == "\"\\x1b[31m\"");
  CHECK(shown(std::string(100, 'x')) == '"' + std::string(60, 'x') + "...\"");
  CHECK(shown(std::string(59, 'x') + "\xe2\x82\xac") == '"' + std::string(59, 'x') + "...\"");
}
