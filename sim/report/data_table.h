// Rows of figures from a file: a run's timeline.csv or steps.csv, a sweep's export. CSV with a header
// line, where a field with a comma or a quote stands in double quotes (RFC 4180), or JSON Lines, one
// flat or nested object a line; members of nested objects are called outer.inner.
//
// A column is one of numbers when every field of it that is not empty (or null, true, false, NaN) is a
// number; an empty field of such a column is NaN.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

namespace v4cap {

struct DataColumn {
  std::string name{};
  bool is_number = true;
  std::vector<double> numbers{};     // of a column of numbers, one a row
  std::vector<std::string> texts{};  // of any other, one a row
};

struct DataTable {
  std::vector<DataColumn> columns{};  // in the order of the file
  std::int64_t rows = 0;

  const DataColumn* find(std::string_view name) const;  // null when there is none
};

// Throws InputError with file, line and column for a row with another number of fields than the
// header, a quote that is not closed, a name that occurs twice, more than `rows_max` rows, or a line
// that is no JSON object.
DataTable read_data_table(const std::string& path, std::int64_t rows_max);

// The same for the columns that `wanted` names, all of which must be of numbers; for long files.
DataTable read_number_table(const std::string& path, std::int64_t rows_max,
                            const std::function<bool(std::string_view)>& wanted);

}  // namespace v4cap
