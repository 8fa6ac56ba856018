// JSON Schema, as far as v4cap writes it, applied to a YAML file as an editor would: plain scalars
// are numbers, booleans and texts by YAML 1.2's rules. A keyword that is not known here is a fault.
#pragma once

#include <doctest/doctest.h>

#include <algorithm>
#include <regex>
#include <string>

#include "sim/config/yaml_tree.h"

namespace v4cap {

inline std::string json_type(const YamlNode& node) {
  static const std::regex integer("-?[0-9]+"), real("-?[0-9]+([.][0-9]*)?([eE][+-]?[0-9]+)?");
  switch (node.kind) {
    case YamlNode::Kind::map:
      return "object";
    case YamlNode::Kind::list:
      return "array";
    case YamlNode::Kind::scalar:
      if (node.quoted) return "string";
      if (node.text == "true" || node.text == "false") return "boolean";
      if (std::regex_match(node.text, integer)) return "integer";
      return std::regex_match(node.text, real) ? "number" : "string";
    default:
      return "null";
  }
}

class SchemaCheck {
 public:
  // "" when `node` is as `schema` has it, else where and why it is not.
  static std::string refusal(const YamlNode& schema, const YamlNode& node,
                             const std::string& path = "") {
    for (const YamlNode& keyword : schema.children) {
      const std::string why = by_keyword(schema, keyword, node, path);
      if (!why.empty()) return why;
    }
    return "";
  }

 private:
  static bool is_type(const std::string& wanted, const YamlNode& node) {
    const std::string type = json_type(node);
    return type == wanted || (wanted == "number" && type == "integer");
  }

  static std::string by_keyword(const YamlNode& schema, const YamlNode& keyword,
                                const YamlNode& node, const std::string& path) {
    const std::string& name = keyword.key;
    const auto among = [&](const auto& fits) {
      return std::ranges::any_of(keyword.children, fits);
    };
    const auto unless = [&](bool fine) { return fine ? "" : path + ": not " + name; };
    if (name == "$schema" || name == "title" || name == "description") return "";
    if (name == "type") {
      return unless(keyword.kind == YamlNode::Kind::list
                        ? among([&](const YamlNode& one) { return is_type(one.text, node); })
                        : is_type(keyword.text, node));
    }
    if (name == "const") return unless(node.text == keyword.text);
    if (name == "enum") {
      return unless(node.kind == YamlNode::Kind::scalar &&
                    among([&](const YamlNode& one) { return one.text == node.text; }));
    }
    if (name == "anyOf") {
      return unless(among([&](const YamlNode& one) { return refusal(one, node, path).empty(); }));
    }
    if (name == "pattern") return unless(std::regex_search(node.text, std::regex(keyword.text)));
    if (name == "minimum") return unless(std::stod(node.text) >= std::stod(keyword.text));
    if (name == "maximum") return unless(std::stod(node.text) <= std::stod(keyword.text));
    if (name == "required") {
      return unless(!among([&](const YamlNode& one) { return node.find(one.text) == nullptr; }));
    }
    if (name == "items") {
      for (const YamlNode& item : node.children) {
        if (const std::string why = refusal(keyword, item, path + "[]"); !why.empty()) return why;
      }
      return "";
    }
    if (name == "properties" || name == "additionalProperties") {
      return by_keys(schema, name, keyword, node, path);
    }
    FAIL("the schema has a keyword that nobody checks: ", name);
    return name;
  }

  static std::string by_keys(const YamlNode& schema, const std::string& name,
                             const YamlNode& keyword, const YamlNode& node,
                             const std::string& path) {
    const YamlNode* known = schema.find("properties");
    for (const YamlNode& entry : node.children) {
      const YamlNode* one = known == nullptr ? nullptr : known->find(entry.key);
      const std::string below = path + '.' + entry.key;
      std::string why;
      if (name == "properties" && one != nullptr) why = refusal(*one, entry, below);
      if (name == "additionalProperties" && one == nullptr) {
        why = keyword.text == "false" ? below + ": unknown key" : refusal(keyword, entry, below);
      }
      if (!why.empty()) return why;
    }
    return "";
  }
};

}  // namespace v4cap
