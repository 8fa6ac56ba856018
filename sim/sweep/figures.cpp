#include "sim/sweep/figures.h"

#include "sim/config/value.h"
#include "sim/core/json.h"
#include "sim/output/summary_json.h"

namespace v4cap {

namespace {

std::string text_of(JsonValue value) {
  switch (value.kind()) {
    case JsonKind::integer:
      return std::to_string(value.integer(INT64_MIN, INT64_MAX));
    case JsonKind::real:
      return value_text(value.number(-1e308, 1e308));
    case JsonKind::boolean:
      return value.boolean() ? "true" : "false";
    case JsonKind::string:
      return std::string(value.string());
    default:
      return "";
  }
}

void add(JsonValue object, const std::string& prefix, Figures& out) {
  for (const JsonValue member : object.members()) {
    const std::string name = prefix + std::string(member.key());
    if (member.kind() == JsonKind::object) {
      add(member, name + '.', out);
    } else if (member.kind() != JsonKind::array) {  // of one replica each, of windows of time
      out.emplace_back(name, text_of(member));
    }
  }
}

}  // namespace

Figures figures_of(std::string_view summary) {
  JsonLine line;
  Figures out;
  add(parse_json_object(line, summary, Place{"a summary", 1}, false), "", out);
  return out;
}

std::vector<std::string> figure_names(const FiguresOf& of) {
  // A run of nothing has them all.
  RunResult nothing;
  for (const std::string& tier : of.tiers) nothing.totals.tiers.emplace_back().name = tier;
  if (of.replicas || of.transfer) {
    nothing.cluster.emplace().window = Duration{1};
    if (of.transfer) nothing.cluster->transfer.emplace();
  }
  JsonWriter json;
  write_summary(json, summarise(nothing, RunIdentity{}), WallTime::left_out);
  std::vector<std::string> out;
  for (const auto& [name, value] : figures_of(json.text())) out.push_back(name);
  return out;
}

}  // namespace v4cap
