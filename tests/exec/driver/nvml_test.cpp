// What the monitor reads out of a library with NVML's interface, and without any.
#include "exec/driver/nvml.h"

#include <doctest/doctest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>

namespace v4cap::exec {
namespace {

TEST_CASE("nvml: a machine without it is unknown, and so is a GPU that it does not know") {
  NvmlMonitor none("0000:01:00.0", "libno-such-library.so.1");
  CHECK(none.identity().name == "unknown");
  CHECK(none.identity().driver == "unknown");
  CHECK(!none.read());
  CHECK(none.processes().empty());

  NvmlMonitor other("x", V4CAP_FAKE_NVML);
  CHECK(other.identity().driver == "580.1");
  CHECK(other.identity().name == "unknown");
  CHECK(!other.read());
}

TEST_CASE("nvml: everything that it says arrives, in our units") {
  NvmlMonitor monitor("0000:01:00.0", V4CAP_FAKE_NVML);
  const GpuIdentity identity = monitor.identity();
  CHECK(identity.name == "NVIDIA Fake");
  CHECK(identity.uuid == "GPU-fake");
  CHECK(identity.driver == "580.1");
  monitor.own_is(103);
  const auto reading = monitor.read();
  REQUIRE(reading);
  CHECK(reading->total_bytes == 80);
  CHECK(reading->free_bytes == 30);
  CHECK(reading->sm_mhz == 1980);
  CHECK(reading->memory_mhz == 2619);
  CHECK(reading->temperature_c == 61);
  CHECK(reading->power_w == 612.5);
  CHECK(throttle_text(reading->throttle) == "power cap, thermal slowdown");
  REQUIRE(reading->others.size() == 19);
  CHECK(reading->others[0].pid == 100);
  CHECK(reading->others[0].memory_bytes == 0);  // not known
  CHECK(reading->others[3].pid == 104);         // 103 is this process
  CHECK(reading->others[3].memory_bytes == 4000);
}

TEST_CASE("own process: by number, else the one that appeared with the context") {
  const std::vector<GpuProcess> before{{7, 0}, {8, 0}};
  CHECK(own_process(before, {{7, 0}, {8, 0}, {50, 0}}, 50) == 50);
  CHECK(own_process(before, {{7, 0}, {8, 0}, {90, 0}}, 50) == 90);  // numbered otherwise
  CHECK(own_process(before, {{7, 0}, {90, 0}, {91, 0}}, 50) == 0);  // two came at once
  CHECK(own_process(before, before, 50) == 0);                      // not shown at all
}

TEST_CASE("started by: a process that this one started, and no other") {
  const pid_t child = fork();
  if (child == 0) {
    pause();
    _exit(0);
  }
  REQUIRE(child > 0);
  CHECK(started_by(child, getpid()));
  CHECK(!started_by(child, child));
  CHECK(!started_by(getpid(), child));
  kill(child, SIGKILL);
  waitpid(child, nullptr, 0);
  CHECK(!started_by(child, getpid()));  // gone
}

}  // namespace
}  // namespace v4cap::exec
