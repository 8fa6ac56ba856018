// What v4cap writes in the form of other tools, v4cap reads as the same run.
#include <doctest/doctest.h>

#include <boost/json.hpp>
#include <filesystem>

#include "sim/compare/comparison.h"
#include "sim/output/export_format.h"
#include "tests/golden.h"
#include "tests/sim/app/program_run.h"
#include "tests/temp_dir.h"

using namespace v4cap;

namespace {

const std::string kQuickstart = std::string(V4CAP_SOURCE_DIR) + "/scenarios/quickstart.yaml";

// Of doubles that went through another unit and back.
constexpr double kRounding = 1e-9;

// A run of the quickstart, exported in every form, once for all tests.
const std::string& exported() {
  static const TempDir folder;
  static const std::string path = [] {
    const std::string out = folder / "run";
    const ProgramRun run =
        run_v4cap({"simulate", kQuickstart, "--out", out, "--export", "vllm-bench,inferencex",
                   "--set", "engine.max_context_tokens=30000"});
    CHECK((run.code == ExitCode::done || run.code == ExitCode::slo_missed));
    return out;
  }();
  return path;
}

// Figures that both runs have, all of which must be the same.
std::size_t equal_figures(const MeasuredRun& a, const MeasuredRun& b) {
  std::size_t shared = 0;
  for (const auto& [name, value] : a.figures) {
    const auto other = b.figure(name);
    if (!other) continue;
    CAPTURE(name);
    CHECK(*other == doctest::Approx(value).epsilon(kRounding));
    ++shared;
  }
  return shared;
}

}  // namespace

TEST_CASE("export: a run and its vLLM result are the same run") {
  const MeasuredRun run = read_measured_run(exported());
  const MeasuredRun other = read_measured_run(exported() + "/vllm_bench.json");
  CHECK(other.format == "result of vllm bench serve");
  CHECK(run.figure("failed").value_or(0) > 0);  // refused requests are in the lists, too
  CHECK(equal_figures(run, other) == 12 + 6);
  REQUIRE(other.requests.size() == run.requests.size());
  for (std::size_t i = 0; i < run.requests.size(); ++i) {
    REQUIRE(run.requests[i].e2el_ms.has_value());
    CHECK(other.requests[i].e2el_ms.value_or(-1) ==
          doctest::Approx(*run.requests[i].e2el_ms).epsilon(kRounding));
  }
}

TEST_CASE("export: the statistics of a vLLM result are those of its lists") {
  const std::string text = file_text(exported() + "/vllm_bench.json");
  boost::json::object document = boost::json::parse(text).as_object();
  for (const char* list : {"ttfts", "latencies", "output_lens", "errors"}) document.erase(list);
  const TempDir folder;
  const std::string summary = folder.write("summary.json", boost::json::serialize(document));
  CHECK(equal_figures(read_measured_run(exported()), read_measured_run(summary)) == 12 + 6);
}

TEST_CASE("export: a run and its InferenceX row are the same run") {
  const MeasuredRun other = read_measured_run(exported() + "/inferencex_row.json");
  CHECK(other.format == "row of InferenceX");
  CHECK(equal_figures(read_measured_run(exported()), other) == 12 + 2);
  const auto row = boost::json::parse(file_text(exported() + "/inferencex_row.json")).as_object();
  CHECK(row.at("hw").as_string() == "b200");
  CHECK(row.at("tp").as_int64() == 8);
  CHECK(row.at("precision").as_string() == "fp4");
  CHECK(row.at("median_intvty").as_double() ==
        doctest::Approx(1 / row.at("median_tpot").as_double()));
  CHECK(row.at("tput_per_gpu").as_double() ==
        doctest::Approx(row.at("input_tput_per_gpu").as_double() +
                        row.at("output_tput_per_gpu").as_double()));
}

TEST_CASE("export: AIPerf's files of a run are the same run") {
  const MeasuredRun run = read_measured_run(exported());
  for (const char* file : {"/profile_export.jsonl", "/profile_export_aiperf.json"}) {
    CAPTURE(file);
    CHECK(equal_figures(run, read_measured_run(exported() + file)) >= 18);
  }
}

TEST_CASE("export: v4cap compare finds no error between a run and any of its exports") {
  for (const std::string& name : ExportFormats::names()) {
    CAPTURE(name);
    const std::string file = exported() + '/' + std::string(ExportFormats::find(name)->file);
    const ProgramRun run = run_v4cap({"compare", exported(), file, "--json", "--limit",
                                      "ttft=0.000001", "--limit", "tpot=0.000001", "--limit",
                                      "e2el=0.000001", "--limit", "throughput_total=0.000001"});
    CHECK(run.code == ExitCode::done);
  }
}

TEST_CASE("export: the same run gives the same bytes, and wrong use is refused before it") {
  const TempDir folder;
  const std::string out = folder / "again";
  run_v4cap({"simulate", kQuickstart, "--out", out, "--export", "inferencex", "vllm-bench", "--set",
             "engine.max_context_tokens=30000"});
  for (const char* file : {"/vllm_bench.json", "/inferencex_row.json"}) {
    CHECK(file_text(out + file).size() > 500);
    CHECK(file_text(out + file) == file_text(exported() + file));
  }
  const ProgramRun homeless = run_v4cap({"simulate", kQuickstart, "--export", "vllm-bench"});
  CHECK(homeless.code == ExitCode::bad_input);
  CHECK(homeless.err == "--export: expected --out DIR, the folder to write into\n");
}
