// AIPerf's profile_export.jsonl, and that of a run directory of ours, which has the same form: one
// request a line. Lines of the warm-up are left out, lines with an error counted. ITL are the gaps
// between chunks as they came (inter_chunk_latency); AIPerf's inter_token_latency is what vLLM and
// we call TPOT. Throughput is over the time from the first start of any request to the last end of
// one that finished.
#include <algorithm>
#include <limits>
#include <set>

#include "sim/compare/aiperf_units.h"
#include "sim/compare/measured_run.h"
#include "sim/core/json.h"
#include "sim/core/text_file.h"

namespace v4cap {

namespace {

constexpr std::int64_t kNsMax = std::numeric_limits<std::int64_t>::max();
constexpr double kTokensMax = 1e12;

bool sniff(const RunSource& source) {
  const std::string_view line = std::string_view(source.head).substr(0, source.head.find('\n'));
  return line.find("\"metadata\"") != std::string_view::npos &&
         line.find("\"metrics\"") != std::string_view::npos;
}

// Sums over requests that are recorded only when every one of them has the metric.
struct Sum {
  double value = 0;
  std::int64_t count = 0;
  void add(JsonValue metrics, const char* tag) {
    const JsonValue metric = metrics.find(tag);
    if (!metric) return;
    value += metric.at("value").number(0, kTokensMax);
    ++count;
  }
};

class Records {
 public:
  void add(JsonValue line) {
    const JsonValue metadata = line.at("metadata");
    if (const JsonValue phase = metadata.find("benchmark_phase")) {
      if (phase.string() == "warmup") return;
      if (phase.string() != "profiling") phase.fail("expected 'warmup' or 'profiling'");
    }
    const JsonValue start = metadata.at("request_start_ns");
    const std::int64_t start_ns = start.integer(0, kNsMax);
    first_start_ = std::min(first_start_, start_ns);
    const JsonValue cancelled = metadata.find("was_cancelled");
    if (line.find("error") || (cancelled && cancelled.boolean())) {
      ++failed_;
      return;
    }
    const JsonValue end = metadata.at("request_end_ns");
    const std::int64_t end_ns = end.integer(0, kNsMax);
    if (end_ns < start_ns) end.fail("'request_end_ns': expected an end after the start");
    last_end_ = std::max(last_end_, end_ns);
    add_finished(metadata, line.at("metrics"));
  }

  MeasuredRun finish() {
    for (const Latency latency : kLatencies) {
      run_.describe_latency(latency, std::move(values_[static_cast<std::size_t>(latency)]));
    }
    const auto finished = static_cast<std::int64_t>(run_.requests.size());
    run_.figures["requests"] = static_cast<double>(finished);
    run_.figures["failed"] = static_cast<double>(failed_);
    if (finished > 0) add_rates(finished);
    if (!values_of_chunks_) return std::move(run_);
    run_.notes.push_back("ITL are gaps between chunks, of which one may hold several tokens");
    return std::move(run_);
  }

 private:
  void add_finished(JsonValue metadata, JsonValue metrics) {
    MeasuredRequest request;
    if (const JsonValue id = metadata.find("x_request_id")) {
      request.id = id.string();
      if (!ids_.insert(request.id).second) id.fail("'x_request_id': expected each id once");
    }
    const auto latency = [&](Latency which, const char* tag) {
      const JsonValue metric = metrics.find(tag);
      if (!metric) return std::optional<double>{};
      const double ms = metric.at("value").number(0, kMsMax) * ms_per_unit(metric.at("unit"));
      values_[static_cast<std::size_t>(which)].push_back(ms);
      return std::optional<double>{ms};
    };
    request.ttft_ms = latency(Latency::ttft, "time_to_first_token");
    request.tpot_ms = latency(Latency::tpot, "inter_token_latency");
    request.e2el_ms = latency(Latency::e2el, "request_latency");
    if (const JsonValue chunks = metrics.find("inter_chunk_latency")) {
      const double factor = ms_per_unit(chunks.at("unit"));
      values_of_chunks_ = true;
      for (const JsonValue gap : chunks.at("value").array()) {
        values_[static_cast<std::size_t>(Latency::itl)].push_back(gap.number(0, kMsMax) * factor);
      }
    }
    prompt_.add(metrics, "input_sequence_length");
    output_.add(metrics, "output_sequence_length");
    hit_.add(metrics, "hit_tokens");
    rebuilt_.add(metrics, "rebuilt_tokens");
    recomputed_.add(metrics, "recomputed_after_preemption");
    preemptions_.add(metrics, "preemptions");
    run_.requests.push_back(std::move(request));
  }

  void add_rates(std::int64_t finished) {
    const auto known = [&](const Sum& sum) { return sum.count == finished; };
    const double seconds = static_cast<double>(last_end_ - first_start_) / 1e9;
    auto& figures = run_.figures;
    figures["duration"] = seconds;
    if (seconds > 0) {
      figures["throughput_request"] = static_cast<double>(finished) / seconds;
      if (known(output_)) figures["throughput_output"] = output_.value / seconds;
      if (known(output_) && known(prompt_)) {
        figures["throughput_total"] = (prompt_.value + output_.value) / seconds;
      }
    }
    if (known(hit_) && known(prompt_) && prompt_.value > 0) {
      figures["hit_rate"] = hit_.value / prompt_.value;
    }
    if (known(rebuilt_)) figures["rebuilt_tokens"] = rebuilt_.value;
    if (known(recomputed_)) figures["recomputed_tokens"] = recomputed_.value;
    if (known(preemptions_)) figures["preemptions"] = preemptions_.value;
  }

  MeasuredRun run_;
  std::array<std::vector<double>, 4> values_;
  bool values_of_chunks_ = false;
  std::set<std::string> ids_;
  std::int64_t first_start_ = kNsMax, last_end_ = 0, failed_ = 0;
  Sum prompt_, output_, hit_, rebuilt_, recomputed_, preemptions_;
};

MeasuredRun read(const std::string& path) {
  TextFile file(path, {.line_bytes = std::int64_t{1} << 28});
  JsonLine line;
  Records records;
  while (file.next()) {
    records.add(parse_json_object(line, file.line(), file.place(), !file.line_is_terminated()));
  }
  return records.finish();
}

const bool registered =
    RunFormats::add("aiperf-records", {"per-request records (AIPerf's form)", sniff, read});

}  // namespace

}  // namespace v4cap
