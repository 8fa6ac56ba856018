// What `v4exec calibrate` measures. A family is one file that registers itself; it lists its points
// for a rank, and times one after the other in the order of its list. It is made once per process,
// so that it may keep what its points share: it sets up when a point first needs it, and again when
// a point needs something else. Nothing here needs CUDA.
//
//   class MyFamily : public Family { ... };
//   const bool registered =
//       FamilyRegistry::add("my_family", [] { return std::make_unique<MyFamily>(); });
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

#include "exec/collectives/peer_processes.h"
#include "sim/core/error.h"
#include "sim/core/registry.h"
#include "sim/cost/profile.h"
#include "sim/model/model.h"

namespace v4cap::exec {
struct Device;
class Stopwatch;
}  // namespace v4cap::exec

namespace v4cap::exec::calibrate {

// One rank of a layout, which a GPU stands for.
struct Rank {
  ModelSpec model;
  int tp = 1, ep = 1;  // GPUs that share the attention heads, and the routed experts
  int gpus = 0;        // of this host, between which exchanges are measured; 0: none are
};

// `quick`: all families in about three minutes. `full`: what a committed profile is made of.
enum class GridSize : std::uint8_t { quick, full };

struct Point {
  std::vector<std::string> keys;  // values, in the order of the family's keys
  std::vector<double> at;         // values, in the order of its axes
  bool operator==(const Point&) const = default;
};

// Of all samples of a point: quantiles in microseconds, and the SM clock right after the last one.
struct Measurement {
  double median_us = 0, p10_us = 0, p90_us = 0;
  int samples = 0;
  double sm_mhz = 0;
};

// Thrown by Family::measure: this point cannot be measured here, the next ones may. `reason` is a
// word (letters, digits and _) under which a profile counts such points.
class PointRefused : public RunError {
 public:
  PointRefused(std::string reason, const std::string& message)
      : RunError(message), reason_(std::move(reason)) {}
  const std::string& reason() const { return reason_; }

 private:
  std::string reason_;
};

// Which of the ranks of a job on several GPUs a process is, and where it finds the others.
struct PeerSeat {
  int rank = 0, ranks = 1;
  std::string id = "";  // Communicator::new_id() of the job
  int board = -1;       // file descriptor of rank 0's RankBoard, where it has one
};

// How a family starts the other ranks.
struct PeerStart {
  std::string program;
  std::function<PeerTask(const PeerSeat& seat)> task;
};

// What a measurement may use. The pointers are null where orchestration is tested without a GPU.
struct MeasureContext {
  const Rank& rank;
  GridSize size = GridSize::quick;
  const Device* device = nullptr;
  Stopwatch* stopwatch = nullptr;
  double seconds = 0.01;  // of measured time for a point
  const PeerStart* peers = nullptr;
};

// What a family needs by estimate; says what fits into a time limit.
struct FamilyCost {
  double setup_s = 1, point_s = 0.05;
};

class Family {
 public:
  virtual ~Family() = default;
  // Everything of the family's entry in a profile that is known before anything is measured: name,
  // grain, kernel_source, keys, axes (name and unit), covers, marks, note.
  virtual ProfileFamily describe() const = 0;
  // The same on every call: a run that was cut off finds its place again. No point twice.
  virtual std::vector<Point> points(const Rank& rank, GridSize size) const = 0;
  // Throws PointRefused for this point alone; any other exception ends the family.
  virtual Measurement measure(MeasureContext& context, const Point& point) = 0;
  // On another rank of a family that measures with several: does what rank 0's measure() needs of it
  // until that has measured all.
  virtual void serve(MeasureContext& /*context*/, const PeerSeat& /*seat*/) {
    throw std::logic_error(describe().name + " has one rank");
  }
  virtual FamilyCost cost() const { return {}; }
  // Points that their neighbours predict this well are left out of the profile.
  virtual double tolerance_pct() const { return 0.5; }
};

using FamilyRegistry = Registry<std::function<std::unique_ptr<Family>()>>;

}  // namespace v4cap::exec::calibrate
