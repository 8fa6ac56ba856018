// `v4cap sweep SWEEP.yaml`: many runs, of every point of a sweep file, on all cores; or a part of
// them (`--shard i/N`) on one of many machines. What is known already is never run again, so the
// same command goes on after an interruption. `plan`, `status`, `merge`, `resume` and `submit` are
// its parts.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <array>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <functional>
#include <map>
#include <mutex>
#include <set>
#include <sstream>

#include "sim/app/command.h"
#include "sim/app/interrupt.h"
#include "sim/output/humanise.h"
#include "sim/output/run_directory.h"
#include "sim/sweep/estimate.h"
#include "sim/sweep/export.h"
#include "sim/sweep/result_store.h"
#include "sim/sweep/run_points.h"
#include "sim/sweep/shard.h"
#include "sim/sweep/submit.h"
#include "sim/sweep/sweep_directory.h"
#include "sim/sweep/sweep_progress.h"

namespace v4cap {

namespace {

namespace fs = std::filesystem;

constexpr double kShardSeconds = 180;      // of a job: minutes, as a job costs a scheduler seconds
constexpr std::int64_t kArrayMax = 1'000;  // tasks; Slurm's default limit is 1001

std::string absolute(const std::string& path) {
  return fs::absolute(path).lexically_normal().string();
}

bool in_path(const std::string& program) {
  const char* path = std::getenv("PATH");
  std::istringstream folders(path == nullptr ? "" : path);
  for (std::string folder; std::getline(folders, folder, ':');) {
    if (!folder.empty() && fs::exists(fs::path(folder) / program)) return true;
  }
  return false;
}

// Runs a command and returns what it printed. RunError when it fails.
std::string output_of(const std::vector<std::string>& command) {
  std::string line;
  for (const std::string& word : command) line += (line.empty() ? "" : " ") + shell_word(word);
  std::FILE* const pipe = ::popen(line.c_str(), "r");
  if (pipe == nullptr) throw RunError("'" + line + "' cannot be started");
  std::string out;
  std::array<char, 4096> buffer{};
  while (const std::size_t n = std::fread(buffer.data(), 1, buffer.size(), pipe)) {
    out.append(buffer.data(), n);
  }
  if (::pclose(pipe) != 0) throw RunError("'" + line + "' failed", "submit");
  while (out.ends_with('\n')) out.pop_back();
  return out;
}

// How many of a plan's points are there, and how they are.
struct Tally {
  std::size_t points = 0, done = 0, infeasible = 0, met = 0;
};

Tally tally_of(const SweepPlan& plan,
               const std::function<std::optional<PointResult>(const std::string&)>& find) {
  Tally tally;
  tally.points = plan.points.size();
  for (const PlannedPoint& point : plan.points) {
    const std::optional<PointResult> result = find(point.key);
    if (!result) continue;
    ++(result->feasible ? tally.done : tally.infeasible);
    if (meets(plan, *result).value_or(false)) ++tally.met;
  }
  return tally;
}

void write_tally(JsonWriter& json, const SweepPlan& plan, const Tally& tally) {
  json.member("sweep", plan.name).member("plan", plan_hash(plan));
  json.member("points", tally.points).member("left_out", plan.left_out);
  json.member("done", tally.done).member("infeasible", tally.infeasible);
  if (plan.thresholds.empty()) {
    json.member("met", nullptr);
  } else {
    json.member("met", tally.met);
  }
}

std::string tally_text(const SweepPlan& plan, const Tally& tally) {
  std::string out = fmt::format("{}: {} of {} points are done", plan.name,
                                tally.done + tally.infeasible, tally.points);
  if (tally.infeasible > 0) out += fmt::format(", {} of them infeasible", tally.infeasible);
  if (plan.left_out > 0) out += fmt::format(", {} left out by constraints", plan.left_out);
  out += '\n';
  if (!plan.thresholds.empty()) {
    out += fmt::format("{} of {} points meet", tally.met, tally.points);
    for (std::size_t i = 0; i < plan.thresholds.size(); ++i) {
      out += (i == 0 ? " " : ", ") + plan.thresholds[i].text();
    }
    out += '\n';
  }
  return out;
}

class SweepCommand final : public Command {
 public:
  std::string summary() const override {
    return "run every combination of a sweep file; on many machines: plan, submit, merge";
  }

  void add_options(CLI::App& app) override {
    app.require_subcommand(0, 1);
    app.add_option("FILE", file_, "Sweep file (YAML), or a plan that 'sweep plan' wrote");
    add_out(app, "Results: sweep.sqlite, points.csv, points.jsonl (default: NAME.sweep)");
    add_jobs(app);
    app.add_option("--shard", shard_, "i/N: run the i-th of N parts and write its file only");

    plan_ = app.add_subcommand("plan", "write the plan that shards run");
    plan_->add_option("FILE", file_, "Sweep file (YAML)")->required();
    add_out(*plan_, "Directory for plan.json and shards (default: NAME.sweep)");
    resume_ = app.add_subcommand("resume", "run what is left of a sweep");
    add_directory(*resume_);
    add_jobs(*resume_);
    status_ = app.add_subcommand("status", "how far a sweep and its shards are");
    add_directory(*status_);
    merge_ = app.add_subcommand("merge", "put the files of shards into one result");
    add_directory(*merge_);
    add_submit(*app.add_subcommand("submit", "hand a plan's shards to a cluster"));
  }

  ExitCode run(CommandContext& context) override {
    if (plan_->parsed()) return write_plan(context);
    if (resume_->parsed()) return resume(context);
    if (status_->parsed()) return status(context);
    if (merge_->parsed()) return merge(context);
    if (submit_->parsed()) return submit(context);
    if (file_.empty()) throw InputError(Place{"v4cap sweep"}, "FILE is missing");
    const SweepPlan plan = load(context);
    if (!shard_.empty()) return run_shard(plan, context);
    return run_local(plan, context);
  }

 private:
  void add_out(CLI::App& app, const char* meaning) {
    app.add_option("--out", out_, meaning);
    app.add_flag("--overwrite", overwrite_, "Forget what the directory holds of an earlier sweep");
  }
  void add_jobs(CLI::App& app) {
    app.add_option("--jobs", jobs_, "Threads (default: one per core)")
        ->check(CLI::Range(1U, 4096U));
  }
  void add_directory(CLI::App& app) {
    app.add_option("DIR", directory_, "Directory of the sweep")->required();
  }
  void add_submit(CLI::App& app) {
    submit_ = &app;
    app.add_option("TARGET", target_, "slurm, k8s or parallel")->required();
    add_directory(app);
    add_jobs(app);
    app.add_option("--shards", shards_, "Number of shards (default: of about three minutes each)")
        ->check(CLI::Range(std::int64_t{1}, std::int64_t{100'000}));
    app.add_option("--option", options_,
                   "A line for the target as it is, such as --partition=cpu; may be repeated")
        ->allow_extra_args(false);
    app.add_option("--image", image_, "k8s: container image that holds v4cap");
    app.add_option("--claim", claim_, "k8s: volume claim that holds the sweep's directory");
    app.add_option("--mount", mount_, "k8s: where it is mounted (default: DIR's own path)");
  }

  PointOptions point_options(const CommandContext& context) const {
    return {context.options.trace_dir, jobs_};
  }

  SweepPlan load(const CommandContext& context) {
    const GlobalOptions& o = context.options;
    // A part's name with a slip in it reads as a file.
    const std::string part = nearest_name(file_, {"plan", "resume", "status", "merge", "submit"});
    if (!part.empty() && !fs::exists(file_)) {
      throw InputError(Place{"v4cap sweep"}, "expected a sweep file or a part, found no file '" +
                                                 file_ + "'; did you mean '" + part + "'?");
    }
    if (is_plan(file_)) {
      if (!o.set.empty() || o.seed) {
        throw InputError(Place{file_}, "expected no --set and no --seed, a plan is complete");
      }
      if (out_.empty()) out_ = fs::path(file_).parent_path().string();
      if (out_.empty()) out_ = ".";
      return read_plan(file_);
    }
    SweepPlan plan = make_plan(read_sweep(file_, o.set, o.seed), point_options(context));
    if (out_.empty()) out_ = plan.name + ".sweep";
    return plan;
  }

  // A directory has one plan, for good where it is `fixed` or there are shards of it.
  void keep_plan(const std::string& folder, const SweepPlan& plan, bool fixed) const {
    const std::string path = folder + '/' + kPlanFile;
    if (fs::exists(path)) {
      const std::string before = plan_hash(read_plan(path));
      if (before == plan_hash(plan)) return;
      if (fixed || !shard_files(folder + '/' + kShardFolder).empty()) {
        throw InputError(Place{path}, "expected the same plan, this directory has another (" +
                                          before +
                                          "); name another one with --out, or give --overwrite to "
                                          "forget it");
      }
    }
    write_file(folder, kPlanFile, plan_text(plan));
  }

  // Points that have no result yet, each once.
  static std::vector<std::size_t> pending(const SweepPlan& plan, std::set<std::string> known) {
    std::vector<std::size_t> out;
    for (std::size_t i = 0; i < plan.points.size(); ++i) {
      if (known.insert(plan.points[i].key).second) out.push_back(i);
    }
    return out;
  }

  ExitCode run_local(const SweepPlan& plan, CommandContext& context) {
    if (context.options.dry_run) return dry_run(plan, context);
    const SweepDirectory directory(out_, overwrite_);
    return run_in(directory, plan, context);
  }

  ExitCode run_in(const SweepDirectory& directory, const SweepPlan& plan, CommandContext& context) {
    keep_plan(directory.path(), plan, false);
    ResultStore store(directory.file(kStoreFile));
    store.set_plan(plan);
    const std::vector<std::size_t> left = pending(plan, store.keys());
    const bool complete =
        run_points_of(plan, left, context, [&](const PointResult& result) { store.add(result); });
    if (!complete) {
      const std::string& traces = context.options.trace_dir;
      throw InterruptedCommand("what has ended is kept; 'v4cap sweep resume " + directory.path() +
                               (traces.empty() ? "" : " --traces " + traces) + "' runs the rest");
    }
    return finish(directory, plan, store, context);
  }

  // With progress. False when interrupted.
  bool run_points_of(const SweepPlan& plan, const std::vector<std::size_t>& left,
                     CommandContext& context,
                     const std::function<void(const PointResult&)>& keep) const {
    if (left.empty()) return true;
    const InterruptGuard guard;
    const auto start = std::chrono::steady_clock::now();
    SweepProgress progress(context.err, left.size(), context.err_is_terminal,
                           context.options.quiet);
    PointHooks hooks;
    hooks.done = [&](const PointResult& result) {
      keep(result);
      progress.ended(std::chrono::steady_clock::now() - start);
    };
    hooks.stop = [] { return InterruptGuard::interrupted(); };
    return run_points(plan, left, point_options(context), hooks);
  }

  // Exports, and what there is to say at the end.
  ExitCode finish(const SweepDirectory& directory, const SweepPlan& plan, const ResultStore& store,
                  CommandContext& context) const {
    const auto find = [&](const std::string& key) { return store.find(key); };
    const auto find_all = [&](const std::string& key) {
      auto result = store.find(key);
      V4CAP_CHECK(result.has_value(), "a point without a result: " + key);
      return *result;
    };
    RunDirectory(directory.path(), true, Writers::many).write(export_files(plan, find_all));
    const Tally tally = tally_of(plan, find);
    if (context.options.json) {
      JsonWriter json;
      json.begin_object();
      write_tally(json, plan, tally);
      json.member("directory", directory.path()).end_object();
      // Rows are JSON already.
      std::string text = json.text();
      text.pop_back();
      context.out << text << ",\"rows\":[";
      for (std::size_t i = 0; i < plan.points.size(); ++i) {
        context.out << (i == 0 ? "" : ",") << row_json(plan, i, find_all(plan.points[i].key));
      }
      context.out << "]}\n";
    } else {
      context.out << tally_text(plan, tally);
      print_reasons(plan, find_all, context);
    }
    if (!context.options.quiet) {
      context.err << "wrote " << directory.file(kCsvFile) << ", " << kJsonlFile << " and "
                  << kStoreFile << '\n';
    }
    if (tally.done == 0) return ExitCode::failed;
    return !plan.thresholds.empty() && tally.met == 0 ? ExitCode::slo_missed : ExitCode::done;
  }

  // Why points are infeasible, each reason once with how many.
  static void print_reasons(const SweepPlan& plan, const FindResult& find,
                            CommandContext& context) {
    std::map<std::string, std::size_t> reasons;
    for (const PlannedPoint& point : plan.points) {
      const PointResult result = find(point.key);
      if (!result.feasible) ++reasons[result.document];
    }
    for (const auto& [reason, count] : reasons) {
      context.out << "infeasible, " << count << (count == 1 ? " point: " : " points: ") << reason
                  << '\n';
    }
  }

  ExitCode dry_run(const SweepPlan& plan, CommandContext& context) const {
    std::set<std::string> known;
    if (!overwrite_ && fs::exists(fs::path(out_) / kStoreFile)) {
      known = ResultStore((fs::path(out_) / kStoreFile).string()).keys();
    }
    const std::vector<std::size_t> left = pending(plan, known);
    const SweepEstimate e = estimate_sweep(plan, left, point_options(context));
    if (context.options.json) {
      JsonWriter json;
      json.begin_object().member("sweep", plan.name).member("plan", plan_hash(plan));
      json.member("points", plan.points.size()).member("left_out", plan.left_out);
      json.member("to_run", left.size()).member("sampled", e.sampled);
      json.member("estimated_point_s", e.point_s).member("estimated_wall_s", e.wall_s);
      json.member("estimated_memory_bytes", e.memory.value).end_object();
      context.out << json.text() << '\n';
      return ExitCode::done;
    }
    context.out << fmt::format("{}: {} points", plan.name, plan.points.size());
    if (plan.left_out > 0) context.out << ", " << plan.left_out << " left out by constraints";
    context.out << ", " << left.size() << " to run\n";
    for (const Axis& axis : plan.axes) {
      context.out << fmt::format("  {}: {} values\n", axis.name, axis.rows.size());
    }
    if (left.empty()) return ExitCode::done;
    context.out << fmt::format(
        "about {} and {} of memory, from {} points that were begun ({} each on a thread)\n",
        human(duration_from_seconds(e.wall_s)), human(e.memory), e.sampled,
        human(duration_from_seconds(e.point_s)));
    if (e.infeasible > 0) {
      context.out << e.infeasible << " of them cannot run: they will be marked infeasible\n";
    }
    return ExitCode::done;
  }

  ExitCode write_plan(CommandContext& context) {
    const SweepPlan plan = load(context);
    if (!context.options.dry_run) {
      const SweepDirectory directory(out_, overwrite_);
      keep_plan(directory.path(), plan, true);
    }
    if (context.options.json) {
      JsonWriter json;
      json.begin_object().member("sweep", plan.name).member("plan", plan_hash(plan));
      json.member("points", plan.points.size()).member("left_out", plan.left_out);
      json.member("directory", out_).end_object();
      context.out << json.text() << '\n';
      return ExitCode::done;
    }
    context.out << fmt::format("{} {}/{}: {} points, plan {}\n",
                               context.options.dry_run ? "would write" : "wrote", out_, kPlanFile,
                               plan.points.size(), plan_hash(plan));
    return ExitCode::done;
  }

  ExitCode resume(CommandContext& context) {
    refuse_overrides(context);
    file_ = (fs::path(existing_sweep(directory_)) / kPlanFile).string();
    out_ = directory_;
    const SweepPlan plan = read_plan(file_);
    check_unchanged(plan, all_points(plan), point_options(context));
    return run_local(plan, context);
  }

  static void refuse_overrides(const CommandContext& context) {
    if (context.options.set.empty() && !context.options.seed) return;
    throw InputError(Place{"v4cap sweep"}, "expected no --set and no --seed, a plan is complete");
  }

  static std::vector<std::size_t> all_points(const SweepPlan& plan) {
    return points_of({1, 1}, plan.points.size());
  }

  ExitCode run_shard(const SweepPlan& plan, CommandContext& context) {
    const ShardId shard = parse_shard(shard_);
    const std::vector<std::size_t> points = points_of(shard, plan.points.size());
    if (context.options.dry_run) {
      context.out << points.size() << " points\n";
      return ExitCode::done;
    }
    const std::string folder = (fs::path(out_) / kShardFolder).string();
    // Without the directory's lock: many machines write shards at a time, each its own file.
    RunDirectory directory(folder, true, Writers::many);
    keep_plan(out_, plan, true);
    const std::string path = folder + '/' + file_name(shard);
    if (!overwrite_ && fs::exists(path) && read_shard(path).plan == plan_hash(plan)) {
      if (!context.options.quiet) context.err << path << " is there already\n";
      return ExitCode::done;
    }
    check_unchanged(plan, points, point_options(context));
    std::map<std::string, PointResult> results;
    std::mutex mutex;
    std::set<std::string> seen;
    std::vector<std::size_t> once;
    for (const std::size_t i : points) {
      if (seen.insert(plan.points[i].key).second) once.push_back(i);
    }
    const bool complete = run_points_of(plan, once, context, [&](const PointResult& result) {
      const std::lock_guard lock(mutex);
      results.emplace(result.key, result);
    });
    if (!complete) {
      throw InterruptedCommand("the shard was not written");
    }
    write_file(folder, file_name(shard), shard_text(plan, shard, results));
    if (!context.options.quiet) context.err << "wrote " << path << '\n';
    return ExitCode::done;
  }

  ExitCode merge(CommandContext& context) {
    refuse_overrides(context);
    const SweepDirectory directory(existing_sweep(directory_), false);
    const SweepPlan plan = read_plan(directory.file(kPlanFile));
    const auto results = merged(plan, shard_files(directory.file(kShardFolder)));
    ResultStore store(directory.file(kStoreFile));
    store.set_plan(plan);
    for (const auto& [key, result] : results) store.add(result);
    const std::size_t left = pending(plan, store.keys()).size();
    if (left > 0) {
      throw RunError(
          fmt::format("{}: {} of {} points have no result yet; 'v4cap sweep status' says "
                      "which shards are missing",
                      directory.path(), left, plan.points.size()),
          "incomplete", {{"missing_points", static_cast<std::int64_t>(left)}});
    }
    return finish(directory, plan, store, context);
  }

  ExitCode status(CommandContext& context) {
    refuse_overrides(context);
    const fs::path directory = existing_sweep(directory_);
    const SweepPlan plan = read_plan((directory / kPlanFile).string());
    const std::string hash = plan_hash(plan);
    std::map<std::string, PointResult> results;
    std::map<std::int64_t, std::set<std::int64_t>> shards;  // by their count
    std::vector<std::string> foreign;
    for (const std::string& path : shard_files((directory / kShardFolder).string())) {
      ShardFile shard = read_shard(path);
      if (shard.plan != hash) {
        foreign.push_back(path);
        continue;
      }
      shards[shard.shard.count].insert(shard.shard.number);
      for (PointResult& r : shard.results) results.emplace(r.key, std::move(r));
    }
    std::optional<ResultStore> store;
    if (fs::exists(directory / kStoreFile)) store.emplace((directory / kStoreFile).string());
    const Tally tally = tally_of(plan, [&](const std::string& key) {
      const auto it = results.find(key);
      if (it != results.end()) return std::optional(it->second);
      return store ? store->find(key) : std::nullopt;
    });
    if (context.options.json) {
      JsonWriter json;
      json.begin_object();
      write_tally(json, plan, tally);
      json.key("shards").begin_array();
      for (const auto& [count, there] : shards) {
        json.begin_object().member("count", count).key("missing").begin_array();
        for (std::int64_t i = 1; i <= count; ++i) {
          if (!there.contains(i)) json.value(i);
        }
        json.end_array().end_object();
      }
      json.end_array().key("of_another_plan").begin_array();
      for (const std::string& path : foreign) json.value(path);
      json.end_array().end_object();
      context.out << json.text() << '\n';
      return ExitCode::done;
    }
    context.out << tally_text(plan, tally) << "plan " << hash << '\n';
    for (const auto& [count, there] : shards) {
      context.out << there.size() << " of " << count << " shards are there";
      std::string missing;
      for (std::int64_t i = 1; i <= count && missing.size() < 100; ++i) {
        if (!there.contains(i))
          missing += (missing.empty() ? "; missing: " : ", ") + std::to_string(i);
      }
      context.out << missing << '\n';
    }
    for (const std::string& path : foreign) context.out << path << " is of another plan\n";
    return ExitCode::done;
  }

  ExitCode submit(CommandContext& context) {
    refuse_overrides(context);
    const auto* const target = SubmitTargets::find(target_);
    if (target == nullptr) {
      throw InputError(
          Place{"v4cap sweep submit"},
          "unknown target " + ("'" + target_ + "'") + suggestion(target_, SubmitTargets::names()));
    }
    const fs::path directory = existing_sweep(directory_);
    const SweepPlan plan = read_plan((directory / kPlanFile).string());
    SubmitRequest request;
    request.name = plan.name;
    request.plan = plan_hash(plan);
    request.program = fs::read_symlink("/proc/self/exe").string();
    request.directory = absolute(directory_);
    while (request.directory.size() > 1 && request.directory.ends_with('/')) {
      request.directory.pop_back();
    }
    if (!context.options.trace_dir.empty()) request.trace_dir = absolute(context.options.trace_dir);
    request.jobs = jobs_ > 0 ? jobs_ : 1;
    request.option = options_;
    request.image = image_;
    request.claim = claim_;
    request.mount = mount_;
    size_shards(plan, context, request);
    return hand_in((*target)(request), request, context);
  }

  // As many shards as asked for, else of a few minutes each.
  void size_shards(const SweepPlan& plan, const CommandContext& context,
                   SubmitRequest& request) const {
    const auto points = static_cast<std::int64_t>(plan.points.size());
    PointOptions options = point_options(context);
    options.threads = static_cast<unsigned>(request.jobs);
    const SweepEstimate estimate = estimate_sweep(plan, all_points(plan), options);
    const auto wanted = static_cast<std::int64_t>(std::ceil(estimate.wall_s / kShardSeconds));
    request.shards = std::clamp<std::int64_t>(shards_ > 0 ? shards_ : wanted, 1,
                                              shards_ > 0 ? points : std::min(points, kArrayMax));
    request.shard_s = estimate.wall_s / static_cast<double>(request.shards);
    // Half as much again, and never less than what a small program needs.
    constexpr std::int64_t kMib = 1 << 20;
    request.memory_mib = std::max<std::int64_t>(256, estimate.memory.value * 3 / 2 / kMib);
  }

  ExitCode hand_in(const Submission& submission, const SubmitRequest& request,
                   CommandContext& context) const {
    const bool can = !submission.command.empty() && in_path(submission.command.front());
    std::string job;
    if (!context.options.dry_run) {
      write_file(request.directory, submission.file, submission.text);
      // Before the first task asks for it.
      fs::create_directories(fs::path(request.directory) / kShardFolder);
      if (can) job = output_of(submission.command);
    }
    if (context.options.json) {
      JsonWriter json;
      json.begin_object().member("file", request.directory + '/' + submission.file);
      json.member("shards", request.shards).member("estimated_shard_s", request.shard_s);
      json.member("text", submission.text).member("by_hand", submission.by_hand);
      json.member("job", job.empty() ? std::nullopt : std::optional<std::string_view>(job));
      json.end_object();
      context.out << json.text() << '\n';
      return ExitCode::done;
    }
    if (context.options.dry_run) {
      context.out << submission.text;
    } else if (!job.empty()) {
      context.out << job << '\n';
    } else {
      context.out << submission.by_hand << '\n';
    }
    if (!context.options.quiet) {
      context.err << fmt::format("{} shards of about {}; then: v4cap sweep merge {}\n",
                                 request.shards, human(duration_from_seconds(request.shard_s)),
                                 shell_word(request.directory));
    }
    return ExitCode::done;
  }

  CLI::App *plan_ = nullptr, *resume_ = nullptr, *status_ = nullptr, *merge_ = nullptr,
           *submit_ = nullptr;
  std::string file_, out_, directory_, shard_, target_, image_, claim_, mount_;
  std::vector<std::string> options_;
  bool overwrite_ = false;
  unsigned jobs_ = 0;
  std::int64_t shards_ = 0;
};

const bool registered = CommandRegistry::add(
    "sweep", []() -> std::unique_ptr<Command> { return std::make_unique<SweepCommand>(); });

}  // namespace

}  // namespace v4cap
