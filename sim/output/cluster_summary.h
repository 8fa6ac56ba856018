// What is said about a run of several replicas beside what is said about every run: each replica,
// and how the cluster did after faults.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "sim/core/quantiles.h"
#include "sim/output/json_writer.h"
#include "sim/output/record.h"
#include "sim/output/text_sink.h"

namespace v4cap {

struct TextStyle;

// What was sent between replicas that read prompts and those that generate.
struct TransferSummary {
  std::int64_t requests = 0;
  KindBytes sent;           // to each GPU
  Bytes moved, dropped;     // over links; of these, sent for nothing
  double cached_share = 0;  // of their prompts' tokens, that were cached where they went
  Distribution memory_wait_ms, after_prompt_ms;
  double out_utilisation = 0, in_utilisation = 0;
};

struct ReplicaSummary {
  bool reads_prompts = false;
  std::int64_t requests = 0, finished = 0;  // that ended on it
  std::int64_t prompts_read = 0;            // for replicas that generate
  std::optional<double> hit_rate;
  Distribution ttft_ms;
  std::int64_t steps = 0, lost_requests = 0;
  Tokens lost_tokens;
  double busy_s = 0, up_s = 0, held_s = 0;
  Bytes lost;  // of its KV cache
};

// Requests that arrived in a window of time.
struct WindowSummary {
  double from_s = 0, to_s = 0;
  std::int64_t requests = 0;  // not refused ones
  std::int64_t retried = 0;   // of these
  std::optional<double> hit_rate;
  Distribution ttft_ms;
};

struct ClusterSummary {
  std::optional<TransferSummary> transfer;
  std::vector<ReplicaSummary> replicas;
  std::int64_t retried = 0, failed = 0;  // requests
  std::int64_t lost_requests = 0;        // times that one was taken away from its replica
  Tokens lost_tokens;                    // computed for them, for nothing
  double gpu_hours = 0;                  // that GPUs were held
  std::int64_t disturbances = 0;         // faults that struck, planned restarts
  // After a disturbance, all of them taken together, in windows from its instant on; the first one
  // is the window before. Of all replicas, and of the one that it struck.
  std::vector<WindowSummary> after, after_on_struck;
  std::vector<WindowSummary> windows;  // of the whole run, from its begin on
};

// What the records of a run would say of its replicas, where none is kept: sums, and sketches of
// times to the first token. Memory grows with replicas and windows of time, and where faults may
// strike with the requests of one window.
class ClusterDigest {
 public:
  struct Rules {
    std::size_t replicas = 0;
    Duration window{};      // of figures over time
    bool in_order = false;  // records come in order of arrival: windows that are over are summed up
    bool disturbed = false;  // something may disturb replicas
  };
  explicit ClusterDigest(const Rules& rules);
  ~ClusterDigest();

  // The first request arrives, before its record or any other comes.
  void begin(SimTime first_arrival);
  // Records in order of their ids.
  void add(const RequestRecord& record);
  // What happened to the cluster before `now` is in `events`, in order; what it held before is
  // there still.
  void pass(SimTime now, const std::vector<ClusterEvent>& events);

  // All but what replicas count themselves; of the whole run when all has been passed.
  void summarise(SimTime last_arrival, ClusterSummary& out) const;

 private:
  struct Parts;
  std::unique_ptr<Parts> parts_;
};

// `result.cluster` is there.
ClusterSummary summarise_cluster(const RunResult& result);

// The object behind "cluster" in summary.json.
void write_cluster(JsonWriter& json, const ClusterSummary& cluster);
// A table of replicas (the first twelve) and one of the windows after faults, if there were any.
std::string cluster_report(const ClusterSummary& cluster, const TextStyle& style);

// windows.csv: time_s, requests, retried, hit_rate, ttft_p50_ms, ttft_p99_ms; empty where a window
// has none.
void write_windows(const ClusterSummary& cluster, const TextSink& sink);
// cluster_events.csv: time_s, replica, what, lost_requests, disturbs (1: what follows is worth a
// look, as of ClusterEvent).
void write_cluster_events(const ClusterResult& cluster, const TextSink& sink);

}  // namespace v4cap
