#include "sim/output/terminal.h"

#include <doctest/doctest.h>

#include <sstream>

#include "sim/output/text_width.h"
#include "tests/golden.h"
#include "tests/sim/output/sample_run.h"

using namespace v4cap;

TEST_CASE("terminal: report of one run") {
  check_golden("run_report.txt", run_report(sample_summary(), {}));
}

TEST_CASE("terminal: three policies side by side") {
  RunSummary checkpoint = sample_summary("checkpoint=2048"),
             recompute = sample_summary("recompute");
  recompute.totals.kv_peak[CacheKind::swa] = 0;
  recompute.totals.share = {.measured_s = 0.1, .roofline_s = 0.2};
  checkpoint.metrics.rebuilt = {1'234'567};
  check_golden("comparison_report.txt",
               comparison_report({sample_summary(), checkpoint, recompute}, {}));
}

TEST_CASE("terminal: times from a roofline are marked, others are not") {
  RunSummary run = sample_summary();
  CHECK(run_report(run, {}).find(
            "* times: roofline estimate from datasheet figures, not measured\n") !=
        std::string::npos);
  run.identity.profile_beside = "b200-sglang-0.5.14";
  const std::string hint =
      "not measured\n  measured on this GPU: --set profile=b200-sglang-0.5.14\n";
  CHECK(run_report(run, {}).find(hint) != std::string::npos);
  run.totals.share = {.measured_s = 3, .roofline_s = 1};
  CHECK(run_report(run, {}).find("measured on this GPU") == std::string::npos);
  CHECK(run_report(run, {}).find("* of the step time: 25.0 % roofline estimate from datasheet "
                                 "figures, not measured\n") != std::string::npos);
  run.totals.share = {.measured_s = 1, .extrapolated_s = 1, .transferred_s = 1, .host_s = 1};
  CHECK(run_report(run, {}).find("* of the step time: 25.0 % transferred from other GPUs, 25.0 % "
                                 "outside the shapes that were measured, 25.0 % waiting for the "
                                 "host\n") != std::string::npos);
  run.totals.share = {.measured_s = 3};
  run.identity.times = "b200-sglang-0.5.14";
  CHECK(run_report(run, {}).find("roofline") == std::string::npos);
  CHECK(run_report(run, {}).find("Latency\n") != std::string::npos);
}

TEST_CASE("terminal: labels from files cannot drive the terminal") {
  RunSummary run = sample_summary("full\x1b[2J\n");
  run.identity.scenario = "a\x07\x1b]0;title\x07";
  run.identity.hardware = "\xff";
  const std::string text = run_report(run, {});
  CHECK(text.find('\x1b') == std::string::npos);
  CHECK(text.find('\x07') == std::string::npos);
  CHECK(valid_utf8(text) == text);
}

TEST_CASE("terminal: what a run does not have is a dash") {
  const std::string text = run_report(summarise(RunResult{}, sample_identity()), {});
  CHECK(text.find("TTFT p50, ms") != std::string::npos);
  CHECK(text.find("nan") == std::string::npos);
  CHECK(text.find("Nothing ran.") != std::string::npos);
}

TEST_CASE("terminal: memory of several caches says that it is a sum") {
  RunSummary run = sample_summary();
  run.totals.kv_caches = 1;
  CHECK(run_report(run, {}).find("Memory of one GPU\n") != std::string::npos);
  run.totals.kv_caches = 4;
  CHECK(run_report(run, {}).find("Memory of a GPU, sum of 4 caches\n") != std::string::npos);
}

TEST_CASE("terminal: no line of the verdict is wider than 100 columns") {
  std::istringstream lines(run_report(sample_summary(), {}));
  for (std::string line; std::getline(lines, line);) CHECK(display_width(line) <= 100);
}
