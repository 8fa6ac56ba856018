#include "exec/replay/replay.h"

#include <algorithm>
#include <filesystem>
#include <utility>

#include "exec/driver/gpu_error.h"
#include "sim/cluster/run_scenario.h"
#include "sim/config/profile_file.h"
#include "sim/core/quantiles.h"
#include "sim/cost/layer_cost.h"
#include "sim/output/run_summary.h"
#include "sim/output/version.h"

namespace v4cap::exec {

namespace {

constexpr Tokens kBlock{256};  // pages of the executor's pools

[[noreturn]] void refuse(const Scenario& scenario, const std::string& path,
                         const std::string& expected, const std::string& got) {
  const auto it = scenario.places.find(path);
  throw InputError(it == scenario.places.end() ? Place{scenario.file} : it->second,
                   path + ": expected " + expected + ", got " + got);
}

bool is_v4(const ModelSpec& model) {
  return model.count(LayerKind::csa) > 0 && std::ranges::all_of(model.layers, [](LayerKind kind) {
           return kind == LayerKind::csa || kind == LayerKind::hca || kind == LayerKind::window;
         });
}

void write_clocks(JsonWriter& json, const Clocks& clocks) {
  json.begin_object().member("sm_mhz", clocks.sm_mhz).member("memory_mhz", clocks.memory_mhz);
  json.member("power_w", clocks.power_w).member("temperature_c", clocks.temperature_c);
  json.end_object();
}

}  // namespace

void check_can_replay(const Scenario& scenario, int gpus) {
  if (!is_v4(scenario.model)) {
    refuse(scenario, "model",
           "a DeepSeek-V4 model, whose layers are all that there are kernels for",
           scenario.model.name);
  }
  if (gpus > 1) {
    const Deployment& d = scenario.deployment;
    const std::string each = std::to_string(gpus) + ", a rank on each of the GPUs";
    if (d.tensor_parallel != gpus) {
      refuse(scenario, "deployment.tensor_parallel", each, std::to_string(d.tensor_parallel));
    }
    if (d.expert_parallel != gpus) {
      refuse(scenario, "deployment.expert_parallel", each, std::to_string(d.expert_parallel));
    }
    if (!d.collectives) {
      refuse(scenario, "deployment.collectives", "included, they are performed", "skipped");
    }
  }
  check_steps_one_by_one(scenario);
  if (const std::int64_t drafts = scenario.engine.draft_tokens; drafts > 0) {
    refuse(scenario, "engine.draft_tokens", "0, drafts are not performed", std::to_string(drafts));
  }
  if (const Tokens block = scenario.kv_cache.block; block != kBlock) {
    refuse(scenario, "kv_cache.block_tokens",
           std::to_string(kBlock.value) + ", the pages on the GPU", std::to_string(block.value));
  }
  check_can_run(scenario);
}

std::optional<Profile> profile_of(const Scenario& scenario) {
  if (scenario.profile.empty()) return {};
  const auto it = scenario.places.find("profile");
  return load_profile(scenario.profile, std::filesystem::path(scenario.file).parent_path().string(),
                      it == scenario.places.end() ? Place{scenario.file} : it->second);
}

void check_measured_on(const Profile& profile, const Device& device) {
  if (profile.engine != kLayerEngine || profile.device == device.name) return;
  throw wrong_profile(profile.name, profile.device, device.name,
                      "calibrate this GPU, or name a profile of it or none");
}

Replayed replay(const Scenario& scenario, const Trace& trace, Replica& replica,
                StepPerformer& performer, ReplayClock& clock, RunDirectory& directory,
                const ReplaySetting& setting) {
  const TextSink steps = directory.stream(kStepsFile);
  RunLog log(replica, steps, directory.stream(kDecisionsFile));
  std::optional<AnnouncedPerformer> announced;
  if (setting.board != nullptr) announced.emplace(performer, *setting.board);
  PerformedCost cost(announced ? static_cast<StepPerformer&>(*announced) : performer, clock,
                     setting.pace, setting.stopped);
  HostRules host;
  host.idle_until = [&](SimTime next) {
    if (!cost.idle_until(next)) throw Simulation::Interrupted{};
  };
  host.step_timed = [&](SimTime begin, std::span<const StepPlan* const> ranks,
                        const StepTime& time) {
    log.step_timed(begin, ranks, time);
    if (setting.board != nullptr) setting.board->took(time.total);
  };
  host.steps_per_progress = 1;
  const auto progress = [&](double done) {
    if (setting.progress && !setting.progress(done)) return false;
    return !setting.stopped || !setting.stopped();
  };
  Replayed run;
  run.result = run_parts(scenario, trace, replica, cost, std::move(host), progress);
  run.steps = log.steps();
  run.late_ms = cost.late_ms();
  return run;
}

RunResult follow(const Scenario& scenario, const Trace& trace, Replica& replica,
                 StepPerformer& performer, StepBoard& board) {
  const FollowedCost cost(performer, board);
  RunResult result = run_parts(scenario, trace, replica, cost, HostRules{});
  board.wait_end();
  return result;
}

void write_late(JsonWriter& json, const Replayed& run) {
  const Distribution late = describe(run.late_ms);
  json.key("late_ms").begin_object().member("waits", late.count).member("mean", late.mean);
  json.member("p99", late.p99).member("max", late.max).end_object();
}

std::string replay_json(const ReplayProvenance& provenance, const Replayed& run) {
  const Device& device = provenance.device;
  JsonWriter json(2);
  json.begin_object();
  json.member("simulator_version", simulator_version()).member("date", provenance.date);
  json.key("device").begin_object().member("name", device.name);
  json.member("compute_capability",
              std::to_string(device.major) + '.' + std::to_string(device.minor));
  json.member("multiprocessors", device.multiprocessors);
  json.member("memory_bytes", device.memory_bytes).member("driver", device.driver);
  json.member("cuda_runtime", device.cuda_runtime);
  json.member("sm_clock_max_mhz", device.sm_clock_max_mhz).end_object();
  json.key("clocks_before");
  write_clocks(json, provenance.before);
  json.key("during");
  write_seen(json, provenance.during);
  json.key("clocks_after");
  write_clocks(json, provenance.after);
  if (provenance.gpus > 1) json.member("gpus", provenance.gpus);
  json.member("profile", provenance.profile);
  json.member("pace", provenance.pace == Pace::real_time ? "real_time" : "as_fast_as_possible");
  json.member("steps", run.steps).member("busy_s", to_seconds(run.result.totals.busy));
  json.member("wall_s", run.result.totals.wall_s);
  json.member("result_hash", hash_text(run.result.totals.result_hash));
  write_late(json, run);
  json.end_object();
  return json.text() + '\n';
}

}  // namespace v4cap::exec
