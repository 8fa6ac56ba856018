// Tables of published measurements (CSV with a header). Columns may come in any order, further ones
// are ignored. What a table is about is told by its header.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "sim/config/value.h"
#include "sim/core/error.h"

namespace v4cap {

// The fields of one row by column name, with their places.
class CaseRow {
 public:
  // Throws InputError when the line does not have as many fields as the header.
  CaseRow(const std::string& line, const Place& place, const std::vector<std::string>& header);

  const Place& place() const { return place_; }
  std::string text(const std::string& name) const;      // "" where empty or absent
  std::string required(const std::string& name) const;  // refuses an empty cell
  // Throws InputError with the cell's column for what is no such number or outside `limits`.
  template <class T>
  std::optional<T> number(const std::string& name, const Limits<T>& limits) const {
    const std::string field = text(name);
    if (field.empty()) return std::nullopt;
    std::string hint;
    const std::optional<T> value = parse_value<T>(field, hint);
    if (!value || !limits.admit(*value)) refuse(name, expected_text(limits));
    return value;
  }
  template <class T>
  T required_number(const std::string& name, const Limits<T>& limits) const {
    const std::optional<T> value = number(name, limits);
    if (!value) refuse(name, expected_text(limits));
    return *value;
  }
  [[noreturn]] void refuse(const std::string& name, const std::string& expected) const;

 private:
  struct Field {
    std::string text;
    std::int64_t column = 0;
  };
  std::int64_t column(std::size_t i) const;

  Place place_;
  std::string line_;
  std::map<std::string, Field> fields_;
};

struct CaseRows {
  std::string path;
  std::vector<std::string> header;
  std::vector<CaseRow> rows;  // at least one, each with an id of its own

  bool has(const std::string& column) const;
  // Throws InputError for a column that is missing, with the nearest that is there.
  void require(const std::vector<std::string>& columns) const;
};

// Throws InputError with file, line and column for anything malformed.
CaseRows read_case_rows(const std::string& path);

// Fields of one line of CSV with quotes ("" is a quote inside them). Throws InputError at `place`,
// with the column where a quote is not closed or followed by something else than a comma.
std::vector<std::string> csv_fields(const std::string& line, Place place);

}  // namespace v4cap
