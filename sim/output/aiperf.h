// AIPerf's result files, so that what reads a measured run reads a simulated one. Field names,
// units and which statistics a metric carries follow AIPerf's "profile_export_aiperf.json Schema"
// page, schema 1.5, and its guide to profile exports. What we add (hit_tokens, source,
// simulator_version, definitions_version, ...) stands beside their fields, which both formats
// allow.
//
// Times are simulated nanoseconds from 0, dates therefore of 1 January 1970. Nothing of the machine
// or the moment that produced a file is in it: equal runs give equal bytes.
//
//   profile_export.jsonl          one line a request, finished or refused: a client's warm-up in
//                                 order of its end, then the others in the workload's order
//   profile_export_aiperf.json    one document a run
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "sim/output/record.h"
#include "sim/output/run_summary.h"
#include "sim/output/text_sink.h"

namespace v4cap {

// The error of a refused request: what serving engines answer to a request that can never fit.
inline constexpr int kRefusedCode = 400;
inline constexpr const char* kRefusedType = "RequestRefused";
inline constexpr const char* kRefusedMessage =
    "prompt and output exceed the context limit or the KV memory of the deployment";

// Of one that was lost with its replica too often.
inline constexpr int kFailedCode = 503;
inline constexpr const char* kFailedType = "RequestFailed";
inline constexpr const char* kFailedMessage =
    "lost with its replica more often than it may be sent again";

// AIPerf's benchmark_phase. Warm-up requests are in no summary.
enum class BenchmarkPhase : std::uint8_t { warmup, profiling };

// Records of a cluster say which replica ended a request and how often it was sent again, as
// metrics of our own.
enum class RecordOf : std::uint8_t { replica, cluster };

// One line of profile_export.jsonl, without the newline.
std::string aiperf_record(const RequestRecord& record,
                          BenchmarkPhase phase = BenchmarkPhase::profiling,
                          RecordOf of = RecordOf::replica);

void write_aiperf_records(const std::vector<RequestRecord>& records, const TextSink& sink,
                          BenchmarkPhase phase = BenchmarkPhase::profiling,
                          RecordOf of = RecordOf::replica);

inline constexpr const char* kRecordsFile = "profile_export.jsonl";

// The same for records that come one by one and are not kept: lines are handed on many at a time.
class RecordStream {
 public:
  explicit RecordStream(TextSink sink, RecordOf of = RecordOf::replica)
      : sink_(std::move(sink)), of_(of) {}
  void add(const RequestRecord& record);
  void flush();  // what is left, after the last

 private:
  TextSink sink_;
  RecordOf of_;
  std::string lines_;
};

// The whole of profile_export_aiperf.json. `std` is the sample standard deviation, as AIPerf
// defines it.
std::string aiperf_summary(const RunSummary& summary);

}  // namespace v4cap
