#include "sim/config/section.h"

#include <algorithm>
#include <array>
#include <tuple>
#include <type_traits>

namespace v4cap {

using Kind = YamlNode::Kind;

// What has been read, in the order of reading.
struct Section::Resolved {
  std::string key;
  std::string text;  // of a value; empty for a map
  bool is_map = false;
  std::vector<std::unique_ptr<Resolved>> children;

  Resolved& add(std::string_view name) {
    children.push_back(std::make_unique<Resolved>());
    children.back()->key = name;
    return *children.back();
  }

  void write(std::string& out, std::size_t depth) const {
    for (const auto& child : children) {
      if (child->is_map && child->children.empty()) continue;
      out.append(2 * depth, ' ');
      out += yaml_scalar(child->key) + ':';
      out += child->is_map ? "\n" : ' ' + child->text + '\n';
      child->write(out, depth + 1);
    }
  }
};

struct Document::State {
  YamlNode root;
  std::string file;
  std::vector<Diagnostic> errors;
  std::map<std::string, Place> places;
  Section::Resolved resolved;
};

Document::Document(YamlNode root, std::string file) : state_(std::make_unique<State>()) {
  state_->root = std::move(root);
  state_->file = std::move(file);
  state_->resolved.is_map = true;
}
Document::~Document() = default;
Document::Document(Document&&) noexcept = default;
Document& Document::operator=(Document&&) noexcept = default;

Section Document::root(SectionKeys keys, std::string path) {
  YamlNode& root = state_->root;
  if (root.kind != Kind::map && root.kind != Kind::invalid) {
    add_error(root.place, "expected keys and values (key: value), got " + shown(root));
    root.kind = Kind::invalid;
  }
  return Section(*state_, &root, state_->resolved, std::move(path), keys);
}

void Document::add_error(Place place, std::string message) {
  state_->errors.push_back({std::move(place), std::move(message)});
}

void Document::add_errors(const InputError& error) {
  for (const Diagnostic& d : error.diagnostics()) state_->errors.push_back(d);
}

void Document::checkpoint() const {
  if (state_->errors.empty()) return;
  std::vector<Diagnostic> errors = state_->errors;
  std::ranges::stable_sort(errors, {}, [](const Diagnostic& d) {
    return std::tie(d.place.file, d.place.line, d.place.column);
  });
  throw InputError(std::move(errors));
}

std::string Document::resolved() const {
  std::string out;
  state_->resolved.write(out, 0);
  return out;
}

const std::map<std::string, Place>& Document::places() const {
  return state_->places;
}

Section::Section(Document::State& state, const YamlNode* node, Resolved& resolved, std::string path,
                 SectionKeys keys)
    : state_(&state), node_(node), resolved_(&resolved), path_(std::move(path)), keys_(keys) {
  resolved_->is_map = true;
}

const KeySpec* Section::declared(std::string_view key) const {
  if (keys_ == nullptr) return nullptr;
  const KeySpec* spec = find_key(keys_(), key);
  V4CAP_CHECK(spec != nullptr, "no key " + path_of(key) + " is declared where its section is read");
  return spec;
}

namespace {

// A number as it is bounded in a declaration; nothing of amounts, whose unit the text carries.
template <class T>
std::optional<double> plain_number(const std::optional<T>& value) {
  if (!value) return std::nullopt;
  if constexpr (std::is_same_v<T, std::int64_t> || std::is_same_v<T, double>) {
    return static_cast<double>(*value);
  } else if constexpr (std::is_same_v<T, Tokens>) {
    return static_cast<double>(value->value);
  }
  return std::nullopt;
}

bool takes(const KeySpec& spec, ValueKind kind, bool is_list) {
  if (spec.kind == kind && spec.list == is_list) return true;
  return std::ranges::any_of(spec.or_another,
                             [&](const KeySpec& other) { return takes(other, kind, is_list); });
}

std::string kind_text(const KeySpec& spec) {
  switch (spec.kind) {
    case ValueKind::boolean:
      return expected_text(Limits<bool>{});
    case ValueKind::whole:
      return expected_text(Limits<std::int64_t>{});
    case ValueKind::number:
      return expected_text(Limits<double>{});
    case ValueKind::text:
      return expected_text(Limits<std::string>{});
    case ValueKind::tokens:
      return expected_text(Limits<Tokens>{});
    case ValueKind::bytes:
      return expected_text(Limits<Bytes>{});
    case ValueKind::duration:
      return expected_text(Limits<Duration>{});
    case ValueKind::byte_rate:
      return expected_text(Limits<BytesPerSecond>{});
    case ValueKind::flop_rate:
      return expected_text(Limits<FlopPerSecond>{});
    case ValueKind::section:
      return "a map";
    case ValueKind::any:
      break;
  }
  return "a value";
}

// What is expected where a map must be and none is: the keys that it cannot do without.
std::string missing_map_text(const KeySpec* spec) {
  if (spec == nullptr) return "a map (key: value)";
  if (spec->kind != ValueKind::section) return spec->meaning;  // says what may stand for the map
  std::string needed;
  for (const KeySpec& key : spec->section()) {
    if (!key.required) continue;
    const std::string what = key.list ? "a list" : kind_text(key);
    needed += (needed.empty() ? " with '" : ", '") + key.name + "' (" + what + ')';
  }
  if (needed.empty()) needed = " such as {" + spec->section().front().name + ": ...}";
  return "a map" + needed;
}

// The keys of the map that a key may be; nullptr where it may be none.
SectionKeys map_of(const KeySpec& spec) {
  if (spec.kind == ValueKind::section && !spec.list) return spec.section;
  for (const KeySpec& other : spec.or_another) {
    if (SectionKeys keys = map_of(other)) return keys;
  }
  return nullptr;
}

}  // namespace

template <class T>
void Section::check_declared(std::string_view key, const Limits<T>& limits, std::string_view word,
                             bool is_list, bool is_required) const {
  const KeySpec* spec = declared(key);
  if (spec == nullptr) return;
  V4CAP_CHECK(takes(*spec, value_kind<T>(), is_list),
              path_of(key) + " is declared as another type than it is read as");
  V4CAP_CHECK(word.empty() || spec->word == word, path_of(key) + " takes the word '" +
                                                      std::string(word) + "', '" + spec->word +
                                                      "' is declared");
  V4CAP_CHECK(is_required || !spec->required, path_of(key) + " is declared as required");
  const auto min = plain_number(limits.min), max = plain_number(limits.max);
  constexpr bool kPlain = value_kind<T>() == ValueKind::number ||
                          value_kind<T>() == ValueKind::tokens || std::is_same_v<T, std::int64_t>;
  V4CAP_CHECK(!kPlain || ((!spec->min || (min && *min >= *spec->min)) &&
                          (!spec->max || (max && *max <= *spec->max))),
              path_of(key) + " is read within wider limits than are declared");
}

std::string Section::path_of(std::string_view key) const {
  return path_.empty() ? std::string(key) : path_ + '.' + std::string(key);
}

std::string Section::path_of(std::string_view key, std::size_t item) const {
  return path_of(key) + '[' + std::to_string(item) + ']';
}

bool Section::has(std::string_view key) const {
  return node_ != nullptr && node_->find(key) != nullptr;
}

void Section::error(std::string_view key, const std::string& message) {
  const YamlNode* node = node_ == nullptr ? nullptr : node_->find(key);
  if (node_ != nullptr && node_->kind == Kind::invalid) return;
  const Place place = node != nullptr    ? node->place
                      : node_ != nullptr ? node_->place
                                         : Place{state_->file, 0, 0};
  state_->errors.push_back({place, path_of(key) + ": " + message});
}

void Section::add_errors(const InputError& error) {
  for (const Diagnostic& d : error.diagnostics()) state_->errors.push_back(d);
}

const YamlNode* Section::take(std::string_view key) {
  declared(key);
  if (std::ranges::find(known_, key) == known_.end()) known_.emplace_back(key);
  const YamlNode* node = node_ == nullptr ? nullptr : node_->find(key);
  if (node != nullptr) state_->places[path_of(key)] = node->place;
  return node;
}

const YamlNode* Section::take_required(std::string_view key) {
  const YamlNode* node = take(key);
  if (node == nullptr) error(key, "expected a value, the key is missing");
  return node;
}

void Section::expected(const YamlNode& node, std::string_view key, const std::string& what,
                       const std::string& hint) {
  if (node.kind == Kind::invalid) return;
  state_->errors.push_back(
      {node.place, path_of(key) + ": expected " + what + ", got " + shown(node) + hint});
}

template <class T>
std::optional<T> Section::value_of(const YamlNode& node, std::string_view key,
                                   const Limits<T>& limits, const std::string& alternative) {
  std::string hint;
  if (node.kind == Kind::scalar && (!node.quoted || !std::is_same_v<T, bool>)) {
    const std::optional<T> value = parse_value<T>(node.text, hint);
    if (value && limits.admit(*value)) return value;
  }
  expected(node, key, expected_text(limits) + alternative, hint);
  return std::nullopt;
}

namespace {

template <class T>
std::string yaml_text(const T& value) {
  if constexpr (std::is_same_v<T, std::string>) {
    return yaml_scalar(value);
  } else {
    return value_text(value);
  }
}

}  // namespace

template <class T>
T Section::required(std::string_view key, const Limits<T>& limits) {
  check_declared(key, limits, "", false, true);
  const YamlNode* node = take_required(key);
  const auto value = node == nullptr ? std::nullopt : value_of(*node, key, limits, "");
  if (!value) return T{};
  record(key, yaml_text(*value));
  return *value;
}

template <class T>
T Section::optional(std::string_view key, const T& fallback, const Limits<T>& limits) {
  check_declared(key, limits, "", false, false);
  const YamlNode* node = take(key);
  const T value = node == nullptr ? fallback : value_of(*node, key, limits, "").value_or(fallback);
  record(key, yaml_text(value));
  return value;
}

template <class T>
std::optional<T> Section::optional_or(std::string_view key, std::string_view word,
                                      const Limits<T>& limits) {
  check_declared(key, limits, word, false, false);
  const YamlNode* node = take(key);
  std::optional<T> value;
  if (node != nullptr && !(node->kind == Kind::scalar && node->text == word)) {
    value = value_of(*node, key, limits, ", or '" + std::string(word) + "'");
  }
  record(key, value ? yaml_text(*value) : std::string(word));
  return value;
}

template <class T>
std::vector<T> Section::required_list(std::string_view key, const Limits<T>& limits) {
  check_declared(key, limits, "", true, true);
  const YamlNode* node = take_required(key);
  std::vector<T> values;
  if (node == nullptr) return values;
  if (node->kind != Kind::list || node->children.empty()) {
    expected(*node, key, "a list such as [a, b]");
    return values;
  }
  std::string text;
  for (const YamlNode& item : node->children) {
    if (const auto value = value_of(item, key, limits, "")) {
      text += (text.empty() ? "" : ", ") + yaml_text(*value);
      values.push_back(*value);
    }
  }
  record(key, '[' + text + ']');
  return values;
}

std::size_t Section::choice(std::string_view key, const std::vector<std::string>& names,
                            std::optional<std::size_t> fallback) {
  if (const KeySpec* spec = declared(key)) {
    V4CAP_CHECK(spec->names != nullptr && std::ranges::is_permutation(spec->names(), names),
                path_of(key) + " has other names than are declared");
    V4CAP_CHECK(!fallback || !spec->required, path_of(key) + " is declared as required");
  }
  const YamlNode* node = fallback ? take(key) : take_required(key);
  std::size_t position = fallback.value_or(0);
  if (node != nullptr) {
    const auto it = node->kind == Kind::scalar ? std::ranges::find(names, node->text) : names.end();
    if (it != names.end()) {
      position = static_cast<std::size_t>(it - names.begin());
    } else {
      expected(*node, key, "one of its names",
               suggestion(node->kind == Kind::scalar ? node->text : "", names));
    }
  }
  record(key, yaml_scalar(names[position]));
  return position;
}

Section Section::child(std::string_view key, bool is_required) {
  SectionKeys keys = nullptr;
  if (const KeySpec* spec = declared(key)) {
    keys = map_of(*spec);
    V4CAP_CHECK(keys != nullptr, path_of(key) + " is not declared as a map");
    V4CAP_CHECK(is_required || !spec->required, path_of(key) + " is declared as required");
  }
  const YamlNode* node = take(key);
  if (is_required && node == nullptr) {
    error(key, "expected " + missing_map_text(declared(key)) + ", the key is missing");
  }
  static const YamlNode broken = YamlNode::made(Kind::invalid, {});
  if (node == nullptr && (is_required || (node_ != nullptr && node_->kind == Kind::invalid))) {
    node = &broken;
  } else if (node != nullptr && node->kind != Kind::map && node->kind != Kind::invalid) {
    expected(*node, key, "a map (key: value)");
    node = &broken;
  }
  return Section(*state_, node, resolved_->add(key), path_of(key), keys);
}

const YamlNode* Section::node(std::string_view key) {
  return take(key);
}

void Section::record(std::string_view key, const std::string& yaml_text) {
  resolved_->add(key).text = yaml_text;
}

void Section::reject_unknown() {
  if (node_ == nullptr || node_->kind != Kind::map) return;
  const std::string where = path_.empty() ? "at the top level" : "in '" + path_ + "'";
  // Keys that are declared and nobody asked for depend on the values of others.
  std::vector<std::string> names = known_;
  if (keys_ != nullptr) {
    for (const KeySpec& spec : keys_()) {
      const bool any = spec.name == "*";
      if (!any && std::ranges::find(names, spec.name) == names.end()) names.push_back(spec.name);
    }
  }
  for (const YamlNode& entry : node_->children) {
    if (std::ranges::find(known_, entry.key) != known_.end()) continue;
    const bool elsewhere = std::ranges::find(names, entry.key) != names.end();
    const std::string key = shown(entry.key);
    state_->errors.push_back(
        {entry.key_place, "unknown key '" + key.substr(1, key.size() - 2) + "' " + where +
                              (elsewhere ? " as the rest of it stands" : "") +
                              (elsewhere ? suggestion("", known_) : suggestion(entry.key, names))});
  }
}

std::string yaml_scalar(const std::string& text) {
  static const std::vector<std::string> kWords = {"true", "false", "null", "Null", "NULL", "~"};
  const auto is_plain = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           std::string_view("_-./=+ ").find(c) != std::string_view::npos;
  };
  const bool plain = !text.empty() && std::ranges::all_of(text, is_plain) && text.front() != ' ' &&
                     text.back() != ' ' && text.front() != '-' && text.front() != '.' &&
                     std::ranges::find(kWords, text) == kWords.end();
  if (plain) return text;
  std::string out = "\"";
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    constexpr std::string_view kHex = "0123456789abcdef";
    if (c == '"' || c == '\\') {
      out += std::string("\\") + c;
    } else if (byte < 0x20 || byte == 0x7f) {
      out += std::string("\\x") + kHex[byte >> 4U] + kHex[byte & 0xfU];
    } else {
      out += c;
    }
  }
  return out + '"';
}

#define V4CAP_READABLE(T)                                                            \
  template T Section::required(std::string_view, const Limits<T>&);                  \
  template T Section::optional(std::string_view, const T&, const Limits<T>&);        \
  template std::optional<T> Section::optional_or(std::string_view, std::string_view, \
                                                 const Limits<T>&);                  \
  template std::vector<T> Section::required_list(std::string_view, const Limits<T>&);
V4CAP_READABLE(bool)
V4CAP_READABLE(std::int64_t)
V4CAP_READABLE(std::uint64_t)
V4CAP_READABLE(double)
V4CAP_READABLE(std::string)
V4CAP_READABLE(Tokens)
V4CAP_READABLE(Bytes)
V4CAP_READABLE(Duration)
V4CAP_READABLE(BytesPerSecond)
V4CAP_READABLE(FlopPerSecond)
#undef V4CAP_READABLE

}  // namespace v4cap
