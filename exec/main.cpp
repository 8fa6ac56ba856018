// v4exec: the operators of DeepSeek-V4 on a live GPU.
#include <CLI/CLI.hpp>

#include <exception>
#include <iostream>

#include "exec/command.h"
#include "kernels/cuda/check.h"

namespace {

using v4cap::ExitCode;

int run(int argc, char** argv) {
  CLI::App app("v4exec: DeepSeek-V4's operators on a live GPU of compute capability 9.0 or newer");
  app.require_subcommand(1);

  v4cap::exec::CheckOptions check;
  CLI::App* check_command =
      app.add_subcommand("check", "every operator against its reference in double");
  check_command->add_option("--device", check.device, "GPU, from 0");
  check_command->add_option("--seed", check.seed, "of the operands; fresh when not given");
  check_command->add_option("--operator", check.operators, "only these");
  check_command->add_option("--version", check.version, "only this version");
  check_command->add_flag("--small", check.small, "only small cases, for compute-sanitizer");
  check_command->add_flag("--json", check.json, "one JSON document on stdout");

  v4cap::exec::BenchOptions bench;
  CLI::App* bench_command = app.add_subcommand("bench", "times every operator at V4's shapes");
  bench_command->add_option("--device", bench.device, "GPU, from 0");
  bench_command->add_option("--operator", bench.operators, "only these");
  bench_command->add_option("--version", bench.version, "only this version");
  bench_command->add_option("--match", bench.match, "only cases whose name holds this");
  bench_command->add_option("--json-file", bench.json_file, "write the tables here; -: to stdout");
  bench_command->add_option("--seconds", bench.seconds, "measured time of a case")
      ->check(CLI::Range(1e-4, 60.0));

  v4cap::exec::DumpOptions dump;
  CLI::App* dump_command = app.add_subcommand(
      "dump", "a small model's weights, inputs and outputs as .npy, for others to check");
  dump_command->add_option("--device", dump.device, "GPU, from 0");
  dump_command->add_option("--seed", dump.seed, "of weights and tokens");
  dump_command->add_flag("--portable", dump.portable, "only portable versions");
  dump_command->add_option("--out", dump.folder, "folder, new or empty")->required();

  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : static_cast<int>(ExitCode::bad_input);
  }
  if (*check_command) return static_cast<int>(v4cap::exec::run_check(check));
  if (*dump_command) return static_cast<int>(v4cap::exec::run_dump(dump));
  return static_cast<int>(v4cap::exec::run_bench(bench));
}

}  // namespace

int main(int argc, char** argv) {
  try {
    return run(argc, argv);
  } catch (const v4cap::InputError& error) {
    for (const auto& diagnostic : error.diagnostics()) {
      std::cerr << "v4exec: " << v4cap::to_string(diagnostic) << "\n";
    }
    return static_cast<int>(ExitCode::bad_input);
  } catch (const std::exception& error) {
    std::cerr << "v4exec: " << error.what() << "\n";
    return static_cast<int>(ExitCode::failed);
  }
}
