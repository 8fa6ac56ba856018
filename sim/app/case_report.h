// What `v4cap cases` says of a table.
#pragma once

#include <string>

namespace v4cap {

struct CaseReport {
  std::string json, text;
  bool predicted = false;  // at least one row was
};

}  // namespace v4cap
