#include "sim/config/yaml_tree.h"

#include <yaml-cpp/eventhandler.h>
#include <yaml-cpp/exceptions.h>
#include <yaml-cpp/parser.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <map>
#include <sstream>
#include <utility>

namespace v4cap {

namespace {

using Kind = YamlNode::Kind;

// Builds the tree from the parser's events. Working on events rather than on YAML::Node means that
// an anchor is seen before anything can refer to it.
class TreeBuilder final : public YAML::EventHandler {
 public:
  explicit TreeBuilder(std::string file) : file_(std::move(file)) {}

  void OnDocumentStart(const YAML::Mark&) override {}
  void OnDocumentEnd() override {}
  void OnNull(const YAML::Mark& mark, YAML::anchor_t anchor) override {
    add(mark, "", anchor, YamlNode{});
  }
  void OnAlias(const YAML::Mark& mark, YAML::anchor_t) override {
    throw InputError(place(mark), "aliases (*name) are not allowed; write the value out");
  }
  void OnScalar(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                const std::string& value) override {
    YamlNode node;
    node.kind = Kind::scalar;
    node.text = value;
    node.quoted = tag == "!";
    if (node.quoted) last_quote_ = place(mark);
    add(mark, tag, anchor, std::move(node));
  }
  void OnSequenceStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                       YAML::EmitterStyle::value) override {
    open(mark, tag, anchor, Kind::list);
  }
  void OnSequenceEnd() override { close(); }
  void OnMapStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                  YAML::EmitterStyle::value) override {
    open(mark, tag, anchor, Kind::map);
  }
  void OnMapEnd() override { close(); }

  // Of the last scalar in quotes; line 0 when there is none.
  const Place& last_quote() const { return last_quote_; }

  YamlNode take() {
    if (!errors_.empty()) throw InputError(std::move(errors_));
    return std::move(root_);
  }

 private:
  struct Frame {
    YamlNode node;
    bool expects_key = true;  // maps: keys and values alternate
    std::string key;
    Place key_place;
    std::map<std::string, std::int64_t> lines;  // of the keys so far
  };

  Place place(const YAML::Mark& mark) const {
    if (mark.is_null()) return {file_, 1, 1};
    return {file_, mark.line + 1, mark.column + 1};
  }

  void admit(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor) {
    if (anchor != 0) {
      throw InputError(place(mark), "anchors (&name) are not allowed; write the value out");
    }
    if (!tag.empty() && tag != "?" && tag != "!") {
      throw InputError(place(mark), "tags are not allowed, got " + shown(tag));
    }
    if (++nodes_ > kYamlNodesMax) {
      throw InputError(place(mark),
                       "expected at most " + std::to_string(kYamlNodesMax) + " keys and values");
    }
  }

  void add(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor, YamlNode node) {
    admit(mark, tag, anchor);
    node.place = place(mark);
    if (!stack_.empty() && stack_.back().node.kind == Kind::map && stack_.back().expects_key) {
      add_key(std::move(node));
    } else {
      attach(std::move(node));
    }
  }

  void add_key(YamlNode node) {
    Frame& frame = stack_.back();
    if (node.kind != Kind::scalar) {
      throw InputError(node.place, "expected a key, got " + shown(node));
    }
    if (node.text == "<<" && !node.quoted) {
      errors_.push_back({node.place, "merge keys (<<) are not allowed; write the keys out"});
    }
    const auto [first, fresh] = frame.lines.emplace(node.text, node.place.line);
    if (!fresh) {
      errors_.push_back({node.place, "duplicate key " + shown(node.text) +
                                         ", first given in line " + std::to_string(first->second)});
    }
    frame.key = std::move(node.text);
    frame.key_place = std::move(node.place);
    frame.expects_key = false;
  }

  void attach(YamlNode node) {
    if (stack_.empty()) {
      root_ = std::move(node);
      return;
    }
    Frame& frame = stack_.back();
    if (frame.node.kind == Kind::map) {
      node.key = std::move(frame.key);
      node.key_place = std::move(frame.key_place);
      if (node.kind == Kind::null) node.place = node.key_place;  // the parser's mark is past it
      frame.expects_key = true;
    }
    frame.node.children.push_back(std::move(node));
  }

  void open(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor, Kind kind) {
    admit(mark, tag, anchor);
    if (!stack_.empty() && stack_.back().node.kind == Kind::map && stack_.back().expects_key) {
      throw InputError(place(mark), std::string("expected a key, got ") +
                                        (kind == Kind::map ? "a map" : "a list"));
    }
    if (stack_.size() >= kYamlDepthMax) {
      throw InputError(place(mark),
                       "expected at most " + std::to_string(kYamlDepthMax) + " levels of nesting");
    }
    Frame frame;
    frame.node.kind = kind;
    frame.node.place = place(mark);
    stack_.push_back(std::move(frame));
  }

  void close() {
    YamlNode node = std::move(stack_.back().node);
    stack_.pop_back();
    attach(std::move(node));
  }

  std::string file_;
  Place last_quote_;
  YamlNode root_;
  std::vector<Frame> stack_;
  std::vector<Diagnostic> errors_;
  std::size_t nodes_ = 0;
};

// A further document must not be there: it is refused where it starts.
class NothingMore final : public YAML::EventHandler {
 public:
  explicit NothingMore(const std::string& file) : file_(file) {}
  void OnDocumentStart(const YAML::Mark& mark) override {
    throw InputError(
        mark.is_null() ? Place{file_, 0, 0} : Place{file_, mark.line + 1, mark.column + 1},
        "expected the end of the file, found another YAML document");
  }
  void OnDocumentEnd() override {}
  void OnNull(const YAML::Mark&, YAML::anchor_t) override {}
  void OnAlias(const YAML::Mark&, YAML::anchor_t) override {}
  void OnScalar(const YAML::Mark&, const std::string&, YAML::anchor_t,
                const std::string&) override {}
  void OnSequenceStart(const YAML::Mark&, const std::string&, YAML::anchor_t,
                       YAML::EmitterStyle::value) override {}
  void OnSequenceEnd() override {}
  void OnMapStart(const YAML::Mark&, const std::string&, YAML::anchor_t,
                  YAML::EmitterStyle::value) override {}
  void OnMapEnd() override {}

 private:
  const std::string& file_;
};

// Length of the UTF-8 sequence at the start of `rest`, or 0 when it is none.
std::size_t utf8_length(std::string_view rest) {
  const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(rest[i]); };
  const unsigned lead = byte(0);
  if (lead < 0x80) return 1;
  const std::size_t length = lead >= 0xf0 ? 4 : lead >= 0xe0 ? 3 : 2;
  if (lead < 0xc2 || lead > 0xf4 || rest.size() < length) return 0;
  for (std::size_t i = 1; i < length; ++i) {
    if ((byte(i) & 0xc0U) != 0x80U) return 0;
  }
  const unsigned second = byte(1);  // overlong forms, surrogates, above U+10FFFF
  if ((lead == 0xe0 && second < 0xa0) || (lead == 0xed && second > 0x9f)) return 0;
  if ((lead == 0xf0 && second < 0x90) || (lead == 0xf4 && second > 0x8f)) return 0;
  return length;
}

// Refuses bytes that are no text, with the place of the first.
void check_text(const std::string& text, const std::string& file) {
  Place place{file, 1, 1};
  for (std::size_t i = 0; i < text.size();) {
    const auto byte = static_cast<unsigned char>(text[i]);
    const bool control =
        (byte < 0x20 && byte != '\t' && byte != '\n' && byte != '\r') || byte == 0x7f;
    const std::size_t length = utf8_length(std::string_view(text).substr(i));
    if (control || length == 0) {
      char found[8];
      std::snprintf(found, sizeof found, "0x%02x", byte);
      throw InputError(place, std::string("expected UTF-8 text, got the byte ") + found);
    }
    if (byte == '\n') {
      ++place.line;
      place.column = 0;
    }
    ++place.column;
    i += length;
  }
}

// Offset of a place in the text; npos when there is no such place.
std::size_t offset_of(const std::string& text, const Place& place) {
  std::size_t offset = text.starts_with("\xef\xbb\xbf") ? 3 : 0;
  for (std::int64_t line = 1; line < place.line; ++line) {
    offset = text.find('\n', offset);
    if (offset == std::string::npos) return offset;
    ++offset;
  }
  for (std::int64_t column = 1; column < place.column && offset < text.size(); ++column) {
    offset += std::max<std::size_t>(1, utf8_length(std::string_view(text).substr(offset)));
  }
  return offset < text.size() ? offset : std::string::npos;
}

// yaml-cpp takes a quote that is still open at the end of the file as closed: a cut file would
// pass. Only the last scalar in quotes can be the open one.
void check_closed(const std::string& text, const Place& quote) {
  if (quote.line == 0) return;
  const std::size_t begin = offset_of(text, quote);
  if (begin == std::string::npos || (text[begin] != '"' && text[begin] != '\'')) return;
  const char mark = text[begin];
  for (std::size_t i = begin + 1; i < text.size(); ++i) {
    if (mark == '"' && text[i] == '\\') {
      ++i;
    } else if (text[i] == mark) {
      if (mark == '"' || i + 1 == text.size() || text[i + 1] != mark) return;
      ++i;  // '' stands for one '
    }
  }
  throw InputError(quote, "not well-formed YAML: the quote is never closed");
}

}  // namespace

YamlNode YamlNode::made(Kind kind, Place place) {
  YamlNode node;
  node.kind = kind;
  node.place = std::move(place);
  return node;
}

const YamlNode* YamlNode::find(std::string_view name) const {
  if (kind != Kind::map) return nullptr;
  const auto it = std::ranges::find(children, name, &YamlNode::key);
  return it == children.end() ? nullptr : &*it;
}

YamlNode* YamlNode::find(std::string_view name) {
  return const_cast<YamlNode*>(std::as_const(*this).find(name));
}

std::string read_text_file(const std::string& path) {
  std::error_code failure;
  const auto status = std::filesystem::status(path, failure);
  const auto refuse = [&](const std::string& why) { throw InputError(Place{path, 0, 0}, why); };
  if (!std::filesystem::exists(status)) refuse("expected a file, found none of that name");
  if (std::filesystem::is_directory(status)) refuse("expected a file, got a directory");
  if (!std::filesystem::is_regular_file(status)) refuse("expected a regular file");
  std::ifstream stream(path, std::ios::binary);
  if (!stream) refuse(std::string("cannot be read: ") + std::strerror(errno));
  std::string text(kYamlBytesMax + 1, '\0');
  stream.read(text.data(), static_cast<std::streamsize>(text.size()));
  if (stream.bad()) refuse("cannot be read");
  text.resize(static_cast<std::size_t>(stream.gcount()));
  if (text.size() > kYamlBytesMax) refuse("expected at most 1 MiB of YAML, the file is larger");
  return text;
}

YamlNode parse_yaml(const std::string& text, const std::string& file) {
  check_text(text, file);
  std::istringstream stream(text);
  TreeBuilder builder(file);
  try {
    // As YAML::Load does: one document is asked for. YAML::LoadAll asks until none is left, which
    // on a lone comma is never (jbeder/yaml-cpp issue 1040).
    YAML::Parser parser(stream);
    if (!parser.HandleNextDocument(builder)) return YamlNode::made(Kind::null, {file, 1, 1});
    NothingMore nothing(file);
    parser.HandleNextDocument(nothing);
  } catch (const YAML::Exception& e) {
    const Place place =
        e.mark.is_null() ? Place{file, 0, 0} : Place{file, e.mark.line + 1, e.mark.column + 1};
    throw InputError(place, "not well-formed YAML: " + e.msg);
  }
  check_closed(text, builder.last_quote());
  return builder.take();
}

YamlNode overlaid(YamlNode base, const YamlNode& over) {
  if (base.kind != Kind::map || over.kind != Kind::map) return over;
  for (const YamlNode& entry : over.children) {
    if (YamlNode* mine = base.find(entry.key)) {
      *mine = overlaid(std::move(*mine), entry);
    } else {
      base.children.push_back(entry);
    }
  }
  return base;
}

namespace {

void move_to(YamlNode& node, const Place& place) {
  node.place = place;
  node.key_place = place;
  for (YamlNode& child : node.children) move_to(child, place);
}

YamlNode parsed_value(const std::string& value, const Place& place) {
  try {
    YamlNode node = parse_yaml(value, "");
    move_to(node, place);
    return node;
  } catch (const InputError& e) {
    throw InputError(place, "the value " + shown(value) + ": " + e.diagnostics().front().message);
  }
}

// Entry `name` of `parent`, made when missing.
YamlNode& entry_of(YamlNode& parent, const std::string& name, const Place& place) {
  if (YamlNode* found = parent.find(name)) return *found;
  YamlNode fresh;
  fresh.key = name;
  fresh.key_place = fresh.place = place;
  parent.children.push_back(std::move(fresh));
  return parent.children.back();
}

void make_map(YamlNode& node, const std::string& path, const Place& place,
              const std::vector<std::string>& named) {
  if (node.kind == Kind::map) return;
  YamlNode old = node;
  node.children.clear();
  node.kind = Kind::map;
  node.text.clear();
  if (old.kind == Kind::null) return;
  if (old.kind != Kind::scalar || std::ranges::find(named, path) == named.end()) {
    throw InputError(place, "'" + path + "' is " + shown(old) + ", not a map with keys below it");
  }
  old.key = "base";
  node.children.push_back(std::move(old));
}

}  // namespace

void set_path(YamlNode& root, const std::string& path, const std::string& value, const Place& place,
              const std::vector<std::string>& named) {
  YamlNode put = parsed_value(value, place);
  YamlNode* node = &root;
  std::string so_far;
  for (std::size_t begin = 0;;) {
    const std::size_t dot = std::min(path.find('.', begin), path.size());
    const std::string part = path.substr(begin, dot - begin);
    if (part.empty())
      throw InputError(place, "expected path.to.key=VALUE, a part of the path is empty");
    make_map(*node, so_far, place, named);
    if (dot == path.size() && put.kind == Kind::null) {
      std::erase_if(node->children, [&](const YamlNode& child) { return child.key == part; });
      return;
    }
    node = &entry_of(*node, part, place);
    so_far += (so_far.empty() ? "" : ".") + part;
    if (dot == path.size()) break;
    begin = dot + 1;
  }
  put.key = node->key;
  *node = std::move(put);
}

std::string shown(std::string_view text) {
  constexpr std::size_t kShownMax = 60;
  std::size_t length = std::min(text.size(), kShownMax);
  while (length < text.size() && length > 0 &&
         (static_cast<unsigned char>(text[length]) & 0xc0U) == 0x80U) {
    --length;  // never cut inside a UTF-8 sequence
  }
  std::string out = "\"";
  for (const char c : text.substr(0, length)) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte >= 0x20 && byte != 0x7f) {
      out += c;
    } else {
      char escaped[8];
      std::snprintf(escaped, sizeof escaped, "\\x%02x", byte);
      out += escaped;
    }
  }
  return out + (text.size() > length ? "...\"" : "\"");
}

std::string shown(const YamlNode& node) {
  switch (node.kind) {
    case Kind::scalar:
      return shown(node.text);
    case Kind::list:
      return "a list";
    case Kind::map:
      return "a map";
    default:
      return "nothing";
  }
}

}  // namespace v4cap
