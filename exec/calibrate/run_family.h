// Measures one family: every point of its list that is not on disk yet, each until it was steady.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "exec/calibrate/family.h"
#include "exec/calibrate/files.h"
#include "exec/calibrate/gpu_monitor.h"
#include "exec/calibrate/part.h"

namespace v4cap::exec::calibrate {

// When a measurement counts. Tried again otherwise, after a pause; then
//   the clock is low on every try       kept, marked "power_capped" or "low_clock": under this load
//                                       the GPU is like that, and a replay meets the same
//   samples lie far apart               kept, marked "wide_spread"
//   heat or the hardware slows the GPU  refused, "clocks_dropped"; when that goes on, the family
//                                       ends with a RunError of this kind
//   somebody else computes on it        the same, "busy_gpu"
// Of several tries with the same mark the one with the least spread is kept.
struct Steadiness {
  double clock_share = 0.9;   // of the reference clock
  double spread_share = 0.2;  // p90 - p10 against the median ...
  double spread_us = 2;       // ... where it is above this: what events resolve
  int tries = 4;
  double pause_s = 0.25;  // before the second try; doubles
  int refused_in_a_row = 4;
};

// The word for what is wrong with a measurement, "" for nothing. `before` and `after`: read around
// it; `reference_mhz` 0: no clock is judged.
std::string judge(const GpuState& before, const Measurement& time, const GpuState& after,
                  double reference_mhz, const Steadiness& steadiness);

struct FamilyJob {
  std::string folder;       // DIR of the calibration
  Provenance provenance;    // of what is measured now
  bool any_gpu = false;     // go on with what another GPU of the same name has measured
  double seconds_left = 0;  // stop before so many have passed; 0: no limit
  Steadiness steadiness = {};
};

// Clocks and sleep of the process, replaced in tests.
struct Pace {
  std::function<double()> now_s;
  std::function<void(double seconds)> sleep;
};
Pace real_pace();

enum class FamilyEnd : std::uint8_t { complete, out_of_time };

// Finds what is on disk, measures the rest, and renames the file when all is there. Throws RunError
// "wrong_profile" or "bad_part" when what is there has another identity or plan, and whatever the
// family throws; every point before that is on disk.
FamilyEnd run_family(Family& family, const FamilyJob& job, MeasureContext& context,
                     GpuMonitor& monitor, Files& files, const Pace& pace);

// The points of a family, checked: as many keys and axis values as it describes, values finite and
// at least 0, none twice. Throws std::logic_error, which is a fault of the family.
std::vector<Point> checked_points(const Family& family, const Rank& rank, GridSize size);

// What is on disk of a family, complete or not; a head without name when nothing is. Refuses
// another identity or plan as run_family does.
Part find_part(const FamilyJob& job, const std::string& family, const std::string& plan);

}  // namespace v4cap::exec::calibrate
