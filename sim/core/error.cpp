#include "sim/core/error.h"

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <numeric>

namespace v4cap {

std::string to_string(const Diagnostic& diagnostic) {
  const Place& place = diagnostic.place;
  std::string text = place.file;
  if (place.line > 0) text += ':' + std::to_string(place.line);
  if (place.line > 0 && place.column > 0) text += ':' + std::to_string(place.column);
  if (!text.empty()) text += ": ";
  return text + diagnostic.message;
}

namespace {

std::string joined(const std::vector<Diagnostic>& diagnostics) {
  std::string text;
  for (const Diagnostic& d : diagnostics) {
    if (!text.empty()) text += '\n';
    text += to_string(d);
  }
  return text;
}

// Levenshtein distance with two rows; names are short.
std::size_t edit_distance(std::string_view a, std::string_view b) {
  std::vector<std::size_t> row(b.size() + 1);
  std::iota(row.begin(), row.end(), std::size_t{0});
  for (std::size_t i = 1; i <= a.size(); ++i) {
    std::size_t diagonal = row[0];
    row[0] = i;
    for (std::size_t j = 1; j <= b.size(); ++j) {
      const std::size_t above = row[j];
      const std::size_t replaced = diagonal + (a[i - 1] == b[j - 1] ? 0 : 1);
      row[j] = std::min({above + 1, row[j - 1] + 1, replaced});
      diagonal = above;
    }
  }
  return row[b.size()];
}

}  // namespace

InputError::InputError(std::vector<Diagnostic> diagnostics)
    : std::runtime_error(joined(diagnostics)), diagnostics_(std::move(diagnostics)) {}

InputError::InputError(Place place, std::string message)
    : InputError(std::vector<Diagnostic>{{std::move(place), std::move(message)}}) {}

InputError::InputError(Place place, std::string message, std::string kind,
                       std::vector<ErrorDetail> details)
    : InputError(std::move(place), std::move(message)) {
  kind_ = std::move(kind);
  details_ = std::move(details);
}

std::string nearest_name(std::string_view word, const std::vector<std::string>& known) {
  // Names of files are of parts, and one of "hgx-b200" and "gb200" has what "b200" says as a part.
  if (word.size() > 1) {
    for (const std::string& name : known) {
      if (name.ends_with('-' + std::string(word))) return name;
    }
  }
  std::string best;
  std::size_t best_distance = std::max<std::size_t>(2, word.size() / 3) + 1;
  for (const std::string& name : known) {
    const std::size_t distance = edit_distance(word, name);
    // Names without a letter in common are as far apart as the longer is long.
    if (distance < best_distance && distance < std::max(word.size(), name.size())) {
      best_distance = distance;
      best = name;
    }
  }
  return best;
}

std::string suggestion(std::string_view word, const std::vector<std::string>& known) {
  if (const std::string best = nearest_name(word, known); !best.empty()) {
    return "; did you mean '" + best + "'?";
  }
  if (known.empty()) return "";
  std::string text = "; one of: ";
  for (std::size_t i = 0; i < known.size(); ++i) text += (i == 0 ? "" : ", ") + known[i];
  return text;
}

void check_failed(const char* file, int line, const char* condition, const std::string& state) {
  std::fprintf(stderr, "%s:%d: internal check failed: %s\n%s\nThis is a defect of v4cap.\n", file,
               line, condition, state.c_str());
  std::fflush(stderr);
  std::abort();
}

}  // namespace v4cap
