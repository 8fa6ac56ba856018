#include "traces/arrivals.h"

#include <algorithm>
#include <boost/random/gamma_distribution.hpp>
#include <boost/random/uniform_01.hpp>
#include <boost/random/weibull_distribution.hpp>
#include <cmath>

#include "sim/core/error.h"

namespace v4cap {

namespace {

double weibull_scale_of_mean_1(double shape) {
  return 1.0 / std::tgamma(1.0 + 1.0 / shape);
}

double draw_gap(const GapShape& gaps, RandomEngine& engine) {
  if (gaps.kind == GapKind::gamma) {
    return boost::random::gamma_distribution<double>(gaps.shape, 1.0 / gaps.shape)(engine);
  }
  return boost::random::weibull_distribution<double>(gaps.shape,
                                                     weibull_scale_of_mean_1(gaps.shape))(engine);
}

// What is left of the gap that a random instant falls into. Weighted by length, a Gamma(k) gap
// becomes a Gamma(k + 1) one, and of a Weibull(k) gap of scale s, (gap / s)^k becomes Gamma(1 +
// 1/k).
double draw_rest_of_gap(const GapShape& gaps, RandomEngine& engine) {
  const double part = boost::random::uniform_01<double>()(engine);
  if (gaps.kind == GapKind::gamma) {
    return part *
           boost::random::gamma_distribution<double>(gaps.shape + 1, 1.0 / gaps.shape)(engine);
  }
  const double power =
      boost::random::gamma_distribution<double>(1.0 + 1.0 / gaps.shape, 1.0)(engine);
  return part * weibull_scale_of_mean_1(gaps.shape) * std::pow(power, 1.0 / gaps.shape);
}

}  // namespace

ArrivalStream::ArrivalStream(std::vector<RateWindow> windows, RandomEngine engine, bool repeat)
    : windows_(std::move(windows)), engine_(engine), repeat_(repeat) {
  const bool any = std::any_of(windows_.begin(), windows_.end(), [](const RateWindow& w) {
    return w.rate_per_s > 0 && w.end_s > w.start_s;
  });
  if (!any) windows_.clear();
  if (!windows_.empty()) at_s_ = windows_.front().start_s;
}

std::optional<double> ArrivalStream::next_s() {
  while (window_ < windows_.size()) {
    const RateWindow& window = windows_[window_];
    if (window.rate_per_s > 0) {
      if (!started_) {
        left_ = draw_rest_of_gap(window.gaps, engine_);
        started_ = true;
      }
      const double expected = (window.end_s - at_s_) * window.rate_per_s;
      if (left_ < expected) {
        at_s_ += left_ / window.rate_per_s;
        left_ = draw_gap(window.gaps, engine_);
        return repeated_s_ + at_s_;
      }
      left_ -= expected;
    }
    at_s_ = window.end_s;
    if (++window_ == windows_.size() && repeat_) {
      repeated_s_ += at_s_ - windows_.front().start_s;
      at_s_ = windows_.front().start_s;
      window_ = 0;
    }
  }
  return std::nullopt;
}

}  // namespace v4cap
