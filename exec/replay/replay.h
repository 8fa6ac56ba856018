// A scenario run for real: the engine that the simulator drives, its steps performed, its arrivals
// held against the clock. Nothing here knows of a GPU.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "exec/device.h"
#include "exec/driver/gpu_watch.h"
#include "exec/replay/performed_cost.h"
#include "exec/replay/replay_clock.h"
#include "exec/replay/step_board.h"
#include "exec/replay/step_performer.h"
#include "sim/cluster/run_log.h"
#include "sim/cluster/simulation.h"
#include "sim/config/scenario.h"
#include "sim/cost/profile.h"
#include "sim/output/json_writer.h"
#include "sim/output/run_directory.h"

namespace v4cap::exec {

inline constexpr const char* kReplayFile = "replay.json";

// Throws InputError, with the place, for what a replay does not perform: models other than V4,
// several attention ranks, drafts, a host that launches ahead, blocks of other than 256 tokens. On
// several GPUs each is a rank, and collectives are performed: the layout has as many GPUs, that
// share its heads and its experts.
void check_can_replay(const Scenario& scenario, int gpus = 1);

// The profile of a scenario; nothing when it names none. Throws InputError as load_profile() does.
std::optional<Profile> profile_of(const Scenario& scenario);

// Throws RunError wrong_profile for a profile of v4exec that was measured on another GPU. No time of
// a replay comes from a profile, but the run would be held against what this one predicts. Profiles
// of engines are transferred between GPUs, and pass.
void check_measured_on(const Profile& profile, const Device& device);

struct ReplaySetting {
  Pace pace = Pace::real_time;
  ProgressFunction progress{};      // after every step
  std::function<bool()> stopped{};  // asked after every step, and while it waits
  StepBoard* board = nullptr;       // of the other ranks, if there are any
};

struct Replayed {
  RunResult result;
  std::int64_t steps = 0;  // performed, a client's warm-up included
  std::vector<double> late_ms{};
};

// Every step is in steps.csv and decisions.csv of `directory` before the next is planned; they
// become whole with RunDirectory::write(). Throws Simulation::Interrupted when it was stopped, and
// what the performer throws.
Replayed replay(const Scenario& scenario, const Trace& trace, Replica& replica,
                StepPerformer& performer, ReplayClock& clock, RunDirectory& directory,
                const ReplaySetting& setting);

// Another rank's part in the run of rank 0, from which it has `board`; returns when that run ends.
RunResult follow(const Scenario& scenario, const Trace& trace, Replica& replica,
                 StepPerformer& performer, StepBoard& board);

// What a replay ran on, and when.
struct ReplayProvenance {
  Device device;
  Clocks before, after;  // the run
  GpuSeen during;        // its steps
  std::string date;      // of its begin, "2026-01-31T12:00:00Z"
  std::string profile;   // of the scenario; no time of the run comes from it
  Pace pace = Pace::real_time;
  int gpus = 1;  // of this kind, a rank each
};

// Member "late_ms": how many waits there were, and by how much they ended late.
void write_late(JsonWriter& json, const Replayed& run);

// replay.json: the provenance, how many steps took how long, and write_late(). Member "during" is
// as write_seen() writes it.
std::string replay_json(const ReplayProvenance& provenance, const Replayed& run);

}  // namespace v4cap::exec
