#include "sim/app/case_rows.h"

#include <algorithm>

#include "sim/config/yaml_tree.h"
#include "sim/core/text_file.h"

namespace v4cap {

namespace {

bool has_name(const std::vector<std::string>& names, const std::string& name) {
  return std::ranges::find(names, name) != names.end();
}

std::vector<std::string> read_header(const TextFile& file) {
  std::vector<std::string> header = csv_fields(std::string(file.line()), file.place());
  for (auto it = header.begin(); it != header.end(); ++it) {
    if (std::find(std::next(it), header.end(), *it) != header.end()) {
      throw InputError(file.place(1), "expected each column once, got " + shown(*it) + " twice");
    }
  }
  return header;
}

}  // namespace

CaseRow::CaseRow(const std::string& line, const Place& place,
                 const std::vector<std::string>& header)
    : place_(place), line_(line) {
  const auto fields = csv_fields(line_, place_);
  if (fields.size() != header.size()) {
    throw InputError(place_, "expected " + std::to_string(header.size()) + " fields, got " +
                                 std::to_string(fields.size()));
  }
  for (std::size_t i = 0; i < fields.size(); ++i) fields_[header[i]] = {fields[i], column(i)};
}

std::string CaseRow::text(const std::string& name) const {
  const auto it = fields_.find(name);
  return it == fields_.end() ? "" : it->second.text;
}

std::string CaseRow::required(const std::string& name) const {
  if (text(name).empty()) refuse(name, "a name");
  return text(name);
}

void CaseRow::refuse(const std::string& name, const std::string& expected) const {
  Place place = place_;
  const auto it = fields_.find(name);
  if (it != fields_.end()) place.column = it->second.column;
  throw InputError(place, name + ": expected " + expected + ", got " +
                              (text(name).empty() ? "nothing" : shown(text(name))));
}

// Where field i begins, from 1.
std::int64_t CaseRow::column(std::size_t i) const {
  bool quoted = false;
  for (std::size_t at = 0; at < line_.size() && i > 0; ++at) {
    if (line_[at] == '"') quoted = !quoted;
    if (line_[at] == ',' && !quoted && --i == 0) return static_cast<std::int64_t>(at) + 2;
  }
  return 1;
}

bool CaseRows::has(const std::string& column) const {
  return has_name(header, column);
}

void CaseRows::require(const std::vector<std::string>& columns) const {
  for (const std::string& name : columns) {
    if (has(name)) continue;
    throw InputError(Place{path, 1, 1},
                     "expected a column '" + name + "'" + suggestion(name, header));
  }
}

CaseRows read_case_rows(const std::string& path) {
  TextFile file(path);
  if (!file.next()) throw InputError(Place{path}, "expected a table, the file is empty");
  CaseRows out{path, read_header(file), {}};
  std::vector<std::string> ids;
  while (file.next()) {
    if (file.line().empty()) continue;
    out.rows.emplace_back(std::string(file.line()), file.place(), out.header);
    const CaseRow& row = out.rows.back();
    if (!out.has("id")) continue;  // whoever knows the table refuses it
    const std::string id = row.required("id");
    if (has_name(ids, id)) row.refuse("id", "each id once");
    ids.push_back(id);
  }
  if (out.rows.empty()) throw InputError(Place{path}, "expected rows below the header, found none");
  return out;
}

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

}  // namespace v4cap
