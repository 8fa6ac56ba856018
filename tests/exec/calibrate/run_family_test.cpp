// One family: what is on disk after any end, and which samples count.
#include "exec/calibrate/run_family.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <filesystem>
#include <ranges>
#include <stdexcept>

#include "tests/exec/calibrate/fakes.h"
#include "tests/temp_dir.h"

namespace v4cap::exec::calibrate {
namespace {

// The kind of the RunError that a call throws, "" for none.
template <class Call>
std::string fault_of(const Call& call, std::string* message = nullptr) {
  try {
    call();
  } catch (const RunError& fault) {
    if (message != nullptr) *message = fault.what();
    return fault.kind();
  }
  return "";
}

TEST_CASE("calibrate: a run that was cut off at any byte goes on and ends with the same file") {
  const TempDir whole;
  FakeFamily family("fake");
  CHECK(run(family, job_in(whole.path())) == FamilyEnd::complete);
  const std::string expected = bytes_of(part_path(whole.path(), "fake"));
  CHECK(read_part(part_path(whole.path(), "fake")).complete());
  CHECK(!std::filesystem::exists(partial_path(whole.path(), "fake")));
  REQUIRE(expected.size() > 1000);
  for (std::size_t cut = 0; cut < expected.size(); cut += cut < 20 ? 1 : 41) {
    const TempDir dir;
    const FamilyJob job = job_in(dir.path());
    FakeFamily again("fake");
    SmallDisk disk(cut);
    FakeMonitor monitor;
    REQUIRE(fault_of([&] { run(again, job, disk, monitor); }) == "disk_full");
    REQUIRE(!std::filesystem::exists(part_path(dir.path(), "fake")));
    REQUIRE(run(again, job) == FamilyEnd::complete);
    REQUIRE(bytes_of(part_path(dir.path(), "fake")) == expected);
    // Only the point whose line was cut is measured twice.
    int twice = 0;
    for (const auto& [point, times] : again.measured) twice += times - 1;
    REQUIRE(twice <= 1);
  }
}

TEST_CASE("calibrate: a fault at any point keeps all before it") {
  FakeFamily listed("fake");
  const auto points = listed.points({}, GridSize::full);
  for (std::size_t i = 0; i < points.size(); ++i) {
    const TempDir dir;
    FakeFamily family("fake");
    family.behave = [&](const Point& point) {
      if (point == points[i]) throw std::runtime_error("an illegal memory access");
    };
    CHECK_THROWS_AS(run(family, job_in(dir.path())), std::runtime_error);
    CHECK(read_part(partial_path(dir.path(), "fake")).records.size() == i);
    family.behave = {};
    family.measured.clear();
    CHECK(run(family, job_in(dir.path())) == FamilyEnd::complete);
    CHECK(family.measured.size() == points.size() - i);
  }
}

TEST_CASE("calibrate: a point that does not fit is counted and the rest is measured") {
  const TempDir dir;
  FakeFamily family("fake");
  family.behave = [](const Point& point) {
    if (point.at[1] == 8192) throw PointRefused("out_of_memory", "16 GiB asked for");
  };
  CHECK(run(family, job_in(dir.path())) == FamilyEnd::complete);
  int refused = 0;
  for (const Record& record : read_part(part_path(dir.path(), "fake")).records) {
    refused += record.refused == "out_of_memory" ? 1 : 0;
  }
  CHECK(refused == 6);
}

TEST_CASE("calibrate: what another GPU, driver, build or shape measured is not gone on with") {
  struct Row {
    void (*change)(Provenance& p);
    std::string kind, says;
  };
  const std::vector<Row> rows = {
      {[](Provenance& p) { p.device = "NVIDIA H200"; }, "wrong_profile",
       "expected a profile of NVIDIA H200 (GPU-1), found one of NVIDIA H100 80GB HBM3 (GPU-1); "
       "--restart"},
      {[](Provenance& p) { p.uuid = "GPU-2"; }, "wrong_profile",
       "H100 80GB HBM3 (GPU-2), found one of NVIDIA H100 80GB HBM3 (GPU-1); --any-gpu takes it"},
      {[](Provenance& p) { p.driver = "590"; }, "bad_part",
       "expected a part with driver 590, found driver 580.1"},
      {[](Provenance& p) { p.cuda_runtime = "13.1"; }, "bad_part",
       "CUDA runtime 13.1, found CUDA runtime 13.0"},
      {[](Provenance& p) { p.build = "abd"; }, "bad_part",
       "v4exec 0.1.0 build abd, found v4exec 0.1.0 build abc"},
      {[](Provenance& p) { p.version = "0.2.0"; }, "bad_part", "expected a part with v4exec 0.2.0"},
      {[](Provenance& p) { p.versions = "77"; }, "bad_part", "versions of kernels 77"},
      {[](Provenance& p) { p.model = "deepseek-v4-pro"; }, "bad_part", "model deepseek-v4-pro"},
      {[](Provenance& p) { p.tp = p.ep = 8; }, "bad_part", "tp 8, ep 8, found tp 4, ep 4"},
      {[](Provenance& p) { p.size = "quick"; }, "bad_part", "size quick, found size full"},
  };
  const TempDir dir;
  FakeFamily family("fake");
  SmallDisk disk(2000);
  FakeMonitor monitor;
  CHECK(fault_of([&] { run(family, job_in(dir.path()), disk, monitor); }) == "disk_full");
  for (const bool complete : {false, true}) {
    if (complete) CHECK(run(family, job_in(dir.path())) == FamilyEnd::complete);
    for (const Row& row : rows) {
      FamilyJob job = job_in(dir.path());
      row.change(job.provenance);
      std::string message;
      CHECK(fault_of([&] { run(family, job); }, &message) == row.kind);
      CAPTURE(message);
      CHECK(message.find(row.says) != std::string::npos);
      CHECK(message.find("--restart measures all again") != std::string::npos);
    }
    std::string message;
    CHECK(fault_of([&] { find_part(job_in(dir.path()), "fake", "77"); }, &message) == "bad_part");
    CHECK(message.find("expected a part with the points of plan 77") != std::string::npos);
  }
  // The day and the clock of the moment are no identity.
  FamilyJob later = job_in(dir.path());
  later.provenance.date = "2026-11-23";
  later.provenance.reference_mhz = 1900;
  CHECK(run(family, later) == FamilyEnd::complete);
  FamilyJob other = job_in(dir.path());
  other.provenance.uuid = "GPU-2";
  other.any_gpu = true;
  CHECK(run(family, other) == FamilyEnd::complete);
  other.provenance.device = "NVIDIA H200";
  CHECK(fault_of([&] { run(family, other); }) == "wrong_profile");
}

TEST_CASE("calibrate: a file that no run of ours has written is refused with its line") {
  const TempDir dir;
  FakeFamily family("fake");
  CHECK(run(family, job_in(dir.path())) == FamilyEnd::complete);
  const std::string good = bytes_of(part_path(dir.path(), "fake"));
  const std::size_t second = good.find('\n') + 1, third = good.find('\n', second) + 1;
  const std::string head = good.substr(0, second), line = good.substr(second, third - second);
  const auto refused = [&](const std::string& text, const std::string& place) {
    const TempDir other;
    other.write("parts/fake.partial", text);
    FakeFamily fresh("fake");
    try {
      run(fresh, job_in(other.path()));
      FAIL("was taken: " << place);
    } catch (const InputError& error) {
      CAPTURE(error.what());
      CHECK(std::string(error.what()).find("fake.partial:" + place) != std::string::npos);
    }
  };
  refused("not json\n", "1:");
  refused("{\"v4exec_part\":2}\n", "1:16");
  refused(head + "{\"keys\":[\"cold\"],\"at\":[1],\"us\":1}\n", "2:");
  refused(head + "{\"keys\":[\"cold\"],\"at\":[1,128],\"us\":0}\n", "2:");
  refused(head + line + line, "3");  // a point twice
  const std::string all = good.substr(second);
  refused(good + line, "");  // more than there are
}

TEST_CASE("calibrate: judges a measurement by clocks, heat, company and spread") {
  const GpuState calm{.sm_mhz = 1980};
  const Measurement good{100, 99, 101, 20, 1980};
  const Steadiness limits;
  const auto judged = [&](const GpuState& before, const Measurement& time, const GpuState& after) {
    return judge(before, time, after, 1980, limits);
  };
  CHECK(judged(calm, good, calm) == "");
  CHECK(judged(calm, {100, 99, 101, 20, 1790}, calm) == "");
  CHECK(judged(calm, {100, 99, 101, 20, 1770}, calm) == "low_clock");
  CHECK(judged(calm, good, {.sm_mhz = 1500}) == "low_clock");
  CHECK(judged(calm, good, {.sm_mhz = 1500, .power_capped = true}) == "power_capped");
  CHECK(judged({.sm_mhz = 345, .idle = true}, good, {.sm_mhz = 345, .idle = true}) == "");
  CHECK(judged({.sm_mhz = 1980, .slowed = true}, good, calm) == "clocks_dropped");
  CHECK(judged(calm, good, {.sm_mhz = 1980, .other_processes = 1}) == "busy_gpu");
  CHECK(judged(calm, {100, 80, 101, 20, 1980}, calm) == "wide_spread");
  CHECK(judged(calm, {3, 2.1, 4, 20, 1980}, calm) == "");              // events resolve no more
  CHECK(judge(calm, {100, 99, 101, 20, 300}, calm, 0, limits) == "");  // no clock is known
}

TEST_CASE("calibrate: an unsteady sample is taken again, after longer and longer pauses") {
  const TempDir dir;
  FakeFamily family("fake");
  const GpuState calm{.sm_mhz = 1980}, low{.sm_mhz = 900};
  FakeMonitor monitor({calm, low, calm, low, calm, calm});
  DiskFiles files;
  const Rank rank;
  MeasureContext context{.rank = rank, .size = GridSize::full};
  FakeTime time;
  run_family(family, job_in(dir.path()), context, monitor, files, time.pace());
  CHECK(time.slept == std::vector<double>{0.25, 0.5});
  const Record first = read_part(part_path(dir.path(), "fake")).records[0];
  CHECK(first.refused == "");
  CHECK(first.mark == "");
  CHECK(std::ranges::max(family.measured | std::views::values) == 3);
}

TEST_CASE("calibrate: a sample that scatters is taken again at once: no pause makes it steadier") {
  const TempDir dir;
  FakeFamily family("fake");
  family.spread = 0.5;
  FakeMonitor monitor;
  DiskFiles files;
  const Rank rank;
  MeasureContext context{.rank = rank, .size = GridSize::full};
  FakeTime time;
  run_family(family, job_in(dir.path()), context, monitor, files, time.pace());
  CHECK(time.slept.empty());
  CHECK(std::ranges::max(family.measured | std::views::values) == 4);
  CHECK(read_part(part_path(dir.path(), "fake")).records[0].mark == "wide_spread");
}

TEST_CASE("calibrate: a GPU at its power limit is measured and marked") {
  const TempDir dir;
  FakeFamily family("fake");
  FakeMonitor monitor({{.sm_mhz = 1500, .power_capped = true}});
  DiskFiles files;
  CHECK(run(family, job_in(dir.path()), files, monitor) == FamilyEnd::complete);
  for (const Record& record : read_part(part_path(dir.path(), "fake")).records) {
    CHECK(record.mark == "power_capped");
    CHECK(record.time.median_us > 0);
  }
}

TEST_CASE(
    "calibrate: one refused point among good ones is counted, a lasting cause ends the family") {
  const GpuState calm{.sm_mhz = 1980}, shared{.sm_mhz = 1980, .other_processes = 1};
  const TempDir dir;
  FakeFamily family("fake");
  {
    FakeMonitor monitor({shared, shared, shared, shared, shared, shared, shared, shared, calm});
    DiskFiles files;
    CHECK(run(family, job_in(dir.path()), files, monitor) == FamilyEnd::complete);
    const Part part = read_part(part_path(dir.path(), "fake"));
    CHECK(part.records[0].refused == "busy_gpu");
    CHECK(part.records[1].refused == "");
  }
  const TempDir busy;
  FakeMonitor monitor({shared});
  DiskFiles files;
  CHECK(fault_of([&] { run(family, job_in(busy.path()), files, monitor); }) == "busy_gpu");
  // None of them is taken for a property of the point.
  CHECK(read_part(partial_path(busy.path(), "fake")).records.empty());
  CHECK(run(family, job_in(busy.path())) == FamilyEnd::complete);
  CHECK(read_part(part_path(busy.path(), "fake")).records[0].refused == "");
}

TEST_CASE("calibrate: stops before its time is up and goes on later") {
  const TempDir dir;
  FakeFamily family("fake");
  FakeTime time;
  family.behave = [&](const Point&) { time.now += 10; };
  FamilyJob job = job_in(dir.path());
  job.seconds_left = 45;
  const Rank rank;
  MeasureContext context{.rank = rank, .size = GridSize::full};
  FakeMonitor monitor;
  DiskFiles files;
  int runs = 1;
  double begin = 0;
  while (run_family(family, job, context, monitor, files, time.pace()) == FamilyEnd::out_of_time) {
    CHECK(time.now - begin <= 45);
    begin = time.now;
    ++runs;
  }
  CHECK(runs == 5);  // 18 points, 4 a run
  for (const auto& [point, times] : family.measured) CHECK(times == 1);
}

TEST_CASE("calibrate: a family whose points do not fit its description is at fault") {
  class Wrong : public FakeFamily {
   public:
    explicit Wrong(std::vector<Point> list) : FakeFamily("wrong"), list_(std::move(list)) {}
    std::vector<Point> points(const Rank&, GridSize) const override { return list_; }

   private:
    std::vector<Point> list_;
  };
  const auto check = [](std::vector<Point> list) {
    checked_points(Wrong(std::move(list)), {}, GridSize::quick);
  };
  check({{{"cold"}, {1, 2}}, {{"warm"}, {1, 2}}});
  CHECK_THROWS_AS(check({{{"cold"}, {1, 2}}, {{"cold"}, {1, 2}}}), std::logic_error);
  CHECK_THROWS_AS(check({{{}, {1, 2}}}), std::logic_error);
  CHECK_THROWS_AS(check({{{"cold"}, {1}}}), std::logic_error);
  CHECK_THROWS_AS(check({{{"cold"}, {1, -2}}}), std::logic_error);
}

TEST_CASE("calibrate: a time that is none ends the family") {
  class Zero : public FakeFamily {
   public:
    using FakeFamily::FakeFamily;
    Measurement measure(MeasureContext&, const Point&) override { return {}; }
  };
  const TempDir dir;
  Zero family("fake");
  CHECK(fault_of([&] { run(family, job_in(dir.path())); }) == "no_time");
}

TEST_CASE("calibrate: a folder is one calibration's at a time") {
  const TempDir dir;
  {
    const FolderLock lock(dir / "out");
    CHECK(fault_of([&] { FolderLock again(dir / "out"); }) == "busy_folder");
  }
  CHECK(fault_of([&] { FolderLock again(dir / "out"); }) == "");
  const std::string file = dir.write("file", "");
  CHECK(fault_of([&] { FolderLock none(file + "/out"); }) == "cannot_write");
}

TEST_CASE("calibrate: a disk that is really full is said to be") {
  if (!std::filesystem::exists("/dev/full")) return;
  std::string message;
  CHECK(fault_of([] { DiskFiles().append("/dev/full", "x"); }, &message) == "disk_full");
  CHECK(message.find("/dev/full") != std::string::npos);
}

}  // namespace
}  // namespace v4cap::exec::calibrate
