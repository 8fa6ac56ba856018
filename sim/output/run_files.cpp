// Which files a run directory holds and who writes each.
#include "sim/output/aiperf.h"
#include "sim/output/run_directory.h"
#include "sim/output/summary_json.h"
#include "sim/output/timeline.h"

namespace v4cap {

std::vector<RunFile> run_files(const RunResult& result, const RunSummary& summary,
                               const std::string& resolved_yaml) {
  std::vector<RunFile> files{
      {"scenario.resolved.yaml", [&](const TextSink& sink) { sink(resolved_yaml); }},
      {"profile_export_aiperf.json", [&](const TextSink& sink) { sink(aiperf_summary(summary)); }},
      {"summary.json",
       [&](const TextSink& sink) { sink(summary_json(summary, WallTime::left_out)); }},
      {"timeline.csv", [&](const TextSink& sink) { write_timeline(result.occupancy, sink); }},
  };
  if (!result.digest) {  // else they were written while the run went on
    files.push_back({kRecordsFile, [&](const TextSink& sink) {
                       const RecordOf of = result.cluster ? RecordOf::cluster : RecordOf::replica;
                       write_aiperf_records(result.warmup, sink, BenchmarkPhase::warmup, of);
                       write_aiperf_records(result.records, sink, BenchmarkPhase::profiling, of);
                     }});
  }
  if (has_rank_timelines(result)) {
    files.push_back(
        {"timeline_ranks.csv", [&](const TextSink& sink) { write_rank_timelines(result, sink); }});
  }
  if (!result.cluster) return files;
  files.push_back({"timeline_replicas.csv",
                   [&](const TextSink& sink) { write_timelines(result.cluster->replicas, sink); }});
  files.push_back(
      {"windows.csv", [&](const TextSink& sink) { write_windows(*summary.cluster, sink); }});
  files.push_back({"cluster_events.csv",
                   [&](const TextSink& sink) { write_cluster_events(*result.cluster, sink); }});
  return files;
}

const std::vector<std::string>& optional_run_files() {
  static const std::vector<std::string> names{"timeline_ranks.csv", "timeline_replicas.csv",
                                              "windows.csv", "cluster_events.csv", "margin.json"};
  return names;
}

}  // namespace v4cap
