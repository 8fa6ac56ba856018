// v4exec bench: times every version of every operator at V4's shapes, beside the time its bytes and
// FLOPs would take at ceilings that are measured in the same run, and the figure to reach.
#include <cuda_runtime_api.h>
#include <fmt/chrono.h>
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <ctime>
#include <fstream>

#include "exec/selection.h"
#include "exec/suite.h"
#include "exec/timing.h"
#include "kernels/cuda/check.h"
#include "sim/app/command.h"
#include "sim/core/write_error.h"
#include "sim/output/json_writer.h"

namespace v4cap::exec {
namespace {

// The time that the operator's bytes or FLOPs need at the ceilings, whichever is larger.
double roofline_us(const kernels::Work& work, const Ceilings& ceilings) {
  const double memory =
      work.bytes() / std::max(ceilings.copy_bytes_per_s, ceilings.read_bytes_per_s);
  // FP4 products run at the FP8 rate on Hopper, where nothing faster is measured.
  const double fp8 = std::max(ceilings.fp8_flops_per_s, ceilings.bf16_flops_per_s);
  const double math =
      work.flops_bf16 / ceilings.bf16_flops_per_s + (work.flops_fp8 + work.flops_fp4) / fp8;
  return 1e6 * std::max(memory, math);
}

// The measured figure in the unit of a goal. "% HBM" is a share of the nominal rate, as in the
// published figures.
double figure(const Goal& goal, const kernels::Work& work, const Times& times,
              const Device& device) {
  const double us = goal.cold ? times.cold.median_us : times.warm.median_us;
  if (goal.unit == "us") return us;
  if (goal.unit == "TFLOP/s") return work.flops() / us * 1e-6;
  V4CAP_CHECK(goal.unit == "% HBM", goal.unit);
  return 100 * work.bytes() / (us * 1e-6) / device.memory_bytes_per_s_nominal;
}

bool reached(const Goal& goal, double value) {
  return goal.unit == "us" ? value <= goal.first_rung : value >= goal.first_rung;
}

void write_spread(JsonWriter& json, const char* name, const Spread& s) {
  json.key(name).begin_object().member("median_us", s.median_us).member("p10_us", s.p10_us);
  json.member("p90_us", s.p90_us).member("samples", s.samples).member("sm_mhz", s.sm_mhz);
  json.end_object();
}

void write_head(JsonWriter& json, const Device& device, const Ceilings& ceilings) {
  const std::time_t now = std::time(nullptr);
  const Clocks clocks = read_clocks(device);
  json.begin_object().member("device", device.name);
  json.member("compute_capability", fmt::format("{}.{}", device.major, device.minor));
  json.member("driver", device.driver).member("cuda_runtime", device.cuda_runtime);
  json.member("date", fmt::format("{:%Y-%m-%d}", fmt::gmtime(now)));
  json.member("multiprocessors", device.multiprocessors).member("l2_bytes", device.l2_bytes);
  json.member("sm_clock_max_mhz", device.sm_clock_max_mhz);
  json.member("hbm_nominal_gb_per_s", device.memory_bytes_per_s_nominal * 1e-9);
  json.member("memory_clock_mhz", clocks.memory_mhz);
  json.key("ceilings").begin_object();
  json.member("copy_gb_per_s", ceilings.copy_bytes_per_s * 1e-9);
  json.member("read_gb_per_s", ceilings.read_bytes_per_s * 1e-9);
  json.member("bf16_tflop_per_s", ceilings.bf16_flops_per_s * 1e-12);
  json.member("fp8_tflop_per_s", ceilings.fp8_flops_per_s * 1e-12);
  json.member("nothing_cold_us", ceilings.nothing_cold_us);
  json.member("nothing_warm_us", ceilings.nothing_warm_us).end_object();
}

void write_goal(JsonWriter& json, const Goal& goal, double value) {
  json.key("goal").begin_object().member("unit", goal.unit);
  json.member("first_rung", goal.first_rung).member("to_beat", goal.to_beat);
  json.member("origin", goal.origin).member("source", goal.source);
  json.member("l2", goal.cold ? "cold" : "warm").member("figure", value);
  json.member("reached", reached(goal, value)).end_object();
}

class BenchCommand final : public Command {
 public:
  std::string summary() const override { return "times every operator at V4's shapes"; }
  bool reads_scenario() const override { return false; }

  std::vector<std::string> values(std::string_view option) const override {
    return option == "--operator" ? suite_names() : std::vector<std::string>{};
  }

  void add_options(CLI::App& app) override {
    app.add_option("--device", device_, "GPU, from 0");
    app.add_option("--operator", operators_, "only these");
    app.add_option("--version", version_, "only this version");
    app.add_option("--match", match_, "only cases whose name holds this");
    app.add_option("--json-file", json_file_, "write the tables here; -: to stdout");
    app.add_option("--seconds", seconds_, "measured time of a case")->check(CLI::Range(1e-4, 60.0));
  }

  ExitCode run(CommandContext& context) override {
    const std::vector<Suite> chosen = chosen_suites();
    const bool to_file = !json_file_.empty() && json_file_ != "-";
    const bool json_only = context.options.json || json_file_ == "-";
    std::ostream& out = context.out;
    const Device device = open_device(device_);
    if (context.options.dry_run) return ExitCode::done;
    std::ofstream file;  // opened before anything is measured
    if (to_file) {
      file.open(json_file_ + ".new");
      if (!file) throw write_failed(json_file_, errno);
    }
    Stopwatch stopwatch(device);
    const Ceilings ceilings = measure_ceilings(stopwatch);
    if (!json_only) {
      out << fmt::format(
          "{}, driver {}, CUDA {}: copy {:.0f} GB/s, read {:.0f} GB/s, bf16 {:.0f} TFLOP/s, "
          "fp8 {:.0f} TFLOP/s, an empty kernel {:.1f} us cold, {:.1f} us warm\n\n",
          device.name, device.driver, device.cuda_runtime, ceilings.copy_bytes_per_s * 1e-9,
          ceilings.read_bytes_per_s * 1e-9, ceilings.bf16_flops_per_s * 1e-12,
          ceilings.fp8_flops_per_s * 1e-12, ceilings.nothing_cold_us, ceilings.nothing_warm_us);
      out << fmt::format("{:<20} {:<40} {:<20} {:>9} {:>9} {:>9} {:>9} {:>8} {:>6} {:>6}\n",
                         "operator", "case", "version", "cold us", "p10", "p90", "warm us", "GB/s",
                         "TF/s", "% roof");
    }
    JsonWriter json(1);
    write_head(json, device, ceilings);
    json.key("rows").begin_array();
    for (const Suite& suite : chosen) {
      for (const CaseSpec& spec : suite.bench) {
        const auto operands = spec.make(context.options.seed.value_or(1));
        operands->reset();
        V4CAP_CUDA(cudaDeviceSynchronize());  // operands are made on another stream
        const kernels::Work work = operands->work();
        const double floor_us = roofline_us(work, ceilings);
        const auto versions = operands->versions(device);
        for (std::size_t v = 0; v < versions.size(); ++v) {
          const VersionInfo& version = versions[v];
          if (!version.refusal.empty()) continue;
          if (!version_.empty() && version_ != version.name) continue;
          const Times times = stopwatch.measure(
              [&](kernels::Stream stream) { operands->launch(v, stream); }, seconds_);
          const double seconds = times.cold.median_us * 1e-6;
          json.begin_object().member("operator", suite.name).member("case", spec.name);
          json.member("version", version.name);
          if (version.never_run) json.member("never_run", true);
          write_spread(json, "cold", times.cold);
          write_spread(json, "warm", times.warm);
          json.member("gb_per_s", work.bytes() / seconds * 1e-9);
          json.member("tflop_per_s", work.flops() / seconds * 1e-12);
          json.member("roofline_us", floor_us);
          json.member("roofline_share", floor_us / times.cold.median_us);
          std::string note;
          if (spec.goal.first_rung > 0) {
            const double value = figure(spec.goal, work, times, device);
            write_goal(json, spec.goal, value);
            note =
                fmt::format("  {} {:.4g} {} (rung {:g}, to beat {:g} {})",
                            reached(spec.goal, value) ? "reached" : "MISSED", value, spec.goal.unit,
                            spec.goal.first_rung, spec.goal.to_beat, spec.goal.origin);
          }
          json.end_object();
          if (!json_only) {
            out << fmt::format(
                       "{:<20} {:<40} {:<20} {:>9.2f} {:>9.2f} {:>9.2f} {:>9.2f} {:>8.0f} {:>6.0f} "
                       "{:>6.1f}{}\n",
                       suite.name, spec.name, version.name, times.cold.median_us, times.cold.p10_us,
                       times.cold.p90_us, times.warm.median_us, work.bytes() / seconds * 1e-9,
                       work.flops() / seconds * 1e-12, 100 * floor_us / times.cold.median_us, note)
                << std::flush;
          }
        }
      }
    }
    json.end_array().end_object();
    if (json_only) out << json.text() << '\n';
    if (to_file) {
      file << json.text() << "\n";
      file.close();
      if (!file || std::rename((json_file_ + ".new").c_str(), json_file_.c_str()) != 0) {
        throw write_failed(json_file_, errno);
      }
    }
    return ExitCode::done;
  }

 private:
  std::vector<Suite> chosen_suites() const {
    std::vector<Suite> chosen = select_suites(operators_);
    refuse_unknown_version(version_);
    for (Suite& suite : chosen) {
      std::erase_if(suite.bench, [&](const CaseSpec& spec) {
        return spec.name.find(match_) == std::string::npos;
      });
    }
    if (std::all_of(chosen.begin(), chosen.end(), [](const Suite& s) { return s.bench.empty(); })) {
      throw InputError({"--match"},
                       fmt::format("expected a part of a case's name, found '{}', which "
                                   "is in none of the chosen operators' cases",
                                   match_));
    }
    return chosen;
  }

  int device_ = 0;
  std::vector<std::string> operators_;  // empty: all
  std::string version_, match_;
  std::string json_file_;  // tables are written here too; "-": to stdout, and nothing else
  double seconds_ = 0.02;  // measured time of a case, cold and warm each
};

const bool registered = CommandRegistry::add(
    "bench", []() -> std::unique_ptr<Command> { return std::make_unique<BenchCommand>(); });

}  // namespace
}  // namespace v4cap::exec
