#include "sim/sweep/axis.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <optional>
#include <set>

#include "sim/config/section.h"
#include "sim/config/value.h"

namespace v4cap {

namespace {

using Kind = YamlNode::Kind;

constexpr std::size_t kValuesMax = 100'000;

[[noreturn]] void expected(const YamlNode& node, const std::string& path, const std::string& what,
                           const std::string& hint = "") {
  throw InputError(node.place, path + ": expected " + what + ", got " + shown(node) + hint);
}

// "8 GiB" -> {8, "GiB"}.
struct Amount {
  double number = 0;
  std::string unit;
  bool whole = false;
};

Amount amount_of(const YamlNode& node, const std::string& path) {
  constexpr const char* kWhat = "a number, with its unit where the key has one";
  if (node.kind != Kind::scalar || node.quoted) expected(node, path, kWhat);
  const std::string& text = node.text;
  // The longest start that is a number: "1e3", and of "8 GiB" the 8.
  std::string hint;
  for (std::size_t length = text.size(); length > 0; --length) {
    const auto number = parse_value<double>(text.substr(0, length), hint);
    if (!number) continue;
    Amount out{*number, text.substr(length), false};
    out.unit.erase(0, out.unit.find_first_not_of(' '));
    out.whole = text.substr(0, length).find_first_not_of("0123456789-") == std::string::npos;
    return out;
  }
  parse_value<double>(text, hint);
  expected(node, path, kWhat, hint);
}

// To so many significant digits, so that no compiler's last bit shows.
std::string rounded(double value, int digits) {
  std::array<char, 40> buffer{};
  const auto end = std::to_chars(buffer.data(), buffer.data() + buffer.size(), value,
                                 std::chars_format::general, digits)
                       .ptr;
  return {buffer.data(), end};
}

YamlNode scalar(std::string text, const std::string& unit, const Place& place) {
  YamlNode node = YamlNode::made(Kind::scalar, place);
  node.text = unit.empty() ? std::move(text) : std::move(text) + ' ' + unit;
  return node;
}

// The values between two ends of one unit.
struct Ends {
  Amount from, to;
};

Ends ends_of(const YamlNode& from, const YamlNode& to, const std::string& path) {
  const Ends ends{amount_of(from, path), amount_of(to, path)};
  if (ends.from.unit != ends.to.unit) {
    expected(to, path,
             ends.from.unit.empty() ? "a number without a unit, as the first is"
                                    : "a number with the unit " + ends.from.unit);
  }
  if (ends.to.number < ends.from.number) expected(to, path, "at least " + from.text);
  return ends;
}

const YamlNode& member(const YamlNode& map, const char* key, const std::string& path) {
  if (const YamlNode* node = map.find(key)) return *node;
  throw InputError(map.place,
                   path + ": expected key '" + key + "' beside '" + map.children.front().key + "'");
}

std::vector<YamlNode> grid_values(const YamlNode& map, const std::string& path) {
  const YamlNode& step_node = member(map, "step", path);
  const Ends ends = ends_of(member(map, "from", path), member(map, "to", path), path);
  const Amount step = amount_of(step_node, path);
  if (!(step.number > 0)) expected(step_node, path, "a step above 0");
  if (step.unit != ends.from.unit) {
    expected(step_node, path,
             ends.from.unit.empty() ? "a step without a unit" : "a step in " + ends.from.unit);
  }
  // Within a millionth of a step the end belongs to the grid: 0.1 + 9 x 0.1 is not quite 1.
  const double steps = std::floor((ends.to.number - ends.from.number) / step.number + 1e-6);
  if (steps >= static_cast<double>(kValuesMax)) {
    expected(step_node, path, "at most " + std::to_string(kValuesMax) + " values");
  }
  std::vector<YamlNode> values;
  for (int i = 0; i <= static_cast<int>(steps); ++i) {
    values.push_back(
        scalar(rounded(ends.from.number + i * step.number, 12), ends.from.unit, map.place));
  }
  return values;
}

std::vector<YamlNode> log_values(const YamlNode& map, const std::string& path) {
  const YamlNode& log = member(map, "log", path);
  if (log.kind != Kind::list || log.children.size() != 2) expected(log, path, "[from, to]");
  const Ends ends = ends_of(log.children.front(), log.children.back(), path);
  if (!(ends.from.number > 0)) expected(log.children.front(), path, "a number above 0");
  const YamlNode& points = member(map, "points", path);
  std::string hint;
  const auto count = parse_value<std::int64_t>(points.text, hint);
  const auto limits = between<std::int64_t>(2, kValuesMax);
  if (!count || !limits.admit(*count)) expected(points, path, expected_text(limits), hint);

  const bool whole = ends.from.whole && ends.to.whole;
  std::vector<YamlNode> values;
  for (std::int64_t i = 0; i < *count; ++i) {
    const double share = static_cast<double>(i) / static_cast<double>(*count - 1);
    const double value = ends.from.number * std::pow(ends.to.number / ends.from.number, share);
    YamlNode node = scalar(whole ? std::to_string(std::llround(value)) : rounded(value, 6),
                           ends.from.unit, map.place);
    // Rounded to whole numbers neighbours may fall together.
    if (values.empty() || values.back().text != node.text) values.push_back(std::move(node));
  }
  return values;
}

void check_value(const YamlNode& value, const std::string& path) {
  if (value.kind != Kind::scalar && value.kind != Kind::null)
    expected(value, path, "single values");
}

void reject_unknown(const YamlNode& map, const std::string& path,
                    const std::vector<std::string>& known) {
  for (const YamlNode& entry : map.children) {
    if (std::ranges::find(known, entry.key) != known.end()) continue;
    throw InputError(entry.key_place,
                     path + ": unknown key " + shown(entry.key) + suggestion(entry.key, known));
  }
}

std::vector<std::string> zipped_paths(const YamlNode& node) {
  const YamlNode& keys = member(node, "keys", node.key);
  if (keys.kind != Kind::list || keys.children.empty()) expected(keys, node.key, "[key.path, ...]");
  std::vector<std::string> paths;
  for (const YamlNode& key : keys.children) {
    if (key.kind != Kind::scalar) expected(key, node.key, "a key path");
    paths.push_back(key.text);
  }
  return paths;
}

Axis zipped_axis(const YamlNode& node) {
  reject_unknown(node, node.key, {"keys", "rows"});
  Axis axis{node.key, zipped_paths(node), {}};
  const YamlNode& rows = member(node, "rows", node.key);
  if (rows.kind != Kind::list || rows.children.empty()) {
    expected(rows, node.key, "a list of rows, each with a value for every key");
  }
  for (const YamlNode& row : rows.children) {
    if (row.kind != Kind::list) expected(row, node.key, "a row: [value, ...]");
    if (row.children.size() != axis.paths.size()) {
      throw InputError(row.place, node.key + ": expected " + std::to_string(axis.paths.size()) +
                                      " values, as there are keys, got " +
                                      std::to_string(row.children.size()));
    }
    for (const YamlNode& value : row.children) check_value(value, node.key);
    axis.rows.push_back(row.children);
  }
  return axis;
}

void refuse_repeated(const Axis& axis) {
  std::set<std::vector<std::string>> seen;
  for (const auto& row : axis.rows) {
    std::vector<std::string> texts;
    for (const YamlNode& value : row) texts.push_back(text_of(value));
    if (seen.insert(std::move(texts)).second) continue;
    throw InputError(row.front().place, axis.name + ": expected each value once, got " +
                                            shown(text_of(row.front())) + " again");
  }
}

}  // namespace

const std::string& text_of(const YamlNode& value) {
  static const std::string null = "null";
  return value.kind == Kind::null ? null : value.text;
}

std::vector<YamlNode> read_axis_values(const YamlNode& node, const std::string& path) {
  constexpr const char* kWhat =
      "a list of values, {from: A, to: B, step: S}, {log: [A, B], points: N} or {keys: [...], "
      "rows: [[...], ...]}";
  if (node.kind == Kind::list && !node.children.empty()) {
    for (const YamlNode& value : node.children) check_value(value, path);
    return node.children;
  }
  if (node.kind != Kind::map || node.children.empty()) expected(node, path, kWhat);
  if (node.find("log") != nullptr) {
    reject_unknown(node, path, {"log", "points"});
    return log_values(node, path);
  }
  reject_unknown(node, path, {"from", "to", "step"});
  return grid_values(node, path);
}

Axis read_axis(const YamlNode& node) {
  Axis axis;
  if (node.kind == Kind::map && (node.find("keys") != nullptr || node.find("rows") != nullptr)) {
    axis = zipped_axis(node);
  } else {
    axis = {node.key, {node.key}, {}};
    for (YamlNode& value : read_axis_values(node, node.key))
      axis.rows.push_back({std::move(value)});
  }
  refuse_repeated(axis);
  return axis;
}

}  // namespace v4cap
