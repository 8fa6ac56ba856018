// Checks on parsed values, and what errors say about them.
#include <algorithm>
#include <charconv>
#include <cmath>

#include "sim/core/json.h"

namespace v4cap {

namespace {

std::string_view kind_name(JsonKind kind) {
  switch (kind) {
    case JsonKind::null:
      return "null";
    case JsonKind::boolean:
      return "true or false";
    case JsonKind::integer:
      return "an integer";
    case JsonKind::real:
      return "a number";
    case JsonKind::string:
      return "a string";
    case JsonKind::array:
      return "an array";
    case JsonKind::object:
      return "an object";
  }
  return "";
}

std::string shown(double value) {
  char text[32];
  const auto end = std::to_chars(text, text + sizeof text, value).ptr;
  return {text, end};
}

}  // namespace

JsonKind JsonValue::kind() const {
  return line_->nodes_[node_].kind;
}

std::string_view JsonValue::key() const {
  const auto& node = line_->nodes_[node_];
  return {node.key, node.key_size};
}

std::int64_t JsonValue::size() const {
  return line_->nodes_[node_].count;
}

std::int64_t JsonValue::integer(std::int64_t low, std::int64_t high) const {
  const auto& node = line_->nodes_[node_];
  std::int64_t value = node.integer;
  bool whole = node.kind == JsonKind::integer;
  constexpr double kExact = 9007199254740992.0;  // 2^53: beyond it a double may have lost digits
  if (node.kind == JsonKind::real && std::fabs(node.real) <= kExact &&
      std::trunc(node.real) == node.real) {
    value = static_cast<std::int64_t>(node.real);
    whole = true;
  }
  if (!whole || value < low || value > high) {
    expected("an integer from " + std::to_string(low) + " to " + std::to_string(high));
  }
  return value;
}

double JsonValue::number(double low, double high) const {
  const auto& node = line_->nodes_[node_];
  const bool is_number = node.kind == JsonKind::real || node.kind == JsonKind::integer;
  const double value = node.kind == JsonKind::real ? node.real : static_cast<double>(node.integer);
  if (!is_number || !(value >= low && value <= high)) {
    expected("a number from " + shown(low) + " to " + shown(high));
  }
  return value;
}

void JsonValue::expect(JsonKind wanted) const {
  if (kind() != wanted) expected(std::string(kind_name(wanted)));
}

bool JsonValue::boolean() const {
  expect(JsonKind::boolean);
  return line_->nodes_[node_].integer != 0;
}

std::string_view JsonValue::string() const {
  expect(JsonKind::string);
  const auto& node = line_->nodes_[node_];
  return {node.string, node.count};
}

JsonRange JsonValue::array() const {
  expect(JsonKind::array);
  return {line_, node_ + 1, line_->nodes_[node_].next};
}

JsonRange JsonValue::members() const {
  expect(JsonKind::object);
  return {line_, node_ + 1, line_->nodes_[node_].next};
}

JsonValue JsonValue::find(std::string_view key) const {
  for (const JsonValue member : members()) {
    if (member.key() == key) return member.kind() == JsonKind::null ? JsonValue() : member;
  }
  return {};
}

JsonValue JsonValue::at(std::string_view key) const {
  if (const JsonValue member = find(key)) return member;
  std::vector<std::string> present;
  for (const JsonValue member : members()) present.emplace_back(member.key().substr(0, 64));
  const std::string nearest = nearest_name(key, present);
  fail("expected key '" + std::string(key) + "', found none" +
       (nearest.empty() || nearest == key ? "" : "; is it '" + nearest + "'?"));
}

Place JsonValue::place() const {
  return line_->place_of(line_->offset_of(node_, false));
}

std::int64_t JsonValue::column() const {
  return place().column;
}

void JsonValue::fail(const std::string& message) const {
  throw InputError(place(), message);
}

void JsonValue::expected(const std::string& what) const {
  const std::string name = line_->name_of(node_);
  fail((name.empty() ? "" : name + ": ") + "expected " + what + ", found " +
       line_->found_at(line_->offset_of(node_, false)));
}

JsonRange::Iterator& JsonRange::Iterator::operator++() {
  node_ = line_->nodes_[node_].next;
  return *this;
}

JsonValue parse_json_object(JsonLine& line, std::string_view text, Place place, bool cut) {
  const JsonValue value = line.parse(text, std::move(place), cut);
  value.members();
  return value;
}

std::string json_quoted(std::string_view text) {
  constexpr std::string_view kHex = "0123456789abcdef";
  std::string out = "\"";
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (c == '"' || c == '\\') {
      out += '\\';
      out += c;
    } else if (byte < 0x20) {
      out += "\\u00";
      out += kHex[byte >> 4];
      out += kHex[byte & 15];
    } else {
      out += c;
    }
  }
  return out + '"';
}

void KeyCensus::see(JsonValue object) {
  for (const JsonValue member : object.members()) {
    const std::string_view key = member.key();
    if (std::find(known_.begin(), known_.end(), key) != known_.end()) continue;
    const auto seen = std::find_if(unknown_.begin(), unknown_.end(),
                                   [&](const auto& entry) { return entry.first == key; });
    constexpr std::size_t kNamed = 16;
    if (seen != unknown_.end()) {
      ++seen->second;
    } else if (unknown_.size() < kNamed) {
      unknown_.emplace_back(key, 1);
    }
  }
}

std::string KeyCensus::note() const {
  std::string text;
  for (const auto& [key, count] : unknown_) {
    text += (text.empty() ? "keys that were not used: " : ", ") + key.substr(0, 40) + " (" +
            std::to_string(count) + ")";
  }
  return text;
}

}  // namespace v4cap
