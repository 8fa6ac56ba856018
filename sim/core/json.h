// One line of JSON, or one document of several lines, as a checked tree. The parser is Boost.JSON's; the tree is ours, because an
// error must name the column of the value that is wrong, duplicate keys must be refused, and
// numbers must round correctly (Boost.JSON 1.81 does not always). Nodes lie in one array in
// document order and are reused from line to line. Columns are found by scanning the line again,
// and only when there is an error to report.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "sim/core/error.h"

namespace v4cap {

enum class JsonKind : std::uint8_t { null, boolean, integer, real, string, array, object };

class JsonLine;
class JsonRange;

// A value of a JsonLine; valid until its next parse. The checks throw InputError with file, line,
// column, what was expected and what was found.
class JsonValue {
 public:
  JsonKind kind() const;
  std::string_view key() const;  // "" in an array
  std::int64_t size() const;     // elements of an array, members of an object

  // 3.0 is an integer; 3.5, "3" and anything outside [low, high] are not.
  std::int64_t integer(std::int64_t low, std::int64_t high) const;
  double number(double low, double high) const;
  bool boolean() const;
  std::string_view string() const;
  JsonRange array() const;    // its elements
  JsonRange members() const;  // of an object
  // Of an object. `find` gives an invalid value (operator bool) when there is no such key or it is
  // null.
  JsonValue find(std::string_view key) const;
  JsonValue at(std::string_view key) const;  // missing or null: error

  explicit operator bool() const { return line_ != nullptr; }
  Place place() const;          // with line and column; slow
  std::int64_t column() const;  // from 1; slow
  [[noreturn]] void fail(const std::string& message) const;

 private:
  friend class JsonLine;
  friend class JsonRange;
  JsonValue() = default;
  JsonValue(const JsonLine* line, std::uint32_t node) : line_(line), node_(node) {}
  [[noreturn]] void expected(const std::string& what) const;
  void expect(JsonKind wanted) const;

  const JsonLine* line_ = nullptr;
  std::uint32_t node_ = 0;
};

class JsonRange {
 public:
  class Iterator {
   public:
    JsonValue operator*() const { return {line_, node_}; }
    Iterator& operator++();
    bool operator!=(const Iterator& o) const { return node_ != o.node_; }

   private:
    friend class JsonRange;
    Iterator(const JsonLine* line, std::uint32_t node) : line_(line), node_(node) {}
    const JsonLine* line_;
    std::uint32_t node_;
  };
  Iterator begin() const { return {line_, begin_}; }
  Iterator end() const { return {line_, end_}; }

 private:
  friend class JsonValue;
  JsonRange(const JsonLine* line, std::uint32_t begin, std::uint32_t end)
      : line_(line), begin_(begin), end_(end) {}
  const JsonLine* line_;
  std::uint32_t begin_, end_;
};

class JsonLine {
 public:
  JsonLine();
  ~JsonLine();
  JsonLine(const JsonLine&) = delete;
  JsonLine& operator=(const JsonLine&) = delete;

  // Parses `text`, which must outlive the values. `place` names file and line, the first one where
  // the text has several. `cut` says that the file ends with this line and without a line end, which
  // an incomplete record is then blamed on.
  JsonValue parse(std::string_view text, Place place, bool cut = false);

 private:
  friend class JsonValue;
  friend class JsonRange;

  struct Node {
    JsonKind kind = JsonKind::null;
    std::uint32_t count = 0;  // elements, members, or bytes of a string
    std::uint32_t next = 0;   // the node after this one and all inside it
    std::uint32_t key_size = 0;
    const char* key = nullptr;
    union {
      std::int64_t integer;
      double real;
      const char* string;
    };
    Node() : integer(0) {}
  };
  class Builder;  // receives the parser's events
  struct Parser;  // Boost.JSON's, reused

  std::size_t offset_of(std::uint32_t node, bool of_key) const;  // in text_, from 0
  Place place_of(std::size_t offset) const;                      // with line and column
  std::string name_of(std::uint32_t node) const;                 // for messages: "'key'"
  std::string found_at(std::size_t offset) const;                // for messages: "'text...'"

  std::string_view text_;
  Place place_;
  std::vector<Node> nodes_;
  std::unique_ptr<Parser> parser_;
};

// Opens a trace line's object: `{...}` and nothing else.
JsonValue parse_json_object(JsonLine& line, std::string_view text, Place place, bool cut);

// `text` as a JSON string, quotes included.
std::string json_quoted(std::string_view text);

// Counts keys that a reader does not know. Public formats grow keys, so unknown ones are reported,
// not refused.
class KeyCensus {
 public:
  explicit KeyCensus(std::vector<std::string_view> known) : known_(std::move(known)) {}
  void see(JsonValue object);
  // "ignored keys: a (12), b (3)", or "" when there were none.
  std::string note() const;

 private:
  std::vector<std::string_view> known_;
  std::vector<std::pair<std::string, std::int64_t>> unknown_;
};

}  // namespace v4cap
