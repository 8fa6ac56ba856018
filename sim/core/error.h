// Two kinds of failure, never mixed. InputError: what the user gave is wrong; it names the place,
// what was expected and what was found, and ends the program with exit code 2. RunError: a
// well-formed question that has no answer (the model does not fit); exit code 1. A broken invariant
// of ours is V4CAP_CHECK: it stops the program with the state, in every build type. Both carry what
// a program can act on: a kind, and figures by name.
#pragma once

#include <cstdint>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

namespace v4cap {

// Exit codes of every command (DESIGN: command contract).
enum class ExitCode : int {
  done = 0,
  failed = 1,
  bad_input = 2,
  slo_missed = 99,
  interrupted = 130
};

// A place in an input file. Lines and columns count from 1; 0 means "the whole file".
struct Place {
  std::string file;
  std::int64_t line = 0;
  std::int64_t column = 0;
};

struct Diagnostic {
  Place place;
  std::string message;  // what was expected and what was found, no trailing full stop
};

// "file:line:column: message", leaving out what is 0.
std::string to_string(const Diagnostic& diagnostic);

// A figure or name that belongs to an error; becomes a member of its JSON. The name carries the
// unit ("free_bytes").
struct ErrorDetail {
  std::string name;
  std::variant<std::int64_t, double, std::string> value;
};

class InputError : public std::runtime_error {
 public:
  explicit InputError(std::vector<Diagnostic> diagnostics);
  InputError(Place place, std::string message);
  // `kind`: a constant, such as "no_driver".
  InputError(Place place, std::string message, std::string kind, std::vector<ErrorDetail> details);
  const std::vector<Diagnostic>& diagnostics() const { return diagnostics_; }
  const std::string& kind() const { return kind_; }
  const std::vector<ErrorDetail>& details() const { return details_; }

 private:
  std::vector<Diagnostic> diagnostics_;
  std::string kind_ = "input";
  std::vector<ErrorDetail> details_;
};

class RunError : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
  // `kind`: a constant, such as "out_of_memory".
  RunError(const std::string& message, std::string kind, std::vector<ErrorDetail> details = {})
      : std::runtime_error(message), kind_(std::move(kind)), details_(std::move(details)) {}
  const std::string& kind() const { return kind_; }
  const std::vector<ErrorDetail>& details() const { return details_; }

 private:
  std::string kind_ = "run";
  std::vector<ErrorDetail> details_;
};

// The one of `known` that ends with '-' and `word`, else the nearest by edit distance, or "" when
// nothing is near enough to be meant.
std::string nearest_name(std::string_view word, const std::vector<std::string>& known);

// "; did you mean 'x'?" or "; one of: a, b, c", to be appended to a message about an unknown name.
std::string suggestion(std::string_view word, const std::vector<std::string>& known);

[[noreturn]] void check_failed(const char* file, int line, const char* condition,
                               const std::string& state);

}  // namespace v4cap

// Invariant of ours. `state` (a std::string expression) is evaluated only on failure.
#define V4CAP_CHECK(condition, state)                                                 \
  do {                                                                                \
    if (!(condition)) ::v4cap::check_failed(__FILE__, __LINE__, #condition, (state)); \
  } while (false)
