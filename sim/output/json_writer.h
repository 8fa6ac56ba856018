// JSON as a stream of calls, into one string. Keys come out in the order they are written, doubles
// in the shortest form that reads back to the same value, and what JSON cannot hold (NaN,
// infinities) as null. The same calls give the same bytes everywhere.
//
//   JsonWriter json;
//   json.begin_object().member("requests", 3).key("ttft_ms").begin_object() ...
//   .end_object().end_object();
#pragma once

#include <concepts>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace v4cap {

// `text` as the inside of a JSON string, without the quotes. Bytes that are not UTF-8 become
// U+FFFD.
std::string json_escaped(std::string_view text);

class JsonWriter {
 public:
  // `indent` spaces a level; 0 writes everything on one line.
  explicit JsonWriter(int indent = 0) : indent_(indent) {}

  JsonWriter& begin_object();
  JsonWriter& end_object();
  JsonWriter& begin_array();
  JsonWriter& end_array();
  // Only inside an object, and followed by exactly one value.
  JsonWriter& key(std::string_view name);

  JsonWriter& value(std::string_view text);
  JsonWriter& value(const char* text) { return value(std::string_view{text}); }
  JsonWriter& value(bool truth) { return raw(truth ? "true" : "false"); }
  JsonWriter& value(double number);  // null when not finite
  JsonWriter& value(std::nullptr_t) { return raw("null"); }
  template <std::integral T>
  JsonWriter& value(T number) {
    return raw(std::to_string(number));
  }
  template <class T>
  JsonWriter& value(const std::optional<T>& maybe) {
    return maybe ? value(*maybe) : value(nullptr);
  }

  template <class T>
  JsonWriter& member(std::string_view name, const T& content) {
    return key(name).value(content);
  }

  // The document. Everything that was begun must have been ended.
  const std::string& text() const;

 private:
  enum class Level : std::uint8_t { object, array };
  JsonWriter& raw(std::string_view token);
  JsonWriter& begin(Level level, char bracket);
  JsonWriter& end(Level level, char bracket);
  void before_value();
  void new_line();

  int indent_;
  std::string out_;
  std::vector<Level> levels_;
  bool empty_ = true;  // nothing was written yet in the current level
  bool after_key_ = false;
};

}  // namespace v4cap
