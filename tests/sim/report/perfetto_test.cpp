// A window of a run as a trace.
#include "sim/report/perfetto.h"

#include <doctest/doctest.h>

#include <boost/json.hpp>
#include <cmath>
#include <map>
#include <set>

#include "sim/core/error.h"
#include "tests/sim/app/program_run.h"
#include "tests/sim/report/run_folder.h"

using namespace v4cap;

namespace {

double number(const boost::json::value& value) {
  if (value.is_uint64()) return static_cast<double>(value.as_uint64());
  return value.is_double() ? value.as_double() : static_cast<double>(value.as_int64());
}

// Whole nanoseconds, as viewers keep times: microseconds with at most three decimals.
std::int64_t nanoseconds(const boost::json::value& us) {
  const double ns = 1e3 * number(us);
  CAPTURE(ns);
  CHECK(std::abs(ns - std::round(ns)) < 1e-3);
  return std::llround(ns);
}

// Checks a trace against the rules of the trace event format that viewers rely on:
//   - an object with `traceEvents`, an array of objects, each with ph, pid, tid and name, and ts that
//     is a number which is not negative; metadata before what it names;
//   - M: process_name or thread_name with args.name, once each;
//   - X: has dur, not negative, on a thread with a name; slices of a thread are in order of time
//     and do not overlap, as none encloses another here;
//   - b, e: have cat and id; of one id they are in order of time, nested, with equal names, and all
//     closed;
//   - C: args are numbers; of one name in order of time.
void check_trace(const boost::json::value& trace) {
  const std::string unit(trace.at("displayTimeUnit").as_string());
  CHECK((unit == "ms" || unit == "ns"));
  std::set<std::int64_t> processes;
  std::map<std::pair<std::int64_t, std::int64_t>, std::int64_t> threads;  // end of the last slice
  std::map<std::string, std::int64_t> counters;                           // last time
  struct Open {
    std::vector<std::string> names;
    std::int64_t last = 0;
  };
  std::map<std::string, Open> slices;
  for (const boost::json::value& event : trace.at("traceEvents").as_array()) {
    CAPTURE(boost::json::serialize(event));
    const std::string phase(event.at("ph").as_string()), name(event.at("name").as_string());
    const std::int64_t pid = event.at("pid").as_int64(), tid = event.at("tid").as_int64();
    const std::int64_t at = nanoseconds(event.at("ts"));
    CHECK(at >= 0);
    if (phase == "M") {
      CHECK_FALSE(event.at("args").at("name").as_string().empty());
      if (name == "process_name") {
        CHECK(processes.insert(pid).second);
      } else {
        CHECK(name == "thread_name");
        CHECK(threads.emplace(std::pair{pid, tid}, 0).second);
      }
      continue;
    }
    CHECK(processes.contains(pid));
    if (phase == "X") {
      const auto thread = threads.find({pid, tid});
      REQUIRE(thread != threads.end());
      const std::int64_t lasts = nanoseconds(event.at("dur"));
      CHECK(lasts >= 0);
      CHECK(at >= thread->second);
      thread->second = at + lasts;
    } else if (phase == "C") {
      for (const auto& value : event.at("args").as_object()) CHECK(value.value().is_number());
      CHECK(!event.at("args").as_object().empty());
      CHECK(at >= counters[name]);
      counters[name] = at;
    } else if (phase == "b" || phase == "e") {
      Open& open =
          slices[std::string(event.at("cat").as_string()) + boost::json::serialize(event.at("id"))];
      CHECK(at >= open.last);
      open.last = at;
      if (phase == "b") {
        open.names.push_back(name);
      } else {
        REQUIRE_FALSE(open.names.empty());
        CHECK(open.names.back() == name);
        open.names.pop_back();
      }
    } else {
      FAIL_CHECK("a phase that we do not write");
    }
  }
  for (const auto& [id, open] : slices) CHECK(open.names.empty());
}

void check_window(const std::string& folder, const TraceWindow& window) {
  std::vector<ReportRun> runs{read_report_run(folder)};
  label_runs(runs);
  const boost::json::value trace = boost::json::parse(perfetto_trace(runs[0], window));
  CHECK(trace.at("traceEvents").as_array().size() > 100);
  check_trace(trace);
}

}  // namespace

TEST_CASE("perfetto: windows of runs keep the rules of the format") {
  const TempDir dir;
  const std::string source = V4CAP_SOURCE_DIR;
  for (const std::string scenario : {"quickstart", "fleet_faults"}) {
    CAPTURE(scenario);
    const ProgramRun run = run_v4cap({"simulate", source + "/scenarios/" + scenario + ".yaml",
                                      "--quiet", "--out", dir / scenario});
    REQUIRE(run.code == ExitCode::done);
    check_window(dir / scenario, {100, 400});
  }
  // With the log of its steps.
  check_window(source + "/exec/measured/h100/flash_agents", {1, 20});
}

TEST_CASE("perfetto: steps of a long run, launched ahead or one after the other") {
  const TempDir dir;
  const std::string folder = write_folder(dir, "run", {});
  std::string steps =
      "step,begin_ns,time_ns,decode_pieces,decode_tokens,decode_past,prefill_pieces,"
      "prefill_tokens,prefill_past,rebuild_pieces,rebuild_tokens,rebuild_past,"
      "points_written_bytes,points_read_bytes,plan\n";
  // A week in: 32-bit floats tell times apart that are 0.06 s from each other there.
  for (int i = 0; i < 50; ++i) {
    const std::int64_t begin_ns = 604'800'000'000'001 + 10'000'003LL * i;
    const std::int64_t time_ns = i < 25 ? 10'000'003 : 12'345'678;  // the second half overlaps
    steps += fmt::format("{},{},{},1,1,9,0,0,0,0,0,0,0,0,d0:9\n", i, begin_ns, time_ns);
  }
  dir.write("run/steps.csv", steps);
  std::vector<ReportRun> runs{read_report_run(folder)};
  label_runs(runs);
  const boost::json::value trace =
      boost::json::parse(perfetto_trace(runs[0], {604'799.0, 604'802.0}));
  check_trace(trace);
  std::map<std::int64_t, int> slices;
  for (const boost::json::value& event : trace.at("traceEvents").as_array()) {
    if (event.at("ph").as_string() == "X") ++slices[event.at("tid").as_int64()];
  }
  CHECK(slices == std::map<std::int64_t, int>{{1, 38}, {2, 12}});
}

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
