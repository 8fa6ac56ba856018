// All families: their processes, and the profile that their parts become.
#include "exec/calibrate/conduct.h"

#include <doctest/doctest.h>
#include <signal.h>

#include <algorithm>
#include <chrono>
#include <filesystem>

#include "exec/calibrate/assemble.h"
#include "exec/step/captured_sizes.h"
#include "sim/config/profile_file.h"
#include "sim/config/profile_writer.h"
#include "tests/exec/calibrate/fakes.h"
#include "tests/temp_dir.h"

namespace v4cap::exec::calibrate {
namespace {

namespace fs = std::filesystem;

template <int n>
bool add_fake() {
  return FamilyRegistry::add("fake_" + std::to_string(n), [] {
    return std::make_unique<FakeFamily>("fake_" + std::to_string(n));
  });
}
[[maybe_unused]] const bool registered = add_fake<1>() && add_fake<2>() && add_fake<3>();

ChildArguments only_family() {
  return [](const std::string& family, double) { return std::vector<std::string>{family}; };
}

// Children that measure in this process; `before` may end one before or while it does.
class FakeChildren : public Children {
 public:
  explicit FakeChildren(FamilyJob job) : job_(std::move(job)) {}
  ChildEnd run(const ChildTask& task) override {
    started.push_back(task.arguments.at(0));
    if (const auto end = ends.find(started.back()); end != ends.end()) {
      // What it had measured until then.
      FakeFamily family(started.back());
      SmallDisk disk(2000);
      FakeMonitor monitor;
      try {
        calibrate::run(family, job_, disk, monitor);
      } catch (const RunError&) {
      }
      fs::create_directories(fs::path(task.log).parent_path());
      std::ofstream(task.log) << log;
      return end->second;
    }
    FakeFamily family(started.back());
    calibrate::run(family, job_);
    return {};
  }

  std::map<std::string, ChildEnd> ends;
  std::string log;
  std::vector<std::string> started;

 private:
  FamilyJob job_;
};

Report conducted(const FamilyJob& job, Children& children) {
  FakeTime time;
  return conduct(plan({}, {}, GridSize::full, job), job, only_family(), children, 60, time.pace(),
                 [](const std::string&) {});
}

TEST_CASE("calibrate: a family that crashes or hangs is missing, the others are kept") {
  for (const auto& [end, kind] : {std::pair{ChildEnd{ChildEnd::How::signalled, SIGSEGV}, "killed"},
                                  std::pair{ChildEnd{ChildEnd::How::hung, 0}, "timed_out"},
                                  std::pair{ChildEnd{ChildEnd::How::exited, 1}, "run"}}) {
    CAPTURE(kind);
    const TempDir dir;
    const FamilyJob job = job_in(dir.path());
    FakeChildren children(job);
    children.ends["fake_2"] = end;
    children.log = "an illegal memory access was encountered\n";
    const Report report = conducted(job, children);
    REQUIRE(report.families.size() == 3);
    CHECK(report.families[0].outcome == FamilyOutcome::complete);
    CHECK(report.families[1].outcome == FamilyOutcome::failed);
    CHECK(report.families[1].kind == kind);
    CHECK(report.families[1].message.find("illegal memory access") != std::string::npos);
    CHECK(report.families[1].measured > 0);
    CHECK(report.families[2].outcome == FamilyOutcome::complete);
    CHECK(report.families[2].measured == 18);
    const Assembled assembled = assemble(dir.path(), false);
    CHECK(assembled.incomplete == std::vector<std::string>{"fake_2"});
    CHECK(assembled.profile.families.size() == 2);
    CHECK(assembled.profile.source.find("without fake_2") != std::string::npos);

    // Again, and it works: only what is missing is measured.
    children.ends.clear();
    children.started.clear();
    const Report again = conducted(job, children);
    CHECK(children.started == std::vector<std::string>{"fake_2"});
    CHECK(again.families[1].outcome == FamilyOutcome::complete);
    CHECK(again.families[0].measured == 18);
    CHECK(assemble(dir.path(), false).profile.families.size() == 3);
  }
}

TEST_CASE("calibrate: what a child says of its error is passed on, and may concern all") {
  const auto conducted_until = [](const std::string& kind, std::vector<std::string>& started) {
    const TempDir dir;
    const FamilyJob job = job_in(dir.path());
    FakeChildren children(job);
    children.ends["fake_1"] = {ChildEnd::How::exited, 1};
    children.log = R"(measuring
{"error":{"kind":")" +
                   kind + R"(","message":"pid 7"}}
)";
    const Report report = conducted(job, children);
    CHECK(report.families[0].kind == kind);
    CHECK(report.families[0].message == "pid 7");
    CHECK(!report.out_of_time);
    started = children.started;
    return report.families[1].outcome;
  };
  std::vector<std::string> started;
  for (const std::string kind : {"no_gpu", "busy_gpu", "disk_full", "cannot_write", "process"}) {
    CAPTURE(kind);
    CHECK(conducted_until(kind, started) == FamilyOutcome::out_of_time);
    CHECK(started == std::vector<std::string>{"fake_1"});
  }
  // A kernel of this family may have done it; the next process sees whether the GPU is there.
  for (const std::string kind : {"kernel_fault", "device_lost", "out_of_memory"}) {
    CAPTURE(kind);
    CHECK(conducted_until(kind, started) == FamilyOutcome::complete);
    CHECK(started.size() == 3);
  }
}

TEST_CASE("calibrate: an interruption keeps what is there and starts nothing more") {
  const TempDir dir;
  const FamilyJob job = job_in(dir.path());
  FakeChildren children(job);
  children.ends["fake_2"] = {ChildEnd::How::interrupted, 0};
  const Report report = conducted(job, children);
  CHECK(report.interrupted);
  CHECK(children.started.size() == 2);
  CHECK(report.families[0].outcome == FamilyOutcome::complete);
  CHECK(report.families[1].measured > 0);
  CHECK(report.families[2].outcome == FamilyOutcome::out_of_time);
}

TEST_CASE("calibrate: starts no family after its time") {
  const TempDir dir;
  FamilyJob job = job_in(dir.path());
  job.seconds_left = 100;
  class Slow : public FakeChildren {
   public:
    Slow(const FamilyJob& family_job, FakeTime& time) : FakeChildren(family_job), time_(time) {}
    ChildEnd run(const ChildTask& task) override {
      time_.now += 60;
      return FakeChildren::run(task);
    }

   private:
    FakeTime& time_;
  };
  FakeTime time;
  Slow children(job_in(dir.path()), time);
  std::vector<double> left;
  const auto arguments = [&](const std::string& family, double seconds_left) {
    left.push_back(seconds_left);
    return std::vector<std::string>{family};
  };
  const Report report = conduct(plan({}, {}, GridSize::full, job), job, arguments, children, 60,
                                time.pace(), [](const std::string&) {});
  CHECK(report.out_of_time);
  CHECK(left == std::vector<double>{100, 40});
}

TEST_CASE("calibrate: the plan counts what is on disk and knows its families") {
  const TempDir dir;
  FamilyJob job = job_in(dir.path());
  FakeFamily family("fake_1");
  run(family, job);
  auto planned = plan({"fake_3", "fake_1"}, {}, GridSize::full, job);
  REQUIRE(planned.size() == 2);
  CHECK(planned[0].complete);
  CHECK(planned[0].seconds == 0);
  CHECK(planned[1].points == 18);
  CHECK(planned[1].seconds == doctest::Approx(1 + 18 * 0.1));
  try {
    plan({"fake_4x"}, {}, GridSize::full, job);
    FAIL("an unknown family was taken");
  } catch (const InputError& error) {
    CHECK(std::string(error.what()).find("found 'fake_4x'; did you mean 'fake_") !=
          std::string::npos);
  }
  CHECK_THROWS_AS(plan({}, {.model = {}, .tp = 128}, GridSize::full, job), InputError);
  job.provenance.driver = "590";
  CHECK_THROWS_AS(plan({}, {}, GridSize::full, job), RunError);
  discard(dir.path(), {"fake_1"});
  CHECK(!plan({}, {}, GridSize::full, job)[0].complete);
  job.folder = "";
  CHECK(plan({}, {}, GridSize::quick, job)[0].points == 12);
}

TEST_CASE("calibrate: real processes that end, crash, hang or cannot start") {
  const TempDir dir;
  bool interrupted = false;
  ProcessChildren children("/bin/sh", [&] { return interrupted; });
  const auto shell = [&](const std::string& script, double quiet_s) {
    return children.run({.arguments = {"-c", script},
                         .log = dir / "logs/x.log",
                         .progress = dir / "progress",
                         .quiet_limit_s = quiet_s});
  };
  ChildEnd end = shell("echo out; echo err >&2; exit 3", 60);
  CHECK(end.how == ChildEnd::How::exited);
  CHECK(end.code == 3);
  CHECK(bytes_of(dir / "logs/x.log") == "out\nerr\n");
  end = shell("kill -SEGV $$", 60);
  CHECK(end.how == ChildEnd::How::signalled);
  CHECK(end.code == SIGSEGV);
  CHECK(shell("exec sleep 60", 0.2).how == ChildEnd::How::hung);
  // Not while a file grows.
  end =
      shell("for i in 1 2 3 4 5 6; do echo $i >> '" + (dir / "progress") + "'; sleep 0.1; done", 3);
  CHECK(end.how == ChildEnd::How::exited);
  interrupted = true;
  CHECK(shell("exec sleep 60", 60).how == ChildEnd::How::interrupted);
  ProcessChildren none(dir / "no_such_program", [] { return false; });
  CHECK_THROWS_AS(
      none.run({.arguments = {}, .log = dir / "x.log", .progress = "", .quiet_limit_s = 1}),
      RunError);
}

// What a host takes: 200 and 20 us and the batch.
class FakeHost : public FakeFamily {
 public:
  FakeHost() : FakeFamily("host") {}
  ProfileFamily describe() const override {
    ProfileFamily f = FakeFamily::describe();
    f.keys = {"part"};
    f.axes = {{"batch", "rows"}};
    return f;
  }
  std::vector<Point> points(const Rank&, GridSize) const override {
    std::vector<Point> out;
    for (const double batch : {1.0, 8.0, 64.0}) {
      for (const char* part : {"eager_layer", "eager_step", "graph_step"}) {
        out.push_back({{part}, {batch}});
      }
    }
    return out;
  }
  Measurement measure(MeasureContext&, const Point& point) override {
    const double us = (point.keys[0] == "graph_step" ? 20 : 200) + point.at[0];
    return {us, us, us, 20, 1980};
  }
};

// Parts of a host and of three families in `folder`, measured in this order.
void measure_all(const std::string& folder, const std::vector<std::string>& order) {
  FakeHost host;
  run(host, job_in(folder));
  for (const std::string& name : order) {
    FakeFamily family(name);
    if (name == "fake_2") {
      family.behave = [](const Point& point) {
        if (point.at[1] == 8192) throw PointRefused("out_of_memory", "too much");
      };
    }
    run(family, job_in(folder));
  }
}

TEST_CASE("calibrate: the same parts give the same profile, whatever came first") {
  const TempDir one, two;
  measure_all(one.path(), {"fake_1", "fake_2", "fake_3"});
  measure_all(two.path(), {"fake_3", "fake_1", "fake_2"});
  const std::string name = "h100-v4exec-deepseek-v4-flash-tp4-ep4";
  for (const TempDir* dir : {&one, &two}) {
    const Assembled assembled = assemble(dir->path(), false);
    CHECK(assembled.profile.name == name);
    write_profile(assembled.profile, dir->path());
  }
  CHECK(bytes_of(one / (name + ".yaml")) == bytes_of(two / (name + ".yaml")));
  CHECK(bytes_of(one / (name + ".csv")) == bytes_of(two / (name + ".csv")));

  const Profile read = load_profile(one / (name + ".yaml"), "");
  CHECK(read.gpu == "H100");
  CHECK(read.engine == "v4exec");
  CHECK(read.device == "NVIDIA H100 80GB HBM3");
  CHECK(read.date == "2026-11-22");
  REQUIRE(read.families.size() == 3);
  CHECK(read.families[0].rows == 18);
  CHECK(read.families[1].rows == 12);
  CHECK(read.families[1].refused_rows == std::map<std::string, std::int64_t>{{"out_of_memory", 6}});
  const ProfileSeries* cold = read.families[0].find({{"l2", "cold"}});
  REQUIRE(cold != nullptr);
  const std::vector<double> at{4, 1024};
  CHECK(cold->grid.at(at).us == doctest::Approx(7 + 1 + 1.024).epsilon(0.006));
}

TEST_CASE("calibrate: parts of two GPUs make no profile unless that is wanted") {
  const TempDir dir;
  FakeFamily first("fake_1"), second("fake_2");
  run(first, job_in(dir.path()));
  FamilyJob job = job_in(dir.path());
  job.provenance.uuid = "GPU-2";
  job.provenance.date = "2026-11-23";
  run(second, job);
  try {
    assemble(dir.path(), false);
    FAIL("was taken");
  } catch (const RunError& fault) {
    CHECK(fault.kind() == "wrong_profile");
    CHECK(std::string(fault.what())
              .find("fake_2.jsonl: expected a profile of NVIDIA H100 80GB HBM3 (GPU-1), found one "
                    "of NVIDIA H100 80GB HBM3 (GPU-2); --any-gpu takes it") != std::string::npos);
  }
  const Assembled both = assemble(dir.path(), true);
  CHECK(both.profile.date == "2026-11-23");
  CHECK(both.profile.source.find("on 2 GPUs") != std::string::npos);
}

TEST_CASE("calibrate: no parts, cut parts and parts without a time make no profile") {
  const TempDir dir;
  CHECK_THROWS_AS(assemble(dir.path(), false), InputError);
  FakeFamily family("fake_1");
  family.behave = [](const Point&) { throw PointRefused("out_of_memory", "too much"); };
  run(family, job_in(dir.path()));
  try {
    assemble(dir.path(), false);
    FAIL("was taken");
  } catch (const RunError& fault) {
    CHECK(fault.kind() == "nothing_measured");
  }
  const std::string path = part_path(dir.path(), "fake_1");
  fs::resize_file(path, fs::file_size(path) - 1);
  CHECK_THROWS_AS(assemble(dir.path(), false), InputError);
}

TEST_CASE("calibrate: marks and counts of doubtful points stand in the profile") {
  const TempDir dir;
  FakeFamily family("fake_1");
  FakeMonitor monitor({{.sm_mhz = 1500, .power_capped = true}});
  DiskFiles files;
  run(family, job_in(dir.path()), files, monitor);
  const Profile profile = assemble(dir.path(), false).profile;
  CHECK(profile.families[0].has_mark("power_capped"));
  CHECK(profile.families[0].note == "made up; 18 of 18 points are power_capped");
}

TEST_CASE("calibrate: the family host becomes the profile's host") {
  const TempDir dir;
  FakeHost host;
  FakeFamily other("fake_1");
  run(host, job_in(dir.path()));
  run(other, job_in(dir.path()));
  const Profile profile = assemble(dir.path(), false).profile;
  CHECK(profile.families.size() == 1);
  REQUIRE(profile.host.has_value());
  CHECK(profile.host->eager_layer == std::chrono::microseconds(208));
  CHECK(profile.host->graph_step == std::chrono::microseconds(28));
  CHECK(profile.host->graph_sizes == captured_sizes());
  CHECK(profile.host->graph_max_batch == captured_sizes().back().last);
  write_profile(profile, dir.path());
  const Profile read = load_profile(dir / (profile.name + ".yaml"), "");
  REQUIRE(read.host.has_value());
  CHECK(read.host->graph_step == std::chrono::microseconds(28));
}

TEST_CASE("calibrate: the GPU's short name is the word that hardware files use") {
  CHECK(gpu_name("NVIDIA H100 80GB HBM3") == "H100");
  CHECK(gpu_name("NVIDIA H200") == "H200");
  CHECK(gpu_name("NVIDIA B200") == "B200");
  CHECK(gpu_name("NVIDIA GH200 480GB") == "GH200");
  CHECK(gpu_name("Some GPU") == "Some GPU");
}

}  // namespace
}  // namespace v4cap::exec::calibrate
