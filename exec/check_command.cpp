// v4exec check: every version of every operator on fresh random operands, outputs poisoned, against
// the reference in double. Prints the share of the tolerance that was used.
#include <cuda_runtime_api.h>
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <chrono>
#include <cmath>

#include "exec/selection.h"
#include "exec/suite.h"
#include "kernels/cuda/check.h"
#include "sim/app/command.h"
#include "sim/output/json_writer.h"

namespace v4cap::exec {
namespace {

struct Tally {
  int passed = 0, failed = 0, refused = 0, never_run = 0;
};

std::uint64_t fresh_seed() {
  return static_cast<std::uint64_t>(std::chrono::system_clock::now().time_since_epoch().count());
}

// With two launches the second finds what the first left in workspaces and outputs.
std::vector<Finding> check_version(Case& operands, std::size_t version) {
  std::vector<Finding> worst;
  for (int repeat = 0; repeat < operands.launches(); ++repeat) {
    operands.reset();
    operands.poison_workspace();
    V4CAP_CUDA(cudaDeviceSynchronize());
    operands.launch(version, nullptr);
    V4CAP_CUDA(cudaDeviceSynchronize());
    keep_worst(worst, operands.judge());
  }
  return worst;
}

class CheckCommand final : public Command {
 public:
  std::string summary() const override { return "every operator against its reference in double"; }
  bool reads_scenario() const override { return false; }

  std::vector<std::string> values(std::string_view option) const override {
    return option == "--operator" ? suite_names() : std::vector<std::string>{};
  }

  void add_options(CLI::App& app) override {
    app.add_option("--device", device_, "GPU, from 0");
    app.add_option("--operator", operators_, "only these");
    app.add_option("--version", version_, "only this version");
    app.add_flag("--small", small_, "only small cases, for compute-sanitizer");
  }

  ExitCode run(CommandContext& context) override {
    const std::vector<Suite> chosen = chosen_suites();
    const Device device = open_device(device_);
    const std::uint64_t given = context.options.seed.value_or(0);
    const std::uint64_t seed = given != 0 ? given : fresh_seed();
    if (!context.options.quiet) {
      context.err << fmt::format("check on {}, driver {}, seed {}\n", device.name, device.driver,
                                 seed);
    }
    if (context.options.dry_run) return ExitCode::done;
    std::ostream& out = context.out;
    const bool json_only = context.options.json;
    Tally tally;
    JsonWriter json;
    json.begin_object().member("device", device.name).member("driver", device.driver);
    json.member("seed", std::to_string(seed)).key("checks").begin_array();
    for (const Suite& suite : chosen) {
      std::uint64_t case_index = 0;
      for (const CaseSpec& spec : suite.check) {
        ++case_index;
        const auto operands = spec.make(seed + 1000 * case_index);
        const auto versions = operands->versions(device);
        for (std::size_t v = 0; v < versions.size(); ++v) {
          const VersionInfo& version = versions[v];
          if (!version_.empty() && version_ != version.name) continue;
          json.begin_object().member("operator", suite.name).member("case", spec.name);
          json.member("version", version.name);
          if (!version.id.empty()) json.member("id", version.id);
          const std::string head =
              fmt::format("{:<20} {:<44} {:<24}", suite.name, spec.name, version.name);
          if (!version.refusal.empty()) {
            ++tally.refused;
            if (version.never_run && version.refusal.starts_with("needs")) ++tally.never_run;
            json.member("refused", version.refusal).end_object();
            if (!json_only) out << fmt::format("{} not here: {}\n", head, version.refusal);
            continue;
          }
          const std::vector<Finding> findings = check_version(*operands, v);
          bool passed = !findings.empty();
          double used = 0;
          std::string failures;
          for (const Finding& f : findings) {
            if (f.error <= f.tolerance) {
              if (f.tolerance > 0) used = std::max(used, f.error / f.tolerance);
            } else {
              passed = false;
              failures +=
                  fmt::format("  {}: error {:.3g}, allowed {:.3g}\n", f.what, f.error, f.tolerance);
            }
          }
          (passed ? tally.passed : tally.failed) += 1;
          json.member("passed", passed)
              .member("tolerance_used", used)
              .key("findings")
              .begin_array();
          for (const Finding& f : findings) {
            json.begin_object().member("what", f.what);
            if (std::isfinite(f.error)) json.member("error", f.error);
            json.member("tolerance", f.tolerance).end_object();
          }
          json.end_array().end_object();
          if (!json_only) {
            out << fmt::format("{} {} {:3.0f} % of the tolerance\n{}", head,
                               passed ? "ok    " : "FAILED", 100 * used, failures)
                << std::flush;
          }
        }
      }
    }
    json.end_array().member("passed", tally.passed).member("failed", tally.failed).end_object();
    if (json_only) {
      out << json.text() << '\n';
    } else {
      out << fmt::format(
          "{} passed, {} failed; {} versions do not take their case here, {} of them never run\n",
          tally.passed, tally.failed, tally.refused, tally.never_run);
    }
    return tally.failed == 0 && tally.passed > 0 ? ExitCode::done : ExitCode::failed;
  }

 private:
  std::vector<Suite> chosen_suites() const {
    std::vector<Suite> chosen = select_suites(operators_);
    refuse_unknown_version(version_);
    if (small_) {
      for (Suite& suite : chosen) {
        std::erase_if(suite.check, [](const CaseSpec& spec) { return !spec.small; });
      }
    }
    if (std::all_of(chosen.begin(), chosen.end(), [](const Suite& s) { return s.check.empty(); })) {
      throw InputError({"--small"}, "expected an operator with small cases, found none");
    }
    return chosen;
  }

  int device_ = 0;
  std::vector<std::string> operators_;  // empty: all
  std::string version_;                 // only this one
  bool small_ = false;
};

const bool registered = CommandRegistry::add(
    "check", []() -> std::unique_ptr<Command> { return std::make_unique<CheckCommand>(); });

}  // namespace
}  // namespace v4cap::exec
