#include <doctest/doctest.h>

#include <algorithm>
#include <boost/json.hpp>
#include <cmath>
#include <sstream>
#include <string>
#include <vector>

#include "sim/app/case_rows.h"
#include "tests/data.h"
#include "tests/golden.h"
#include "tests/sim/app/program_run.h"
#include "tests/temp_dir.h"

namespace v4cap {
namespace {

const std::string kHeader =
    "id,engine,engine_version,model,gpu,gpus,tp,dp,ep,speculative,indexer_dtype,kv_available_gib,"
    "fixed_gib,swa_full_tokens_ratio,gpu_memory_utilization,max_model_len,max_batched_tokens,"
    "steps_in_flight,metric,value,source,note\n";

ProgramRun run(const std::string& file, bool as_json = true) {
  std::vector<std::string> arguments = {"cases", file};
  if (as_json) arguments.push_back("--json");
  return run_v4cap(arguments);
}

// One row below the header, predicted.
boost::json::value case_of(const std::string& row) {
  const TempDir dir;
  const ProgramRun o = run(dir.write("cases.csv", kHeader + row + "\n"));
  CAPTURE(o.err);
  return boost::json::parse(o.out).at("cases").at(0);
}

TEST_CASE("a row with stated memory rests on its memory and version alone") {
  // PR 48993: 26.09 GiB of FP4 keys hold 21,306 blocks since 0.26; 7,450 blocks a request of 1 Mi.
  const auto row = [](const std::string& version) {
    return case_of("x,vllm," + version +
                   ",deepseek-v4-pro,GB200,8,1,8,8,none,fp4,26.09,,,,1048576,8192,1,"
                   "max_concurrency,2.86,,");
  };
  CHECK(row("0.26").at("predicted").to_number<double>() ==
        doctest::Approx(21306 / 7450.0).epsilon(1e-3));
  CHECK(row("0.25.1rc2").at("predicted").to_number<double>() ==
        doctest::Approx(19015 / 7450.0).epsilon(1e-3));
  CHECK(row("v0.26.0").at("coverage").as_string() == "stated memory");
}

TEST_CASE("what cannot be predicted says why and stops nothing") {
  struct Row {
    std::string text, why;
  };
  const Row rows[] = {
      {"x,vllm,0.26,deepseek-v9,B200,8,8,1,1,none,fp8,40,,,,,,,kv_cache_tokens,1,,", "deepseek-v9"},
      {"x,llama,0.26,deepseek-v4-pro,B200,8,8,1,1,none,fp8,40,,,,,,,kv_cache_tokens,1,,", "llama"},
      {"x,vllm,0.26,deepseek-v4-pro,X1,8,8,1,1,none,fp8,,,,,,,,kv_cache_tokens,1,,", "GPU X1"},
      {"x,vllm,0.26,deepseek-v4-pro,,8,8,1,1,none,fp8,,,,,,,,kv_cache_tokens,1,,", "neither GPU"},
      {"x,vllm,odd,deepseek-v4-pro,B200,8,8,1,1,none,fp8,40,,,,,,,kv_cache_tokens,1,,", "odd"},
      {"x,vllm,0.26,deepseek-v4-pro,B200,8,8,1,1,none,fp8,40,,,,,,,kv_cache_token,1,,",
       "did you mean 'kv_cache_tokens'"},
      {"x,vllm,0.26,deepseek-v4-pro,H100,4,4,1,1,none,fp8,,,,,,,,kv_cache_tokens,1,,",
       "does not fit"},
      {"x,sglang,0.5.15,deepseek-v4-pro,B200,8,8,1,1,eagle-x,fp8,40,,,,,,,kv_cache_tokens,1,,",
       "eagle-x"},
      {"x,vllm,0.26,deepseek-v4-pro,B200,6,4,1,1,none,fp8,40,,,,,,,kv_cache_tokens,1,,",
       "a divisor of the node"}};
  for (const Row& row : rows) {
    const TempDir dir;
    const ProgramRun o = run(dir.write("cases.csv", kHeader + row.text + "\n"));
    CAPTURE(row.text);
    CAPTURE(o.out);
    CHECK(o.code == ExitCode::failed);
    const auto doc = boost::json::parse(o.out);
    CHECK(doc.at("cases").at(0).at("predicted").is_null());
    CHECK(std::string(doc.at("cases").at(0).at("coverage").as_string()).find(row.why) !=
          std::string::npos);
    CHECK(doc.at("worst").is_null());
  }
}

TEST_CASE("malformed tables are refused with their place") {
  struct Row {
    std::string name, text, place, expected;
  };
  const std::string good = "x,vllm,0.26,deepseek-v4-pro,B200,8,8,1,1,none,fp8,40,,,,,,,";
  const Row rows[] = {
      {"no table", "a,b\n1,2\n", ":1:1:", "expected the header"},
      {"serving", "id,ttft_ms_mean\nx,1\n", ":1:1:", "expected a column 'engine'"},
      {"a column is missing", "id,engine,metric,value\nx,vllm,y,1\n", ":1:1:", "expected a column"},
      {"nothing below", kHeader, "", "expected rows"},
      {"too few fields", kHeader + "x,vllm\n", ":2:", "expected 22 fields, got 2"},
      {"open quote", kHeader + "x,\"vllm\n", ":2:3:", "closing quote"},
      {"text after quote", kHeader + "\"x\"y,vllm\n", ":2:4:", "comma after the closing quote"},
      {"no number", kHeader + good + "kv_cache_tokens,many,,\n", ":2:76:", "value: expected"},
      {"no value", kHeader + good + "kv_cache_tokens,,,\n", ":2:76:", "got nothing"},
      {"negative", kHeader + "x,vllm,0.26,m,B200,8,-8,1,1,none,fp8,40,,,,,,,kv,1,,\n",
       ":2:22:", "tp: expected"},
      {"same id", kHeader + good + "kv_cache_tokens,1,,\n" + good + "kv_cache_tokens,1,,\n",
       ":3:1:", "each id once"}};
  for (const Row& row : rows) {
    const TempDir dir;
    const ProgramRun o = run(dir.write("cases.csv", row.text));
    CAPTURE(row.name);
    CAPTURE(o.err);
    CHECK(o.code == ExitCode::bad_input);
    CHECK(o.err.find("cases.csv" + row.place) != std::string::npos);
    CHECK(o.err.find(row.expected) != std::string::npos);
  }
}

TEST_CASE("the examples of scenarios/cases are predicted and each of their columns is described") {
  const std::string folder = std::string(V4CAP_SOURCE_DIR) + "/scenarios/cases/";
  const std::string text = file_text(folder + "README.md");
  const std::size_t second = text.find("\n## Serving");
  REQUIRE(second != std::string::npos);
  struct Example {
    std::string file, section;
  };
  for (const Example& example : {Example{"capacity_example.csv", text.substr(0, second)},
                                 Example{"serving_example.csv", text.substr(second)}}) {
    CAPTURE(example.file);
    const ProgramRun o = run(folder + example.file);
    CAPTURE(o.err);
    REQUIRE(o.code == ExitCode::done);
    const boost::json::value answer = boost::json::parse(o.out);
    for (const auto& row : answer.at("cases").as_array()) {
      CAPTURE(row.at("id").as_string());
      CHECK_FALSE(row.at("predicted").is_null());
      CHECK(row.at("id").as_string().starts_with("example-"));
    }
    const CaseRows rows = read_case_rows(folder + example.file);
    for (const std::string& column : rows.header) {
      CAPTURE(column);
      CHECK(example.section.find('`' + column + '`') != std::string::npos);
    }
    // And no other is.
    std::istringstream lines(example.section);
    for (std::string line; std::getline(lines, line);) {
      if (!line.starts_with("| `")) continue;
      const std::string names = line.substr(0, line.find(" | "));
      for (std::size_t at = names.find('`'); at != std::string::npos;) {
        const std::size_t end = names.find('`', at + 1);
        const std::string column = names.substr(at + 1, end - at - 1);
        CAPTURE(column);
        CHECK(rows.has(column));
        at = names.find('`', end + 1);
      }
    }
  }
}

TEST_CASE("quoted fields keep commas and quotes") {
  CHECK(csv_fields("a,\"b, \"\"c\"\"\",", {}) == std::vector<std::string>{"a", "b, \"c\"", ""});
}

TEST_CASE("errors are summed up by where the memory came from") {
  const TempDir dir;
  const std::string file =
      dir.write("cases.csv",
                kHeader +
                    "a,vllm,0.26,deepseek-v4-pro,GB200,8,1,8,8,none,fp4,26.09,,,,1048576,8192,1,"
                    "max_concurrency,2.86,,\n"
                    "b,vllm,0.26,deepseek-v4-pro,GB200,8,1,8,8,none,fp4,26.09,,,,1048576,8192,1,"
                    "max_concurrency,5.72,,\n"
                    "c,vllm,0.22,deepseek-v4-flash,GH200,2,1,2,2,none,fp8,,,,,30000,16384,1,"
                    "needed_gib,6.66,,\n"
                    "d,vllm,0.26,deepseek-v4-pro,B200,8,8,1,1,none,fp8,,,,,1048576,8192,1,"
                    "max_concurrency,1,,\n"
                    "e,vllm,0.26,deepseek-v9,B200,8,8,1,1,none,fp8,40,,,,,,,kv_cache_tokens,1,,\n");
  const boost::json::value doc = boost::json::parse(run(file).out);
  const auto& by = doc.at("by_coverage").as_array();
  REQUIRE(by.size() == 3);
  const auto error = [](const boost::json::value& v, const char* key) {
    return v.at(key).to_number<double>();
  };
  CHECK(by[0].at("coverage").as_string() == "stated memory");
  CHECK(by[0].at("cases").as_int64() == 2);
  CHECK(error(by[0], "median_abs_error_pct") == doctest::Approx(25).epsilon(0.02));
  CHECK(error(by[0], "p90_abs_error_pct") == doctest::Approx(45).epsilon(0.02));
  CHECK(by[0].at("worst").at("id").as_string() == "b");
  CHECK(by[1].at("coverage").as_string() == "formula");
  CHECK(by[1].at("worst").at("id").as_string() == "c");
  CHECK(error(by[1], "median_abs_error_pct") < 0.2);
  CHECK(by[2].at("coverage").as_string() == "predicted memory");
  CHECK(by[2].at("cases").as_int64() == 1);
  CHECK(doc.at("predicted_cases").as_int64() == 4);
  CHECK(doc.at("worst").at("id").as_string() == "d");
  const ProgramRun text = run(file, false);
  CAPTURE(text.out);
  for (const std::string line :
       {"4 of 5 cases predicted: median", "stated memory (2): median error", "formula (1): median",
        "predicted memory (1): median"}) {
    CAPTURE(line);
    CHECK(text.out.find(line) != std::string::npos);
  }
}

boost::json::value public_cases() {
  const ProgramRun o = run((data_dir() / "cases" / "capacity.csv").string());
  CAPTURE(o.err);
  REQUIRE(o.code == ExitCode::done);
  return boost::json::parse(o.out);
}

DATA_TEST_CASE("SGLang rows with stated memory are within 0.2 percent, vLLM's within 8") {
  const boost::json::value cases = public_cases();
  std::int64_t checked = 0;
  for (const auto& row : cases.at("cases").as_array()) {
    const std::string id(row.at("id").as_string()), coverage(row.at("coverage").as_string());
    CAPTURE(id);
    CAPTURE(coverage);
    REQUIRE(!row.at("predicted").is_null());
    const double error = std::abs(row.at("error_pct").to_number<double>());
    if (coverage == "stated memory") CHECK(error <= (id[0] == 's' ? 0.2 : 8.0));
    if (coverage == "formula") CHECK(error <= 0.2);
    ++checked;
  }
  CHECK(checked >= 10);
}

DATA_TEST_CASE("rows without stated memory have a median error below 5 percent") {
  const boost::json::value cases = public_cases();
  std::vector<double> errors;
  for (const auto& row : cases.at("cases").as_array()) {
    const std::string coverage(row.at("coverage").as_string());
    if (coverage == "stated memory") continue;
    const double error = std::abs(row.at("error_pct").to_number<double>());
    errors.push_back(error);
    CHECK(row.at("explanation").as_string().empty() == (error <= 8));
  }
  REQUIRE(errors.size() >= 3);
  std::sort(errors.begin(), errors.end());
  CHECK(errors[errors.size() / 2] <= 5);
}

DATA_TEST_CASE("the table for people shows rules and explains large errors") {
  const ProgramRun o = run((data_dir() / "cases" / "capacity.csv").string(), false);
  CHECK(o.code == ExitCode::done);
  CHECK(o.out.find("rule by version") != std::string::npos);
  CHECK(o.out.find("packing 2") != std::string::npos);
  CHECK(o.out.find("median error") != std::string::npos);
}

}  // namespace
}  // namespace v4cap
