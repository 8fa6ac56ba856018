#include "sim/output/progress.h"

#include <doctest/doctest.h>

#include <cmath>
#include <sstream>

using namespace v4cap;
using std::chrono::milliseconds;
using std::chrono::seconds;

namespace {

int times(const std::string& text, const std::string& part) {
  int count = 0;
  for (auto at = text.find(part); at != std::string::npos; at = text.find(part, at + 1)) ++count;
  return count;
}

}  // namespace

TEST_CASE("progress: text") {
  CHECK(progress_text(0, seconds{2}) == "[------------------------------]   0 %  ");
  CHECK(progress_text(0.5, seconds{10}) == "[###############---------------]  50 %  10.0 s left");
  CHECK(progress_text(0.25, seconds{100}) ==
        "[#######-----------------------]  25 %  5 min 00 s left");
  CHECK(progress_text(0.9999, seconds{10}).find(" 99 %") != std::string::npos);  // not yet 100
  CHECK(progress_text(1, seconds{10}) == "[##############################] 100 %  0 ns left");
  // Too early to tell, and too long to mean anything.
  CHECK(progress_text(0.0001, seconds{2}).find("left") == std::string::npos);
  CHECK(progress_text(0.002, std::chrono::hours{1}).find("left") == std::string::npos);
}

TEST_CASE("progress: silent without a terminal and in the first second") {
  std::ostringstream out;
  {
    ProgressBar off{out, false};
    off.update(0.5, seconds{100});
    off.clear();
    ProgressBar brief{out, true};
    brief.update(0.1, milliseconds{0});
    brief.update(0.9, milliseconds{999});
  }
  CHECK(out.str().empty());
}

TEST_CASE("progress: drawn at most ten times a second and removed at the end") {
  std::ostringstream out;
  {
    ProgressBar bar{out, true};
    for (int ms = 0; ms <= 2000; ++ms) bar.update(ms / 4000.0, milliseconds{ms});
  }
  const std::string text = out.str();
  CHECK(times(text, "[#") == 11);  // 1.0, 1.1, ..., 2.0 s
  CHECK(text.ends_with("\r\x1b[K"));
  CHECK(text.find('\n') == std::string::npos);
}

TEST_CASE("progress: fractions are clamped and never go back") {
  std::ostringstream out;
  ProgressBar bar{out, true};
  const auto drawn = [&](double done, int s) {
    out.str("");
    bar.update(done, seconds{s});
    return out.str();
  };
  CHECK(drawn(std::nan(""), 1).find("  0 %") != std::string::npos);
  CHECK(drawn(0.5, 2).find(" 50 %") != std::string::npos);
  CHECK(drawn(0.2, 3).find(" 50 %") != std::string::npos);
  CHECK(drawn(-1, 4).find(" 50 %") != std::string::npos);
  CHECK(drawn(7, 5).find("100 %") != std::string::npos);
}
