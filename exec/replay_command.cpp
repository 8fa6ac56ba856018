// `v4exec replay SCENARIO --out DIR`: the scenario with its steps performed on the GPU. The run
// directory is that of `v4cap simulate`, with every step's plan and measured time (steps.csv), the
// decisions between them (decisions.csv) and what it ran on (replay.json).
// `v4cap simulate SCENARIO --steps DIR` makes the same decisions again.
#include "exec/replay_command.h"

#include <sys/prctl.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <array>
#include <chrono>
#include <cmath>
#include <csignal>
#include <cstdio>
#include <ctime>
#include <fstream>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "exec/collectives/peer_processes.h"
#include "exec/device.h"
#include "exec/driver/gpu_error.h"
#include "exec/driver/gpu_watch.h"
#include "exec/replay/device_performer.h"
#include "exec/replay/replay.h"
#include "exec/replay/step_board.h"
#include "sim/app/interrupt.h"
#include "sim/app/run_report.h"
#include "sim/app/scenario_options.h"
#include "sim/cluster/run_scenario.h"
#include "sim/core/quantiles.h"
#include "sim/output/progress.h"

namespace v4cap::exec {

namespace {

std::string date_now() {
  const std::time_t now = std::chrono::system_clock::to_time_t(std::chrono::system_clock::now());
  std::tm utc{};
  gmtime_r(&now, &utc);
  std::array<char, 32> text;
  const std::size_t size = std::strftime(text.data(), text.size(), "%Y-%m-%dT%H:%M:%SZ", &utc);
  return {text.data(), size};
}

class ReplayCommand final : public Command {
 public:
  explicit ReplayCommand(Explain explain) : explain_(explain) {}

  std::string summary() const override {
    return "run a scenario with real kernels: the engine of 'v4cap simulate' on a live GPU";
  }

  void add_options(CLI::App& app) override {
    app.add_option("SCENARIO", scenario_file_, "Scenario file (YAML)")->required();
    app.add_option("--out", out_directory_,
                   "Write the run and every step of it into this directory")
        ->required();
    app.add_flag("--overwrite", overwrite_, "Replace files of an earlier run in --out");
    app.add_flag("--as-fast-as-possible", no_gaps_, "Skip the time in which nothing runs");
    app.add_option("--device", device_, "GPU, from 0");
    app.add_option("--gpus", gpus_,
                   "GPUs of this host from 0 on, a rank on each, with collectives between them")
        ->check(CLI::Range(1, kMostRanks));
    app.add_option("--limit-requests", limit_requests_,
                   "Only the first requests: --set workload.max_requests=N");
    // What rank 0 starts the others with.
    const auto own = [&](const char* name, auto& value) { app.add_option(name, value)->group(""); };
    own("--peer-rank", rank_.rank);
    own("--peer-id", rank_.id);
    own("--peer-board", board_);
  }

  ExitCode run(CommandContext& context) override {
    Scenario scenario = load(context);
    check_can_replay(scenario, gpus_);
    rank_.ranks = gpus_;
    if (gpus_ > 1 && device_ != 0) {
      throw InputError(Place{"--device"},
                       "expected the first GPUs with --gpus, got " + std::to_string(device_));
    }
    const std::optional<Profile> profile = profile_of(scenario);
    const auto replica = make_replica(scenario);
    const Trace trace = load_workload(scenario);
    if (context.options.dry_run) {
      context.err << "a run of " << trace.played() << " requests would be performed\n";
      context.out << scenario.resolved_yaml;
      return ExitCode::done;
    }
    if (rank_.rank > 0) return follow(scenario, trace, *replica);
    RunDirectory directory(out_directory_, overwrite_);
    ReplayProvenance provenance;
    provenance.device = open_device(device_);
    if (profile) check_measured_on(*profile, provenance.device);
    check_gpu(provenance.device);
    std::unique_ptr<StepBoard> board;
    std::unique_ptr<PeerProcesses> peers;
    if (gpus_ > 1) {
      rank_.id = new_run_id();
      board = std::make_unique<StepBoard>();
      peers = std::make_unique<PeerProcesses>(
          "/proc/self/exe", peer_tasks(board->fd()), [&](const RunError& error) {
            end_process(with_kept(error, kept_text(directory)), context);
          });
    }
    const auto performer = make_device_performer(scenario, *replica, provenance.device, rank_);
    provenance.before = read_clocks(provenance.device);
    provenance.date = date_now();
    provenance.profile = scenario.profile;
    provenance.pace = no_gaps_ ? Pace::as_fast_as_possible : Pace::real_time;
    provenance.gpus = gpus_;

    Replayed replayed;
    try {
      GpuWatch watch(provenance.device.monitor);
      WatchedPerformer watched(*performer, watch);
      replayed =
          perform(scenario, trace, *replica, watched, board.get(), directory, provenance, context);
      if (peers != nullptr) {
        peers->may_end();
        board->ends();
        peers->finish(kEndOfPeers_s);
      }
      provenance.during = watch.stop();
      check_nobody_else(provenance);
    } catch (const Simulation::Interrupted&) {
      throw InterruptedCommand("kept: " + kept_text(directory));
    } catch (const RunError& error) {
      throw with_kept(error, kept_text(directory));
    } catch (const std::exception& error) {
      const std::optional<RunError> known = explain_(error);
      if (known) throw with_kept(*known, kept_text(directory));
      context.err << "the run stopped; kept: " << kept_text(directory) << '\n';
      throw;
    }
    provenance.after = read_clocks(provenance.device);
    const std::string provenance_text = replay_json(provenance, replayed);
    const FinishedRun run =
        finished_run(std::move(scenario), std::move(replayed.result), kMeasuredSteps);
    write_run(directory, run, context,
              {{kReplayFile, [&](const TextSink& sink) { sink(provenance_text); }}});
    print_run(run, context, [&](JsonWriter& json) {
      write_late(json, replayed);
      json.key("during");
      write_seen(json, provenance.during);
    });
    if (!context.options.quiet) say_slowed(provenance.during, context);
    if (!context.options.json && provenance.pace == Pace::real_time) say_late(replayed, context);
    return exit_code(run, context);
  }

 private:
  static constexpr int kMostRanks = 8;
  static constexpr double kEndOfPeers_s = 30;

  // ---- several GPUs ----

  // Another rank: performs what rank 0 performs, and writes nothing.
  ExitCode follow(const Scenario& scenario, const Trace& trace, Replica& replica) {
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);  // rank 0 waits for this one, and nobody else does
    std::signal(SIGINT, SIG_IGN);        // is for rank 0, which ends this one
    if (gpus_ <= rank_.rank || board_ < 0) {
      throw InputError(Place{"--peer-rank"}, "expected what rank 0 starts the others with");
    }
    StepBoard board(board_);
    const Device device = open_device(rank_.rank);
    check_gpu(device);
    const auto performer = make_device_performer(scenario, replica, device, rank_);
    v4cap::exec::follow(scenario, trace, replica, *performer, board);
    return ExitCode::done;
  }

  // The others are started as this one was, and told who they are.
  std::vector<PeerTask> peer_tasks(int board) const {
    std::vector<std::string> arguments;
    std::ifstream file("/proc/self/cmdline", std::ios::binary);
    for (std::string one; std::getline(file, one, '\0');) arguments.push_back(one);
    if (arguments.empty()) throw RunError("cannot read /proc/self/cmdline", error_kind::kProcess);
    arguments.erase(arguments.begin());
    std::vector<PeerTask> tasks;
    for (int rank = 1; rank < gpus_; ++rank) {
      const std::string number = std::to_string(rank);
      PeerTask task{"rank " + number + " on GPU " + number, arguments,
                    out_directory_ + "/logs/rank-" + number + ".log"};
      task.arguments.insert(task.arguments.end(), {"--peer-rank", number, "--peer-id", rank_.id,
                                                   "--peer-board", std::to_string(board)});
      tasks.push_back(std::move(task));
    }
    return tasks;
  }

  // Called from another thread: this rank waits for the lost one inside a call that does not return.
  static void end_process(const RunError& error, const CommandContext& context) {
    if (context.options.json) {
      JsonWriter json;
      json.begin_object().key("error").begin_object().member("kind", error.kind());
      json.member("message", error.what()).end_object().end_object();
      std::printf("%s\n", json.text().c_str());
      std::fflush(stdout);
    }
    std::fprintf(stderr, "v4exec: %s\n", error.what());
    ::_exit(static_cast<int>(ExitCode::failed));
  }

  // Before the run, when a refusal costs nothing. Throws RunError busy_gpu or clocks_dropped.
  static void check_gpu(const Device& device) {
    if (device.monitor == nullptr) return;
    const auto reading = device.monitor->read();
    if (!reading) return;
    check_alone(*reading, "replay");
    check_clocks(*reading, "replay");
  }

  // Behind the run. Throws RunError busy_gpu: what steps took is then not the GPU's own. Clocks that
  // dropped are said instead (say_slowed): this is the GPU that there is, and the rest of the run
  // may be worth having.
  static void check_nobody_else(const ReplayProvenance& provenance) {
    if (const auto others = provenance.during.others(); !others.empty()) {
      throw busy_gpu(others, "replay");
    }
    if (provenance.device.monitor == nullptr) return;
    if (const auto reading = provenance.device.monitor->read()) check_alone(*reading, "replay");
  }

  static void say_slowed(const GpuSeen& during, CommandContext& context) {
    const double share = during.share(kSlowdown);
    if (share == 0) return;
    context.err << "heat or the hardware slowed the GPU in " << std::ceil(100 * share) << " % of "
                << during.readings.size()
                << " readings (slowed_share): such steps took longer than a profile predicts\n";
  }

  Scenario load(const CommandContext& context) const {
    ScenarioOptions options = scenario_options(context.options);
    if (limit_requests_ > 0) {
      options = with_overrides(std::move(options),
                               {"workload.max_requests=" + std::to_string(limit_requests_)});
    }
    return load_named_scenario(scenario_file_, options);
  }

  static Replayed perform(const Scenario& scenario, const Trace& trace, Replica& replica,
                          StepPerformer& performer, StepBoard* board, RunDirectory& directory,
                          const ReplayProvenance& provenance, CommandContext& context) {
    const InterruptGuard guard;
    const auto start = std::chrono::steady_clock::now();
    ProgressBar bar(context.err, context.err_is_terminal && !context.options.quiet);
    SteadyClock clock;
    ReplaySetting setting;
    setting.pace = provenance.pace;
    setting.board = board;
    setting.stopped = [] { return InterruptGuard::interrupted(); };
    setting.progress = [&](double done) {
      bar.update(done, std::chrono::steady_clock::now() - start);
      return true;
    };
    return replay(scenario, trace, replica, performer, clock, directory, setting);
  }

  static std::string kept_text(const RunDirectory& directory) {
    std::string text;
    for (const std::string& path : directory.partial_files()) {
      text += (text.empty() ? "" : " ") + path;
    }
    return text.empty() ? "nothing" : text;
  }

  static void say_late(const Replayed& run, CommandContext& context) {
    const Distribution late = describe(run.late_ms);
    context.out << late.count << " waits for arrivals ended late by " << late.p99
                << " ms (p99), at most " << late.max << " ms; no step's time holds that\n";
  }

  Explain explain_;
  std::string scenario_file_, out_directory_;
  int device_ = 0, gpus_ = 1, board_ = -1;
  RankOfRun rank_;
  std::int64_t limit_requests_ = 0;
  bool overwrite_ = false, no_gaps_ = false;
};

}  // namespace

std::unique_ptr<Command> make_replay_command(Explain explain) {
  return std::make_unique<ReplayCommand>(explain);
}

}  // namespace v4cap::exec
