// Predictions of published serving runs: what is refused, what is said, and how close they are.
#include <doctest/doctest.h>

#include <stdlib.h>

#include <algorithm>
#include <boost/json.hpp>
#include <cmath>
#include <fstream>
#include <map>
#include <optional>
#include <set>
#include <sstream>
#include <string>
#include <vector>

#include "tests/data.h"
#include "tests/sim/app/program_run.h"
#include "tests/temp_dir.h"

namespace v4cap {
namespace {

const std::string kHeader =
    "id,engine,engine_version,hw,gpus,model,weights,strategy,tp,dp_attention,moe_backend,"
    "speculative,mem_fraction,prefill_chunk,swa_full_tokens_ratio,max_running_requests,"
    "cuda_graph_max_batch,note,concurrency,num_prompts,input_len,output_len,table_coverage,"
    "ttft_ms_mean,tpot_ms_mean,nominal_total_tok_s_per_gpu,output_tok_s_per_gpu\n";

// A row that can be predicted in no time: 12 short requests.
std::map<std::string, std::string> good_row() {
  return {{"id", "x"},
          {"engine", "sglang"},
          {"engine_version", "0.5.15"},
          {"hw", "B200"},
          {"gpus", "4"},
          {"model", "deepseek-v4-flash"},
          {"weights", "fp4"},
          {"strategy", "LL"},
          {"tp", "4"},
          {"dp_attention", "1"},
          {"moe_backend", "flashinfer_mxfp4"},
          {"speculative", "eagle-3-1-4"},
          {"concurrency", "4"},
          {"num_prompts", "12"},
          {"input_len", "\"uniform(1,2048)\""},
          {"output_len", "\"uniform(1,32)\""},
          {"table_coverage", "full"},
          {"ttft_ms_mean", "100"},
          {"tpot_ms_mean", "5"},
          {"output_tok_s_per_gpu", "50"}};
}

using Cells = std::map<std::string, std::string>;

std::string row_of(const Cells& changed) {
  Cells cells = good_row();
  for (const auto& [column, text] : changed) cells[column] = text;
  std::istringstream names(kHeader.substr(0, kHeader.size() - 1));
  std::string out, name;
  while (std::getline(names, name, ',')) {
    if (!out.empty()) out += ',';
    const auto it = cells.find(name);
    if (it != cells.end()) out += it->second;
  }
  return out + '\n';
}

// The column, from 1, at which a cell of such a row begins.
std::string column_of(const std::string& row, const std::string& column) {
  std::istringstream names(kHeader.substr(0, kHeader.size() - 1));
  std::string name;
  std::size_t at = 0;
  while (std::getline(names, name, ',') && name != column) {
    const bool quoted = at < row.size() && row[at] == '"';
    at = row.find(',', quoted ? row.find('"', at + 1) : at) + 1;
  }
  return std::to_string(at + 1);
}

ProgramRun cases(const std::string& file, const std::vector<std::string>& options) {
  std::vector<std::string> arguments = {"cases", file};
  arguments.insert(arguments.end(), options.begin(), options.end());
  return run_v4cap(arguments);
}

// The row's figure by metric; nothing where there is none.
std::optional<double> predicted(const boost::json::value& doc, const std::string& id,
                                const std::string& metric) {
  for (const auto& one : doc.at("cases").as_array()) {
    if (one.at("id").as_string() != id || one.at("metric").as_string() != metric) continue;
    if (one.at("predicted").is_null()) return std::nullopt;
    return one.at("predicted").to_number<double>();
  }
  return std::nullopt;
}

std::set<std::string> keys_of(const boost::json::value& value) {
  std::set<std::string> keys;
  for (const auto& member : value.as_object()) keys.emplace(member.key());
  return keys;
}

TEST_CASE("serving cases: malformed rows are refused with their place") {
  struct Row {
    std::string column, text, expected;
  };
  const Row rows[] = {{"gpus", "", "gpus: expected"},
                      {"gpus", "four", "got \"four\""},
                      {"tp", "0", "tp: expected"},
                      {"tp", "-4", "tp: expected"},
                      {"dp_attention", "3", "dp_attention: expected a divisor of tp"},
                      {"mem_fraction", "1.2", "mem_fraction: expected"},
                      {"mem_fraction", "0", "mem_fraction: expected"},
                      {"prefill_chunk", "0", "prefill_chunk: expected"},
                      {"prefill_chunk", "1e3", "prefill_chunk: expected"},
                      {"swa_full_tokens_ratio", "2", "swa_full_tokens_ratio: expected"},
                      {"max_running_requests", "1.5", "max_running_requests: expected"},
                      {"cuda_graph_max_batch", "x", "cuda_graph_max_batch: expected"},
                      {"concurrency", "0", "concurrency: expected"},
                      {"num_prompts", "", "got nothing"},
                      {"input_len", "8192", "uniform(1,N)"},
                      {"input_len", "\"uniform(2,8192)\"", "uniform(1,N)"},
                      {"input_len", "\"uniform(1,0)\"", "uniform(1,N)"},
                      {"input_len", "\"uniform(1,8192\"", "uniform(1,N)"},
                      {"output_len", "\"uniform(1,99999999999)\"", "uniform(1,N)"},
                      {"output_len", "", "got nothing"},
                      {"model", "", "model: expected a name"},
                      {"hw", "", "hw: expected a name"},
                      {"strategy", "", "strategy: expected a name"},
                      {"ttft_ms_mean", "0", "ttft_ms_mean: expected"},
                      {"tpot_ms_mean", "nan", "tpot_ms_mean: expected"},
                      {"output_tok_s_per_gpu", "-1", "output_tok_s_per_gpu: expected"}};
  const TempDir dir;
  for (const Row& row : rows) {
    const std::string bad = row_of({{"id", "y"}, {row.column, row.text}});
    const std::string place = ":3:" + column_of(bad, row.column) + ": ";
    const ProgramRun o = cases(dir.write("cases.csv", kHeader + row_of({}) + bad), {"--json"});
    CAPTURE(row.column);
    CAPTURE(row.text);
    CAPTURE(place);
    CAPTURE(o.err);
    CHECK(o.code == ExitCode::bad_input);
    CHECK(boost::json::parse(o.out).at("error").at("kind").as_string() == "input");
    CHECK(o.err.find("cases.csv" + place) != std::string::npos);
    CHECK(o.err.find(row.expected) != std::string::npos);
  }
}

TEST_CASE("serving cases: a column that is missing is named") {
  std::string header = kHeader, body = row_of({});
  const std::string column = ",concurrency";
  header.replace(header.find(column), column.size(), ",concurency");
  const TempDir dir;
  const ProgramRun o = cases(dir.write("cases.csv", header + body), {});
  CAPTURE(o.err);
  CHECK(o.code == ExitCode::bad_input);
  CHECK(o.err.find("cases.csv:1:1: ") != std::string::npos);
  CHECK(o.err.find("expected a column 'concurrency'; did you mean 'concurency'?") !=
        std::string::npos);
}

TEST_CASE("serving cases: rows that cannot be predicted say why and stop no other") {
  struct Row {
    Cells cells;
    std::string why;
  };
  const Row rows[] = {
      {{{"engine", "sglan"}}, "did you mean 'sglang'"},
      {{{"model", "deepseek-v4-flesh"}}, "did you mean 'deepseek-v4-flash'"},
      {{{"hw", "X1"}}, "GPU X1 is not known"},
      {{{"weights", "fp5"}}, "weights fp5 is not known"},
      {{{"engine_version", "odd"}}, "odd"},
      {{{"speculative", "eagle-x"}}, "eagle-x"},
      // HT runs come without drafts, so nobody has said what they accept.
      {{{"strategy", "HT"}}, "no acceptance length for deepseek-v4-flash, strategy HT"},
      {{{"gpus", "4"}, {"tp", "8"}}, "at most the node's GPUs (4)"},
      {{{"mem_fraction", "0.05"}}, "does not fit"}};
  std::string table = kHeader + row_of({});
  int n = 0;
  for (const Row& row : rows) {
    Cells cells = row.cells;
    cells["id"] = "bad" + std::to_string(n++);
    table += row_of(cells);
  }
  const TempDir dir;
  const std::string file = dir.write("cases.csv", table);
  const ProgramRun o = cases(file, {"--json"});
  CAPTURE(o.err);
  REQUIRE(o.code == ExitCode::done);
  const auto doc = boost::json::parse(o.out);
  CHECK(predicted(doc, "x", "tpot_ms"));
  const ProgramRun text = cases(file, {});
  for (int i = 0; i < n; ++i) {
    const std::string id = "bad" + std::to_string(i);
    CAPTURE(id);
    std::string refused;
    for (const auto& one : doc.at("cases").as_array()) {
      if (one.at("id").as_string() != id) continue;
      refused = one.at("refused").as_string();
      CHECK(one.at("predicted").is_null());
      CHECK_FALSE(one.at("counts").as_bool());
    }
    CAPTURE(refused);
    CHECK(refused.find(rows[i].why) != std::string::npos);
    CHECK(text.out.find("  " + id + ": ") != std::string::npos);
  }
  CHECK(doc.at("worst").at("id").as_string() == "x");
  const ProgramRun none = cases(file, {"--json", "--only", "bad"});
  CHECK(none.code == ExitCode::failed);
  CHECK(boost::json::parse(none.out).at("worst").is_null());
}

TEST_CASE("serving cases: JSON has the keys that are documented, for both kinds of tables") {
  const TempDir dir;
  const auto doc = boost::json::parse(
      cases(dir.write("s.csv", kHeader + row_of({{"concurrency", "64"}})), {"--json"}).out);
  const std::set<std::string> top = {"cases", "median_abs_error_pct", "p90_abs_error_pct", "worst",
                                     "by_coverage"};
  const std::set<std::string> figure = {"id",       "metric",    "coverage",
                                        "reported", "predicted", "error_pct"};
  const auto with = [](std::set<std::string> keys, const std::set<std::string>& more) {
    keys.insert(more.begin(), more.end());
    return keys;
  };
  CHECK(keys_of(doc) == with(top, {"acceptance", "host"}));
  REQUIRE(doc.at("cases").as_array().size() == 4);
  for (const auto& one : doc.at("cases").as_array()) {
    CHECK(keys_of(one) == with(figure, {"counts", "refused"}));
    CHECK(one.at("reported").is_number());
  }
  CHECK(keys_of(doc.at("worst")) == std::set<std::string>{"id", "metric", "error_pct"});
  CHECK(keys_of(doc.at("by_coverage").at(0)) ==
        std::set<std::string>{"coverage", "metric", "cases", "median_abs_error_pct",
                              "p90_abs_error_pct", "worst"});
  CHECK(keys_of(doc.at("acceptance").at(0)) ==
        std::set<std::string>{"model", "strategy", "length"});

  const auto memory = boost::json::parse(
      cases(dir.write("c.csv",
                      "id,engine,engine_version,model,gpu,gpus,tp,dp,ep,speculative,indexer_dtype,"
                      "kv_available_gib,fixed_gib,swa_full_tokens_ratio,gpu_memory_utilization,"
                      "max_model_len,max_batched_tokens,steps_in_flight,metric,value,source,note\n"
                      "x,vllm,0.26,deepseek-v4-pro,GB200,8,1,8,8,none,fp4,26.09,,,,1048576,8192,1,"
                      "max_concurrency,2.86,,\n"),
            {"--json"})
          .out);
  CHECK(keys_of(memory) == with(top, {"predicted_cases"}));
  CHECK(keys_of(memory.at("cases").at(0)) == with(figure, {"rule", "explanation"}));
  CHECK(keys_of(memory.at("worst")) == std::set<std::string>{"id", "metric", "error_pct"});
  CHECK(keys_of(memory.at("by_coverage").at(0)) ==
        std::set<std::string>{"coverage", "cases", "median_abs_error_pct", "p90_abs_error_pct",
                              "worst"});
}

TEST_CASE("serving cases: errors are summed up by coverage, where none is stated too") {
  const TempDir dir;
  const auto doc = boost::json::parse(
      cases(dir.write("cases.csv",
                      kHeader + row_of({{"tpot_ms_mean", "9000"}}) +
                          row_of({{"id", "bare"}, {"concurrency", "5"}, {"table_coverage", ""}})),
            {"--json"})
          .out);
  std::map<std::string, std::string> worst;  // TPOT
  for (const auto& one : doc.at("by_coverage").as_array()) {
    if (one.at("metric").as_string() != "tpot_ms") continue;
    CHECK(one.at("cases").as_int64() == 1);
    worst[std::string(one.at("coverage").as_string())] = one.at("worst").at("id").as_string();
  }
  CHECK(worst == std::map<std::string, std::string>{{"full", "x"}, {"not stated", "bare"}});
}

TEST_CASE("serving cases: a total says as much of the output as the lengths do") {
  // One row states its output, the other the total of the same run.
  const TempDir dir;
  const auto doc = boost::json::parse(
      cases(dir.write("cases.csv", kHeader + row_of({}) +
                                       row_of({{"id", "total"},
                                               {"output_tok_s_per_gpu", ""},
                                               {"nominal_total_tok_s_per_gpu", "5000"},
                                               {"concurrency", "5"}})),
            {"--json"})
          .out);
  const auto& all = doc.at("cases").as_array();
  for (const auto& one : all) {
    if (one.at("id").as_string() != "total") continue;
    if (one.at("metric").as_string() != "output_tok_s_per_gpu") continue;
    const double reported = one.at("reported").to_number<double>();
    CHECK(reported > 0);
    CHECK(reported < 5000 * 32.0 / 256);  // prompts are a few dozen times as long as outputs
    return;
  }
  FAIL("no throughput of the row with a total");
}

TEST_CASE("serving cases: rows at once give the same as one after the other") {
  std::string table = kHeader;
  for (int i = 1; i <= 6; ++i) {
    table += row_of({{"id", "r" + std::to_string(i)}, {"concurrency", std::to_string(3 * i)}});
  }
  const TempDir dir;
  const std::string file = dir.write("cases.csv", table);
  const ProgramRun one = cases(file, {"--json", "--threads", "1"});
  CHECK(one.code == ExitCode::done);
  CHECK(one.out == cases(file, {"--json", "--threads", "4"}).out);
  CHECK(one.out == cases(file, {"--json"}).out);
}

TEST_CASE("serving cases: only the rows asked for are run, and earlier runs count all the same") {
  const TempDir dir;
  const std::string file = dir.write(
      "cases.csv", kHeader + row_of({{"id", "first"}}) +
                       row_of({{"id", "second"}, {"concurrency", "8"}, {"num_prompts", "24"}}));
  const auto all = boost::json::parse(cases(file, {"--json"}).out);
  const auto some = boost::json::parse(cases(file, {"--json", "--only", "secon"}).out);
  CHECK_FALSE(predicted(some, "first", "tpot_ms"));
  for (const std::string metric : {"ttft_ms", "tpot_ms"}) {
    CHECK(predicted(some, "second", metric) == predicted(all, "second", metric));
  }
  // Alone in its table it finds nothing in the cache.
  const auto alone = boost::json::parse(
      cases(dir.write(
                "alone.csv",
                kHeader + row_of({{"id", "second"}, {"concurrency", "8"}, {"num_prompts", "24"}})),
            {"--json"})
          .out);
  CHECK(*predicted(alone, "second", "ttft_ms") != *predicted(all, "second", "ttft_ms"));
  const ProgramRun none = cases(file, {"--only", "third"});
  CHECK(none.code == ExitCode::bad_input);
  CHECK(none.err.find("no row has 'third' in its id") != std::string::npos);
}

TEST_CASE("serving cases: an explanation says where the time of a row's steps goes") {
  const TempDir dir;
  const std::string file =
      dir.write("cases.csv",
                kHeader + row_of({{"id", "one"}}) + row_of({{"id", "two"}, {"concurrency", "5"}}));
  const ProgramRun o = cases(file, {"--explain", "two"});
  CAPTURE(o.err);
  CAPTURE(o.out);
  CHECK(o.code == ExitCode::done);
  for (const std::string part :
       {"two: profile b200-sglang-", "decode steps, mean", "prefill steps, mean", "host",
        "prefill interference", "of the time: measured"}) {
    CAPTURE(part);
    CHECK(o.out.find(part) != std::string::npos);
  }
  CHECK(o.out.find("one: profile") == std::string::npos);
  for (const std::string option : {"--explain", "--scenario"}) {
    CAPTURE(option);
    const ProgramRun wrong = cases(file, {option, "twoo"});
    CHECK(wrong.code == ExitCode::bad_input);
    CHECK(wrong.err.find("unknown row 'twoo'; did you mean 'two'?") != std::string::npos);
  }
  CHECK(cases(file, {"--explain", "two", "--only", "one"}).code == ExitCode::bad_input);
  CHECK(cases(file, {"--explain", "two", "--json"}).code == ExitCode::bad_input);
}

TEST_CASE("serving cases: a row's scenario is the run that was predicted") {
  const TempDir dir;
  const std::string file =
      dir.write("cases.csv", kHeader + row_of({{"id", "first"}}) +
                                 row_of({{"id", "drafts"}, {"concurrency", "8"}}) +
                                 row_of({{"id", "ranks"},
                                         {"strategy", "HT"},
                                         {"dp_attention", "4"},
                                         {"moe_backend", "megamoe"},
                                         {"speculative", "none"},
                                         {"concurrency", "12"},
                                         {"note", "prefill delayer on"}}) +
                                 row_of({{"id", "both"},
                                         {"strategy", "BAL"},
                                         {"dp_attention", "4"},
                                         {"speculative", "eagle-1-1-2"},
                                         {"swa_full_tokens_ratio", "0.075"},
                                         {"mem_fraction", "0.8"},
                                         {"prefill_chunk", "4096"},
                                         {"max_running_requests", "128"},
                                         {"cuda_graph_max_batch", "64"}}));
  const auto doc = boost::json::parse(cases(file, {"--json"}).out);
  for (const std::string id : {"first", "drafts", "ranks", "both"}) {
    CAPTURE(id);
    const ProgramRun scenario = cases(file, {"--scenario", id});
    CAPTURE(scenario.err);
    REQUIRE(scenario.code == ExitCode::done);
    const ProgramRun o =
        run_v4cap({"simulate", dir.write(id + ".yaml", scenario.out), "--json", "--quiet"});
    CAPTURE(o.err);
    REQUIRE(o.code == ExitCode::done);
    const auto summary = boost::json::parse(o.out);
    const auto mean = [&](const char* figure) {
      return summary.at(figure).at("mean").to_number<double>();
    };
    CHECK(mean("ttft_ms") == doctest::Approx(*predicted(doc, id, "ttft_ms")).epsilon(1e-12));
    CHECK(mean("tpot_ms") == doctest::Approx(*predicted(doc, id, "tpot_ms")).epsilon(1e-12));
  }
  const ProgramRun delayed = cases(file, {"--scenario", "ranks"});
  CHECK(delayed.out.find("prefill_delayer: true") != std::string::npos);
  const ProgramRun set = cases(file, {"--scenario", "first", "--set", "engine.max_running=3"});
  CHECK(set.out.find("max_running: 3") != std::string::npos);
}

TEST_CASE("serving cases: what only serving rows have is refused for capacities") {
  const TempDir dir;
  const std::string file =
      dir.write("c.csv", "id,engine,engine_version,model,metric,value\nx,y,,z,m,1\n");
  for (const std::vector<std::string>& options : {std::vector<std::string>{"--explain", "x"},
                                                  {"--scenario", "x"},
                                                  {"--only", "x"},
                                                  {"--set", "engine.max_running=3"}}) {
    CAPTURE(options[0]);
    const ProgramRun o = cases(file, options);
    CAPTURE(o.err);
    CHECK(o.code == ExitCode::bad_input);
    CHECK(o.err.find(options[0] + ": expected a table of serving runs") != std::string::npos);
  }
}

// Another folder for scenarios, as long as it lives.
class OtherScenarios {
 public:
  explicit OtherScenarios(const std::string& folder) {
    if (const char* set = std::getenv("V4CAP_SCENARIOS")) before_ = set;
    setenv("V4CAP_SCENARIOS", folder.c_str(), 1);
  }
  ~OtherScenarios() {
    if (before_) {
      setenv("V4CAP_SCENARIOS", before_->c_str(), 1);
    } else {
      unsetenv("V4CAP_SCENARIOS");
    }
  }
  OtherScenarios(const OtherScenarios&) = delete;
  OtherScenarios& operator=(const OtherScenarios&) = delete;

 private:
  std::optional<std::string> before_;
};

TEST_CASE("serving cases: a malformed file of constants is refused with its place") {
  const std::string acceptance = "acceptance:\n  - {model: m, strategy: LL, length: 2}\n";
  const std::string weights = "weights:\n  - {name: fp4}\n";
  const std::string rest = "expert_parallel: [deepep]\nversions: []\nwarmup_requests: 4\n";
  struct Row {
    std::string name, text, place, expected;
  };
  const Row rows[] = {
      {"no list", weights + rest, "", "acceptance: expected a list"},
      {"a map for a list", "acceptance: {model: m}\n" + weights + rest,
       ":1:13:", "expected a list"},
      {"length", "acceptance:\n  - {model: m, strategy: LL, length: 0.5}\n" + weights + rest,
       ":2:38:", "length: expected"},
      {"a key in an entry",
       "acceptance:\n  - {model: m, strategy: LL, length: 2, x: 1}\n" + weights + rest,
       ":2:", "unknown key 'x'"},
      {"bytes", acceptance + "weights:\n  - {name: fp4, expert_bytes: 0}\n" + rest,
       ":4:31:", "expert_bytes: expected"},
      {"unknown key", acceptance + weights + rest + "warm: 3\n", ":8:1:", "unknown key 'warm'"},
      {"warm-ups",
       acceptance + weights + "expert_parallel: []\nversions: []\nwarmup_requests: -1\n",
       ":7:18:", "warmup_requests: expected"},
      {"no YAML", "acceptance: [\n", "", "serving_cases.yaml"}};
  for (const Row& row : rows) {
    CAPTURE(row.name);
    const TempDir dir;
    dir.write("serving_cases.yaml", row.text);
    const OtherScenarios other(dir.path());
    const ProgramRun o = cases(dir.write("cases.csv", kHeader + row_of({})), {"--json"});
    CAPTURE(o.err);
    CHECK(o.code == ExitCode::bad_input);
    CHECK(o.err.find("serving_cases.yaml" + row.place) != std::string::npos);
    CHECK(o.err.find(row.expected) != std::string::npos);
  }
  // The numbers are those of the file.
  const TempDir dir;
  dir.write(
      "serving_cases.yaml",
      "acceptance:\n  - {model: deepseek-v4-flash, strategy: LL, length: 2}\n" + weights + rest);
  const std::string file = dir.write("cases.csv", kHeader + row_of({}));
  const auto shipped = boost::json::parse(cases(file, {"--json"}).out);
  const OtherScenarios other(dir.path());
  const auto changed = boost::json::parse(cases(file, {"--json"}).out);
  CHECK(*predicted(changed, "x", "tpot_ms") > 1.2 * *predicted(shipped, "x", "tpot_ms"));
}

// ---- the public table ----

struct Errors {
  std::map<std::string, std::map<std::string, std::vector<double>>> by;  // coverage, metric
  std::map<std::string, double> tpot_of_full;                            // by row
  std::map<std::string, double> population_of_full;                      // of saturated rows
};

Errors public_errors() {
  const ProgramRun o = cases((data_dir() / "cases" / "serving.csv").string(), {"--json"});
  CAPTURE(o.err);
  REQUIRE(o.code == ExitCode::done);
  Errors out;
  const auto doc = boost::json::parse(o.out);
  for (const auto& one : doc.at("cases").as_array()) {
    const std::string id(one.at("id").as_string()), metric(one.at("metric").as_string());
    const std::string coverage(one.at("coverage").as_string());
    CAPTURE(id);
    REQUIRE(one.at("refused").as_string().empty());
    if (!one.at("counts").as_bool()) continue;
    const double error = std::abs(one.at("error_pct").to_number<double>());
    out.by[coverage][metric].push_back(error);
    if (coverage != "full") continue;
    if (metric == "tpot_ms") out.tpot_of_full[id] = error;
    if (metric == "decode_population") out.population_of_full[id] = error;
  }
  return out;
}

double median(std::vector<double> values) {
  REQUIRE(!values.empty());
  std::sort(values.begin(), values.end());
  const std::size_t half = values.size() / 2;
  return values.size() % 2 == 1 ? values[half] : (values[half - 1] + values[half]) / 2;
}

DATA_TEST_CASE("serving cases: rows of which every module is measured") {
  const Errors errors = public_errors();
  const auto& full = errors.by.at("full");
  CHECK(full.at("tpot_ms").size() == 14);
  CHECK(median(full.at("tpot_ms")) <= 7);
  CHECK(median(full.at("ttft_ms")) <= 12);              // up to 64 in flight
  CHECK(median(full.at("output_tok_s_per_gpu")) <= 8);  // from 64 in flight
  CHECK(errors.population_of_full.size() == 3);
  for (const auto& [id, error] : errors.population_of_full) {
    CAPTURE(id);
    CHECK(error <= 5);
  }
  std::set<std::string> beyond;
  for (const auto& [id, error] : errors.tpot_of_full) {
    if (error > 20) beyond.insert(id);
  }
  CHECK(beyond == std::set<std::string>{"b200-flash-fp4-bal-c64", "b200-pro-fp4-bal-c64"});
}

// No target was met here: the bounds are what is reached, and a little more, so that a change for
// the worse is seen.
DATA_TEST_CASE("serving cases: rows with modules that nobody measured do not get worse") {
  const Errors errors = public_errors();
  const auto& moe = errors.by.at("no MoE table");
  CHECK(median(moe.at("tpot_ms")) <= 36);
  CHECK(median(moe.at("output_tok_s_per_gpu")) <= 30);
  const auto& gpu = errors.by.at("no table for this GPU");
  CHECK(median(gpu.at("tpot_ms")) <= 13);
}

}  // namespace
}  // namespace v4cap
