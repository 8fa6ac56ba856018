// Boost.JSON's parser feeding our tree, and the places of its nodes. The one file that compiles
// Boost.JSON.
#include "sim/core/json.h"

#include <algorithm>
#include <boost/json/basic_parser_impl.hpp>
#include <boost/json/src.hpp>
#include <charconv>
#include <cmath>
#include <deque>
#include <limits>

namespace v4cap {

namespace {

constexpr bool is_space(char c) {
  return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

// First byte after the string that opens at `at`. The text is valid JSON.
std::size_t after_string(std::string_view text, std::size_t at) {
  for (++at; at < text.size() && text[at] != '"'; ++at) {
    if (text[at] == '\\') ++at;
  }
  return std::min(at + 1, text.size());
}

bool is_key(std::string_view text, std::size_t after) {
  while (after < text.size() && is_space(text[after])) ++after;
  return after < text.size() && text[after] == ':';
}

}  // namespace

// Appends a node per value. Containers are closed by setting `next`. Strings with escapes arrive in
// parts and are put together in `texts_`; the others point into the line.
class JsonLine::Builder {
 public:
  static constexpr std::size_t max_object_size = std::numeric_limits<std::size_t>::max();
  static constexpr std::size_t max_array_size = max_object_size;
  static constexpr std::size_t max_key_size = max_object_size;
  static constexpr std::size_t max_string_size = max_object_size;
  using Error = boost::json::error_code;
  using Text = boost::json::string_view;

  explicit Builder(std::vector<Node>& nodes) : nodes_(nodes) {}

  void start() {
    nodes_.clear();
    open_.clear();
    texts_.clear();
    part_.clear();
    key_ = {};
    overflow_ = nullptr;
    duplicate_ = kNone;
  }
  const char* overflow() const { return overflow_; }      // a number beyond double's range
  std::uint32_t duplicate() const { return duplicate_; }  // node whose key its object already has
  static constexpr std::uint32_t kNone = 0xffffffffU;

  bool on_document_begin(Error&) { return true; }
  bool on_document_end(Error&) { return true; }
  bool on_object_begin(Error&) { return open(JsonKind::object); }
  bool on_object_end(std::size_t n, Error&) {
    const std::uint32_t object = open_.back();
    close(n);
    if (duplicate_ == kNone) find_duplicate(object);
    return true;
  }
  bool on_array_begin(Error&) { return open(JsonKind::array); }
  bool on_array_end(std::size_t n, Error&) { return close(n); }
  bool on_key_part(Text s, std::size_t, Error&) { return keep_part(s); }
  bool on_key(Text s, std::size_t, Error&) {
    key_ = whole(s);
    return true;
  }
  bool on_string_part(Text s, std::size_t, Error&) { return keep_part(s); }
  bool on_string(Text s, std::size_t, Error&) {
    const std::string_view text = whole(s);
    Node& node = add(JsonKind::string);
    node.string = text.data();
    node.count = static_cast<std::uint32_t>(text.size());
    return true;
  }
  bool on_number_part(Text, Error&) { return true; }
  bool on_int64(std::int64_t i, Text, Error&) {
    add(JsonKind::integer).integer = i;
    return true;
  }
  bool on_uint64(std::uint64_t u, Text, Error&) {
    add(JsonKind::real).real = static_cast<double>(u);
    return true;
  }
  bool on_double(double d, Text s, Error& ec) {
    if (!std::isfinite(d)) {
      overflow_ = s.data();
      ec = boost::json::error::exponent_overflow;
      return false;
    }
    double precise = d;
    if (std::from_chars(s.data(), s.data() + s.size(), precise).ec != std::errc{}) precise = d;
    add(JsonKind::real).real = precise;
    return true;
  }
  bool on_bool(bool b, Error&) {
    add(JsonKind::boolean).integer = b ? 1 : 0;
    return true;
  }
  bool on_null(Error&) {
    add(JsonKind::null);
    return true;
  }
  bool on_comment_part(Text, Error&) { return true; }
  bool on_comment(Text, Error&) { return true; }

 private:
  Node& add(JsonKind kind) {
    Node& node = nodes_.emplace_back();
    node.kind = kind;
    node.key = key_.data();
    node.key_size = static_cast<std::uint32_t>(key_.size());
    node.next = static_cast<std::uint32_t>(nodes_.size());
    key_ = {};
    return node;
  }
  bool open(JsonKind kind) {
    open_.push_back(static_cast<std::uint32_t>(nodes_.size()));
    add(kind);
    return true;
  }
  bool close(std::size_t count) {
    Node& node = nodes_[open_.back()];
    node.count = static_cast<std::uint32_t>(count);
    node.next = static_cast<std::uint32_t>(nodes_.size());
    open_.pop_back();
    return true;
  }
  bool keep_part(Text s) {
    part_.append(s.data(), s.size());
    in_parts_ = true;
    return true;
  }
  std::string_view whole(Text s) {
    // Text with escapes lies in a temporary buffer of the parser, which `source_` does not contain.
    if (!in_parts_ && source_.data() <= s.data() &&
        s.data() + s.size() <= source_.data() + source_.size()) {
      return {s.data(), s.size()};
    }
    part_.append(s.data(), s.size());
    in_parts_ = false;
    texts_.push_back(std::move(part_));
    part_.clear();
    return texts_.back();
  }

  std::string_view key_of(std::uint32_t node) const {
    return {nodes_[node].key, nodes_[node].key_size};
  }

  // Comparing all pairs is fastest for the objects of traces; a huge object is sorted instead.
  void find_duplicate(std::uint32_t object) {
    constexpr std::uint32_t kFew = 24;
    const std::uint32_t end = nodes_[object].next;
    if (nodes_[object].count <= kFew) {
      for (std::uint32_t a = object + 1; a < end; a = nodes_[a].next) {
        for (std::uint32_t b = nodes_[a].next; b < end; b = nodes_[b].next) {
          if (key_of(a) == key_of(b)) duplicate_ = std::min(duplicate_, b);
        }
      }
      return;
    }
    std::vector<std::uint32_t> sorted;
    for (std::uint32_t a = object + 1; a < end; a = nodes_[a].next) sorted.push_back(a);
    std::stable_sort(sorted.begin(), sorted.end(),
                     [this](std::uint32_t a, std::uint32_t b) { return key_of(a) < key_of(b); });
    for (std::size_t i = 1; i < sorted.size(); ++i) {
      if (key_of(sorted[i - 1]) == key_of(sorted[i])) duplicate_ = std::min(duplicate_, sorted[i]);
    }
  }

 public:
  std::string_view source_;

 private:
  std::vector<Node>& nodes_;
  std::vector<std::uint32_t> open_;
  std::deque<std::string> texts_;
  std::string part_;
  bool in_parts_ = false;
  std::string_view key_;
  const char* overflow_ = nullptr;
  std::uint32_t duplicate_ = kNone;
};

struct JsonLine::Parser {
  explicit Parser(std::vector<Node>& nodes) : parser({}, nodes) {}
  boost::json::basic_parser<Builder> parser;
};

JsonLine::JsonLine() : parser_(std::make_unique<Parser>(nodes_)) {}
JsonLine::~JsonLine() = default;

JsonValue JsonLine::parse(std::string_view text, Place place, bool cut) {
  text_ = text;
  place_ = std::move(place);
  auto& parser = parser_->parser;
  Builder& builder = parser.handler();
  builder.start();
  builder.source_ = text;
  parser.reset();
  boost::json::error_code error;
  std::size_t read = parser.write_some(false, text.data(), text.size(), error);
  if (!error) {
    while (read < text.size() && is_space(text[read])) ++read;
  }
  const auto refuse = [&](std::size_t offset, const std::string& message) {
    throw InputError(place_of(offset), message);
  };
  if (builder.overflow() != nullptr) {
    const auto offset = static_cast<std::size_t>(builder.overflow() - text.data());
    refuse(offset, "expected a number within the range of double, found " + found_at(offset));
  }
  if (error == boost::json::error::incomplete) {
    refuse(text.size(),
           std::string("expected the rest of a JSON value, found the end of the line") +
               (cut ? " and of the file: the last line is cut" : ""));
  }
  if (error) {
    refuse(read, "expected JSON, found " + found_at(read) + " (" + error.message() + ")");
  }
  if (read < text.size()) {
    refuse(read, "expected the end of the line after a JSON value, found " + found_at(read));
  }
  if (const std::uint32_t node = builder.duplicate(); node != Builder::kNone) {
    refuse(offset_of(node, true), "expected each key once, found " + name_of(node) + " twice");
  }
  return {this, 0};
}

std::size_t JsonLine::offset_of(std::uint32_t wanted, bool of_key) const {
  std::uint32_t node = 0;
  std::size_t key = 0;
  for (std::size_t at = 0; at < text_.size();) {
    const char c = text_[at];
    if (is_space(c) || c == ',' || c == ':' || c == ']' || c == '}') {
      ++at;
      continue;
    }
    const std::size_t end = c == '"' ? after_string(text_, at) : at + 1;
    if (c == '"' && is_key(text_, end)) {
      key = at;
      at = end;
      continue;
    }
    if (node++ == wanted) return of_key ? key : at;
    at = end;
    if (c != '"' && c != '[' && c != '{') {
      while (at < text_.size() &&
             std::string_view(" \t\r\n,]}").find(text_[at]) == std::string_view::npos) {
        ++at;
      }
    }
  }
  return 0;
}

Place JsonLine::place_of(std::size_t offset) const {
  const std::string_view before = text_.substr(0, offset);
  const std::size_t line_end = before.rfind('\n');
  const std::size_t begin = line_end == std::string_view::npos ? 0 : line_end + 1;
  Place at = place_;
  at.line += std::count(before.begin(), before.end(), '\n');
  at.column = static_cast<std::int64_t>(offset - begin) + 1;
  return at;
}

std::string JsonLine::name_of(std::uint32_t node) const {
  // An element is named after the nearest container around it that has a key.
  while (nodes_[node].key_size == 0 && node > 0) {
    const std::uint32_t child = node;
    do {
      --node;
    } while (nodes_[node].next <= child);
  }
  if (nodes_[node].key_size == 0) return "";
  return "'" + std::string(nodes_[node].key, std::min<std::size_t>(nodes_[node].key_size, 40)) +
         "'";
}

std::string JsonLine::found_at(std::size_t offset) const {
  if (offset >= text_.size()) return "the end of the line";
  constexpr std::size_t kShown = 32;
  std::size_t end = offset;
  if (text_[offset] == '"') {
    end = after_string(text_, offset);
  } else {
    while (end < text_.size() &&
           std::string_view(" \n,]}").find(text_[end]) == std::string_view::npos)
      ++end;
    end = std::max(end, offset + 1);
  }
  std::string text;
  for (std::size_t i = offset; i < std::min(end, offset + kShown); ++i) {
    const auto byte = static_cast<unsigned char>(text_[i]);
    text += byte >= 0x20 && byte < 0x7f ? text_[i] : '?';
  }
  return (end - offset > kShown ? text + "..." : text);
}

}  // namespace v4cap
