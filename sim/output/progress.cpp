#include "sim/output/progress.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "sim/output/humanise.h"

namespace v4cap {

namespace {

constexpr int kCells = 30;
constexpr ProgressBar::WallDuration kInterval = std::chrono::milliseconds{100};
constexpr const char* kClearLine = "\r\x1b[K";

// Assumes that the rest goes as fast as what is done. Nothing below 0.1 % or beyond 100 hours: such
// a figure would only jump about.
std::string time_left(double done, ProgressBar::WallDuration elapsed) {
  if (done < 0.001) return "";
  const double left_ns = static_cast<double>(elapsed.count()) * (1 - done) / done;
  if (!(left_ns < 100 * 3600e9)) return "";
  return human(Duration{static_cast<std::int64_t>(left_ns)}) + " left";
}

}  // namespace

std::string progress_text(double done, ProgressBar::WallDuration elapsed) {
  const int filled = static_cast<int>(done * kCells);
  return fmt::format("[{:#<{}}{:-<{}}] {:3.0f} %  {}", "", filled, "", kCells - filled,
                     std::floor(100 * done), time_left(done, elapsed));
}

void ProgressBar::update(double done, WallDuration now) {
  if (!enabled_ || now < next_) return;
  next_ = now + kInterval;
  if (std::isnan(done)) done = 0;
  done_ = std::max(done_, std::clamp(done, 0.0, 1.0));
  out_ << kClearLine << progress_text(done_, now) << std::flush;
  drawn_ = true;
}

void ProgressBar::clear() {
  if (!drawn_) return;
  out_ << kClearLine << std::flush;
  drawn_ = false;
}

}  // namespace v4cap
