// A comparison in a sweep file: which points there are (`constraints:`, over key paths of the
// scenario) and what a result has to keep (`thresholds:`, over figures of its summary).
//
//   deployment.tensor_parallel * deployment.data_parallel <= 8
//   kv_cache.swa_policy != full
//   ttft_ms.p99 <= 5000
//
// Words are separated by spaces. A side is a name, a number (with its unit: 8 GiB), a text, or a
// product of numbers and names. Numbers are compared with numbers of the same kind; texts only for
// being equal.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "sim/core/error.h"

namespace v4cap {

class Condition {
 public:
  // Throws InputError at `place`.
  Condition(std::string text, Place place);

  // Names on the left, which have to exist, and words on the right, which may be texts.
  const std::vector<std::string>& left_names() const { return left_.names; }
  const std::vector<std::string>& right_words() const { return right_.names; }
  bool right_is_number() const { return right_.names.empty(); }
  // The first number on either side that has a unit ("8 GiB"); "" where all are plain.
  std::string first_amount() const;

  // Value of a name as text; nullopt where there is none of that name.
  using Lookup = std::function<std::optional<std::string>(const std::string& name)>;
  // Throws InputError at the comparison's place where sides do not compare.
  bool holds(const Lookup& lookup) const;

  const std::string& text() const { return text_; }
  const Place& place() const { return place_; }

 private:
  struct Factor {
    std::string text;  // of a number with its unit, or a name
    bool is_name = false;
  };
  struct Side {
    std::vector<Factor> factors;
    std::vector<std::string> names;
  };
  struct Value;

  Side read_side(const std::vector<std::string>& words) const;
  Value value_of(const Side& side, const Lookup& lookup) const;
  [[noreturn]] void fail(const std::string& message) const;

  std::string text_;
  Place place_;
  Side left_, right_;
  std::string op_;
};

}  // namespace v4cap
