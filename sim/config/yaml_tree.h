// A YAML file as a plain tree in which every key and value knows its place. yaml_parse.cpp, the
// only file that talks to yaml-cpp, refuses what yaml-cpp lets pass silently: duplicate keys (it
// keeps the first), merge keys (it does not merge), anchors and aliases (a cycle overflows the
// stack, a bomb expands to 10^9 nodes), explicit tags, several documents, control bytes and invalid
// UTF-8. Size, depth and number of nodes have limits, so that no input makes it crash or hang.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "sim/core/error.h"

namespace v4cap {

inline constexpr std::size_t kYamlBytesMax = std::size_t{1} << 20;
inline constexpr std::size_t kYamlNodesMax = 100'000;
inline constexpr std::size_t kYamlDepthMax = 64;

struct YamlNode {
  enum class Kind : std::uint8_t {
    null,  // nothing, `~` or `null`
    scalar,
    list,
    map,
    invalid,  // an error about it has been reported; readers stay silent
  };
  Kind kind = Kind::null;
  bool quoted = false;  // scalar in quotes
  std::string text;     // scalar
  Place place;          // of the value
  std::string key;      // when it is an entry of a map
  Place key_place;
  std::vector<YamlNode> children;  // entries of a map in file order, or items of a list

  static YamlNode made(Kind kind, Place place);

  // Entry of a map; nullptr when absent or when this is no map.
  const YamlNode* find(std::string_view name) const;
  YamlNode* find(std::string_view name);
};

// Text of a regular file of at most kYamlBytesMax bytes. Throws InputError.
std::string read_text_file(const std::string& path);

// The one document of `text`; `file` is only for places. Throws InputError, with all duplicate and
// merge keys at once.
YamlNode parse_yaml(const std::string& text, const std::string& file);

// `over` wins: its entries replace or, where both are maps, are laid over those of `base`.
YamlNode overlaid(YamlNode base, const YamlNode& over);

// Puts the YAML text `value` at the dotted `path` below `root`, making maps on the way; `null`
// removes the entry. Everything put there has `place` as its place. A scalar on the way whose key
// is in `named` becomes {base: scalar}. Throws InputError for an empty path part, a value that is
// no YAML, or a way that leads through something that is no map.
void set_path(YamlNode& root, const std::string& path, const std::string& value, const Place& place,
              const std::vector<std::string>& named);

// The same for a value that is there already, with its own place.
void set_path(YamlNode& root, const std::string& path, YamlNode value,
              const std::vector<std::string>& named);

// The value at the dotted `path` below `root`; nullptr when there is none.
const YamlNode* find_path(const YamlNode& root, std::string_view path);

// For messages: the text in double quotes, control bytes escaped, long texts cut; or "a list", "a
// map", "nothing".
std::string shown(std::string_view text);
std::string shown(const YamlNode& node);

}  // namespace v4cap
