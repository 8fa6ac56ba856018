// Arrival times whose rate changes from window to window and whose burstiness is not Poisson's.
//
// A renewal process of mean gap 1 is run on a clock that advances by rate x time, so that the
// expected number of arrivals in any stretch is the integral of the rate, whatever the shape of the
// gaps; windows do not restart it. The process is taken to have run before the start: the first gap
// is what is left of one that the start falls into (density proportional to gap length, then a
// uniform part of it), else bursty processes would begin with a burst every time.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "sim/core/random.h"

namespace v4cap {

enum class GapKind : std::uint8_t { gamma, weibull };

// Gaps of mean 1. Gamma of shape 1 is Poisson's exponential; the coefficient of variation of Gamma
// gaps is 1 / sqrt(shape) (vLLM's `burstiness` is this shape). Shape within [1e-4, 1e6], for
// Weibull [0.02, 1e6].
struct GapShape {
  GapKind kind = GapKind::gamma;
  double shape = 1;
};

struct RateWindow {
  double start_s = 0, end_s = 0;  // may be infinite at the last
  double rate_per_s = 0;
  GapShape gaps;
};

class ArrivalStream {
 public:
  // Windows in order and without gaps between them. `repeat`: begin again after the last.
  ArrivalStream(std::vector<RateWindow> windows, RandomEngine engine, bool repeat);

  // Next arrival in seconds; nothing when the windows are over.
  std::optional<double> next_s();

 private:
  std::vector<RateWindow> windows_;
  RandomEngine engine_;
  bool repeat_;
  std::size_t window_ = 0;
  double at_s_ = 0;        // within the windows
  double repeated_s_ = 0;  // length of the repetitions that are over
  double left_ = 0;        // of the current gap, in expected arrivals
  bool started_ = false;
};

// Requests per second in consecutive windows of equal length, from 0.
struct RateTable {
  double window_s = 0;
  std::vector<double> requests_per_s;
};

// Reads a table in the servegen-windows format: rates of all clients summed. Throws InputError.
RateTable read_rate_table(const std::string& path);

}  // namespace v4cap
