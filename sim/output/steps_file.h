// steps.csv: every step of a run in order, its time and its exact plan, so that a run can be
// repeated with the same times (sim/cost/recorded_cost.h) and two runs be compared byte for byte.
// One line a step:
//
//   step                         from 0
//   begin_ns                     simulated time when it was planned
//   time_ns                      what it took
//   <kind>_pieces, _tokens       of decode, prefill and rebuild: sequences, their new positions,
//     and _past                  and the positions before them
//   points_written_bytes, points_read_bytes    kept points copied out of and into running windows
//   plan                         its pieces in order, a space between two, each
//                                <kind><slot>:<past>[:<tokens>], `:1` left out
//
// Kinds are d (decode), p (prefill), P (the last prefill of a prompt, which yields a token) and r
// (rebuild). A slot is the engine's place of a running request; decisions.csv says which request
// has it. A plan of decodes that goes on exactly as the step before ended is written as `=`.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "sim/core/text_file.h"
#include "sim/cost/recorded_cost.h"
#include "sim/output/text_sink.h"

namespace v4cap {

inline constexpr const char* kStepsFile = "steps.csv";

// Makes the lines. What it returns is valid until the next call.
class StepLines {
 public:
  static std::string_view header();                 // with its newline
  std::string_view line(const RecordedStep& step);  // with its newline

 private:
  std::string text_;
  StepPlan before_;
};

class StepsReader {
 public:
  // Throws InputError when the file does not exist or begins with another header.
  explicit StepsReader(const std::string& path);

  // The next step, null at the end; valid until the next call. Throws InputError with line and
  // column for a line that is cut, malformed, out of order, or whose sums are not those of its
  // plan.
  const RecordedStep* next();

 private:
  TextFile file_;
  RecordedStep step_;
  StepLines lines_;
  std::int64_t steps_ = 0;
};

}  // namespace v4cap
