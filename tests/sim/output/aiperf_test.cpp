#include "sim/output/aiperf.h"

#include <doctest/doctest.h>

#include <string>

#include "tests/golden.h"
#include "tests/sim/output/sample_run.h"

using namespace v4cap;

TEST_CASE("aiperf: per-request records") {
  std::string text;
  write_aiperf_records(sample_records(), [&](std::string_view piece) { text += piece; });
  check_golden("profile_export.jsonl", text);
}

TEST_CASE("aiperf: a warm-up request says so and is like any other") {
  const RequestRecord record = sample_records()[0];
  std::string warmup = aiperf_record(record, BenchmarkPhase::warmup);
  const std::string phase = "\"benchmark_phase\":\"warmup\"";
  const std::size_t at = warmup.find(phase);
  REQUIRE(at != std::string::npos);
  warmup.replace(at, phase.size(), "\"benchmark_phase\":\"profiling\"");
  CHECK(warmup == aiperf_record(record));
}

TEST_CASE("aiperf: summary") {
  check_golden("profile_export_aiperf.json", aiperf_summary(sample_summary()));
}

TEST_CASE("aiperf: one request has a standard deviation of 0 and no NaN") {
  RunResult run;
  run.records = {sample_records()[0]};
  run.totals.requests = run.totals.finished = 1;
  run.totals.prompt_tokens = run.totals.computed_tokens = {1000};
  run.totals.output_tokens = {10};
  const std::string text = aiperf_summary(summarise(run, sample_identity()));
  CHECK(text.find("\"std\": 0,") != std::string::npos);
  CHECK(text.find("nan") == std::string::npos);
  CHECK(text.find("\"error_summary\": []") != std::string::npos);
}

TEST_CASE("aiperf: metrics that apply to no request are absent") {
  const std::string text = aiperf_summary(summarise(RunResult{}, sample_identity()));
  CHECK(text.find("time_to_first_token") == std::string::npos);
  CHECK(text.find("request_throughput") == std::string::npos);
  CHECK(text.find("\"request_count\"") != std::string::npos);
}

TEST_CASE("aiperf: nothing of the machine or the moment is written") {
  RunResult run = sample_run();
  const std::string before = aiperf_summary(summarise(run, sample_identity()));
  run.totals.wall_s = 99;
  CHECK(aiperf_summary(summarise(run, sample_identity())) == before);
}

TEST_CASE("aiperf: dates follow the simulated clock") {
  RunResult run = sample_run();
  // 59 days and 1 us later: 1 March 1970.
  const Duration shift = std::chrono::days{59} + std::chrono::microseconds{1};
  run.totals.first_arrival += shift;
  const std::string text = aiperf_summary(summarise(run, sample_identity()));
  CHECK(text.find("\"start_time\": \"1970-03-01T00:00:00.000001Z\"") != std::string::npos);
  CHECK(text.find("\"end_time\": \"1970-03-01T00:00:00.400501Z\"") != std::string::npos);
}
