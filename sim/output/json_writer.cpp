#include "sim/output/json_writer.h"

#include <fmt/format.h>

#include <cmath>

#include "sim/core/error.h"
#include "sim/output/text_width.h"

namespace v4cap {

std::string json_escaped(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  for (const char c : valid_utf8(text)) {
    switch (c) {
      case '"':
        out += "\\\"";
        break;
      case '\\':
        out += "\\\\";
        break;
      case '\n':
        out += "\\n";
        break;
      case '\r':
        out += "\\r";
        break;
      case '\t':
        out += "\\t";
        break;
      default:
        if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) {
          out += fmt::format("\\u{:04x}", static_cast<unsigned>(c));
        } else {
          out += c;
        }
    }
  }
  return out;
}

void JsonWriter::new_line() {
  if (indent_ == 0) return;
  out_ += '\n';
  out_.append(levels_.size() * static_cast<std::size_t>(indent_), ' ');
}

void JsonWriter::before_value() {
  if (after_key_) {
    after_key_ = false;
    return;
  }
  V4CAP_CHECK(levels_.empty() ? out_.empty() : levels_.back() == Level::array,
              "a JSON value without a key, or a second document, after: " + out_);
  if (levels_.empty()) return;
  if (!empty_) out_ += ',';
  new_line();
}

JsonWriter& JsonWriter::begin(Level level, char bracket) {
  before_value();
  out_ += bracket;
  levels_.push_back(level);
  empty_ = true;
  return *this;
}

JsonWriter& JsonWriter::end(Level level, char bracket) {
  V4CAP_CHECK(!levels_.empty() && levels_.back() == level && !after_key_,
              "JSON brackets do not match, after: " + out_);
  levels_.pop_back();
  if (!empty_) new_line();
  out_ += bracket;
  empty_ = false;
  return *this;
}

JsonWriter& JsonWriter::begin_object() {
  return begin(Level::object, '{');
}
JsonWriter& JsonWriter::end_object() {
  return end(Level::object, '}');
}
JsonWriter& JsonWriter::begin_array() {
  return begin(Level::array, '[');
}
JsonWriter& JsonWriter::end_array() {
  return end(Level::array, ']');
}

JsonWriter& JsonWriter::key(std::string_view name) {
  V4CAP_CHECK(!levels_.empty() && levels_.back() == Level::object && !after_key_,
              "a JSON key outside an object, after: " + out_);
  if (!empty_) out_ += ',';
  new_line();
  out_ += '"';
  out_ += json_escaped(name);
  out_ += indent_ == 0 ? "\":" : "\": ";
  empty_ = false;
  after_key_ = true;
  return *this;
}

JsonWriter& JsonWriter::raw(std::string_view token) {
  before_value();
  out_ += token;
  empty_ = false;
  return *this;
}

JsonWriter& JsonWriter::value(std::string_view text) {
  return raw('"' + json_escaped(text) + '"');
}

JsonWriter& JsonWriter::value(double number) {
  return std::isfinite(number) ? raw(fmt::format("{}", number)) : raw("null");
}

const std::string& JsonWriter::text() const {
  V4CAP_CHECK(levels_.empty(), "a JSON document was left open: " + out_);
  return out_;
}

}  // namespace v4cap
