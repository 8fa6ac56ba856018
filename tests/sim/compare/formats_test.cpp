// What each tool's file says, under one set of definitions; expected values are worked out by hand.
#include <doctest/doctest.h>

#include "sim/compare/measured_run.h"
#include "sim/core/error.h"
#include "tests/sim/compare/run_texts.h"
#include "tests/temp_dir.h"

namespace v4cap {

namespace {

double value(const MeasuredRun& run, const char* name) {
  CAPTURE(name);
  REQUIRE(run.figure(name).has_value());
  return *run.figure(name);
}

// What reading the file is refused with.
std::string fault(const std::string& path) {
  try {
    read_measured_run(path);
  } catch (const InputError& error) {
    return error.what();
  }
  return "";
}

}  // namespace

TEST_CASE("compare formats: AIPerf records, without warm-up and failed requests") {
  const TempDir dir;
  std::string text =
      aiperf_line({.id = "w", .start_s = 0, .ttft_ms = 9e6, .e2el_ms = 9e7}, "warmup");
  text += aiperf_line({.id = "a", .start_s = 1, .ttft_ms = 100, .e2el_ms = 300, .prompt = 40},
                      "profiling", R"(,"inter_chunk_latency":{"value":[10,30],"unit":"ms"})");
  text += aiperf_line({.id = "f", .start_s = 1.5}, "profiling", "", R"({"code":499})");
  text += aiperf_line(
      {.id = "b", .start_s = 2, .ttft_ms = 200, .e2el_ms = 1000, .prompt = 60, .output = 1});
  const MeasuredRun run = read_measured_run(dir.write("profile_export.jsonl", text));
  CHECK(run.format == "per-request records (AIPerf's form)");
  CHECK(value(run, "requests") == 2);
  CHECK(value(run, "failed") == 1);
  CHECK(value(run, "duration") == doctest::Approx(2));  // from 1 s to 3 s
  CHECK(value(run, "ttft_mean") == doctest::Approx(150));
  CHECK(value(run, "ttft_p90") == doctest::Approx(190));
  CHECK(value(run, "tpot_p50") == doctest::Approx(20));  // of one token there is none
  CHECK(run.sample(Latency::tpot).size() == 1);
  CHECK(value(run, "itl_mean") == doctest::Approx(20));
  CHECK(value(run, "e2el_p50") == doctest::Approx(650));
  CHECK(value(run, "throughput_output") == doctest::Approx(6));
  CHECK(value(run, "throughput_total") == doctest::Approx(56));
  CHECK(value(run, "throughput_request") == doctest::Approx(1));
  CHECK_FALSE(run.figure("hit_rate").has_value());
  CHECK_FALSE(run.figure("kv_peak").has_value());
  REQUIRE(run.requests.size() == 2);
  CHECK(run.requests[1].id == "b");
  CHECK_FALSE(run.requests[1].tpot_ms.has_value());
}

TEST_CASE("compare formats: AIPerf's summary, its ITL is our TPOT and its ideal is no hit rate") {
  const TempDir dir;
  const MeasuredRun run = read_measured_run(dir.write("x.json", kAiperfSummary));
  CHECK(run.format == "summary of AIPerf");
  CHECK(value(run, "ttft_p99") == 200);
  CHECK(value(run, "tpot_p50") == 20);
  CHECK_FALSE(run.figure("tpot_p90").has_value());
  CHECK(value(run, "itl_p50") == 40);
  CHECK(value(run, "e2el_p90") == 3000);  // given in seconds
  CHECK(value(run, "throughput_output") == 640);
  CHECK(value(run, "duration") == 10);
  CHECK_FALSE(run.figure("hit_rate").has_value());
  CHECK(run.requests.empty());
}

TEST_CASE("compare formats: vLLM's summary has a p99 and no p90, and 0 for what it did not see") {
  const TempDir dir;
  const MeasuredRun run = read_measured_run(dir.write("x.json", kVllmSummary));
  CHECK(run.format == "result of vllm bench serve");
  CHECK(value(run, "ttft_p50") == 150);
  CHECK(value(run, "ttft_p99") == 199);
  CHECK_FALSE(run.figure("ttft_p90").has_value());
  CHECK_FALSE(run.figure("itl_mean").has_value());
  CHECK_FALSE(run.figure("e2el_mean").has_value());
  CHECK(value(run, "throughput_total") == 21.4);
  CHECK(value(run, "failed") == 1);
}

TEST_CASE("compare formats: vLLM's detailed lists give every statistic, without what failed") {
  const TempDir dir;
  const MeasuredRun run = read_measured_run(dir.write("x.json", vllm_detailed()));
  REQUIRE(run.requests.size() == 2);
  CHECK(value(run, "ttft_p90") == doctest::Approx(190));
  CHECK(value(run, "ttft_p99") == doctest::Approx(199));  // not the 1.0 that the file says
  CHECK(value(run, "e2el_mean") == doctest::Approx((200 + 230) / 2.0));
  CHECK(value(run, "tpot_mean") == doctest::Approx((10 + 15) / 2.0));
  CHECK(value(run, "itl_mean") == doctest::Approx(130 / 11.0));  // gaps, pooled
  CHECK(run.requests[0].id.empty());

  const MeasuredRun newer =
      read_measured_run(dir.write("y.json", vllm_detailed(R"(, "latencies": [0.3, 0.0, 0.25])")));
  CHECK(value(newer, "e2el_mean") == doctest::Approx(275));
}

TEST_CASE("compare formats: SGLang's benchmark, one run a line") {
  const TempDir dir;
  const std::string run_line =
      R"({"backend":"sglang","request_rate":4.0,"max_concurrency":8,"duration":10.0,"completed":2,)"
      R"("total_input_tokens":100,"total_output_tokens":20,"request_throughput":0.2,)"
      R"("input_throughput":10.0,"output_throughput":2.0,"mean_e2e_latency_ms":250.0,)"
      R"("median_e2e_latency_ms":240.0,"p99_e2e_latency_ms":290.0,"mean_ttft_ms":100.0,)"
      R"("median_ttft_ms":90.0,"p99_ttft_ms":199.0,"mean_tpot_ms":12.0,"median_tpot_ms":11.0,)"
      R"("p99_tpot_ms":15.0,"mean_itl_ms":0.0,"concurrency":7.5)";
  const MeasuredRun run = read_measured_run(dir.write("x.jsonl", run_line + "}\n"));
  CHECK(run.format == "result of SGLang's bench_serving");
  CHECK(value(run, "requests") == 2);
  CHECK(value(run, "e2el_mean") == 250);
  CHECK(value(run, "e2el_p50") == 240);
  CHECK(value(run, "e2el_p99") == 290);
  CHECK(value(run, "tpot_p50") == 11);
  CHECK_FALSE(run.figure("itl_mean").has_value());
  CHECK(value(run, "throughput_total") == 12);  // older versions say input and output only
  CHECK_FALSE(run.figure("failed").has_value());

  // The last of several runs; lists count before statistics.
  const std::string detailed =
      run_line + R"(,"total_throughput":11.0,"ttfts":[0.1,0.3],)" +
      R"("itls":[[0.05,0.05],[0.1]],"output_lens":[3,2],"errors":["",""]})";
  const MeasuredRun last =
      read_measured_run(dir.write("y.jsonl", run_line + "}\n" + detailed + "\n"));
  CHECK(value(last, "throughput_total") == 11);
  CHECK(value(last, "ttft_mean") == doctest::Approx(200));
  CHECK(value(last, "e2el_mean") == doctest::Approx(300));
  CHECK(value(last, "tpot_mean") == doctest::Approx(75));
  CHECK(last.notes.back() == "the last of 2 runs in the file");
  CHECK(fault(dir.write("z.jsonl", run_line)).find("z.jsonl:1:") != std::string::npos);  // cut
}

TEST_CASE("compare formats: InferenceX's rows count GPUs by their own rules") {
  const TempDir dir;
  const std::string times = R"("mean_ttft":0.5,"median_ttft":0.4,"p99_ttft":0.9,"mean_tpot":0.02,)"
                            R"("median_tpot":0.019,"mean_e2el":3.0,"median_intvty":52.6})";
  const std::string rates = R"("tput_per_gpu":100.0,"output_tput_per_gpu":40.0,)";
  const auto row = [&](const std::string& deployment) {
    return read_measured_run(
        dir.write("r.json", R"({"hw":"b200","conc":64,)" + deployment + rates + times));
  };
  const MeasuredRun single = row(R"("tp":8,"pp":1,"pcp_size":2,"ep":8,"disagg":false,)");
  CHECK(single.format == "row of InferenceX");
  CHECK(value(single, "ttft_mean") == 500);
  CHECK(value(single, "ttft_p50") == 400);
  CHECK(value(single, "ttft_p99") == 900);
  CHECK(value(single, "tpot_p50") == 19);
  CHECK(value(single, "e2el_mean") == 3000);
  CHECK_FALSE(single.figure("tpot_p99").has_value());
  CHECK(value(single, "throughput_total") == 1600);
  CHECK(value(single, "throughput_output") == 640);
  CHECK(value(row(R"("tp":4,)"), "throughput_total") == 400);  // older rows
  const MeasuredRun apart = row(R"("disagg":true,"num_prefill_gpu":8,"num_decode_gpu":24,)");
  CHECK(value(apart, "throughput_total") == 3200);
  CHECK(value(apart, "throughput_output") == 960);  // over the decode GPUs
  CHECK(fault(dir.write("w.json", R"({"hw":"b200","tp":"8","tput_per_gpu":1.0})"))
            .find("w.json:1:") != std::string::npos);
}

TEST_CASE("compare formats: a run directory is read from the files that are there") {
  const TempDir dir;
  const std::vector<OneRequest> two = {
      {.id = "request-0", .ttft_ms = 100, .e2el_ms = 300, .hit = 25, .rebuilt = 7},
      {.id = "request-1", .ttft_ms = 200, .e2el_ms = 500, .hit = 75, .rebuilt = 1}};
  dir.write("a/profile_export.jsonl", our_records(two));
  dir.write("a/summary.json", our_summary(2, 3, 1.5));
  const MeasuredRun run = read_measured_run(dir / "a");
  CHECK(run.format == "directory of a run");
  CHECK(value(run, "ttft_mean") == 150);  // of the records, not of the summary
  CHECK(value(run, "hit_rate") == 0.5);
  CHECK(value(run, "rebuilt_tokens") == 8);
  CHECK(value(run, "preemptions") == 2);
  CHECK(value(run, "kv_peak") == 4.5);
  CHECK(value(run, "kv_peak_swa") == 1.5);

  dir.write("b/profile_export.jsonl", our_records(two));
  dir.write("b/timeline.csv",
            "time_s,running,waiting,csa_in_use_bytes,csa_cached_bytes,hca_in_use_bytes,"
            "hca_cached_bytes,indexer_in_use_bytes,indexer_cached_bytes,swa_in_use_bytes,"
            "swa_cached_bytes,tails_in_use_bytes,tails_cached_bytes,kv_in_use_bytes,"
            "kv_cached_bytes\n0.0,1,0,1073741824,1073741824,0,0,0,0,0,0,0,0,0,0\n"
            "1.0,1,0,1073741824,0,0,0,0,0,1073741824,0,0,0,0,0\n");
  const MeasuredRun sampled = read_measured_run(dir / "b");
  CHECK(value(sampled, "kv_peak_csa") == 2);
  CHECK(value(sampled, "kv_peak_swa") == 1);
  CHECK(value(sampled, "kv_peak") == 3);
}

TEST_CASE("compare formats: our own summary alone") {
  const TempDir dir;
  const MeasuredRun run = read_measured_run(dir.write("s.json", our_summary(1, 2, 1)));
  CHECK(run.format == "summary of v4cap");
  CHECK(value(run, "ttft_p50") == 1);
  CHECK_FALSE(run.figure("ttft_p90").has_value());  // null in the file
}

TEST_CASE("compare formats: a run in which nothing finished has no latencies and no rates") {
  const TempDir dir;
  const std::string text = aiperf_line({.id = "f"}, "profiling", "", R"({"code":400})");
  const MeasuredRun run = read_measured_run(dir.write("x.jsonl", text));
  CHECK(value(run, "requests") == 0);
  CHECK(value(run, "failed") == 1);
  CHECK(run.figures.size() == 2);
}

TEST_CASE("compare formats: broken files are refused where they are broken") {
  const std::string good = aiperf_line({.id = "a", .ttft_ms = 1, .e2el_ms = 2});
  const auto with = [&](const std::string& from, const std::string& to, std::string text) {
    const std::size_t at = text.find(from);
    REQUIRE(at != std::string::npos);
    return text.replace(at, from.size(), to);
  };
  const std::string folder_summary = our_summary(2, 1, 1);
  struct Row {
    std::string name, file, text, message;
  };
  const std::vector<Row> rows = {
      {"no such run", "", "", "x:"},
      {"empty file", "x.json", "", "empty"},
      {"some text", "x.json", "hello\n", "expected a run"},
      {"another JSON", "x.json", "{\"a\": 1}\n", "expected a run"},
      {"cut record", "x.jsonl", good + good.substr(0, 300), "x.jsonl:2:301: "},
      {"second line is no object", "x.jsonl", good + "[]\n", "x.jsonl:2:1: expected an object"},
      {"latency as text", "x.jsonl", with("\"value\":1,", "\"value\":\"1\",", good), "x.jsonl:1:"},
      {"negative latency", "x.jsonl", with("\"value\":1,", "\"value\":-1,", good),
       "expected a number from 0"},
      {"unit of what", "x.jsonl", with("\"unit\":\"ms\"", "\"unit\":\"parsec\"", good),
       "expected ms, sec, s, us or ns"},
      {"no unit", "x.jsonl", with(",\"unit\":\"ms\"", "", good), "expected key 'unit'"},
      {"end before start", "x.jsonl",
       with("\"request_end_ns\":2000000", "\"request_end_ns\":0",
            with("\"request_start_ns\":0", "\"request_start_ns\":5", good)),
       "expected an end after the start"},
      {"same id twice", "x.jsonl", good + good, "x.jsonl:2:"},
      {"unknown phase", "x.jsonl", with("profiling", "profile", good), "'warmup' or 'profiling'"},
      {"no start", "x.jsonl", with("request_start_ns", "request_begin_ns", good),
       "expected key 'request_start_ns'"},
      {"a key twice", "x.jsonl", with("\"was_cancelled\":false", "\"x_request_id\":\"b\"", good),
       "expected each key once"},
      {"summary of another version", "x.json", our_summary(1, 1, 1, "7"),
       "x.json:2:26: 'definitions_version': expected 1"},
      {"peak that is no number", "x.json",
       with("\"csa\": 1", "\"csa\": true", our_summary(1, 1, 1)),
       "x.json:6:26: 'csa': expected a number"},
      {"AIPerf statistic as text", "x.json",
       with("\"p50\": 100", "\"p50\": \"100\"", kAiperfSummary), "x.json:5:60: 'p50'"},
      {"AIPerf without metrics", "x.json",
       "{\"schema_version\": \"1.5\", \"benchmark_id\": \"b\"}\n", "expected a metric of AIPerf"},
      {"vLLM throughput as text", "x.json",
       with("\"duration\": 10.0", "\"duration\": \"10\"", kVllmSummary), "x.json:2:31: 'duration'"},
      {"vLLM cut", "x.json", std::string(kVllmSummary).substr(0, 300), "expected the rest"},
      {"vLLM lists of different lengths", "x.json", with("[11, 0, 3]", "[11, 0]", vllm_detailed()),
       "one entry for each of the 3"},
      {"vLLM gaps that are no list", "x.json", with("[0.03]", "0.03", vllm_detailed()),
       "expected an array"},
      {"vLLM, two results appended", "x.json", std::string(kVllmSummary) + kVllmSummary,
       "x.json:7:1: expected the end"},
      {"a folder of something else", "x/other.txt", "hello\n", "expected the directory of a run"},
      {"records and summary of different runs", "x/summary.json", folder_summary,
       "expected the summary of 1 requests"},
  };
  for (const Row& row : rows) {
    CAPTURE(row.name);
    const TempDir dir;
    if (!row.file.empty()) dir.write(row.file, row.text);
    if (row.name.starts_with("records")) dir.write("x/profile_export.jsonl", good);
    const std::string path = dir / row.file.substr(0, row.file.find('/'));
    std::string message;
    try {
      read_measured_run(row.file.empty() ? dir / "x" : path);
    } catch (const InputError& e) {
      message = e.what();
    }
    CAPTURE(message);
    CHECK(message.find(row.message) != std::string::npos);
  }
}

}  // namespace v4cap
