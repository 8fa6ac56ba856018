// Rows of figures from CSV and JSON Lines.
#include "sim/report/data_table.h"

#include <doctest/doctest.h>

#include <cmath>

#include "sim/core/error.h"
#include "tests/dies.h"
#include "tests/temp_dir.h"

using namespace v4cap;

namespace {

DataTable read(const std::string& text, std::int64_t rows_max = 100) {
  const TempDir dir;
  return read_data_table(dir.write("table", text), rows_max);
}

std::string refusal(const std::string& text, std::int64_t rows_max = 100) {
  try {
    read(text, rows_max);
  } catch (const InputError& error) {
    return error.what();
  }
  return "accepted";
}

bool holds(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

}  // namespace

TEST_CASE("data table: numbers, texts, quotes and what is missing") {
  const DataTable table = read(
      "policy,gib,hit_rate,saturated,nothing\n"
      "full,44,0.5,true,\n"
      "\"a,\"\"b\"\"\",,nan,false,\n");
  REQUIRE(table.rows == 2);
  CHECK(table.find("policy")->texts == std::vector<std::string>{"full", "a,\"b\""});
  CHECK_FALSE(table.find("policy")->is_number);
  CHECK(table.find("gib")->numbers[0] == 44);
  CHECK(std::isnan(table.find("gib")->numbers[1]));
  CHECK(std::isnan(table.find("hit_rate")->numbers[1]));
  CHECK(table.find("saturated")->numbers == std::vector<double>{1, 0});
  CHECK_FALSE(table.find("nothing")->is_number);
  CHECK(table.find("absent") == nullptr);
}

TEST_CASE("data table: JSON lines say the same, and may lack members") {
  const DataTable table = read(R"({"policy": "full", "ttft_ms": {"p50": 12.5, "all": [1, 2]}})"
                               "\n"
                               R"({"policy": "recompute", "later": 3})"
                               "\n");
  CHECK(table.find("policy")->texts == std::vector<std::string>{"full", "recompute"});
  CHECK(table.find("ttft_ms.p50")->numbers[0] == 12.5);
  CHECK(std::isnan(table.find("ttft_ms.p50")->numbers[1]));
  CHECK(std::isnan(table.find("later")->numbers[0]));
  CHECK(table.find("later")->numbers[1] == 3);
  CHECK(table.find("ttft_ms.all") == nullptr);
}

TEST_CASE("data table: what is wrong is refused at its place") {
  CHECK(holds(refusal("a,b\n1,2\n3\n"), ":3: expected 2 fields, as the header has, found 1"));
  CHECK(holds(refusal("a,a\n1,2\n"), "found \"a\" twice"));
  CHECK(holds(refusal("a\n\"1\n"), ":2:1: expected a quoted field to end on its line"));
  CHECK(holds(refusal("a\n1\n2\n3\n", 2), ":4: expected at most 2 rows"));
  CHECK(holds(refusal("{\"a\": 1}\nnothing\n"), ":2:"));
  const TempDir dir;
  CHECK_THROWS_AS(
      read_number_table(dir.write("t", "a,b\n1,x\n"), 10, [](std::string_view) { return true; }),
      InputError);
  CHECK(read_number_table(dir.write("u", "a,b\n1,x\n"), 10, [](std::string_view name) {
          return name == "a";
        }).columns.size() == 1);
}
