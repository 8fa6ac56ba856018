#include "sim/output/json_schema.h"

#include <algorithm>
#include <cmath>
#include <span>

#include "sim/config/value_units.h"
#include "sim/output/json_writer.h"

namespace v4cap {

namespace {

void write_number(JsonWriter& json, const char* name, double value) {
  if (value == std::floor(value) && std::abs(value) < 1e15) {
    json.member(name, static_cast<std::int64_t>(value));
  } else {
    json.member(name, value);
  }
}

void write_numeric(JsonWriter& json, const char* type, const KeySpec& spec) {
  json.member("type", type);
  if (spec.min) write_number(json, "minimum", *spec.min);
  if (spec.max) write_number(json, "maximum", *spec.max);
}

// An amount with its unit. value.cpp reads the same: a decimal number, at most one blank, a unit.
void write_amount(JsonWriter& json, std::span<const Unit> units) {
  std::string names;
  for (const Unit& unit : units) names += (names.empty() ? "" : "|") + std::string(unit.name);
  json.member("type", "string");
  json.member("pattern", "^(0|[1-9][0-9]*)([.][0-9]+)?([eE][+-]?[0-9]+)? ?(" + names + ")$");
}

void write_names(JsonWriter& json, const Names& names) {
  json.key("enum").begin_array();
  for (const std::string& name : names) json.value(name);
  json.end_array();
}

// YAML has numbers and booleans where a text is meant that looks like one: release 0.26.
void write_any_text(JsonWriter& json) {
  json.key("type").begin_array().value("string").value("number").value("boolean").end_array();
}

void write_text(JsonWriter& json, const KeySpec& spec) {
  if (spec.names == nullptr) {
    write_any_text(json);
  } else if (!spec.open) {
    write_names(json, spec.names());
  } else {
    json.key("anyOf").begin_array().begin_object();
    write_names(json, spec.names());
    json.end_object().begin_object();
    write_any_text(json);
    json.end_object().end_array();
  }
}

void write_keys(JsonWriter& json, const std::vector<KeySpec>& keys, bool partial);

// One form of a value, without list and word.
void write_form(JsonWriter& json, const KeySpec& spec, bool partial) {
  switch (spec.kind) {
    case ValueKind::boolean:
      json.member("type", "boolean");
      break;
    case ValueKind::whole:
    case ValueKind::tokens:
      write_numeric(json, "integer", spec);
      break;
    case ValueKind::number:
      write_numeric(json, "number", spec);
      break;
    case ValueKind::text:
      write_text(json, spec);
      break;
    case ValueKind::bytes:
      write_amount(json, kByteUnits);
      break;
    case ValueKind::duration:
      write_amount(json, kTimeUnits);
      break;
    case ValueKind::byte_rate:
      write_amount(json, kByteRateUnits);
      break;
    case ValueKind::flop_rate:
      write_amount(json, kFlopRateUnits);
      break;
    case ValueKind::section:
      write_keys(json, spec.section(), partial || spec.partial);
      break;
    case ValueKind::any:
      break;
  }
}

// The only form as it is, several as anyOf.
template <class WriteForm>
void write_any(JsonWriter& json, std::size_t count, const WriteForm& write) {
  if (count == 1) {
    write(std::size_t{0});
    return;
  }
  json.key("anyOf").begin_array();
  for (std::size_t i = 0; i < count; ++i) {
    json.begin_object();
    write(i);
    json.end_object();
  }
  json.end_array();
}

// Everything that a value may be.
void write_value(JsonWriter& json, const KeySpec& spec, bool partial) {
  std::vector<const KeySpec*> plain, items;
  const auto sort_in = [&](const KeySpec& form) { (form.list ? items : plain).push_back(&form); };
  sort_in(spec);
  for (const KeySpec& other : spec.or_another) sort_in(other);
  const std::size_t lists = items.empty() ? 0 : 1, words = spec.word.empty() ? 0 : 1;
  write_any(json, plain.size() + lists + words, [&](std::size_t i) {
    if (i < plain.size()) {
      write_form(json, *plain[i], partial);
    } else if (i < plain.size() + lists) {
      json.member("type", "array").key("items").begin_object();
      write_any(json, items.size(), [&](std::size_t j) { write_form(json, *items[j], partial); });
      json.end_object();
    } else {
      json.member("const", spec.word);
    }
  });
}

void write_keys(JsonWriter& json, const std::vector<KeySpec>& keys, bool partial) {
  json.member("type", "object");
  const KeySpec* any = find_key(keys, "*");
  if (any == nullptr) {
    json.key("properties").begin_object();
    for (const KeySpec& spec : keys) {
      json.key(spec.name).begin_object().member("description", spec.meaning);
      write_value(json, spec, partial);
      json.end_object();
    }
    json.end_object().member("additionalProperties", false);
  } else {
    json.key("additionalProperties").begin_object().member("description", any->meaning);
    write_value(json, *any, partial);
    json.end_object();
  }
  if (partial || std::ranges::none_of(keys, &KeySpec::required)) return;
  json.key("required").begin_array();
  for (const KeySpec& spec : keys) {
    if (spec.required) json.value(spec.name);
  }
  json.end_array();
}

}  // namespace

std::string json_schema(const std::string& name, const FileKind& kind) {
  JsonWriter json(1);
  json.begin_object().member("$schema", "https://json-schema.org/draft/2020-12/schema");
  json.member("title", "v4cap " + name).member("description", kind.meaning);
  write_keys(json, kind.keys(), false);
  json.end_object();
  return json.text() + '\n';
}

}  // namespace v4cap
