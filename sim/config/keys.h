// What keys the sections of a configuration file have, declared once, next to the reader of each
// section. The reader holds them to it: a Section that was given its keys stops the program when
// one is read that is not among them, or as another type. From the same declarations `v4cap schema`
// writes the JSON Schema that editors complete keys by, so the two cannot differ.
//
//   const std::vector<KeySpec>& slo_keys() {
//     static const std::vector<KeySpec> keys = {
//         key_or<Duration>("ttft_p99", "none", "99th percentile of the time to first token"),
//     };
//     return keys;
//   }
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "sim/config/value.h"
#include "sim/core/registry.h"

namespace v4cap {

enum class ValueKind : std::uint8_t {
  boolean,
  whole,
  number,
  text,
  tokens,
  bytes,
  duration,
  byte_rate,
  flop_rate,
  section,  // a map with keys of its own
  any       // what another part of the file decides: its reader says what is wrong
};

struct KeySpec;
using SectionKeys = const std::vector<KeySpec>& (*)();
using Names = std::vector<std::string>;

struct KeySpec {
  std::string name;  // "*" stands for every name
  ValueKind kind = ValueKind::text;
  std::string meaning{};  // for people; the unit where neither type nor name says it
  bool required = false;  // whatever the other keys say
  bool list = false;      // a list of such values
  bool partial = false;   // a map laid over another one: nothing in it is required
  std::string word{};     // stands in place of a value: "auto"
  // Bounds of a number that hold for every model and node; the reader's own may be narrower.
  std::optional<double> min = 0, max{};
  Names (*names)() = nullptr;  // what a text may be
  bool open = false;           // or another one: a path, name=argument
  SectionKeys section = nullptr;
  // Other forms that the value may have. Where it is a list here and there, so may each of its items.
  std::vector<KeySpec> or_another{};

  KeySpec laid_over() && {
    partial = true;
    return std::move(*this);
  }
  KeySpec must() && {
    required = true;
    return std::move(*this);
  }
  KeySpec within(std::optional<double> least, std::optional<double> most) && {
    min = least;
    max = most;
    return std::move(*this);
  }
  // For completion: the texts there are; any other is left to its reader.
  KeySpec such_as(Names (*known)()) && {
    names = known;
    open = true;
    return std::move(*this);
  }
  KeySpec listed() && {
    list = true;
    return std::move(*this);
  }
  KeySpec or_else(KeySpec other) && {
    or_another.push_back(std::move(other));
    return std::move(*this);
  }
};

// The kind that a type of value.h is.
template <class T>
constexpr ValueKind value_kind() {
  if constexpr (std::is_same_v<T, bool>) return ValueKind::boolean;
  if constexpr (std::is_same_v<T, std::int64_t> || std::is_same_v<T, std::uint64_t>)
    return ValueKind::whole;
  if constexpr (std::is_same_v<T, double>) return ValueKind::number;
  if constexpr (std::is_same_v<T, Tokens>) return ValueKind::tokens;
  if constexpr (std::is_same_v<T, Bytes>) return ValueKind::bytes;
  if constexpr (std::is_same_v<T, Duration>) return ValueKind::duration;
  if constexpr (std::is_same_v<T, BytesPerSecond>) return ValueKind::byte_rate;
  if constexpr (std::is_same_v<T, FlopPerSecond>) return ValueKind::flop_rate;
  return ValueKind::text;
}

// Read by Section::optional or, with must(), by Section::required.
template <class T>
KeySpec key(std::string name, std::string meaning) {
  return {.name = std::move(name), .kind = value_kind<T>(), .meaning = std::move(meaning)};
}
// By Section::optional_or.
template <class T>
KeySpec key_or(std::string name, std::string word, std::string meaning) {
  KeySpec spec = key<T>(std::move(name), std::move(meaning));
  spec.word = std::move(word);
  return spec;
}
// By Section::choice and one_of.
inline KeySpec choice_key(std::string name, Names (*names)(), std::string meaning) {
  KeySpec spec = key<std::string>(std::move(name), std::move(meaning));
  spec.names = names;
  return spec;
}
// By Section::required_list.
template <class T>
KeySpec list_key(std::string name, std::string meaning) {
  KeySpec spec = key<T>(std::move(name), std::move(meaning));
  spec.list = true;
  return spec;
}
// By Section::child.
inline KeySpec section_key(std::string name, SectionKeys section, std::string meaning) {
  KeySpec spec{.name = std::move(name), .kind = ValueKind::section, .meaning = std::move(meaning)};
  spec.section = section;
  return spec;
}
// A list of maps, each read as a Document of its own.
inline KeySpec items_key(std::string name, SectionKeys section, std::string meaning) {
  KeySpec spec = section_key(std::move(name), section, std::move(meaning));
  spec.list = true;
  return spec;
}
// Read as a node.
inline KeySpec any_key(std::string name, std::string meaning) {
  return {.name = std::move(name), .kind = ValueKind::any, .meaning = std::move(meaning)};
}
// The key of this name, or the one that stands for every name; nullptr when there is none.
const KeySpec* find_key(const std::vector<KeySpec>& keys, std::string_view name);

// Declares a number that a layout or scheduler has under this name; where another one has it too,
// the bounds are those of both.
void add_parameter(std::vector<KeySpec>& keys, const std::string& name, const std::string& meaning,
                   double min, double max);

// A kind of file that `v4cap schema` describes, by its name on the command line; each registers
// itself beside its reader.
struct FileKind {
  std::string meaning;  // for people: what such a file is
  SectionKeys keys = nullptr;
};
using FileKinds = Registry<FileKind>;

}  // namespace v4cap
