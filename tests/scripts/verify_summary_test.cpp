// scripts/verify_summary.py computes a summary again from the per-request records: a second
// implementation of the definitions in sim/output/metrics.h, and a check that what we write is
// JSON.
#include <doctest/doctest.h>
#include <sys/wait.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <memory>

#include "sim/output/aiperf.h"
#include "sim/output/run_directory.h"
#include "tests/golden.h"
#include "tests/sim/output/sample_run.h"
#include "tests/temp_dir.h"

using namespace v4cap;

namespace {

int verify(const std::string& directory) {
  const std::string command = "python3 '" + std::string(V4CAP_SOURCE_DIR) +
                              "/scripts/verify_summary.py' '" + directory + "' > '" + directory +
                              "/verify.log' 2>&1";
  const int status = std::system(command.c_str());
  return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

void replace_in(const std::string& path, const std::string& from, const std::string& to) {
  std::string text = file_text(path);
  const std::size_t at = text.find(from);
  REQUIRE(at != std::string::npos);
  text.replace(at, from.size(), to);
  std::ofstream(path) << text;
}

void write_run(const std::string& path, const RunResult& run) {
  const RunSummary summary = summarise(run, sample_identity());
  RunDirectory{path, true}.write(run_files(run, summary, "seed: 7\n"));
}

}  // namespace

TEST_CASE("verify script: agrees with the sample and notices every change") {
  const TempDir tmp;
  struct Row {
    std::string name;
    const char* file;
    const char* from;
    const char* to;
    int exit_code;
  };
  const Row rows[] = {
      {"as written", "profile_export_aiperf.json", "\"avg\"", "\"avg\"", 0},
      {"another p50", "profile_export_aiperf.json", "\"p50\": 100.5", "\"p50\": 100.6", 1},
      {"another record", "profile_export.jsonl", "\"value\":1024", "\"value\":1025", 1},
      {"another end", "profile_export.jsonl", "\"request_end_ns\":400500000",
       "\"request_end_ns\":400500001", 1},
      {"a metric is missing", "profile_export_aiperf.json", "\"total_isl\"", "\"total_x\"", 1},
      {"another summary", "summary.json", "\"hit_tokens\": 1280", "\"hit_tokens\": 1281", 1},
      {"a record is cut off", "profile_export.jsonl", "}\n", "\n", 1},
  };
  for (const Row& row : rows) {
    CAPTURE(row.name);
    write_run(tmp.path(), sample_run());
    replace_in(tmp / row.file, row.from, row.to);
    CHECK(verify(tmp.path()) == row.exit_code);
    CAPTURE(file_text(tmp / "verify.log"));
  }
}

TEST_CASE("verify script: a long run's quantiles are within what it states, the rest is exact") {
  const TempDir tmp;
  RunResult run = sample_run();
  auto digest = std::make_shared<MetricsDigest>();
  std::string lines;
  RecordStream stream([&](std::string_view text) { lines += text; });
  for (const RequestRecord& record : run.records) {
    digest->add(record);
    stream.add(record);
  }
  stream.flush();
  run.records.clear();
  run.digest = digest;
  write_run(tmp.path(), run);
  CHECK_FALSE(std::filesystem::exists(tmp / "profile_export.jsonl"));
  std::ofstream(tmp / "profile_export.jsonl") << lines;
  CHECK(verify(tmp.path()) == 0);
  replace_in(tmp / "profile_export_aiperf.json", "\"quantile_relative_error\": 0.0009765625",
             "\"quantile_relative_error\": 0");
  CHECK(verify(tmp.path()) == 1);
}

TEST_CASE("verify script: a run in which nothing finished") {
  const TempDir tmp;
  RunResult run;
  run.records = {{.id = 0, .end = RequestEnd::refused, .arrival = at_ms(5), .prompt = {100}}};
  run.totals.requests = run.totals.refused = 1;
  write_run(tmp.path(), run);
  CHECK(verify(tmp.path()) == 0);
}

TEST_CASE("verify script: agrees with a thousand requests of uneven times") {
  const TempDir tmp;
  RunResult run;
  std::uint64_t state = 1;
  const auto draw = [&state](std::uint64_t below) {  // Knuth's MMIX generator: any spread will do
    state = state * 6364136223846793005ULL + 1442695040888963407ULL;
    return static_cast<std::int64_t>((state >> 33) % below);
  };
  RunTotals& t = run.totals;
  for (std::uint32_t id = 0; id < 1000; ++id) {
    RequestRecord r{.id = id,
                    .session = static_cast<std::int32_t>(id / 3),
                    .turn = static_cast<std::int32_t>(id % 3)};
    r.arrival = kSimStart + Duration{draw(3'600'000'000'000)};
    r.admitted = r.arrival + Duration{draw(1'000'000'000)};
    r.first_token = r.admitted + Duration{draw(20'000'000'000)};
    r.output = {draw(50)};
    r.second_token = r.first_token + Duration{draw(30'000'000)};
    r.finished = r.second_token + Duration{r.output.value * draw(30'000'000)};
    r.hit = {draw(100'000)};
    r.computed = {1 + draw(8192)};
    r.prompt = r.hit + r.computed;
    t.prompt_tokens += r.prompt;
    t.hit_tokens += r.hit;
    t.computed_tokens += r.computed;
    t.output_tokens += r.output;
    run.records.push_back(r);
  }
  t.requests = t.finished = 1000;
  run.gpus = 8;
  write_run(tmp.path(), run);
  CHECK(verify(tmp.path()) == 0);
  INFO(file_text(tmp / "verify.log"));
}
