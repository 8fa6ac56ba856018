#include "exec/calibrate/run_family.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <filesystem>
#include <map>
#include <set>
#include <stdexcept>
#include <thread>

#include "exec/driver/gpu_error.h"

namespace v4cap::exec::calibrate {
namespace {

constexpr const char* kPowerCapped = "power_capped";
constexpr const char* kLowClock = "low_clock";
constexpr const char* kWideSpread = "wide_spread";

// Reasons that lie in the moment, not in the point.
bool is_passing(const std::string& reason) {
  return reason == error_kind::kBusyGpu || reason == error_kind::kClocksDropped;
}

std::string words(const std::string& reason) {
  return reason == error_kind::kBusyGpu ? "another process computes on this GPU"
                                        : "heat or the hardware slows this GPU down";
}

double spread(const Measurement& time) {
  return (time.p90_us - time.p10_us) / time.median_us;
}

void check_time(const Measurement& time, const std::string& family) {
  const bool sound = std::isfinite(time.median_us) && std::isfinite(time.p90_us) &&
                     time.p10_us > 0 && time.median_us >= time.p10_us &&
                     time.p90_us >= time.median_us && time.samples > 0;
  if (!sound) {
    throw RunError(fmt::format("{}: {} samples of {} us, {} to {} us, are no times", family,
                               time.samples, time.median_us, time.p10_us, time.p90_us),
                   error_kind::kNoTime);
  }
}

Record measured(Family& family, const Point& point, const FamilyJob& job, MeasureContext& context,
                GpuMonitor& monitor, const Pace& pace) {
  const Steadiness& steadiness = job.steadiness;
  Record record{.point = point, .time = {}, .refused = "", .mark = ""};
  std::map<std::string, Measurement> doubtful;  // by mark, the narrowest
  std::string last;
  double pause_s = steadiness.pause_s;
  for (int i = 0; i < steadiness.tries; ++i) {
    if (i > 0 && last != kWideSpread) {  // a GPU that is hot or busy cools down or is left alone
      pace.sleep(pause_s);
      pause_s *= 2;
    }
    const GpuState before = monitor.read();
    Measurement time;
    try {
      time = family.measure(context, point);
    } catch (const PointRefused& refusal) {
      record.refused = refusal.reason();
      return record;
    }
    check_time(time, family.describe().name);
    last = judge(before, time, monitor.read(), job.provenance.reference_mhz, steadiness);
    if (last.empty()) {
      record.time = time;
      return record;
    }
    const auto [kept, fresh] = doubtful.emplace(last, time);
    if (!fresh && spread(time) < spread(kept->second)) kept->second = time;
  }
  if (is_passing(last)) {
    record.refused = last;
  } else {
    record.time = doubtful.at(last);
    record.mark = last;
  }
  return record;
}

// What is on disk begins with the points of the plan, in its order.
void check_beginning(const Part& part, const std::vector<Point>& points, const std::string& path) {
  for (std::size_t i = 0; i < part.records.size(); ++i) {
    if (part.records[i].point == points[i]) continue;
    throw InputError(Place{path, static_cast<std::int64_t>(i) + 2},
                     "expected the points of the family in their order, found another; "
                     "--restart measures all again");
  }
}

}  // namespace

std::string judge(const GpuState& before, const Measurement& time, const GpuState& after,
                  double reference_mhz, const Steadiness& steadiness) {
  if (before.other_processes > 0 || after.other_processes > 0) return error_kind::kBusyGpu;
  if (before.slowed || after.slowed) return error_kind::kClocksDropped;
  // The clock of an idle GPU says nothing, neither before nor after.
  const double least = steadiness.clock_share * reference_mhz;
  const bool low = (time.sm_mhz > 0 && time.sm_mhz < least) ||
                   (!after.idle && after.sm_mhz > 0 && after.sm_mhz < least);
  if (low) return after.power_capped || before.power_capped ? kPowerCapped : kLowClock;
  const double apart_us = time.p90_us - time.p10_us;
  if (apart_us > steadiness.spread_us && apart_us > steadiness.spread_share * time.median_us) {
    return kWideSpread;
  }
  return "";
}

Pace real_pace() {
  return {
      [] {
        return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch())
            .count();
      },
      [](double seconds) { std::this_thread::sleep_for(std::chrono::duration<double>(seconds)); }};
}

std::vector<Point> checked_points(const Family& family, const Rank& rank, GridSize size) {
  const ProfileFamily described = family.describe();
  std::vector<Point> points = family.points(rank, size);
  std::set<std::pair<std::vector<std::string>, std::vector<double>>> seen;
  for (const Point& point : points) {
    const bool fits =
        point.keys.size() == described.keys.size() && point.at.size() == described.axes.size() &&
        std::ranges::all_of(point.at,
                            [](double value) { return std::isfinite(value) && value >= 0; });
    if (!fits || !seen.emplace(point.keys, point.at).second) {
      throw std::logic_error(fmt::format(
          "family {}: point [{}] at [{}] {}", described.name, fmt::join(point.keys, ", "),
          fmt::join(point.at, ", "), fits ? "is there twice" : "does not fit its keys and axes"));
    }
  }
  return points;
}

Part find_part(const FamilyJob& job, const std::string& family, const std::string& plan) {
  std::string path = part_path(job.folder, family);
  if (!std::filesystem::exists(path)) path = partial_path(job.folder, family);
  if (!std::filesystem::exists(path)) return {};
  Part part = read_part(path);
  if (part.head.family.name.empty()) return part;
  if (const auto unfit = unfit_part(path, job.provenance, part.head.provenance, job.any_gpu)) {
    throw RunError(*unfit);
  }
  if (part.head.plan != plan) {
    throw bad_part(path, "the points of plan " + plan, "plan " + part.head.plan, kMeasureAgain);
  }
  return part;
}

FamilyEnd run_family(Family& family, const FamilyJob& job, MeasureContext& context,
                     GpuMonitor& monitor, Files& files, const Pace& pace) {
  const double begin_s = pace.now_s();
  const std::vector<Point> points = checked_points(family, context.rank, context.size);
  if (points.empty()) {
    throw InputError(Place{"--family"}, "expected a family with points for this rank, found " +
                                            family.describe().name);
  }
  const PartHead head = make_head(family, points, job.provenance);
  const std::string& name = head.family.name;
  const std::string path = partial_path(job.folder, name);
  const Part part = find_part(job, name, head.plan);
  if (std::filesystem::exists(part_path(job.folder, name))) {
    if (part.complete()) return FamilyEnd::complete;
    throw InputError(Place{part_path(job.folder, name)},
                     fmt::format("expected {} points, found {}; --restart measures all again",
                                 head.points, part.records.size()));
  }
  check_beginning(part, points, path);
  if (std::filesystem::exists(path) && std::filesystem::file_size(path) > part.bytes) {
    files.truncate(path, part.bytes);
  }
  if (part.head.family.name.empty()) files.append(path, to_line(head));
  // Refused for what may pass: on disk only once a later point was measured, so that a run that
  // ends here measures them again.
  std::vector<Record> waiting;
  const auto write = [&](std::vector<Record>& records) {
    for (const Record& record : records) files.append(path, to_line(record));
    records.clear();
  };
  double expected_s = family.cost().setup_s + family.cost().point_s;
  for (std::size_t i = part.records.size(); i < points.size(); ++i) {
    const double point_begin_s = pace.now_s();
    if (job.seconds_left > 0 && point_begin_s - begin_s + expected_s > job.seconds_left) {
      return FamilyEnd::out_of_time;
    }
    const Record record = measured(family, points[i], job, context, monitor, pace);
    if (is_passing(record.refused)) {
      waiting.push_back(record);
      if (static_cast<int>(waiting.size()) > job.steadiness.refused_in_a_row) {
        throw RunError(fmt::format("{}: {} points in a row could not be measured: {}", name,
                                   waiting.size(), words(record.refused)),
                       record.refused);
      }
    } else {
      write(waiting);
      files.append(path, to_line(record));
    }
    // The next point may set up again, so it is not taken to be quicker than this one.
    expected_s = std::max(family.cost().point_s, pace.now_s() - point_begin_s);
  }
  write(waiting);
  files.rename(path, part_path(job.folder, name));
  return FamilyEnd::complete;
}

}  // namespace v4cap::exec::calibrate
