#include "sim/config/expectation_section.h"

#include <cmath>

#include "sim/config/value.h"

namespace v4cap {

namespace {

constexpr std::string_view kPercent = "%";
constexpr std::string_view kPoints = "points";

std::string_view trimmed(std::string_view text) {
  while (!text.empty() && text.front() == ' ') text.remove_prefix(1);
  while (!text.empty() && text.back() == ' ') text.remove_suffix(1);
  return text;
}

Tolerance read_within(Section& section) {
  const auto text = section.required<std::string>("within");
  if (text.empty()) return {};  // missing: said already
  if (const auto within = Tolerance::parse(text)) return *within;
  section.error("within",
                "expected \"5 %\", \"5 points\" or an amount of at least 0, got " + shown(text));
  return {};
}

// An entry of the list: a document of its own, because a list has no sections.
Expectation read_expectation(const YamlNode& node, const std::string& path,
                             const std::string& file) {
  Document document(node, file);
  Section section = document.root(expectation_keys, path);
  Expectation e;
  e.figure = section.required<std::string>("figure");
  // Differences and overheads may be below 0.
  e.value = section.required<double>("value", Limits<double>{});
  e.within = read_within(section);
  if (section.has("set")) e.set = section.required_list<std::string>("set");
  e.source = section.required<std::string>("source");
  section.reject_unknown();
  document.checkpoint();
  e.place = document.places().at(section.path_of("figure"));
  return e;
}

// As one line of YAML that reads back to the same.
std::string text_of(const Expectation& e) {
  std::string out = "{figure: " + yaml_scalar(e.figure) + ", value: " + value_text(e.value) +
                    ", within: " + yaml_scalar(e.within.text());
  if (!e.set.empty()) {
    out += ", set: [";
    for (std::size_t i = 0; i < e.set.size(); ++i) out += (i ? ", " : "") + yaml_scalar(e.set[i]);
    out += ']';
  }
  return out + ", source: " + yaml_scalar(e.source) + '}';
}

}  // namespace

const std::vector<KeySpec>& expectation_keys() {
  static const std::vector<KeySpec> keys = {
      key<std::string>("figure", "name of the figure, as v4cap capacity and simulate have it")
          .must(),
      key<double>("value", "what it should be").within({}, {}).must(),
      key<std::string>("within", "most difference: \"5 %\", \"5 points\" or an amount").must(),
      list_key<std::string>("set",
                            "overrides of the scenario under which it holds, key.path=VALUE"),
      key<std::string>("source", "where the value comes from").must()};
  return keys;
}

double Tolerance::around(double value) const {
  switch (unit) {
    case Unit::share:
      return std::abs(value) * amount / 100;
    case Unit::points:
      return amount / 100;
    case Unit::absolute:
      return amount;
  }
  return 0;
}

std::string Tolerance::text() const {
  const std::string number = value_text(amount);
  if (unit == Unit::share) return number + ' ' + std::string(kPercent);
  return unit == Unit::points ? number + ' ' + std::string(kPoints) : number;
}

std::optional<Tolerance> Tolerance::parse(std::string_view text) {
  Tolerance out{Unit::absolute, 0};
  text = trimmed(text);
  for (const auto& [word, unit] : {std::pair{kPercent, Unit::share}, {kPoints, Unit::points}}) {
    if (!text.ends_with(word)) continue;
    out.unit = unit;
    text = trimmed(text.substr(0, text.size() - word.size()));
    break;
  }
  std::string hint;
  const auto amount = parse_value<double>(text, hint);
  if (!amount || *amount < 0) return std::nullopt;
  out.amount = *amount;
  return out;
}

std::vector<Expectation> read_expectations(Section& section, const std::string& key,
                                           const std::string& file) {
  std::vector<Expectation> out;
  const YamlNode* list = section.node(key);
  if (list == nullptr || list->kind == YamlNode::Kind::invalid) return out;
  if (list->kind != YamlNode::Kind::list || list->children.empty()) {
    section.error(key, "expected a list of figures, got " + shown(*list));
    return out;
  }
  std::string text;
  for (std::size_t i = 0; i < list->children.size(); ++i) {
    try {
      out.push_back(read_expectation(list->children[i], section.path_of(key, i), file));
      text += (text.empty() ? "" : ", ") + text_of(out.back());
    } catch (const InputError& error) {
      section.add_errors(error);
    }
  }
  section.record(key, '[' + text + ']');
  return out;
}

}  // namespace v4cap
