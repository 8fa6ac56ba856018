// How far a sweep is, its rate and the time that is left, on the log stream: one line that is
// redrawn on a terminal, else a line every ten seconds. Time is an argument, as in progress.h.
//
//   120 of 500 points, 3.2 points/s, 1 min 59 s left
#pragma once

#include <chrono>
#include <cstddef>
#include <mutex>
#include <ostream>
#include <string>

namespace v4cap {

class SweepProgress {
 public:
  using WallDuration = std::chrono::nanoseconds;  // since the first point was begun

  SweepProgress(std::ostream& out, std::size_t points, bool terminal, bool quiet)
      : out_(out), points_(points), terminal_(terminal), quiet_(quiet) {}
  ~SweepProgress() { clear(); }
  SweepProgress(const SweepProgress&) = delete;
  SweepProgress& operator=(const SweepProgress&) = delete;

  // A point ended. Safe on several threads.
  void ended(WallDuration now);
  std::size_t count() const { return ended_; }

  // Removes the line from a terminal, so that what is printed next starts on a clean one.
  void clear();

 private:
  std::ostream& out_;
  std::size_t points_;
  bool terminal_, quiet_;
  std::mutex mutex_;
  std::size_t ended_ = 0;
  bool drawn_ = false;
  WallDuration next_ = std::chrono::seconds{1};
};

// The line without its end. 0 < ended <= points.
std::string sweep_progress_text(std::size_t ended, std::size_t points,
                                SweepProgress::WallDuration elapsed);

}  // namespace v4cap
