#include "sim/config/yaml_tree.h"

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <utility>

#include "sim/core/text_file.h"

namespace v4cap {

using Kind = YamlNode::Kind;

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
  if (!std::filesystem::exists(status)) {
    refuse("expected a file, found none of that name" + nearest_file(path));
  }
  if (std::filesystem::is_directory(status)) refuse("expected a file, got a directory");
  if (!std::filesystem::is_regular_file(status)) refuse("expected a regular file");
  std::ifstream stream(path, std::ios::binary);
  if (!stream) refuse(std::string("cannot be read: ") + std::strerror(errno));
  std::string text;
  constexpr std::size_t kPart = 16384;
  for (std::size_t got = kPart; got == kPart && text.size() <= kYamlBytesMax;) {
    const std::size_t had = text.size();
    text.resize(had + kPart);
    stream.read(text.data() + had, static_cast<std::streamsize>(kPart));
    if (stream.bad()) refuse("cannot be read");
    got = static_cast<std::size_t>(stream.gcount());
    text.resize(had + got);
  }
  if (text.size() > kYamlBytesMax) refuse("expected at most 1 MiB of YAML, the file is larger");
  return text;
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
  set_path(root, path, parsed_value(value, place), named);
}

void set_path(YamlNode& root, const std::string& path, YamlNode value,
              const std::vector<std::string>& named) {
  const Place place = value.place;
  YamlNode* node = &root;
  std::string so_far;
  for (std::size_t begin = 0;;) {
    const std::size_t dot = std::min(path.find('.', begin), path.size());
    const std::string part = path.substr(begin, dot - begin);
    if (part.empty())
      throw InputError(place, "expected path.to.key=VALUE, a part of the path is empty");
    make_map(*node, so_far, place, named);
    if (dot == path.size() && value.kind == Kind::null) {
      std::erase_if(node->children, [&](const YamlNode& child) { return child.key == part; });
      return;
    }
    node = &entry_of(*node, part, place);
    so_far += (so_far.empty() ? "" : ".") + part;
    if (dot == path.size()) break;
    begin = dot + 1;
  }
  value.key = node->key;
  value.key_place = place;
  *node = std::move(value);
}

const YamlNode* find_path(const YamlNode& root, std::string_view path) {
  const YamlNode* node = &root;
  while (node != nullptr) {
    const std::size_t dot = path.find('.');
    node = node->find(path.substr(0, dot));
    if (dot == std::string_view::npos) break;
    path.remove_prefix(dot + 1);
  }
  return node;
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
