// A family's measurements on disk: one line of JSON that says what was measured, then a line for
// each point, added as soon as it is measured. While a family is being measured its file is
// FAMILY.partial; complete, it is renamed to FAMILY.jsonl. Whatever ends the process, what is on
// disk is a beginning of the list of points, and at most its last line is cut.
#pragma once

#include <cstddef>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "exec/calibrate/family.h"
#include "exec/calibrate/files.h"
#include "sim/core/error.h"

namespace v4cap::exec::calibrate {

// Where the times of a part come from. Parts with the same identity may stand in one profile.
struct Provenance {
  // Identity.
  std::string device, gpu;  // "NVIDIA H100 80GB HBM3", "H100"
  std::string uuid, driver, cuda_runtime;
  std::string version, build;  // of v4exec; content hash of the program
  std::string versions;  // of kernels: "preferred", or a hash of the list of those that passed
  std::string model;
  int tp = 1, ep = 1;
  std::string size;  // "quick", "full"
  // Of the day.
  std::string date;          // 2026-11-22
  double reference_mhz = 0;  // SM clock under load before the first point; 0: not known
};

// Why the part in `path` neither goes on as `expected` nor stands beside what is: its identity
// differs, in the GPU (wrong_profile) or in anything else (bad_part). Nothing when it does not. With
// `any_gpu` GPUs of the same name count as one.
std::optional<RunError> unfit_part(const std::string& path, const Provenance& expected,
                                   const Provenance& found, bool any_gpu);

struct Record {
  Point point;
  Measurement time;
  std::string refused;  // reason; "": it was measured
  std::string mark;     // why the time is doubtful; "": it is not
};

// First line of a part.
struct PartHead {
  ProfileFamily family;
  double tolerance_pct = 0;
  std::size_t points = 0;
  std::string plan;  // hash of the points
  Provenance provenance;
};

struct Part {
  PartHead head;
  std::vector<Record> records;
  std::size_t bytes = 0;  // of whole lines; less than the file has when its last line is cut
  bool complete() const { return records.size() == head.points; }
};

// Advice to whoever finds a part that does not fit.
inline constexpr const char* kMeasureAgain =
    "--restart measures all again, another --out leaves it there";

std::string plan_hash(const std::vector<Point>& points);
PartHead make_head(const Family& family, const std::vector<Point>& points, Provenance provenance);

std::string to_line(const PartHead& head);
std::string to_line(const Record& record);

// Reads a part or a partial one; a last line without line end is left out. Throws InputError with
// file, line and column for anything else that no run of ours can have written. A file without a
// whole first line has a head with an empty family name.
Part read_part(const std::string& path);

std::string part_path(const std::string& folder, const std::string& family);
std::string partial_path(const std::string& folder, const std::string& family);

}  // namespace v4cap::exec::calibrate
