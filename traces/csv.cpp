#include "traces/csv.h"

#include <algorithm>
#include <charconv>

namespace v4cap {

namespace {

void split(std::string_view line, std::vector<std::string_view>& fields) {
  fields.clear();
  for (std::size_t begin = 0;;) {
    const std::size_t comma = line.find(',', begin);
    fields.push_back(line.substr(begin, comma - begin));
    if (comma == std::string_view::npos) return;
    begin = comma + 1;
  }
}

// At most 40 printable characters.
std::string shown(std::string_view text) {
  std::string out;
  for (const char c : text.substr(0, 40)) out += c >= 0x20 && c < 0x7f ? c : '?';
  return "'" + out + (text.size() > 40 ? "...'" : "'");
}

std::string shown(double value) {
  char text[32];
  return {text, std::to_chars(text, text + sizeof text, value).ptr};
}

}  // namespace

CsvReader::CsvReader(TextFile& file, std::string_view header) : file_(file) {
  if (!file_.next() || file_.line() != header) {
    throw InputError(Place{file_.path(), 1, 1},
                     "expected the header " + shown(header) + ", found " + shown(file_.line()));
  }
  split(header, fields_);
  names_.assign(fields_.begin(), fields_.end());
}

CsvReader::CsvReader(TextFile& file, const std::vector<std::string>& known) : file_(file) {
  if (!file_.next()) throw InputError(Place{file_.path(), 1, 1}, "expected a header");
  split(file_.line(), fields_);
  for (std::size_t i = 0; i < fields_.size(); ++i) {
    const std::string name(fields_[i].substr(0, 64));
    if (std::find(known.begin(), known.end(), name) == known.end()) {
      throw InputError(file_.place(column(i)), "expected a column of the format, found " +
                                                   shown(name) + suggestion(name, known));
    }
    if (find(name)) {
      throw InputError(file_.place(column(i)),
                       "expected each column once, found " + shown(name) + " again");
    }
    names_.push_back(name);
  }
}

std::optional<std::size_t> CsvReader::find(std::string_view name) const {
  const auto it = std::find(names_.begin(), names_.end(), name);
  if (it == names_.end()) return std::nullopt;
  return static_cast<std::size_t>(it - names_.begin());
}

bool CsvReader::next() {
  if (!file_.next()) return false;
  split(file_.line(), fields_);
  if (fields_.size() == names_.size()) return true;
  const bool cut = fields_.size() < names_.size() && !file_.line_is_terminated();
  throw InputError(file_.place(static_cast<std::int64_t>(file_.line().size()) + 1),
                   "expected " + std::to_string(names_.size()) + " fields, found " +
                       std::to_string(fields_.size()) + (cut ? ": the last line is cut" : ""));
}

std::int64_t CsvReader::column(std::size_t field) const {
  return fields_[field].data() - fields_[0].data() + 1;
}

void CsvReader::expected(std::size_t field, const std::string& what) const {
  const bool cut =
      field + 1 == fields_.size() && fields_[field].empty() && !file_.line_is_terminated();
  throw InputError(file_.place(column(field)), names_[field] + ": expected " + what + ", found " +
                                                   shown(fields_[field]) +
                                                   (cut ? ": the last line is cut" : ""));
}

std::int64_t CsvReader::integer(std::size_t field, std::int64_t low, std::int64_t high) const {
  const std::string_view text = fields_[field];
  std::int64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || end != text.data() + text.size() || value < low || value > high) {
    expected(field, "an integer from " + std::to_string(low) + " to " + std::to_string(high));
  }
  return value;
}

double CsvReader::number(std::size_t field, double low, double high) const {
  const std::string_view text = fields_[field];
  double value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  const bool whole = error == std::errc{} && end == text.data() + text.size();
  if (!whole || !(value >= low && value <= high)) {
    expected(field, "a number from " + shown(low) + " to " + shown(high));
  }
  return value;
}

}  // namespace v4cap
