// v4exec calibrate: measures a profile of this GPU for one rank of a model. This process measures
// nothing and takes no memory on the GPU; it starts itself again for each family.
//
// On a GPU of a compute capability on which nobody has checked the kernels, every operator is
// checked first, each in a process of its own, and only versions that passed are used: their ids go
// to DIR/versions.txt, which the children read (kernels/usable.h).
#include <cuda_runtime.h>
#include <fmt/chrono.h>
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <sys/prctl.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <csignal>
#include <ctime>
#include <filesystem>
#include <fstream>
#include <set>

#include "exec/calibrate/assemble.h"
#include "exec/calibrate/conduct.h"
#include "exec/calibrate/grids.h"
#include "exec/calibration_monitor.h"
#include "exec/collectives/communicator.h"
#include "exec/collectives/exchange_kernels.h"
#include "exec/device.h"
#include "exec/driver/gpu_error.h"
#include "exec/suite.h"
#include "exec/timing.h"
#include "exec/v4exec_program.h"
#include "kernels/cuda/check.h"
#include "kernels/usable.h"
#include "sim/app/command.h"
#include "sim/config/data_files.h"
#include "sim/config/model_file.h"
#include "sim/config/profile_writer.h"
#include "sim/core/hash.h"
#include "sim/core/json.h"
#include "sim/output/json_writer.h"
#include "sim/output/table.h"
#include "sim/output/version.h"

namespace v4cap::exec {
namespace {

namespace fs = std::filesystem;
using namespace calibrate;

constexpr const char* kSelf = "/proc/self/exe";
constexpr double kQuietLimitS = 180;  // a family sets up tens of GB before its first point
constexpr double kWarmUpS = 0.3;

// Whether every kernel has been checked on GPUs like this one (kernels/README.md).
bool kernels_were_checked_on(const Device& device) {
  return device.major == 9 && device.minor == 0;
}

std::string build_hash() {
  std::ifstream file(kSelf, std::ios::binary);
  const std::string bytes{std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
  if (bytes.empty()) throw RunError(std::string("cannot read ") + kSelf);
  ContentHash hash;
  hash.add(std::string_view(bytes));
  return fmt::format("{:016x}", hash.value());
}

// Catches SIGINT and SIGTERM for as long as it lives.
class StopGuard {
 public:
  StopGuard()
      : interrupt_(std::signal(SIGINT, [](int) { raised_ = 1; })),
        terminate_(std::signal(SIGTERM, [](int) { raised_ = 1; })) {
    raised_ = 0;
  }
  ~StopGuard() {
    std::signal(SIGINT, interrupt_);
    std::signal(SIGTERM, terminate_);
  }
  StopGuard(const StopGuard&) = delete;
  StopGuard& operator=(const StopGuard&) = delete;
  static bool raised() { return raised_ != 0; }

 private:
  static inline volatile std::sig_atomic_t raised_ = 0;
  void (*interrupt_)(int);
  void (*terminate_)(int);
};

std::vector<std::string> lines_of(const std::string& path) {
  std::ifstream file(path);
  std::vector<std::string> lines;
  for (std::string line; std::getline(file, line);) lines.push_back(line);
  return lines;
}

void write_error(JsonWriter& json, const std::string& kind, const std::string& message,
                 const std::string& kept = "") {
  json.key("error").begin_object().member("kind", kind).member("message", message);
  if (!kept.empty()) json.member("kept", kept);
  json.end_object();
}

class CalibrateCommand : public Command {
 public:
  std::string summary() const override {
    return "measures a profile of this GPU for one rank of a model";
  }

  std::vector<std::string> values(std::string_view option) const override {
    if (option == "--family") return FamilyRegistry::names();
    return option == "--model" ? data_names(DataKind::model, "") : std::vector<std::string>{};
  }

  void add_options(CLI::App& app) override {
    app.add_option("--model", model_, "a DeepSeek-V4 model, by name or path");
    app.add_option("--tp", tp_, "GPUs that share the attention heads")->check(CLI::Range(1, 1024));
    app.add_option("--ep", ep_, "GPUs that share the routed experts")->check(CLI::Range(1, 1024));
    auto* quick = app.add_flag("--quick", quick_, "coarse grids, about 3 minutes; the default");
    app.add_flag("--full", full_, "fine grids, for a profile to keep")->excludes(quick);
    app.add_option("--out", out_, "folder: parts, logs and the profile");
    app.add_option("--family", families_, "only these");
    app.add_flag("--collectives", collectives_,
                 "exchanges between the GPUs of this host, through NCCL, instead of steps of one");
    app.add_option("--gpus", gpus_, "with --collectives: the first so many GPUs; all of them")
        ->check(CLI::Range(2, kMostPeers));
    app.add_option("--minutes", minutes_,
                   "stop before so many have passed; the same command goes on")
        ->check(CLI::Range(0.1, 1e4));
    app.add_flag("--restart", restart_, "discard what is measured");
    app.add_option("--assemble", assemble_, "only make the profile of the parts in this folder");
    app.add_flag("--any-gpu", any_gpu_, "take parts of other GPUs of the same name");
    app.add_option("--device", device_, "GPU, from 0");
    // What a calibration calls itself with.
    const auto own = [&](const char* name, auto& value) { app.add_option(name, value)->group(""); };
    app.add_flag("--in-process", in_process_)->group("");
    own("--check", check_);
    own("--seconds-left", seconds_left_);
    own("--reference-mhz", reference_mhz_);
    own("--versions", versions_);
    own("--peer-rank", peer_rank_);
    own("--peer-ranks", peer_ranks_);
    own("--peer-id", peer_id_);
    own("--peer-board", peer_board_);
  }

  ExitCode run(CommandContext& context) override {
    if (!assemble_.empty()) {
      say_profile(context, write(assemble(assemble_, any_gpu_), assemble_));
      return ExitCode::done;
    }
    if (model_.empty()) throw InputError(Place{"--model"}, "expected a model, found none");
    Rank rank{load_model(model_).spec, tp_, ep_};
    check_rank(rank);
    if (gpus_ > 0 && !collectives_) {
      throw InputError(Place{"--gpus"}, "expected --collectives with it");
    }
    if (collectives_) {
      rank.gpus = !context.options.dry_run ? visible_gpus(gpus_) : gpus_ > 0 ? gpus_ : kMostPeers;
      if (!context.options.dry_run) context.err << "NCCL " << Communicator::version() << '\n';
      choose_exchanges();
    }
    const GridSize size = full_ ? GridSize::full : GridSize::quick;
    if (context.options.dry_run) return say_plan(context, plan(families_, rank, size, {}));
    if (out_.empty()) throw InputError(Place{"--out"}, "expected a folder, found none");
    if (in_process_) return child(context, rank, size);
    return parent(context, rank, size);
  }

 private:
  Provenance provenance(const Device& device, const Rank& rank, GridSize size) const {
    const std::time_t now = std::time(nullptr);
    Provenance p;
    p.device = device.name;
    p.gpu = gpu_name(device.name);
    p.uuid = device.uuid;
    p.driver = device.driver;
    p.cuda_runtime = device.cuda_runtime;
    p.version = simulator_version();
    p.build = build_hash();
    p.versions = "preferred";
    if (!versions_.empty()) {
      ContentHash hash;
      for (const std::string& id : lines_of(versions_)) hash.add(std::string_view(id));
      p.versions = fmt::format("passed {:016x}", hash.value());
    }
    p.model = rank.model.name;
    p.tp = rank.tp;
    p.ep = rank.ep;
    p.size = size == GridSize::quick ? "quick" : "full";
    p.date = fmt::format("{:%Y-%m-%d}", fmt::gmtime(now));
    p.reference_mhz = reference_mhz_;
    return p;
  }

  FamilyJob job(const Device& device, const Rank& rank, GridSize size) const {
    return {.folder = out_,
            .provenance = provenance(device, rank, size),
            .any_gpu = any_gpu_,
            .seconds_left = in_process_ ? seconds_left_ : 60 * minutes_};
  }

  // ---- exchanges between GPUs ----

  // Throws InputError no_gpu for fewer than two, or fewer than `asked`.
  static int visible_gpus(int asked) {
    int count = 0;
    if (cudaGetDeviceCount(&count) != cudaSuccess) count = 0;
    if (count < std::max(asked, 2)) {
      throw InputError({},
                       fmt::format("collectives need {} GPUs on this host, found {}",
                                   asked > 0 ? std::to_string(asked) : "two or more", count),
                       error_kind::kNoGpu, {});
    }
    return asked > 0 ? asked : std::min(count, kMostPeers);
  }

  // Families of several GPUs are those that have points only where there are some.
  void choose_exchanges() {
    if (!families_.empty()) return;
    const Rank one{load_model(model_).spec, tp_, ep_};
    for (const std::string& name : FamilyRegistry::names()) {
      if ((*FamilyRegistry::find(name))()->points(one, GridSize::quick).empty()) {
        families_.push_back(name);
      }
    }
  }

  PeerTask peer_task(const PeerSeat& seat) const {
    PeerTask task{fmt::format("rank {} on GPU {}", seat.rank, seat.rank), child_arguments(),
                  fmt::format("{}/logs/rank-{}.log", out_, seat.rank)};
    task.arguments.insert(task.arguments.end(),
                          {"--family", families_.at(0), "--peer-rank", std::to_string(seat.rank),
                           "--peer-ranks", std::to_string(seat.ranks), "--peer-id", seat.id,
                           "--peer-board", std::to_string(seat.board)});
    return task;
  }

  // ---- a family, or the check of an operator, in this process ----

  // What it throws is in its log as a line of JSON, which the parent reads (conduct.h).
  ExitCode child(CommandContext& context, const Rank& rank, GridSize size) {
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);  // nobody waits for this any more
    if (!versions_.empty()) {
      const std::vector<std::string> ids = lines_of(versions_);
      kernels::passed_versions().emplace(ids.begin(), ids.end());
    }
    if (!check_.empty()) {
      return run_program(
          kV4exec, {"check", "--json", "--operator", check_, "--device", std::to_string(device_)},
          context.out, context.err, false, false);
    }
    const auto* make = FamilyRegistry::find(families_.at(0));
    V4CAP_CHECK(make != nullptr, families_.at(0));
    const std::unique_ptr<Family> family = (*make)();
    const Device device = open_device(peer_rank_ > 0 ? peer_rank_ : device_);
    MeasureContext measuring{.rank = rank,
                             .size = size,
                             .device = &device,
                             .seconds = size == GridSize::quick ? 0.01 : 0.02};
    if (peer_rank_ > 0) {  // does what rank 0 says until that ends it, or is gone
      family->serve(measuring, {peer_rank_, peer_ranks_, peer_id_, peer_board_});
      return ExitCode::done;
    }
    CalibrationMonitor monitor(device);
    Stopwatch stopwatch(device);
    stopwatch.warm_up(kWarmUpS);
    reference_mhz_ = std::max(reference_mhz_, monitor.read().sm_mhz);
    measuring.stopwatch = &stopwatch;
    const PeerStart peers{fs::read_symlink(kSelf).string(),
                          [this](const PeerSeat& seat) { return peer_task(seat); }};
    if (collectives_) measuring.peers = &peers;
    DiskFiles files;
    run_family(*family, job(device, rank, size), measuring, monitor, files, real_pace());
    return ExitCode::done;
  }

  // ---- all families ----

  std::vector<std::string> child_arguments() const {
    std::vector<std::string> list{"calibrate",
                                  "--in-process",
                                  "--json",
                                  "--model",
                                  model_,
                                  "--tp",
                                  std::to_string(tp_),
                                  "--ep",
                                  std::to_string(ep_),
                                  full_ ? "--full" : "--quick",
                                  "--out",
                                  out_,
                                  "--device",
                                  std::to_string(device_)};
    if (any_gpu_) list.emplace_back("--any-gpu");
    if (collectives_) list.emplace_back("--collectives");
    if (gpus_ > 0) list.insert(list.end(), {"--gpus", std::to_string(gpus_)});
    if (!versions_.empty()) list.insert(list.end(), {"--versions", versions_});
    return list;
  }

  ExitCode parent(CommandContext& context, const Rank& rank, GridSize size) {
    const Device device = find_device(device_);
    const StopGuard stop;
    const FolderLock lock(out_);
    ProcessChildren children(fs::read_symlink(kSelf).string(), StopGuard::raised);
    const Pace pace = real_pace();
    const double begin_s = pace.now_s();
    if (restart_) discard(out_, families_);
    if (!kernels_were_checked_on(device) && !find_versions(context, device, children)) {
      return ExitCode::interrupted;
    }
    FamilyJob job = this->job(device, rank, size);
    const std::vector<PlannedFamily> planned = plan(families_, rank, size, job);
    if (job.seconds_left > 0) {
      job.seconds_left = std::max(1.0, job.seconds_left - (pace.now_s() - begin_s));
    }
    // One reference clock for the run: what the first child found.
    const auto arguments = [&](const std::string& family, double seconds_left) {
      std::vector<std::string> list = child_arguments();
      list.insert(list.end(),
                  {"--family", family, "--seconds-left", fmt::format("{:.3f}", seconds_left),
                   "--reference-mhz", fmt::format("{}", reference_of_parts(planned))});
      return list;
    };
    const Report report =
        conduct(planned, job, arguments, children, kQuietLimitS, pace,
                [&](const std::string& line) { context.err << line << std::endl; });
    return finish(context, report);
  }

  double reference_of_parts(const std::vector<PlannedFamily>& planned) const {
    double mhz = 0;
    for (const PlannedFamily& family : planned) {
      const std::string path = part_path(out_, family.name);
      if (fs::exists(path)) mhz = std::max(mhz, read_part(path).head.provenance.reference_mhz);
    }
    return mhz;
  }

  ExitCode finish(CommandContext& context, const Report& report) {
    const auto failures = std::ranges::count_if(
        report.families, [](const FamilyReport& f) { return f.outcome == FamilyOutcome::failed; });
    const bool open = report.interrupted || report.out_of_time;
    std::string profile, kind, message;
    for (const FamilyReport& f : report.families) {
      if (f.outcome != FamilyOutcome::failed) continue;
      if (kind.empty()) kind = f.kind;
      message += fmt::format("{}{}: {}", message.empty() ? "" : "; ", f.family, f.message);
    }
    const bool some = std::ranges::any_of(report.families, [](const FamilyReport& f) {
      return f.outcome == FamilyOutcome::complete && f.measured > 0;
    });
    if (!open && some) {
      const Assembled assembled = assemble(out_, any_gpu_);
      profile = write(assembled, out_);
      context.err << errors_text(assembled);
    }
    if (context.options.json) {
      JsonWriter json(2);
      json.begin_object().key("profile");
      profile.empty() ? json.value(nullptr) : json.value(profile);
      json.member("complete", !open && failures == 0).key("families").begin_array();
      for (const FamilyReport& f : report.families) {
        json.begin_object().member("name", f.family).member("points", f.points);
        json.member("measured", f.measured).member("refused", f.refused);
        json.member("marked", f.marked).member("seconds", f.seconds);
        if (f.outcome == FamilyOutcome::failed) write_error(json, f.kind, f.message);
        json.end_object();
      }
      json.end_array();
      if (failures > 0) write_error(json, kind, message, kept_text(report));
      json.end_object();
      context.out << json.text() << '\n';
    } else if (!profile.empty()) {
      context.out << profile << '\n';
    }
    if (failures > 0) {
      context.err << fmt::format(
          "v4exec: {} of {} families were not measured; kept: {}; the same command measures the "
          "rest\n",
          failures, report.families.size(), kept_text(report));
    } else if (open) {
      context.err << fmt::format("{}; what was measured is in {}, and the same command goes on\n",
                                 report.interrupted ? "interrupted" : "out of time", out_);
    }
    if (report.interrupted) return ExitCode::interrupted;
    return failures > 0 ? ExitCode::failed : ExitCode::done;
  }

  // "120 of 400 points in DIR".
  std::string kept_text(const Report& report) const {
    std::size_t points = 0, kept = 0;
    for (const FamilyReport& f : report.families) {
      points += f.points;
      kept += f.measured + f.refused;
    }
    return fmt::format("{} of {} points in {}", kept, points, out_);
  }

  // ---- a GPU that nobody has checked the kernels on ----

  // Sets versions_ to a file with the ids of the versions that pass here, made unless it is there.
  // False when it was interrupted.
  bool find_versions(CommandContext& context, const Device& device, Children& children) {
    const std::string path = out_ + "/versions.txt";
    const std::string here = fmt::format("# {}, {}, driver {}, build {}", device.name, device.uuid,
                                         device.driver, build_hash());
    const std::vector<std::string> before = lines_of(path);
    if (restart_ || before.empty() || before.front() != here) {
      std::set<std::string> passed, failed;
      for (const Suite& suite : suites()) {
        if (is_whole(suite.name)) continue;
        const ChildEnd end = check(suite.name, children);
        if (end.how == ChildEnd::How::interrupted) return false;
        if (end.how != ChildEnd::How::exited || !read_checks(suite.name, passed, failed)) {
          context.err << fmt::format("{}: its check did not end; no version of it is used\n",
                                     suite.name);
        }
      }
      std::string text = here + '\n';
      for (const std::string& id : passed) {
        if (!failed.contains(id)) text += id + '\n';
      }
      for (const std::string& id : failed) context.err << id << ": failed its check, is not used\n";
      const fs::path fresh = path + ".new";
      fs::remove(fresh);
      DiskFiles files;
      files.append(fresh.string(), text);
      files.rename(fresh.string(), path);
    }
    versions_ = path;
    for (const std::string whole : {"layer", "step"}) {
      const ChildEnd end = check(whole, children);
      if (end.how == ChildEnd::How::interrupted) return false;
      if (end.how == ChildEnd::How::exited && end.code == 0) continue;
      throw RunError(fmt::format("whole layers fail their check on this {} with the versions of "
                                 "kernels that passed; see {}/logs/check-{}.log",
                                 device.name, out_, whole),
                     error_kind::kCheckFailed);
    }
    return true;
  }

  // Of several operators, which are checked by themselves first.
  static bool is_whole(const std::string& suite) { return suite == "layer" || suite == "step"; }

  ChildEnd check(const std::string& name, Children& children) const {
    std::vector<std::string> list = child_arguments();
    list.insert(list.end(), {"--check", name});
    const std::string log = fmt::format("{}/logs/check-{}.log", out_, name);
    return children.run({.arguments = list, .log = log, .progress = log, .quiet_limit_s = 600});
  }

  // False when the log has no report.
  bool read_checks(const std::string& name, std::set<std::string>& passed,
                   std::set<std::string>& failed) const {
    const std::string log = fmt::format("{}/logs/check-{}.log", out_, name);
    bool found = false;
    for (const std::string& text : lines_of(log)) {
      if (!text.starts_with("{")) continue;
      JsonLine line;
      const JsonValue report = line.parse(text, Place{log});
      if (!report.find("checks")) continue;
      found = true;
      for (const JsonValue check : report.at("checks").array()) {
        const JsonValue id = check.find("id"), good = check.find("passed");
        if (id && good) (good.boolean() ? passed : failed).insert(std::string(id.string()));
      }
    }
    return found;
  }

  // ---- what is printed ----

  static std::string write(const Assembled& assembled, const std::string& folder) {
    write_profile(assembled.profile, folder);
    return folder + '/' + assembled.profile.name + ".yaml";
  }

  static std::string errors_text(const Assembled& assembled) {
    Table table({"family", "median %", "p90 %", "worst %", "held out", "rows", "kept"});
    for (const FittedFamily& f : assembled.families) {
      const HeldOutError& e = f.family.held_out;
      table.row({f.family.name, fmt::format("{:.2f}", e.median_pct),
                 fmt::format("{:.2f}", e.p90_pct), fmt::format("{:.1f}", e.worst_pct),
                 fmt::format("{}", e.samples), fmt::format("{}", f.family.rows),
                 fmt::format("{}", f.kept)});
    }
    std::string text = table.text({});
    for (const std::string& family : assembled.without_time) {
      text += family + ": every point was refused; it is not in the profile\n";
    }
    for (const std::string& family : assembled.incomplete) {
      text += family + ": measured in part; it is not in the profile\n";
    }
    return text;
  }

  static void say_profile(CommandContext& context, const std::string& path) {
    if (context.options.json) {
      JsonWriter json;
      json.begin_object().member("profile", path).end_object();
      context.out << json.text() << '\n';
    } else {
      context.out << path << '\n';
    }
  }

  static ExitCode say_plan(CommandContext& context, const std::vector<PlannedFamily>& planned) {
    std::size_t points = 0;
    double seconds = 0;
    for (const PlannedFamily& family : planned) {
      points += family.points;
      seconds += family.seconds;
    }
    if (context.options.json) {
      JsonWriter json(2);
      json.begin_object().key("families").begin_array();
      for (const PlannedFamily& f : planned) {
        json.begin_object().member("name", f.name).member("points", f.points);
        json.member("estimated_s", f.seconds).end_object();
      }
      json.end_array().member("points", points).member("estimated_s", seconds).end_object();
      context.out << json.text() << '\n';
      return ExitCode::done;
    }
    Table table({"family", "points", "about s"});
    for (const PlannedFamily& f : planned) {
      table.row({f.name, fmt::format("{}", f.points), fmt::format("{:.0f}", f.seconds)});
    }
    table.row({"all", fmt::format("{}", points), fmt::format("{:.0f}", seconds)});
    context.out << table.text({});
    return ExitCode::done;
  }

  std::string model_, out_, assemble_, check_, versions_;
  int tp_ = 1, ep_ = 1, device_ = 0, gpus_ = 0, peer_rank_ = 0, peer_ranks_ = 0, peer_board_ = -1;
  std::string peer_id_;
  bool quick_ = false, full_ = false, restart_ = false, any_gpu_ = false, in_process_ = false;
  bool collectives_ = false;
  double minutes_ = 0, seconds_left_ = 0, reference_mhz_ = 0;
  std::vector<std::string> families_;
};

[[maybe_unused]] const bool registered = CommandRegistry::add(
    "calibrate", []() -> std::unique_ptr<Command> { return std::make_unique<CalibrateCommand>(); });

}  // namespace
}  // namespace v4cap::exec
