// How wrong the times of steps may be, as far as anybody has measured it, for the interval beside
// every headline.
//
//   replayed   the profile's steps were performed on its GPU (exec/measured): the largest error of
//              latencies and throughput in any of those runs
//   held out   samples of the profile that were left out and predicted: what nine in ten of them
//              are within, mean over families by their number of such samples. Says nothing of
//              what the samples themselves leave out
//   none       the roofline, whose error nobody knows
#pragma once

#include <optional>
#include <string>

#include "sim/config/scenario.h"

namespace v4cap {

struct ModelError {
  std::optional<double> percent;  // of the time of a step, either way
  std::string source;             // where the figure comes from, for people
  std::string profile;            // name, or "roofline"
  std::string origin;             // where the profile comes from: device, engine, date, source
};

// Throws InputError for a profile that is not there or broken.
ModelError model_error(const Scenario& scenario);

}  // namespace v4cap
