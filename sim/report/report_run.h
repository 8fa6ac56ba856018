// A run as the report shows it: what its directory (sim/output/run_directory.h) says, each file as
// far as it is there.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace v4cap {

// Columns of figures over the same rows. Of long files every k-th row is kept.
struct ColumnSet {
  struct Column {
    std::string name{};
    std::vector<double> figures{};  // NaN: not there
  };
  std::vector<Column> columns{};
  std::int64_t rows = 0;  // of the file
  std::int64_t kept = 0;  // in the columns

  const std::vector<double>* find(std::string_view name) const;  // null when there is none
};

inline constexpr std::int64_t kReportRowsMax = 1'000'000;

// What happened to a replica of a cluster (cluster_events.csv).
struct ReportEvent {
  double time_s = 0;
  std::int64_t replica = 0, lost_requests = 0;
  std::string what{};
  bool disturbs = false;  // a fault or a planned restart
};

// More are left out, the later ones: nobody looks at so many.
inline constexpr std::size_t kReportEventsMax = 20'000;

// Whether figures of the whole run are those of a steady state. They are not
//   - when the run was saturated: its queue grew as long as requests came;
//   - when it was a finite burst: arrivals of mode burst, or requests (of Poisson arrivals sessions)
//     that came in less than half of the time that the run took, the rest of which worked off what
//     had come;
//   - when fewer than 20 requests finished.
struct SteadyState {
  bool holds = true;
  std::string why{};  // a sentence, "" when it holds
};

// The held-out error of a family of the profile that a run's times come from, in percent.
struct FamilyError {
  std::string family{}, grain{};
  double median_pct = 0, p90_pct = 0, worst_pct = 0;
  std::int64_t samples = 0;
};

struct ProfileErrors {
  std::string name{}, device{}, date{}, source{};
  std::vector<FamilyError> families{};
};

struct ReportRun {
  std::string path{};
  std::string label{};         // tells it from the other runs of the report
  std::string summary_json{};  // summary.json as it is
  // Of it, what the terminal shows and what runs are told apart by.
  std::string scenario{}, model{}, hardware{}, policy{}, layout{}, scheduler{}, times{};
  std::int64_t gpus = 1, seed = 0;
  std::optional<double> tpot_p50_ms{}, output_tok_s_per_gpu{};
  double kv_capacity_gib = 0;
  std::optional<double> slo_ttft_p99_ms{}, slo_tpot_p99_ms{};
  std::string arrivals{};         // mode of the workload's, "" when it is not known
  std::string scenario_yaml{};    // scenario.resolved.yaml, "" when it is not there
  std::string comparison_json{};  // compare.json, "" when it is not there
  std::optional<ProfileErrors> profile{};
  // Of profile_export.jsonl, warm-up left out: start_s, queue_ms, ttft_ms, tpot_ms, e2el_ms, isl,
  // osl, hit, computed, rebuilt, preemptions, session, and of a cluster replica and retries. A
  // refused request has its start and isl.
  ColumnSet requests{};
  ColumnSet timeline{};  // of timeline.csv, as it is
  // The same of each replica and of each attention rank, as they are; none where there is but one.
  ColumnSet replicas{}, ranks{};
  ColumnSet windows{};  // of a cluster's windows.csv, as it is
  std::vector<ReportEvent> events{};
  std::int64_t events_left_out = 0;
  // Of steps.csv: begin_s, time_ms, decode_tokens, decode_past, prefill_tokens, rebuild_tokens.
  ColumnSet steps{};
  SteadyState steady{};
};

// Throws InputError with file, line and column of what is wrong; of the files only summary.json
// must be there.
ReportRun read_report_run(const std::string& directory);

// Labels runs by what differs between them: scenario, model, policy, ...; by their directories where
// nothing does.
void label_runs(std::vector<ReportRun>& runs);

}  // namespace v4cap
