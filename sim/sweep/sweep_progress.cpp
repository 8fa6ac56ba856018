#include "sim/sweep/sweep_progress.h"

#include <fmt/format.h>

#include "sim/output/humanise.h"

namespace v4cap {

std::string sweep_progress_text(std::size_t ended, std::size_t points,
                                SweepProgress::WallDuration elapsed) {
  const auto done = static_cast<double>(ended), all = static_cast<double>(points);
  const double seconds = static_cast<double>(elapsed.count()) / 1e9;
  std::string text = fmt::format("{} of {} points", ended, points);
  if (!(seconds > 0)) return text;
  const double rate = done / seconds;
  text += fmt::format(", {} points/s", grouped(rate, decimals_for(rate)));
  if (ended == points) return text;
  const auto left = Duration{static_cast<std::int64_t>((all - done) / rate * 1e9)};
  return text + ", " + human(left) + " left";
}

void SweepProgress::ended(WallDuration now) {
  const std::lock_guard lock(mutex_);
  ++ended_;
  if (quiet_ || now < next_) return;
  next_ = now + (terminal_ ? WallDuration{std::chrono::milliseconds{100}}
                           : WallDuration{std::chrono::seconds{10}});
  const std::string text = sweep_progress_text(ended_, points_, now);
  if (terminal_) {
    out_ << "\r\x1b[K" << text << std::flush;
    drawn_ = true;
  } else {
    out_ << text << '\n' << std::flush;
  }
}

void SweepProgress::clear() {
  if (!drawn_) return;
  out_ << "\r\x1b[K" << std::flush;
  drawn_ = false;
}

}  // namespace v4cap
