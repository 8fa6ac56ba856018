// What goes wrong on a GPU, made to happen in a program that works as replay and calibrate do: each
// fault ends with exit code 1, one JSON document with its kind and figures, and everything on disk
// that was measured before it.
#include <doctest/doctest.h>
#include <fmt/format.h>
#include <sys/wait.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <fstream>
#include <functional>
#include <iterator>

#include "exec/driver/gpu_error.h"
#include "exec/driver/wait.h"
#include "sim/core/json.h"
#include "sim/core/write_error.h"
#include "sim/output/run_directory.h"
#include "tests/exec/driver/faulty_gpu.h"
#include "tests/sim/app/program_run.h"
#include "tests/temp_dir.h"

namespace v4cap::exec {
namespace {

constexpr int kSteps = 5;
constexpr double kHangLimit_s = 0.03;

// What the command below meets, for one run.
struct Scene {
  FaultyGpu gpu;
  FakeMonitor monitor;
  std::function<void(int step)> after_step = nullptr;
};
Scene* scene = nullptr;

class Memory {
 public:
  Memory(std::size_t bytes, const std::string& what_for)
      : memory_(allocate_on_gpu(bytes, what_for.c_str())) {}
  ~Memory() { release_on_gpu(memory_); }
  Memory(const Memory&) = delete;
  Memory& operator=(const Memory&) = delete;

 private:
  void* memory_;
};

// Runs steps and writes a line of a journal after each; whatever happens, what is done is kept.
class StepsCommand final : public Command {
 public:
  std::string summary() const override { return "for tests"; }
  void add_options(CLI::App& app) override { app.add_option("--out", out_)->required(); }
  bool reads_scenario() const override { return false; }

  ExitCode run(CommandContext& context) override {
    RunDirectory directory(out_, false);
    std::ofstream journal(directory.path() + "/steps.jsonl");
    int done = 0;
    const auto write_summary = [&] {
      directory.write({{"summary.json", [&](const TextSink& sink) {
                          sink(fmt::format("{{\"steps\":{}}}\n", done));
                        }}});
    };
    try {
      const std::string gpu = scene->monitor.identity().name;
      if (gpu != "NVIDIA H100 80GB HBM3" && gpu != "unknown") {
        throw wrong_profile("h100.yaml", "NVIDIA H100 80GB HBM3", gpu, "calibrate this one");
      }
      for (int step = 1; step <= kSteps; ++step) {
        const std::string name = fmt::format("step {}", step);
        const GpuReading reading = scene->monitor.read().value_or(GpuReading{});
        check_alone(reading, name);
        check_clocks(reading, name);
        const Memory pages(std::size_t{256} << 20, fmt::format("KV pages of step {}", step));
        wait_for(nullptr, name, kHangLimit_s);
        if (scene->after_step) scene->after_step(step);
        journal << "{\"step\":" << step << "}\n" << std::flush;
        ++done;
      }
    } catch (const RunError& error) {
      write_summary();
      throw with_kept(error, fmt::format("{} of {} steps in {}", done, kSteps, directory.path()));
    }
    write_summary();
    context.out << "{\"steps\":" << done << "}\n";
    return ExitCode::done;
  }

 private:
  std::string out_;
};

[[maybe_unused]] const bool registered = CommandRegistry::add(
    "zz-steps", []() -> std::unique_ptr<Command> { return std::make_unique<StepsCommand>(); });

std::string content(const std::string& path) {
  std::ifstream file(path);
  return {std::istreambuf_iterator<char>(file), {}};
}

struct Fault {
  std::string name;
  std::function<void(Scene&)> inject;
  std::string kind;
  int kept;                       // steps that were done before
  std::vector<std::string> says;  // parts of the message
  // Members of the error in JSON, as text or number.
  std::vector<std::pair<std::string, std::string>> text = {};
  std::vector<std::pair<std::string, double>> numbers = {};
  bool lost = false;  // the process must end without CUDA's clean-up
};

// A process that ends by a signal, as the child of a calibration does.
RunError of_a_killed_child() {
  const pid_t child = fork();
  if (child == 0) {
    raise(SIGKILL);
    _exit(0);
  }
  int status = 0;
  waitpid(child, &status, 0);
  REQUIRE(WIFSIGNALED(status));
  return killed("calibrate attention", WTERMSIG(status));
}

// Linux's device that is always full.
RunError of_a_full_disk() {
  std::FILE* const file = std::fopen("/dev/full", "w");
  REQUIRE(file != nullptr);
  std::fputs("measured", file);
  const int error_number = std::fflush(file) == 0 ? 0 : errno;
  std::fclose(file);
  return write_failed("parts/linear.jsonl", error_number);
}

void throw_after(Scene& s, int step, const std::function<RunError()>& error) {
  s.after_step = [=](int now) {
    if (now == step) throw error();
  };
}

std::vector<Fault> faults() {
  const auto wait_fails = [](int n, int code) {
    return [=](Scene& s) {
      s.gpu.fail_wait = n;
      s.gpu.wait_code = code;
    };
  };
  return {
      {"no memory at the third allocation",
       [](Scene& s) { s.gpu.fail_allocation = 3; },
       "out_of_memory",
       2,
       {"asked for 0.250 GiB for KV pages of step 3", "0.500 GiB of 80.000 GiB are free"},
       {{"what_for", "KV pages of step 3"}},
       {{"asked_bytes", 256.0 * (1 << 20)},
        {"free_bytes", 512.0 * (1 << 20)},
        {"total_bytes", 80.0 * (1 << 30)}}},
      {"illegal address at the second wait",
       wait_fails(2, kCudaIllegalAddress),
       "kernel_fault",
       1,
       {"a kernel failed: step 2: code 700", "every later call of this process fails"},
       {},
       {{"cuda_error", 700}},
       true},
      {"launch timeout",
       wait_fails(4, kCudaLaunchTimeout),
       "kernel_fault",
       3,
       {"step 4: code 702"},
       {},
       {{"cuda_error", 702}},
       true},
      {"illegal address that an allocation finds",
       [](Scene& s) {
         s.gpu.fail_allocation = 2;
         s.gpu.allocation_code = kCudaIllegalAddress;
       },
       "kernel_fault",
       1,
       {"memory for KV pages of step 2: code 700"},
       {},
       {{"cuda_error", 700}},
       true},
      {"launch failure",
       wait_fails(1, kCudaLaunchFailure),
       "device_lost",
       0,
       {"the GPU is lost: step 1: code 719", "may need attention"},
       {},
       {{"cuda_error", 719}},
       true},
      {"uncorrectable ECC error",
       wait_fails(3, kCudaEccUncorrectable),
       "device_lost",
       2,
       {"step 3: code 214", "cannot go on", "may need attention"},
       {},
       {{"cuda_error", 214}},
       true},
      {"devices unavailable",
       wait_fails(5, kCudaDevicesUnavailable),
       "device_lost",
       4,
       {"step 5: code 46"},
       {},
       {{"cuda_error", 46}},
       true},
      {"unknown error",
       wait_fails(2, kCudaUnknown),
       "device_lost",
       1,
       {"step 2: code 999"},
       {},
       {{"cuda_error", 999}},
       true},
      {"driver too old for a call",
       wait_fails(1, kCudaInsufficientDriver),
       "driver_too_old",
       0,
       {"the driver is too old for this build's CUDA: step 1"},
       {},
       {{"cuda_error", 35}}},
      {"no kernel for this GPU",
       wait_fails(1, kCudaNoKernelImageForDevice),
       "unsupported_gpu",
       0,
       {"no kernel of this build runs on the GPU"},
       {},
       {{"cuda_error", 209}}},
      {"a step that hangs",
       [](Scene& s) { s.gpu.hang_at_wait = 4; },
       "timed_out",
       3,
       {"step 4 did not end within 0.03 s: it hangs", "may need attention"},
       {{"what", "step 4"}},
       {{"limit_s", kHangLimit_s}},
       true},
      {"another process appears",
       [](Scene& s) {
         s.monitor.change = [](int n, GpuReading& r) {
           if (n >= 3) r.others = {{4711, std::int64_t{3} << 30}, {4712, 0}};
         };
       },
       "busy_gpu",
       2,
       {"step 3: the GPU is not this process's alone: process 4711 with 3.000 GiB, process 4712"},
       {},
       {{"pid", 4711}, {"processes", 2}, {"memory_bytes", 3.0 * (1 << 30)}}},
      {"clocks drop",
       [](Scene& s) {
         s.monitor.change = [](int n, GpuReading& r) {
           if (n < 4) return;
           r.sm_mhz = 1200;
           r.throttle = kPowerBrake;
         };
       },
       "clocks_dropped",
       3,
       {"step 4: the GPU is slowed down: power brake (1200 MHz, 500 W, 45 C)"},
       {{"reasons", "power brake"}},
       {{"sm_mhz", 1200}, {"power_w", 500}, {"temperature_c", 45}}},
      {"heat, before the clock shows it",
       [](Scene& s) {
         s.monitor.change = [](int n, GpuReading& r) {
           if (n == 2) r.throttle = kHwThermal | kHwSlowdown;
         };
       },
       "clocks_dropped",
       1,
       {"hardware slowdown, thermal slowdown"},
       {{"reasons", "hardware slowdown, thermal slowdown"}}},
      {"a profile of another GPU",
       [](Scene& s) { s.monitor.name = "NVIDIA H200"; },
       "wrong_profile",
       0,
       {"h100.yaml: expected a profile of NVIDIA H200, found one of NVIDIA H100 80GB HBM3; "
        "calibrate this one"},
       {{"profile_gpu", "NVIDIA H100 80GB HBM3"}, {"gpu", "NVIDIA H200"}}},
      {"a child that is killed",
       [](Scene& s) { throw_after(s, 3, of_a_killed_child); },
       "killed",
       2,
       {"calibrate attention was ended by signal 9"},
       {{"child", "calibrate attention"}},
       {{"signal", 9}}},
      {"a full disk",
       [](Scene& s) { throw_after(s, 5, of_a_full_disk); },
       "disk_full",
       4,
       {"parts/linear.jsonl: cannot be written: No space left on device"},
       {{"path", "parts/linear.jsonl"}}},
      {"a part of another calibration",
       [](Scene& s) {
         throw_after(s, 1,
                     [] { return bad_part("parts/topk.jsonl", "plan 7f", "plan 80", "again"); });
       },
       "bad_part",
       0,
       {"parts/topk.jsonl: expected a part with plan 7f, found plan 80; again"},
       {{"expected", "plan 7f"}, {"found", "plan 80"}}},
  };
}

TEST_CASE("every fault of a GPU has a kind, figures and exit code 1, and keeps what was measured") {
  for (const Fault& fault : faults()) {
    CAPTURE(fault.name);
    const TempDir dir;
    const std::string folder = dir / "run";
    Scene now;
    scene = &now;
    fault.inject(now);
    const ProgramRun r = run_v4cap({"zz-steps", "--out", folder, "--json"});
    scene = nullptr;
    CHECK(r.code == ExitCode::failed);

    CAPTURE(r.out);
    REQUIRE(std::ranges::count(r.out, '\n') == 1);
    JsonLine line;
    const JsonValue error =
        line.parse(std::string_view(r.out).substr(0, r.out.size() - 1), Place{"out"}).at("error");
    CHECK(error.at("kind").string() == fault.kind);
    const std::string message(error.at("message").string());
    CHECK(r.err == "v4cap: " + message + '\n');
    for (const std::string& part : fault.says) {
      CAPTURE(part);
      CHECK(message.find(part) != std::string::npos);
    }
    for (const auto& [name, value] : fault.text) CHECK(error.at(name).string() == value);
    for (const auto& [name, value] : fault.numbers) {
      CAPTURE(name);
      CHECK(error.at(name).number(-1e18, 1e18) == value);
    }

    const std::string kept = fmt::format("{} of {} steps in {}", fault.kept, kSteps, folder);
    CHECK(error.at("kept").string() == kept);
    CHECK(message.ends_with("; kept: " + kept));
    const std::string journal = content(folder + "/steps.jsonl");
    CHECK(std::ranges::count(journal, '\n') == fault.kept);
    CHECK(content(folder + "/summary.json") == fmt::format("{{\"steps\":{}}}\n", fault.kept));

    CHECK(gpu_is_lost() == fault.lost);
    // What a lost GPU holds is left to the end of the process.
    if (!fault.lost) CHECK(now.gpu.held() == 0);
  }
}

TEST_CASE("a healthy GPU, and one without a monitor, run to the end") {
  for (const bool monitored : {true, false}) {
    CAPTURE(monitored);
    const TempDir dir;
    Scene now;
    scene = &now;
    now.monitor.there = monitored;
    const ProgramRun r = run_v4cap({"zz-steps", "--out", dir / "run", "--json"});
    scene = nullptr;
    CAPTURE(r.err);
    CHECK(r.code == ExitCode::done);
    CHECK(r.out == "{\"steps\":5}\n");
    CHECK(now.gpu.allocations() == kSteps);
    CHECK(now.gpu.held() == 0);
    CHECK(!gpu_is_lost());
  }
}

TEST_CASE("after an error that takes the context with it every call fails, and nothing is freed") {
  FaultyGpu gpu;
  void* const memory = allocate_on_gpu(64, "a test");
  gpu.fail_wait = 1;
  CHECK_THROWS_AS(wait_for(nullptr, "step 1"), RunError);
  CHECK(gpu_is_lost());
  CHECK_THROWS_AS(wait_for(nullptr, "step 2"), RunError);
  CHECK_THROWS_AS(allocate_on_gpu(64, "a test"), RunError);
  release_on_gpu(memory);
  CHECK(gpu.held() == 1);
}

TEST_CASE("codes that mean nothing special keep their text, and the process may go on") {
  constexpr int kInvalidValue = 1;
  CHECK(!context_is_gone(kInvalidValue));
  const RunError error = cuda_failure(kInvalidValue, "f.cpp:3: g(): cudaErrorInvalidValue");
  CHECK(error.kind() == std::string("cuda"));
  CHECK(error.what() == std::string("f.cpp:3: g(): cudaErrorInvalidValue"));
}

TEST_CASE("what cannot be written is of another kind than a full disk") {
  CHECK(write_failed("x", EACCES).kind() == "cannot_write");
  CHECK(write_failed("x", EDQUOT).kind() == "disk_full");
  CHECK(std::string(write_failed("x", EACCES, "cannot be created").what()) ==
        "x: cannot be created: Permission denied");
}

TEST_CASE("clocks: only heat and the hardware count, whatever the clock is") {
  GpuReading reading{.sm_mhz = 345, .throttle = kPowerCap | kIdle | kSetClocks};
  CHECK_NOTHROW(check_clocks(reading, "x"));
  for (const std::uint64_t reason : {kHwSlowdown, kSwThermal, kHwThermal, kPowerBrake}) {
    reading.throttle = reason | kIdle;
    CHECK_THROWS_AS(check_clocks(reading, "x"), RunError);
  }
}

}  // namespace
}  // namespace v4cap::exec
