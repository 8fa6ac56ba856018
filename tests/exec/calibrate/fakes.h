// Families, GPUs, disks and time that a test decides over.
#pragma once

#include <doctest/doctest.h>

#include <cerrno>
#include <fstream>
#include <iterator>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "exec/calibrate/family.h"
#include "exec/calibrate/files.h"
#include "exec/calibrate/gpu_monitor.h"
#include "exec/calibrate/run_family.h"
#include "sim/core/write_error.h"

namespace v4cap::exec::calibrate {

// Times that depend on the point alone. What `behave` does comes first.
class FakeFamily : public Family {
 public:
  explicit FakeFamily(std::string name) : name_(std::move(name)) {}

  ProfileFamily describe() const override {
    ProfileFamily f;
    f.name = name_;
    f.grain = ProfileGrain::kernel;
    f.kernel_source = "fake";
    f.keys = {"l2"};
    f.axes = {{"batch", "rows"}, {"past", "tokens"}};
    f.covers = {"attention_csa"};
    f.note = "made up";
    return f;
  }
  std::vector<Point> points(const Rank& rank, GridSize size) const override {
    std::vector<Point> out;
    if (rank.tp > 64) return out;
    for (const char* l2 : {"cold", "warm"}) {
      for (const double batch : {1.0, 4.0, 16.0}) {
        for (const double past : {128.0, 1024.0, 8192.0}) {
          if (size == GridSize::quick && past == 8192) continue;
          out.push_back({{l2}, {batch, past}});
        }
      }
    }
    return out;
  }
  Measurement measure(MeasureContext&, const Point& point) override {
    ++measured[point.keys[0] + ' ' + std::to_string(point.at[0]) + ' ' +
               std::to_string(point.at[1])];
    if (behave) behave(point);
    const double us = (point.keys[0] == "cold" ? 7 : 5) + 0.25 * point.at[0] + 0.001 * point.at[1];
    return {us, (1 - spread / 2) * us, (1 + spread / 2) * us, 20, 1980};
  }
  FamilyCost cost() const override { return {1, 0.1}; }

  std::function<void(const Point&)> behave;
  std::map<std::string, int> measured;  // how often, by point
  double spread = 0.02;                 // p90 - p10 of a time, as a share of it

 private:
  std::string name_;
};

// Plays states one after the other and then the last for ever.
class FakeMonitor : public GpuMonitor {
 public:
  explicit FakeMonitor(std::vector<GpuState> states = {{.sm_mhz = 1980}})
      : states_(std::move(states)) {}
  GpuState read() override { return states_[std::min(next_++, states_.size() - 1)]; }

 private:
  std::vector<GpuState> states_;
  std::size_t next_ = 0;
};

// A disk that takes so many bytes and no more. The text that does not fit is written as far as it
// does: a full disk and a process that is killed leave the same.
class SmallDisk : public DiskFiles {
 public:
  explicit SmallDisk(std::size_t bytes) : left_(bytes) {}
  void append(const std::string& path, std::string_view text) override {
    const std::size_t fits = std::min(left_, text.size());
    DiskFiles::append(path, text.substr(0, fits));
    left_ -= fits;
    if (fits < text.size()) throw write_failed(path, ENOSPC);
  }

 private:
  std::size_t left_;
};

// A clock that `sleep` and `pass` move.
struct FakeTime {
  double now = 0;
  std::vector<double> slept;
  Pace pace() {
    return {[this] { return now; },
            [this](double seconds) {
              slept.push_back(seconds);
              now += seconds;
            }};
  }
};

inline Provenance provenance() {
  return {.device = "NVIDIA H100 80GB HBM3",
          .gpu = "H100",
          .uuid = "GPU-1",
          .driver = "580.1",
          .cuda_runtime = "13.0",
          .version = "0.1.0",
          .build = "abc",
          .versions = "preferred",
          .model = "deepseek-v4-flash",
          .tp = 4,
          .ep = 4,
          .size = "full",
          .date = "2026-11-22",
          .reference_mhz = 1980};
}

inline FamilyJob job_in(const std::string& folder) {
  return {.folder = folder, .provenance = provenance()};
}

inline std::string bytes_of(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

// One run of a family with a patient clock.
inline FamilyEnd run(FakeFamily& family, const FamilyJob& job, Files& files, GpuMonitor& monitor) {
  const Rank rank;
  MeasureContext context{.rank = rank, .size = GridSize::full};
  FakeTime time;
  return run_family(family, job, context, monitor, files, time.pace());
}
inline FamilyEnd run(FakeFamily& family, const FamilyJob& job) {
  DiskFiles files;
  FakeMonitor monitor;
  return run(family, job, files, monitor);
}

}  // namespace v4cap::exec::calibrate
