// One side of a comparison: what a run directory or a benchmark's file says, under one set of
// definitions (sim/output/metrics.h). What a tool did not record is absent, never guessed.
//
//   figure                 is                                                    unit
//   ttft_*                 first token - start of the request                    ms
//   tpot_*                 (E2EL - TTFT) / (output - 1) of a request             ms
//   itl_*                  every gap between tokens, of all requests             ms
//   e2el_*                 end - start of the request                            ms
//     each as _mean, _p50, _p90 and _p99 over the requests that finished
//   throughput_output, throughput_total, throughput_request                      tok/s, 1/s
//   duration               first start to last end                               s
//   requests, failed       that finished; that were refused or failed
//   hit_rate               prompt tokens from the cache / prompt tokens          0..1
//   rebuilt_tokens, recomputed_tokens (after preemption), preemptions
//   kv_peak_<kind>         largest amount of memory of a cache kind, of one GPU  GiB
//   kv_peak                the sum of them, each of its own time
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "sim/core/registry.h"

namespace v4cap {

enum class Latency : std::uint8_t { ttft, tpot, itl, e2el };
inline constexpr std::array<Latency, 4> kLatencies = {Latency::ttft, Latency::tpot, Latency::itl,
                                                      Latency::e2el};
std::string_view name_of(Latency latency);   // "ttft", as figures begin
std::string_view label_of(Latency latency);  // "TTFT", as tables show it

// A request that finished. ITL is not of a request.
struct MeasuredRequest {
  std::string id;  // "" when the tool records none
  std::optional<double> ttft_ms, tpot_ms, e2el_ms;
};

struct MeasuredRun {
  std::string path, format;
  // By the names above; one that is not there was not recorded.
  std::map<std::string, double, std::less<>> figures;
  // Single values in ms, ascending; empty where a tool gives statistics only.
  std::array<std::vector<double>, 4> samples;
  std::vector<MeasuredRequest> requests;
  std::vector<std::string> notes;  // what must be known of the tool's definitions

  std::optional<double> figure(std::string_view name) const;
  std::vector<double>& sample(Latency latency) {
    return samples[static_cast<std::size_t>(latency)];
  }
  const std::vector<double>& sample(Latency latency) const {
    return samples[static_cast<std::size_t>(latency)];
  }
  // Sorts `values` into the sample of `latency` and sets its four figures. Nothing when empty.
  void describe_latency(Latency latency, std::vector<double> values);
};

// What a reader is chosen by: whether the path is a directory, and how its text begins.
struct RunSource {
  std::string path;
  bool is_directory = false;
  std::string head;  // at most 64 KiB, decompressed; "" of a directory
};

// One format of runs, in a file of its own, registered by name.
struct RunFormat {
  std::string_view summary;  // for people, a few words
  bool (*sniff)(const RunSource& source);
  MeasuredRun (*read)(const std::string& path);
};
using RunFormats = Registry<RunFormat>;

// The run that `path` holds, in the one format that knows it. Throws InputError with file, line and
// column of what is wrong.
MeasuredRun read_measured_run(const std::string& path);

// The text of a file with its lines ended by '\n', for documents of several lines.
std::string read_document(const std::string& path);

}  // namespace v4cap
