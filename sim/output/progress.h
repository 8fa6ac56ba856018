// A progress bar with the time that is left. It is drawn on a terminal only, not before a second
// has passed (short runs stay silent), and not more often than ten times a second. Time is an
// argument: the caller owns the clock.
//
//   [############------------------]  41 %  12.3 s left
#pragma once

#include <chrono>
#include <ostream>
#include <string>

namespace v4cap {

class ProgressBar {
 public:
  using WallDuration = std::chrono::nanoseconds;  // since the run began

  // `enabled`: the stream is a terminal, and neither --quiet nor --json asked for silence.
  ProgressBar(std::ostream& out, bool enabled) : out_(out), enabled_(enabled) {}
  ~ProgressBar() { clear(); }
  ProgressBar(const ProgressBar&) = delete;
  ProgressBar& operator=(const ProgressBar&) = delete;

  // `done` is the fraction of the run, 0..1; values outside are clamped, NaN counts as 0, and the
  // bar never goes back. Cheap enough to be called after every step.
  void update(double done, WallDuration now);

  // Removes the bar, so that what is printed next starts on a clean line.
  void clear();

 private:
  std::ostream& out_;
  bool enabled_;
  bool drawn_ = false;
  double done_ = 0;
  WallDuration next_ = std::chrono::seconds{1};
};

// The bar's text without control characters. 0 <= done <= 1.
std::string progress_text(double done, ProgressBar::WallDuration elapsed);

}  // namespace v4cap
