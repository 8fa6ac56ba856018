// A window of a run as a trace.
#include "sim/report/perfetto.h"

#include <doctest/doctest.h>

#include <boost/json.hpp>
#include <map>

#include "sim/core/error.h"
#include "tests/sim/report/run_folder.h"

using namespace v4cap;

namespace {

double number(const boost::json::value& value) {
  return value.is_double() ? value.as_double() : static_cast<double>(value.as_int64());
}

}  // namespace

TEST_CASE("perfetto: a window is two times, the later one second") {
  CHECK(parse_window("60..75").from_s == 60);
  CHECK(parse_window("60..75").to_s == 75);
  CHECK(parse_window("500 ms..2.5 s").from_s == doctest::Approx(0.5));
  CHECK(parse_window("500 ms..2.5 s").to_s == doctest::Approx(2.5));
  for (const char* const wrong :
       {"", "5", "5..", "..5", "5..5", "7..5", "-1..5", "a..b", "1..1e999"}) {
    CAPTURE(wrong);
    CHECK_THROWS_AS(parse_window(wrong), InputError);
  }
}

TEST_CASE("perfetto: requests, counters and steps of the window, and nothing else") {
  const TempDir dir;
  const std::string folder = write_folder(dir, "run", {});
  dir.write("run/steps.csv",
            "step,begin_ns,time_ns,decode_pieces,decode_tokens,decode_past,prefill_pieces,"
            "prefill_tokens,prefill_past,rebuild_pieces,rebuild_tokens,rebuild_past,"
            "points_written_bytes,points_read_bytes,plan\n"
            "0,0,1000000,1,1,9,0,0,0,0,0,0,0,0,d0:9\n"
            "1,5000000000,2000000,1,1,9,1,64,0,0,0,0,0,0,d0:9 P1:0:64\n");
  std::vector<ReportRun> runs{read_report_run(folder)};
  label_runs(runs);
  const boost::json::value trace = boost::json::parse(perfetto_trace(runs[0], {4.9, 5.2}));
  std::map<std::string, int> phases, names;
  for (const boost::json::value& event : trace.at("traceEvents").as_array()) {
    phases[std::string(event.at("ph").as_string())] += 1;
    names[std::string(event.at("name").as_string())] += 1;
    if (event.at("ph").as_string() == "X") {
      CHECK(event.at("name").as_string() == "mixed");
      CHECK(number(event.at("ts")) == doctest::Approx(5e6));
      CHECK(number(event.at("dur")) == doctest::Approx(2000));
    }
  }
  // Requests at 4, 4.5 and 5 s take a second each; that of 4 s decodes, that of 5 s is read.
  CHECK(names.at("request 8") == 2);
  CHECK(names.at("request 10") == 2);
  CHECK_FALSE(names.contains("request 11"));
  CHECK(names.at("decode") == 6);
  CHECK(names.at("prefill") == 2);
  CHECK(phases.at("X") == 1);
  CHECK(phases.at("b") == phases.at("e"));
  CHECK(phases.at("C") == 6);  // one sample of six columns
  CHECK_THROWS_AS(perfetto_trace(runs[0], {1e6, 2e6}), InputError);
}
