// A scenario after parsing: plain typed structs, units checked, unknown keys refused, defaults
// filled in. Nobody but sim/config sees YAML. `resolved_yaml` is the scenario with every default
// written out; running it again gives the same result.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "sim/config/cluster_config.h"
#include "sim/config/expectation.h"
#include "sim/core/error.h"
#include "sim/core/time.h"
#include "sim/core/units.h"
#include "sim/cost/host_cost.h"
#include "sim/model/cache_geometry.h"
#include "sim/model/expert_imbalance.h"
#include "sim/model/hardware.h"
#include "sim/model/model.h"
#include "sim/model/node_memory.h"
#include "traces/bench_serving.h"
#include "traces/generate.h"

namespace v4cap {

// One engine. Its GPUs, tensor_parallel x data_parallel, may be part of a node, a node, or several.
struct Deployment {
  // GPUs that one attention rank is spread over; V4 repeats the KV cache on each of them. Default:
  // the node's GPUs over data_parallel.
  std::int64_t tensor_parallel = 1;
  std::int64_t data_parallel = 1;  // attention ranks, each with a KV cache of its own
  // GPUs that whole experts are spread over; 1 = experts are cut by tensor parallelism over all
  // GPUs. Default: 1 under an engine's layout or without data_parallel, else all GPUs.
  std::int64_t expert_parallel = 1;
  // Which attention rank takes a request: name[=argument] in the router registry.
  std::string router = "round_robin";
  // False: one rank on one GPU stands for the deployment, and its steps leave out what GPUs send
  // each other. Then data_parallel is 1.
  bool collectives = true;

  std::int64_t gpus() const { return tensor_parallel * data_parallel; }
  EngineWidths widths() const { return {tensor_parallel, data_parallel, expert_parallel}; }
};

struct EngineConfig {
  // Name in the scheduler registry. Default: the one of the layout's engine, else fcfs.
  std::string scheduler = "fcfs";
  std::map<std::string, double> scheduler_options;  // every parameter of it, with its value
  std::int64_t max_running = 256;                   // cap on running requests
  Tokens step_tokens{8192};       // token budget of a step (prefill chunk + decodes)
  Tokens max_context;             // longer requests are refused; default: the model's
  std::int64_t draft_tokens = 0;  // speculative tokens that a step verifies beside the next one
  std::int64_t draft_steps = 0;   // passes of the draft layer in a step
  // Chances that a decode step yields 1..draft_tokens+1 tokens; empty = not known.
  std::vector<double> acceptance{1};
  std::int64_t steps_in_flight = 1;      // 2 = async scheduling: the next step is prepared early
  ExpertImbalance expert_imbalance{{}};  // of experts spread over GPUs
  std::string expert_distribution = "power_law_1.01";  // of tokens, in tables of measurements
  HostCost host;
  bool mixed_chunk = false;      // sglang: decodes run beside prefill instead of waiting for it
  bool prefill_delayer = false;  // sglang: prefill waits until enough attention ranks have some
  Tokens long_prefill_token_threshold;  // vllm: most prompt tokens of one request a step; 0 = all
};

enum class TailStorage : std::uint8_t {
  stored,  // compressor rows are kept with each point: resume at any block boundary
  none,    // only CSA's rows are kept: resume at multiples of 128
};

// A level of storage below GPU memory. Amounts are of what one GPU of a rank holds: its GPUs hold
// the same, and one copy is kept for all of them.
struct TierConfig {
  std::string name;               // host, ssd or remote
  std::optional<Bytes> capacity;  // empty: `times_gpu` times the KV memory that it stands below
  double times_gpu = 1;
  bool shared = false;                  // one for all attention ranks, else one for each
  bool blocks = true, points = true;    // what it holds
  std::optional<Tokens> points_every;   // of points only those at multiples of it; empty: all
  std::optional<Bytes> point_size;      // of a point here; empty: as on the GPU
  std::string write = "write_through";  // name[=argument] in the registry of write policies
  double read_bytes_per_s = 0, write_bytes_per_s = 0;
  Duration latency{};
  std::optional<Duration> blocks_live, points_live;  // since their last use; empty: for ever
  std::optional<Bytes> drive;                        // size of the drives that it is on
};

struct TiersConfig {
  std::vector<TierConfig> tiers{};  // from the fastest down; empty: there are none
  // A request may start when the first layers of its prefix are loaded.
  bool layered = true;
};

struct KvCacheConfig {
  std::string layout = "ideal";  // name in the layout registry
  std::string layout_version;    // release or date of the engine; "" = the layout has none
  std::string layout_note;       // EngineData::beyond() of it
  std::map<std::string, double> layout_options;  // every parameter of the layout, with its value
  std::string swa_policy = "full";  // "full", "checkpoint=2048", "recompute": name[=argument]
  Tokens block{256};                // tokens per cached block
  TailStorage tails = TailStorage::none;
  IndexerFormat indexer = IndexerFormat::fp8;
  EntryFormat entry;             // bytes of entries, from the model file and `indexer`
  std::optional<Bytes> memory;   // KV memory of one GPU; empty = what weights and reserve leave
  double memory_fraction = 0.9;  // of GPU memory that the engine may use
  // Activations, graphs and communication buffers on each GPU; empty = by memory_rules.
  std::optional<Bytes> reserve;
  MemoryRules memory_rules;     // of the layout's engine; empty = checkpoint formats and reserve
  bool reuse_generated = true;  // generated tokens stay cached for the session's next turn
  std::optional<Tokens>
      recompute_threshold;  // shorter hits are prefilled plainly; empty = 2 x layers x window
  TiersConfig below;        // GPU memory
  Tokens rebuild_page{1};   // what is rebuilt is aligned to it: engines rebuild whole pages
};

// Where arrivals come from.
enum class ArrivalMode : std::uint8_t {
  trace,        // times of the trace
  closed_loop,  // a fixed number of sessions at a time; think times of the trace
  poisson,      // open loop at `rate_per_s`, order of the trace
  burst,        // everything at once
  client,       // a load client: single requests in order, so many in flight, after a warm-up
};

struct WorkloadConfig {
  std::string trace;   // path, resolved; empty = synthetic
  std::string format;  // reader; empty = told from the content
  std::optional<SyntheticSpec> synthetic;
  std::optional<BenchServingSpec> bench_serving;  // with arrivals of mode client
  ArrivalMode arrivals = ArrivalMode::trace;
  std::int64_t sessions_at_a_time = 1;  // closed_loop
  double rate_per_s = 0;                // poisson
  std::int64_t concurrency = 1;         // client: requests in flight, at most
  std::int64_t warmup_requests = 0;     // client: sent and awaited before the first that counts
  double time_scale = 1;                // arrival times are multiplied by it
  bool spread_instants = false;         // spread requests of one instant evenly up to the next
  std::int64_t max_requests = 0;        // 0 = all; sessions are cut at the request
  std::int64_t max_turns = 0;           // of a session of a trace, its first; 0 = all
  Tokens clip_to;                       // prompts are cut so that prompt + output fit; 0 = never
  std::int64_t cycle_to = 0;  // requests in all, the trace's again and again; 0 = each once
};

struct Slo {  // 0 = not asked for
  Duration ttft_p99{}, tpot_p99{};
};

struct Scenario {
  std::string file;
  std::string name;  // file name without directory and extension
  ModelSpec model;
  HardwareSpec hardware;
  Deployment deployment;
  EngineConfig engine;
  KvCacheConfig kv_cache;
  std::string profile;  // measured times, by name; "" = roofline
  // Under `profile: auto` on a GPU without a profile: further ones that its times are transferred
  // from, beside `profile`.
  std::vector<std::string> profile_donors;
  // Where `profile` is none, without being told so, or that of another GPU: one of this GPU, of the
  // layout's engine or of another; "" = there is none.
  std::string profile_beside;
  double step_time_factor = 1;  // all steps take so many times as long as the cost model says
  WorkloadConfig workload;
  ClusterConfig cluster;
  // Of the replicas that read prompts, beside `cluster.prefill`; null: there are none of their own.
  std::shared_ptr<const Scenario> prefill;
  Slo slo;
  std::uint64_t seed = 1;
  std::string note;                 // what a reader of its figures must know; "" = nothing
  std::vector<Expectation> expect;  // figures that it should show
  std::string resolved_yaml;
  std::map<std::string, Place>
      places;  // where each dotted path was given; for errors found after reading
};

}  // namespace v4cap
