// What a run leaves behind: the records of its requests, memory over time, and totals. Times are simulated.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "sim/core/time.h"
#include "sim/core/units.h"
#include "sim/cost/cost_model.h"
#include "sim/engine/request_record.h"
#include "sim/model/cache_kind.h"

namespace v4cap {

// Memory in use at an instant, by cache kind, of one GPU of each attention rank, summed.
struct OccupancySample {
  SimTime at{};
  KindBytes in_use{};  // referenced by running requests
  KindBytes cached{};  // kept for reuse, evictable
  std::int64_t running = 0, waiting = 0;
};

// Why the head of the queue could not be admitted, or why nothing waited; nanoseconds of simulated
// time.
struct BindingTime {
  std::vector<std::pair<std::string, Duration>> memory_pools{};  // per pool of the layout
  Duration running_cap{};
  Duration step_tokens{};  // prefill: the token budget was spent
  Duration nothing_waits_decode{},
      nothing_waits_prefill{};  // busy without a queue, by what took the step
  Duration idle{};
};

// What a tier below GPU memory did over a run. Bytes are of one GPU of each attention rank, summed
// over the ranks: its GPUs share one copy.
struct TierTotals {
  std::string name, policy;  // of writing
  Bytes capacity;
  Tokens hit_tokens;  // prompt tokens whose blocks first admissions had loaded from here
  std::int64_t hit_points = 0;
  KindBytes written;  // copied here
  KindBytes read;     // for GPU memory
  // written = resident + evicted + expired + lost, which went with the tier or on its way.
  KindBytes evicted, expired, lost, refused;
  KindBytes resident;  // at the end
  Bytes peak;
  double read_utilisation = 0, write_utilisation = 0;  // of its links, 0 to 1
  // What these are of: bytes that the links moved, and could have moved.
  double read_moved_bytes = 0, read_offered_bytes = 0;
  double write_moved_bytes = 0, write_offered_bytes = 0;
  std::optional<Bytes> drive;  // size of the drives that it is on, for their wear

  // The same tier of another replica, or of another life of it.
  TierTotals& operator+=(const TierTotals& o);
};

// What the steps of a replica add up to, or of all replicas. Amounts of memory are of one GPU of
// each attention rank, summed over the ranks.
struct StepTotals {
  std::int64_t steps = 0;
  std::int64_t sequences = 0;  // over all steps
  KindBytes kv_peak;           // in use + cached; the sum of each replica's own peak
  KindBytes evicted;           // over the run
  KindBytes written;           // over the run: state computed and kept for reuse
  // Over first admissions: state that hits took from the cache, and that they had to
  // rebuild.
  KindBytes hit_bytes, rebuilt_bytes;
  Bytes kv_capacity;
  // KV caches that it is the sum over: of each attention rank of each replica one.
  std::int64_t kv_caches = 0;
  Duration busy{};  // time in steps
  TimeShare share;
  std::int64_t clamped_steps = 0;  // whose samples were below the roofline, which then counted
  BindingTime binding;
  // Decode steps of single requests, and the tokens that they yielded.
  std::int64_t decode_steps = 0;
  Tokens decoded;
  std::vector<TierTotals> tiers;  // from the fastest down; empty without any
  KindBytes loaded;               // from tiers into GPU memory
  Duration load_wait{};           // by which steps became longer, waiting for layers to be loaded

  StepTotals& operator+=(const StepTotals& o);
};

struct RunTotals : StepTotals {
  std::int64_t requests = 0, finished = 0, refused = 0, failed = 0, preemptions = 0;
  std::int64_t events = 0;
  Tokens prompt_tokens, hit_tokens, computed_tokens, rebuilt_tokens, recomputed_after_preemption;
  Tokens output_tokens;
  // What an infinite cache would have reached on the same requests; empty when the trace has no
  // ids.
  std::optional<double> ideal_hit_rate;
  SimTime first_arrival, last_finish, last_arrival;
  bool open_loop = false;
  bool saturated = false;  // open loop: the queue grew as long as requests came
  // Requests by time average over the span from first arrival to last finish. Waiting and running
  // ones make up those in the system; decoding ones are running with their prompt read.
  double mean_in_system = 0;
  double waiting_mean = 0, running_mean = 0, decoding_mean = 0;
  double mean_batch = 0;  // sequences per step
  std::uint64_t result_hash = 0;
  double wall_s = 0;  // of the simulator; not part of any hash
};

// One replica of a cluster over the run.
struct ReplicaResult {
  bool reads_prompts = false;     // for others that generate
  std::int64_t prompts_read = 0;  // of these, as often as they were
  std::int64_t gpus = 1;
  StepTotals steps;
  Duration up{};                   // it took requests, or ended those that it had
  Duration held{};                 // its GPUs were held: up, starting, or lost and to come back
  std::int64_t lost_requests = 0;  // taken away from it
  Tokens lost_tokens;              // computed for them, for nothing
  KindBytes lost;  // of its KV cache, by faults and shutting down; in `evicted`, too
  std::vector<OccupancySample> occupancy;
  std::vector<std::vector<OccupancySample>> ranks{};  // of each; empty with a single rank
};

// Something that happened to a replica.
struct ClusterEvent {
  SimTime at;
  std::size_t replica = 0;
  std::string what;
  bool disturbs = false;  // a replica's cache is lost or it is slow: what follows is worth a look
  std::int64_t lost_requests = 0;
};

// What was sent between replicas that read prompts and those that generate.
struct TransferResult {
  std::int64_t requests = 0;
  KindBytes sent;                       // to each GPU of a rank
  Bytes moved;                          // over links, to all of them
  Bytes dropped;                        // sent for nothing: a replica was lost
  Tokens prompt, had;                   // of these requests, and of them cached where they went
  std::vector<double> memory_wait_ms;   // for memory where they generate
  std::vector<double> after_prompt_ms;  // from the prompt's end until all was there
  double moved_in_bytes = 0, offered_in_bytes = 0;  // of links into those that generate
  double moved_out_bytes = 0, offered_out_bytes = 0;
};

class ClusterDigest;  // sim/output/cluster_summary.h

struct ClusterResult {
  // Where no records are kept (RunResult::digest): what they would say of replicas.
  std::shared_ptr<const ClusterDigest> digest{};
  std::optional<TransferResult> transfer{};
  std::vector<ReplicaResult> replicas;
  std::vector<ClusterEvent> events;  // in order
  Duration window{};                 // of figures over time
};

class MetricsDigest;  // sim/output/metrics.h

struct RunResult {
  std::vector<RequestRecord> records;  // by id; a client's warm-up is not among them
  // In place of `records` in a long run that keeps none (RecordRules, sim/cluster/simulation.h).
  std::shared_ptr<const MetricsDigest> digest{};
  std::vector<RequestRecord> warmup;       // in order of their end; in no total and no metric
  std::vector<OccupancySample> occupancy;  // at most a few thousand, evenly thinned
  // Of one replica with several attention ranks: the same of each, of one of its GPUs.
  std::vector<std::vector<OccupancySample>> ranks{};
  RunTotals totals;
  std::int64_t gpus = 1;                   // of a cluster: of all replicas that there can be
  std::optional<ClusterResult> cluster{};  // of several replicas
};

}  // namespace v4cap
