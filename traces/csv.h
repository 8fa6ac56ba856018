// Comma-separated lines without quoting, as the length and arrival traces have them. The header is
// checked, the number of fields too, and every number whole, with file, line and column in each
// refusal.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "sim/core/text_file.h"

namespace v4cap {

class CsvReader {
 public:
  // Reads the header, which must be exactly `header`.
  CsvReader(TextFile& file, std::string_view header);

  // Reads a header whose names are among `known`, in any order, each once.
  CsvReader(TextFile& file, const std::vector<std::string>& known);

  // The column of this name; nullopt where the header has none.
  std::optional<std::size_t> find(std::string_view name) const;

  // Next row; false at the end. A last row without line end may still be whole and is accepted when
  // it has all its fields; that the last number lost digits cannot be seen.
  bool next();

  std::string_view text(std::size_t field) const { return fields_[field]; }
  std::int64_t integer(std::size_t field, std::int64_t low, std::int64_t high) const;
  double number(std::size_t field, double low, double high) const;
  [[noreturn]] void expected(std::size_t field, const std::string& what) const;
  std::int64_t column(std::size_t field) const;  // from 1

 private:
  TextFile& file_;
  std::vector<std::string> names_;
  std::vector<std::string_view> fields_;
};

}  // namespace v4cap
