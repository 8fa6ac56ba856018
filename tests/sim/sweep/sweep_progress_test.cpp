// The progress line of a sweep.
#include "sim/sweep/sweep_progress.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <sstream>

namespace v4cap {
namespace {

using std::chrono::seconds;

TEST_CASE("sweep progress: count, rate and what is left") {
  CHECK(sweep_progress_text(120, 500, seconds{60}) ==
        "120 of 500 points, 2.00 points/s, 3 min 10 s left");
  CHECK(sweep_progress_text(500, 500, seconds{100}) == "500 of 500 points, 5.00 points/s");
  CHECK(sweep_progress_text(1, 500, seconds{0}) == "1 of 500 points");
}

TEST_CASE("sweep progress: a log gets a line every ten seconds, --quiet none") {
  std::ostringstream log, silent;
  SweepProgress progress(log, 100, false, false), quiet(silent, 100, false, true);
  for (int s = 0; s < 100; ++s) {
    progress.ended(seconds{s});
    quiet.ended(seconds{s});
  }
  const std::string text = log.str();
  CHECK(std::count(text.begin(), text.end(), '\n') == 10);
  CHECK(text.find('\r') == std::string::npos);
  CHECK(silent.str().empty());
}

TEST_CASE("sweep progress: a terminal's line is redrawn and removed") {
  std::ostringstream terminal;
  {
    SweepProgress progress(terminal, 10, true, false);
    progress.ended(seconds{2});
    CHECK(terminal.str().find("1 of 10 points") != std::string::npos);
  }
  CHECK(terminal.str().ends_with("\r\x1b[K"));
}

}  // namespace
}  // namespace v4cap
