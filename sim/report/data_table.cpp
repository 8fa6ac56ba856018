#include "sim/report/data_table.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <limits>
#include <map>
#include <optional>
#include <utility>

#include "sim/config/yaml_tree.h"
#include "sim/core/error.h"
#include "sim/core/json.h"
#include "sim/core/text_file.h"
#include "sim/output/text_width.h"

namespace v4cap {

namespace {

constexpr double kNothing = std::numeric_limits<double>::quiet_NaN();

// Words that stand for no number.
bool is_nothing(std::string_view text) {
  return text.empty() || text == "null" || text == "nan" || text == "NaN";
}

std::optional<double> number_of(std::string_view text) {
  if (is_nothing(text)) return kNothing;
  if (text == "true") return 1;
  if (text == "false") return 0;
  double value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || end != text.data() + text.size() || !std::isfinite(value)) return {};
  return value;
}

// A column as it grows: numbers as long as it can be one of numbers, texts from the first field on
// that is none.
class ColumnBuilder {
 public:
  ColumnBuilder(std::string name, std::int64_t rows_before, bool only_numbers)
      : only_numbers_(only_numbers) {
    column_.name = std::move(name);
    pad(rows_before);
  }

  void add(std::string_view field, const TextFile* file) {
    ++rows_;
    if (column_.is_number) {
      if (const auto number = number_of(field)) {
        column_.numbers.push_back(*number);
        any_ = any_ || !is_nothing(field);
      } else if (only_numbers_) {
        throw InputError(file->place(), "expected a number in column " +
                                            shown(valid_utf8(column_.name)) + ", found " +
                                            shown(valid_utf8(field)));
      } else {
        column_.is_number = false;
      }
    }
    if (!only_numbers_) fields_.emplace_back(valid_utf8(field));
  }
  void pad(std::int64_t rows) {
    while (rows_ < rows) add("", nullptr);
  }

  DataColumn finish() {
    if (only_numbers_) return std::move(column_);
    // A column of which nothing is known says more as an empty text than as a number.
    column_.is_number = column_.is_number && any_;
    if (column_.is_number) return std::move(column_);
    column_.numbers.clear();
    column_.texts = std::move(fields_);
    return std::move(column_);
  }

 private:
  DataColumn column_;
  std::vector<std::string> fields_;  // empty of a column that takes only numbers
  std::int64_t rows_ = 0;
  bool only_numbers_, any_ = false;
};

class TableBuilder {
 public:
  // With `wanted` only the columns that it names, of numbers.
  TableBuilder(const TextFile& file, std::function<bool(std::string_view)> wanted)
      : file_(file), wanted_(std::move(wanted)) {}

  // The place of a column that is kept, made when it is new.
  std::optional<std::size_t> column(const std::string& name) {
    if (wanted_ && !wanted_(name)) return {};
    const auto [it, is_new] = places_.try_emplace(name, columns_.size());
    if (is_new) columns_.emplace_back(name, rows_, static_cast<bool>(wanted_));
    return it->second;
  }
  bool knows(const std::string& name) const { return places_.contains(name); }
  void add(std::size_t column, std::string_view field) { columns_[column].add(field, &file_); }
  // Ends a row; columns that it did not name are empty in it.
  void end_row() {
    ++rows_;
    for (ColumnBuilder& column : columns_) column.pad(rows_);
  }
  std::int64_t rows() const { return rows_; }

  DataTable finish() {
    DataTable table;
    for (ColumnBuilder& column : columns_) table.columns.push_back(column.finish());
    table.rows = rows_;
    return table;
  }

 private:
  const TextFile& file_;
  std::function<bool(std::string_view)> wanted_;
  std::map<std::string, std::size_t> places_;
  std::vector<ColumnBuilder> columns_;
  std::int64_t rows_ = 0;
};

// The fields of a line of CSV. Quoted fields do not go over several lines.
void split_fields(const TextFile& file, std::vector<std::string>& fields) {
  const std::string_view line = file.line();
  fields.clear();
  std::size_t at = 0;
  while (true) {
    std::string field;
    if (at < line.size() && line[at] == '"') {
      const std::size_t opened = at++;
      while (true) {
        const std::size_t quote = line.find('"', at);
        if (quote == std::string_view::npos) {
          throw InputError(file.place(static_cast<std::int64_t>(opened) + 1),
                           "expected a quoted field to end on its line, found no closing quote");
        }
        field += line.substr(at, quote - at);
        at = quote + 1;
        if (at >= line.size() || line[at] != '"') break;
        field += '"';
        ++at;
      }
    }
    const std::size_t comma = std::min(line.find(',', at), line.size());
    field += line.substr(at, comma - at);
    fields.push_back(std::move(field));
    if (comma == line.size()) return;
    at = comma + 1;
  }
}

void check_rows(const TextFile& file, std::int64_t rows, std::int64_t rows_max) {
  if (rows < rows_max) return;
  throw InputError(file.place(), fmt::format("expected at most {} rows, found more", rows_max));
}

DataTable read_csv(TextFile& file, std::int64_t rows_max, TableBuilder& table) {
  std::vector<std::string> fields;
  file.next();
  split_fields(file, fields);
  std::vector<std::optional<std::size_t>> columns;
  for (const std::string& name : fields) {
    if (table.knows(name)) {
      throw InputError(file.place(),
                       "expected each column once, found " + shown(valid_utf8(name)) + " twice");
    }
    columns.push_back(table.column(name));
  }
  while (file.next()) {
    if (file.line().empty()) continue;
    check_rows(file, table.rows(), rows_max);
    split_fields(file, fields);
    if (fields.size() != columns.size()) {
      throw InputError(file.place(), fmt::format("expected {} fields, as the header has, found {}",
                                                 columns.size(), fields.size()));
    }
    for (std::size_t i = 0; i < fields.size(); ++i) {
      if (columns[i]) table.add(*columns[i], fields[i]);
    }
    table.end_row();
  }
  return table.finish();
}

std::string text_of(JsonValue value) {
  switch (value.kind()) {
    case JsonKind::null:
      return "";
    case JsonKind::boolean:
      return value.boolean() ? "true" : "false";
    case JsonKind::string:
      return std::string(value.string());
    case JsonKind::integer:
    case JsonKind::real: {
      constexpr double kMax = std::numeric_limits<double>::max();
      return fmt::format("{}", value.number(-kMax, kMax));
    }
    case JsonKind::array:
    case JsonKind::object:
      break;
  }
  return "";
}

void add_members(JsonValue object, const std::string& prefix, TableBuilder& table) {
  for (const JsonValue member : object.members()) {
    const std::string name = prefix + std::string(member.key());
    if (member.kind() == JsonKind::object) {
      add_members(member, name + '.', table);
    } else if (member.kind() != JsonKind::array) {
      if (const auto column = table.column(name)) table.add(*column, text_of(member));
    }
  }
}

DataTable read_json_lines(TextFile& file, std::int64_t rows_max, TableBuilder& table) {
  JsonLine line;
  while (file.next()) {
    if (file.line().empty()) continue;
    check_rows(file, table.rows(), rows_max);
    add_members(parse_json_object(line, file.line(), file.place(), !file.line_is_terminated()), "",
                table);
    table.end_row();
  }
  return table.finish();
}

DataTable read_table(const std::string& path, std::int64_t rows_max,
                     const std::function<bool(std::string_view)>& wanted) {
  TextFile file(path);
  TableBuilder table(file, wanted);
  return file.peek().starts_with('{') ? read_json_lines(file, rows_max, table)
                                      : read_csv(file, rows_max, table);
}

}  // namespace

const DataColumn* DataTable::find(std::string_view name) const {
  const auto it = std::ranges::find(columns, name, &DataColumn::name);
  return it == columns.end() ? nullptr : &*it;
}

DataTable read_data_table(const std::string& path, std::int64_t rows_max) {
  return read_table(path, rows_max, {});
}

DataTable read_number_table(const std::string& path, std::int64_t rows_max,
                            const std::function<bool(std::string_view)>& wanted) {
  return read_table(path, rows_max, wanted);
}

}  // namespace v4cap
