#include "sim/import/flag_table.h"

#include <algorithm>
#include <cctype>

#include "sim/config/yaml_tree.h"
#include "sim/core/json.h"

namespace v4cap {

namespace {

std::vector<std::string> split(std::string_view text, char separator) {
  std::vector<std::string> out;
  std::string part;
  for (const char c : text) {
    const bool ends = c == separator || (separator == ' ' && c == '\n');
    if (!ends) {
      part += c;
    } else if (!part.empty()) {
      out.push_back(std::move(part));
      part.clear();
    }
  }
  if (!part.empty()) out.push_back(std::move(part));
  return out;
}

std::string lower(std::string text) {
  for (char& c : text) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  return text;
}

// A fraction as it is written: what is refused is shown as the user knows it.
std::string number_as_written(JsonValue value, const std::string& text) {
  const std::size_t begin = static_cast<std::size_t>(value.column()) - 1;
  return text.substr(begin, text.find_first_of(",]} \t\r", begin) - begin);
}

std::string scalar_text(JsonValue value, const std::string& text) {
  switch (value.kind()) {
    case JsonKind::boolean:
      return value.boolean() ? "true" : "false";
    case JsonKind::integer:
      return std::to_string(value.integer(INT64_MIN, INT64_MAX));
    case JsonKind::real:
      return number_as_written(value, text);
    case JsonKind::string:
      return std::string(value.string());
    default:
      return "";
  }
}

// Scalars of an object by dotted key; lists are of no use to us and left out.
void flatten(JsonValue object, const std::string& text, const std::string& prefix,
             std::map<std::string, std::string>& fields) {
  for (const JsonValue member : object.members()) {
    const std::string key = prefix + std::string(member.key());
    if (member.kind() == JsonKind::object) {
      flatten(member, text, key + '.', fields);
    } else {
      fields[key] = scalar_text(member, text);
    }
  }
}

std::map<std::string, std::string> json_fields(const FlagUse& use) {
  std::string text = use.value;
  std::ranges::replace(text, '\n', ' ');
  std::map<std::string, std::string> fields;
  JsonLine line;
  try {
    const JsonValue value = line.parse(text, {"", 0, 0});
    if (value.kind() == JsonKind::object) flatten(value, text, "", fields);
  } catch (const InputError& e) {
    throw InputError(use.value_place, use.written + ": " + e.diagnostics().front().message);
  }
  return fields;
}

}  // namespace

std::string FlagUse::quoted() const {
  const std::string& text = written;
  if (flag->kind == FlagKind::boolean) {
    return value == "true" || text.starts_with("--no-") ? text : text + '=' + value;
  }
  std::string shown = value;
  std::ranges::replace(shown, '\n', ' ');
  return text + ' ' + shown;
}

const FlagUse* FlagUses::find(std::string_view name) const {
  const auto it = std::ranges::find_if(
      uses, [&](const FlagUse& use) { return use.flag->names.front() == name; });
  return it == uses.end() ? nullptr : &*it;
}

std::string FlagTable::canonical(std::string_view name) const {
  std::string text(name);
  if (syntax_.underscores_are_hyphens) std::ranges::replace(text, '_', '-');
  return text;
}

void FlagTable::add(Flag flag) {
  for (const std::string& name : flag.names) {
    const bool fresh = by_name_.emplace(canonical(name), flags_.size()).second;
    V4CAP_CHECK(fresh, "flag is in the table twice: " + name);
  }
  flags_.push_back(std::move(flag));
}

FlagTable& FlagTable::sets(std::string_view names, FlagKind kind) {
  add({split(names, ' '), kind, FlagEffect::sets, ""});
  return *this;
}

void FlagTable::add_many(FlagKind kind, FlagEffect effect, const std::string& note,
                         std::string_view names) {
  for (const std::string& one : split(names, ' ')) {
    Flag flag{{}, kind, effect, note};
    for (const std::string& name : split(one, '|')) {
      flag.names.push_back(name.starts_with('-') ? name : "--" + name);
    }
    add(std::move(flag));
  }
}

FlagTable& FlagTable::no_effect(FlagKind kind, std::string_view names) {
  add_many(kind, FlagEffect::none, "", names);
  return *this;
}

FlagTable& FlagTable::not_modelled(FlagKind kind, std::string note, std::string_view names) {
  add_many(kind, FlagEffect::not_modelled, note, names);
  return *this;
}

const Flag* FlagTable::find(const std::string& name) const {
  if (const auto it = by_name_.find(name); it != by_name_.end()) return &flags_[it->second];
  if (!syntax_.prefixes || !name.starts_with("--")) return nullptr;
  const Flag* found = nullptr;
  for (auto it = by_name_.lower_bound(name); it != by_name_.end() && it->first.starts_with(name);
       ++it) {
    if (found != nullptr && found != &flags_[it->second]) return nullptr;  // ambiguous
    found = &flags_[it->second];
  }
  return found;
}

FlagTable::Match FlagTable::match(const std::string& name) const {
  const std::string whole = canonical(name);
  if (const Flag* flag = find(whole)) return {flag, false, ""};
  const std::size_t dot = name.find('.');
  if (dot != std::string::npos) {
    const Flag* flag = find(canonical(name.substr(0, dot)));
    if (flag != nullptr && flag->kind == FlagKind::json) return {flag, false, name.substr(dot + 1)};
  }
  if (syntax_.no_prefix && whole.starts_with("--no-")) {
    const Flag* flag = find("--" + whole.substr(5));
    if (flag != nullptr && flag->kind == FlagKind::boolean) return {flag, true, ""};
  }
  return {};
}

std::string FlagTable::nearest(const std::string& name) const {
  std::vector<std::string> names;
  for (const auto& [known, position] : by_name_) {
    if (known.starts_with("--") == name.starts_with("--")) names.push_back(known);
  }
  return nearest_name(canonical(name), names);
}

// "-1" is a value, and so is what was quoted to hold spaces.
bool FlagTable::is_flag(const ShellWord& word) const {
  const std::string& text = word.text;
  if (text.size() < 2 || text[0] != '-') return false;
  const char first = text[1] == '-' ? (text.size() > 2 ? text[2] : '\0') : text[1];
  return std::isalpha(static_cast<unsigned char>(first)) != 0 &&
         text.find_first_of(" {\n") == std::string::npos;
}

// Reads the arguments of one command in order.
class FlagTable::Reader {
 public:
  Reader(const FlagTable& table, const std::vector<ShellWord>& arguments)
      : table_(table), arguments_(arguments) {}

  FlagUses read() {
    for (; at_ < arguments_.size(); ++at_) argument();
    return std::move(out_);
  }

 private:
  const ShellWord& word() const { return arguments_[at_]; }

  void argument() {
    // "--flag=value", but not "--flag '{"a=b"}'".
    const std::size_t equals = word().text.find('=');
    joined_ = word().text.starts_with('-') && equals != std::string::npos &&
              word().text.find_first_of(" {\n") > equals;
    ShellWord name = word();
    if (joined_) {
      name.text.resize(equals);
      joined_value_ = word().text.substr(equals + 1);
    }
    if (!table_.is_flag(name)) {
      out_.positional.push_back(word());
      return;
    }
    const Match match = table_.match(name.text);
    if (match.flag == nullptr) {
      out_.unknown.push_back({name.text, word().place, table_.nearest(name.text)});
      FlagUse ignored;  // what follows is most likely its value
      if (!joined_) take_value(ignored);
      return;
    }
    FlagUse use{match.flag, name.text, word().place, "", word().place, {}, {}};
    take(match, use);
    keep(std::move(use));
  }

  bool next_is_value() const {
    return at_ + 1 < arguments_.size() && !table_.is_flag(arguments_[at_ + 1]);
  }

  bool take_value(FlagUse& use) {
    if (joined_) {
      use.value = joined_value_;
      use.unresolved = word().unresolved;
      return true;
    }
    if (!next_is_value()) return false;
    ++at_;
    use.value = word().text;
    use.value_place = word().place;
    use.unresolved = word().unresolved;
    return true;
  }

  void take(const Match& match, FlagUse& use) {
    switch (match.flag->kind) {
      case FlagKind::boolean:
        return take_boolean(match, use);
      case FlagKind::list:
        if (joined_) use.value = joined_value_;
        while (next_is_value()) {
          use.value += (use.value.empty() ? "" : " ") + arguments_[++at_].text;
        }
        return;
      case FlagKind::value:
      case FlagKind::json:
        break;
    }
    if (!take_value(use)) {
      if (match.field.empty()) {
        throw InputError(use.place, use.written + ": expected a value after it");
      }
      use.value = "true";  // a dotted flag that stands alone is a switch
    }
    if (!match.field.empty()) {
      use.fields[match.field] = use.value;
    } else if (match.flag->kind == FlagKind::json && use.unresolved.empty() &&
               use.value.starts_with('{')) {
      use.fields = json_fields(use);
    }
  }

  void take_boolean(const Match& match, FlagUse& use) const {
    use.value = joined_ ? lower(joined_value_) : match.negated ? "false" : "true";
    if (use.value == "1") use.value = "true";
    if (use.value == "0") use.value = "false";
    if (use.value != "true" && use.value != "false") {
      throw InputError(use.place,
                       use.written + ": expected true or false, got " + shown(use.value));
    }
  }

  void keep(FlagUse use) {
    const auto earlier = std::ranges::find(out_.uses, use.flag, &FlagUse::flag);
    if (earlier == out_.uses.end()) {
      out_.uses.push_back(std::move(use));
    } else {
      use.fields.merge(earlier->fields);
      *earlier = std::move(use);
    }
  }

  const FlagTable& table_;
  const std::vector<ShellWord>& arguments_;
  FlagUses out_;
  std::size_t at_ = 0;
  bool joined_ = false;  // the current argument is --flag=value
  std::string joined_value_;
};

FlagUses FlagTable::read(const std::vector<ShellWord>& arguments) const {
  return Reader(*this, arguments).read();
}

}  // namespace v4cap
