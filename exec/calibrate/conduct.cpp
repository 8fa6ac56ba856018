#include "exec/calibrate/conduct.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <filesystem>
#include <fstream>
#include <optional>

#include "exec/driver/gpu_error.h"
#include "sim/core/json.h"

namespace v4cap::exec::calibrate {
namespace {

namespace fs = std::filesystem;

// Not device_lost: a kernel may have done it, and if the GPU is gone the next process finds none.
constexpr std::array<const char*, 8> kConcernAll{
    error_kind::kNoDriver,       error_kind::kDriverTooOld, error_kind::kNoGpu,
    error_kind::kUnsupportedGpu, error_kind::kBusyGpu,      error_kind::kDiskFull,
    error_kind::kCannotWrite,    error_kind::kProcess};

constexpr double kLeastS = 0.1;  // of a process

struct Said {
  std::string kind, message;
};

// The error that a child leaves as a line of JSON in its log, else the last line that is there.
Said said_in(const std::string& log) {
  std::ifstream file(log);
  Said said;
  for (std::string text; std::getline(file, text);) {
    if (text.empty()) continue;
    if (text[0] != '{') {
      if (said.kind.empty()) said.message = text;
      continue;
    }
    try {
      JsonLine line;
      const JsonValue error = line.parse(text, Place{log}).find("error");
      if (error)
        said = {std::string(error.at("kind").string()), std::string(error.at("message").string())};
    } catch (const InputError&) {  // a line that only looks like one
    }
  }
  return said;
}

void explain_failure(FamilyReport& report, const ChildEnd& end, const std::string& log) {
  const Said said = said_in(log);
  report.outcome = FamilyOutcome::failed;
  if (end.how == ChildEnd::How::hung) {
    report.kind = error_kind::kTimedOut;
    report.message = "nothing happened for too long";
  } else if (end.how == ChildEnd::How::signalled) {
    report.kind = error_kind::kKilled;
    report.message = killed("its process", end.code).what();
  } else if (!said.kind.empty()) {
    report.kind = said.kind;
    report.message = said.message;
    return;
  } else {
    report.kind = error_kind::kRun;
    report.message = fmt::format("ended with exit code {}", end.code);
  }
  if (!said.message.empty()) report.message += ": " + said.message;
  report.message += "; its log is " + log;
}

void count(FamilyReport& report, const Part& part) {
  report.measured = report.refused = report.marked = 0;
  for (const Record& record : part.records) {
    ++(record.refused.empty() ? report.measured : report.refused);
    if (!record.mark.empty()) ++report.marked;
  }
}

// What is on disk, whatever wrote it; nothing when it cannot be read.
std::optional<Part> part_on_disk(const std::string& folder, const std::string& family) {
  for (const std::string& path : {part_path(folder, family), partial_path(folder, family)}) {
    if (!fs::exists(path)) continue;
    try {
      return read_part(path);
    } catch (const InputError&) {
      return std::nullopt;
    }
  }
  return std::nullopt;
}

std::string line_of(const FamilyReport& r) {
  std::string text =
      fmt::format("{:<24} {:>5} of {:>5} points, {} refused, {} marked, {:.0f} s", r.family,
                  r.measured + r.refused, r.points, r.refused, r.marked, r.seconds);
  if (r.outcome == FamilyOutcome::failed)
    text += fmt::format("  FAILED ({}): {}", r.kind, r.message);
  if (r.outcome == FamilyOutcome::out_of_time) text += "  to be continued";
  return text;
}

}  // namespace

std::vector<PlannedFamily> plan(const std::vector<std::string>& chosen, const Rank& rank,
                                GridSize size, const FamilyJob& job) {
  const std::vector<std::string> known = FamilyRegistry::names();
  for (const std::string& name : chosen) {
    if (FamilyRegistry::find(name) != nullptr) continue;
    throw InputError(Place{"--family"}, fmt::format("expected the name of a family, found '{}'{}",
                                                    name, suggestion(name, known)));
  }
  std::vector<PlannedFamily> out;
  for (const std::string& name : known) {
    if (!chosen.empty() && std::ranges::find(chosen, name) == chosen.end()) continue;
    const std::unique_ptr<Family> family = (*FamilyRegistry::find(name))();
    const std::vector<Point> points = checked_points(*family, rank, size);
    if (points.empty()) continue;
    PlannedFamily planned{.name = name, .points = points.size()};
    if (!job.folder.empty()) {
      const Part part = find_part(job, name, plan_hash(points));
      planned.on_disk = part.records.size();
      planned.complete =
          fs::exists(part_path(job.folder, name)) && planned.on_disk == points.size();
    }
    if (!planned.complete) {
      const FamilyCost cost = family->cost();
      planned.seconds =
          cost.setup_s + cost.point_s * static_cast<double>(planned.points - planned.on_disk);
    }
    out.push_back(planned);
  }
  if (out.empty()) {
    throw InputError(Place{"--family"}, "expected a family with points for this rank, found none");
  }
  return out;
}

void discard(const std::string& folder, const std::vector<std::string>& families) {
  if (families.empty()) {
    fs::remove_all(fs::path(folder) / "parts");
    return;
  }
  for (const std::string& family : families) {
    fs::remove(part_path(folder, family));
    fs::remove(partial_path(folder, family));
  }
}

Report conduct(const std::vector<PlannedFamily>& planned, const FamilyJob& job,
               const ChildArguments& arguments, Children& children, double quiet_limit_s,
               const Pace& pace, const std::function<void(const std::string&)>& say) {
  const double begin_s = pace.now_s();
  Report out;
  bool concerns_all = false;
  for (const PlannedFamily& family : planned) {
    FamilyReport report{.family = family.name, .points = family.points};
    const double child_begin_s = pace.now_s();
    const double left_s = job.seconds_left > 0 ? job.seconds_left - (child_begin_s - begin_s) : 0;
    if (family.complete) {
      if (const auto part = part_on_disk(job.folder, family.name)) count(report, *part);
      out.families.push_back(std::move(report));
      continue;
    }
    if (out.interrupted || concerns_all || out.out_of_time ||
        (job.seconds_left > 0 && left_s < kLeastS)) {
      report.outcome = FamilyOutcome::out_of_time;
      if (!concerns_all) out.out_of_time = true;
    } else {
      const std::string log = job.folder + "/logs/" + family.name + ".log";
      const ChildEnd end = children.run({.arguments = arguments(family.name, left_s),
                                         .log = log,
                                         .progress = partial_path(job.folder, family.name),
                                         .quiet_limit_s = quiet_limit_s});
      report.seconds = pace.now_s() - child_begin_s;
      if (end.how == ChildEnd::How::interrupted) {
        out.interrupted = true;
        report.outcome = FamilyOutcome::out_of_time;
      } else if (end.how != ChildEnd::How::exited || end.code != 0) {
        explain_failure(report, end, log);
        concerns_all = std::ranges::find(kConcernAll, report.kind) != kConcernAll.end();
      } else if (!fs::exists(part_path(job.folder, family.name))) {
        report.outcome = FamilyOutcome::out_of_time;
        out.out_of_time = true;
      }
    }
    if (const auto part = part_on_disk(job.folder, family.name)) count(report, *part);
    say(line_of(report));
    out.families.push_back(std::move(report));
  }
  return out;
}

}  // namespace v4cap::exec::calibrate
