#include "sim/app/case_table.h"

#include <algorithm>
#include <limits>

#include "sim/config/value.h"
#include "sim/config/yaml_tree.h"
#include "sim/core/text_file.h"

namespace v4cap {

namespace {

const std::vector<std::string>& columns() {
  static const std::vector<std::string> names = {"id",
                                                 "engine",
                                                 "engine_version",
                                                 "model",
                                                 "gpu",
                                                 "gpus",
                                                 "tp",
                                                 "dp",
                                                 "ep",
                                                 "speculative",
                                                 "indexer_dtype",
                                                 "kv_available_gib",
                                                 "fixed_gib",
                                                 "swa_full_tokens_ratio",
                                                 "gpu_memory_utilization",
                                                 "max_model_len",
                                                 "max_batched_tokens",
                                                 "steps_in_flight",
                                                 "metric",
                                                 "value",
                                                 "note"};
  return names;
}

bool has(const std::vector<std::string>& names, const std::string& name) {
  return std::ranges::find(names, name) != names.end();
}

std::vector<std::string> read_header(const TextFile& file) {
  const std::vector<std::string> header = csv_fields(std::string(file.line()), file.place());
  if (has(header, "ttft_ms_mean") || has(header, "tpot_ms_mean")) {
    throw InputError(file.place(1),
                     "this is a table of serving measurements; only capacity tables "
                     "(columns metric and value) are predicted so far");
  }
  if (!has(header, "metric") || !has(header, "value")) {
    throw InputError(file.place(1),
                     "expected the header of a capacity table (id,engine,"
                     "engine_version,...,metric,value,...), got " +
                         shown(header.front()));
  }
  for (const std::string& name : columns()) {
    if (name == "note" || has(header, name)) continue;
    throw InputError(file.place(1), "expected a column '" + name + "'" + suggestion(name, header));
  }
  for (auto it = header.begin(); it != header.end(); ++it) {
    if (std::find(std::next(it), header.end(), *it) != header.end()) {
      throw InputError(file.place(1), "expected each column once, got " + shown(*it) + " twice");
    }
  }
  return header;
}

// The fields of one row by column name, with their places.
class Row {
 public:
  Row(const TextFile& file, const std::vector<std::string>& header)
      : place_(file.place()), line_(file.line()) {
    const auto fields = csv_fields(line_, place_);
    if (fields.size() != header.size()) {
      throw InputError(place_, "expected " + std::to_string(header.size()) + " fields, got " +
                                   std::to_string(fields.size()));
    }
    for (std::size_t i = 0; i < fields.size(); ++i) fields_[header[i]] = {fields[i], column(i)};
  }

  const Place& place() const { return place_; }

  std::string text(const std::string& name) const {
    const auto it = fields_.find(name);
    return it == fields_.end() ? "" : it->second.text;
  }

  std::string required(const std::string& name) const {
    if (text(name).empty()) refuse(name, "a name");
    return text(name);
  }

  template <class T>
  std::optional<T> number(const std::string& name, const Limits<T>& limits) const {
    const std::string field = text(name);
    if (field.empty()) return std::nullopt;
    std::string hint;
    const std::optional<T> value = parse_value<T>(field, hint);
    if (!value || !limits.admit(*value)) refuse(name, expected_text(limits));
    return value;
  }

  [[noreturn]] void refuse(const std::string& name, const std::string& expected) const {
    Place place = place_;
    place.column = fields_.at(name).column;
    throw InputError(place, name + ": expected " + expected + ", got " +
                                (text(name).empty() ? "nothing" : shown(text(name))));
  }

 private:
  struct Field {
    std::string text;
    std::int64_t column = 0;
  };

  // Where field i begins, from 1.
  std::int64_t column(std::size_t i) const {
    bool quoted = false;
    for (std::size_t at = 0; at < line_.size() && i > 0; ++at) {
      if (line_[at] == '"') quoted = !quoted;
      if (line_[at] == ',' && !quoted && --i == 0) return static_cast<std::int64_t>(at) + 2;
    }
    return 1;
  }

  Place place_;
  std::string line_;
  std::map<std::string, Field> fields_;
};

CapacityCase read_row(const Row& row) {
  const auto width = between<std::int64_t>(1, 100'000);
  const auto tokens = between<std::int64_t>(1, 1'000'000'000);
  const auto gib = between(0.0, 1e6);
  CapacityCase c;
  c.place = row.place();
  c.id = row.required("id");
  c.engine = row.required("engine");
  c.engine_version = row.text("engine_version");
  c.model = row.required("model");
  c.gpu = row.text("gpu");
  c.tensor_parallel = row.number("tp", width).value_or(1);
  c.data_parallel = row.number("dp", width).value_or(1);
  c.expert_parallel = row.number("ep", width).value_or(1);
  c.gpus = row.number("gpus", width).value_or(c.tensor_parallel * c.data_parallel);
  c.speculative = row.text("speculative");
  c.indexer = row.text("indexer_dtype");
  c.kv_available_gib = row.number("kv_available_gib", gib);
  c.fixed_gib = row.number("fixed_gib", gib);
  c.swa_full_tokens_ratio = row.number("swa_full_tokens_ratio", between(0.0, 1.0));
  c.memory_fraction = row.number("gpu_memory_utilization", above_up_to(0.0, 1.0));
  c.max_model_len = row.number("max_model_len", tokens);
  c.max_batched_tokens = row.number("max_batched_tokens", tokens);
  c.steps_in_flight = row.number("steps_in_flight", between<std::int64_t>(1, 16));
  c.metric = row.required("metric");
  const auto value = row.number("value", above(0.0));
  if (!value) row.refuse("value", expected_text(above(0.0)));
  c.value = *value;
  c.note = row.text("note");
  return c;
}

}  // namespace

std::vector<std::string> csv_fields(const std::string& line, Place place) {
  std::vector<std::string> fields(1);
  bool quoted = false;
  std::size_t opened = 0;
  for (std::size_t i = 0; i < line.size(); ++i) {
    const char c = line[i];
    if (quoted && c == '"' && i + 1 < line.size() && line[i + 1] == '"') {
      fields.back() += line[i++];
    } else if (quoted && c == '"') {
      quoted = false;
      if (i + 1 < line.size() && line[i + 1] != ',') {
        place.column = static_cast<std::int64_t>(i) + 2;
        throw InputError(
            place, "expected a comma after the closing quote, got " + shown(line.substr(i + 1, 1)));
      }
    } else if (!quoted && c == '"' && fields.back().empty()) {
      quoted = true;
      opened = i;
    } else if (!quoted && c == ',') {
      fields.emplace_back();
    } else {
      fields.back() += c;
    }
  }
  if (quoted) {
    place.column = static_cast<std::int64_t>(opened) + 1;
    throw InputError(place, "expected a closing quote on the same line");
  }
  return fields;
}

std::vector<CapacityCase> read_capacity_cases(const std::string& path) {
  TextFile file(path);
  if (!file.next()) throw InputError(Place{path}, "expected a table, the file is empty");
  const std::vector<std::string> header = read_header(file);
  std::vector<CapacityCase> cases;
  std::vector<std::string> ids;
  while (file.next()) {
    if (file.line().empty()) continue;
    const Row row(file, header);
    cases.push_back(read_row(row));
    if (has(ids, cases.back().id)) row.refuse("id", "each id once");
    ids.push_back(cases.back().id);
  }
  if (cases.empty()) throw InputError(Place{path}, "expected rows below the header, found none");
  return cases;
}

}  // namespace v4cap
