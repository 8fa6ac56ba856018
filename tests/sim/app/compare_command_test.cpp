// v4cap compare, run whole and in the process, on simulated runs and on files of other tools.
#include <doctest/doctest.h>

#include <boost/json.hpp>
#include <boost/property_tree/ptree.hpp>
#include <boost/property_tree/xml_parser.hpp>
#include <sstream>

#include "tests/golden.h"
#include "tests/sim/app/program_run.h"
#include "tests/sim/app/readme_run.h"
#include "tests/sim/compare/run_texts.h"
#include "tests/temp_dir.h"

namespace v4cap {

namespace {

const std::string kSource = V4CAP_SOURCE_DIR;
const std::string kQuickstart = kSource + "/scenarios/quickstart.yaml";

const std::vector<OneRequest> kMeasured = {
    {.id = "request-0", .start_s = 0, .ttft_ms = 100, .e2el_ms = 300, .hit = 50, .rebuilt = 100},
    {.id = "request-1", .start_s = 1, .ttft_ms = 200, .e2el_ms = 500, .hit = 50}};
// TTFT +10 and -5 %, ends at 1.49 s instead of 1.5 s.
const std::vector<OneRequest> kSimulated = {
    {.id = "request-0", .start_s = 0, .ttft_ms = 110, .e2el_ms = 310, .hit = 52, .rebuilt = 103},
    {.id = "request-1", .start_s = 1, .ttft_ms = 190, .e2el_ms = 490, .hit = 50}};

// Directories `a` and `b` of the runs above.
void write_pair(const TempDir& dir) {
  dir.write("a/profile_export.jsonl", our_records(kMeasured));
  dir.write("a/summary.json", our_summary(2, 4, 1));
  dir.write("b/profile_export.jsonl", our_records(kSimulated));
  dir.write("b/summary.json", our_summary(2, 4.5, 1));
}

boost::json::value compared(const std::string& a, const std::string& b) {
  const ProgramRun run = run_v4cap({"compare", a, b, "--json"});
  CAPTURE(run.err);
  REQUIRE(run.code == ExitCode::done);
  return boost::json::parse(run.out);
}

double number(const boost::json::value& value) {
  return value.is_double() ? value.as_double() : static_cast<double>(value.as_int64());
}

std::string keys_of(const boost::json::value& value) {
  std::string keys;
  for (const auto& member : value.as_object()) keys += std::string(member.key()) + ' ';
  return keys;
}

}  // namespace

TEST_CASE("compare: known differences come out with their sign") {
  const TempDir dir;
  write_pair(dir);
  const boost::json::value document = compared(dir / "a", dir / "b");
  const boost::json::value& figures = document.at("figures");
  const auto error = [&](const char* name) { return number(figures.at(name).at("error")); };
  CHECK(error("ttft_mean") == doctest::Approx(0));
  CHECK(error("ttft_p90") == doctest::Approx(100 * (182.0 - 190) / 190));
  CHECK(error("e2el_p50") == doctest::Approx(0));
  CHECK(error("duration") == doctest::Approx(-100 / 150.0));
  CHECK(error("throughput_output") == doctest::Approx(100 / 149.0));
  CHECK(error("hit_rate") == doctest::Approx(1));  // 100 and 102 of 200 tokens
  CHECK(error("rebuilt_tokens") == doctest::Approx(3));
  CHECK(error("kv_peak") == doctest::Approx(10));
  CHECK(error("kv_peak_csa") == doctest::Approx(12.5));
  CHECK(figures.at("itl_p50").at("error").is_null());
  CHECK(document.at("pairing").at("requests").as_int64() == 2);
  const boost::json::value& paired = document.at("paired").at("paired_ttft");
  CHECK(number(paired.at("median_abs_error_pct")) == doctest::Approx(7.5));
  CHECK(std::string(paired.at("worst_request").as_string()) == "request-0");
}

TEST_CASE("compare: the document has the same keys whatever is compared") {
  const TempDir dir;
  write_pair(dir);
  const std::string vllm = dir.write("vllm.json", kVllmSummary);
  const std::string aiperf = dir.write("aiperf.json", kAiperfSummary);
  const std::string top =
      "definitions_version a b pairing figures paired steps step_limits exceeded ";
  const boost::json::value runs = compared(dir / "a", dir / "b");
  const boost::json::value files = compared(vllm, aiperf);
  CHECK(keys_of(runs) == top);
  CHECK(keys_of(files) == top);
  CHECK(keys_of(runs.at("figures")) == keys_of(files.at("figures")));
  CHECK(runs.at("figures").as_object().size() == 33);
  CHECK(keys_of(runs.at("figures").at("ttft_p50")) == "unit a b error error_unit why ");
  CHECK(keys_of(runs.at("paired").at("paired_ttft")) ==
        "requests median_error_pct median_abs_error_pct p90_abs_error_pct worst_abs_error_pct "
        "worst_request ");
  CHECK(keys_of(runs.at("pairing")) == "text requests only_in_a only_in_b ");
  CHECK(files.at("paired").as_object().empty());
}

TEST_CASE("compare: a tool's file against a run, with what only one records as a dash") {
  const TempDir dir;
  write_pair(dir);
  const std::string vllm = dir.write("vllm.json", vllm_detailed());
  const ProgramRun run = run_v4cap({"compare", vllm, dir / "b"});
  REQUIRE(run.code == ExitCode::done);
  CAPTURE(run.out);
  CHECK(run.out.find("only distributions are compared") != std::string::npos);
  CHECK(run.out.find("not in B") != std::string::npos);  // ITL
  CHECK(run.out.find("not in A") != std::string::npos);  // hit rate
  CHECK(run.out.find("times start when the client sends a request") != std::string::npos);
}

TEST_CASE("compare: a run of nothing against a run") {
  const TempDir dir;
  write_pair(dir);
  dir.write("empty/profile_export.jsonl",
            aiperf_line({.id = "f"}, "profiling", "", "{\"code\":1}"));
  const ProgramRun run = run_v4cap({"compare", dir / "empty", dir / "b", "--out", dir / "out"});
  CAPTURE(run.err);
  CHECK(run.code == ExitCode::done);
  CHECK(run.out.find("A is 0") != std::string::npos);
}

TEST_CASE("compare: limits decide the exit code and mark their lines") {
  const TempDir dir;
  write_pair(dir);
  const ProgramRun held = run_v4cap(
      {"compare", dir / "a", dir / "b", "--limit", "ttft_p50=2", "--limit", "duration=1"});
  CHECK(held.code == ExitCode::done);
  CHECK(held.out.find("Every limit is held.") != std::string::npos);
  const ProgramRun missed = run_v4cap({"compare", dir / "a", dir / "b", "--limits", "replay"});
  CHECK(missed.code == ExitCode::failed);
  CHECK(missed.out.find("2 EXCEEDED") != std::string::npos);
  CHECK(missed.out.find("5 limits are not held: hit_rate, rebuilt_tokens, kv_peak, kv_peak_csa") ==
        std::string::npos);
  CHECK(missed.out.find("not held: hit_rate, rebuilt_tokens, kv_peak, kv_peak_csa") !=
        std::string::npos);
  const ProgramRun unknown = run_v4cap({"compare", dir / "a", dir / "b", "--limit", "itl_p50=2"});
  CHECK(unknown.code == ExitCode::failed);
  CHECK(unknown.out.find("2 NOT KNOWN") != std::string::npos);
  const ProgramRun typo = run_v4cap({"compare", dir / "a", dir / "b", "--limit", "tftt=2"});
  CHECK(typo.code == ExitCode::bad_input);
  CHECK(typo.err.find("did you mean 'ttft'?") != std::string::npos);
  CHECK(typo.out.empty());
}

TEST_CASE("compare: --out writes the document and a picture that is well-formed") {
  const TempDir dir;
  write_pair(dir);
  // Names from users are text in the picture.
  std::filesystem::rename(dir / "b", dir / "<b>&\"b\"");
  const std::vector<std::string> arguments = {"compare", dir / "a", dir / "<b>&\"b\"",
                                              "--json",  "--out",   dir / "out"};
  const ProgramRun run = run_v4cap(arguments);
  REQUIRE(run.code == ExitCode::done);
  CHECK(file_text(dir / "out/compare.json") == run.out);
  const std::string svg = file_text(dir / "out/compare.svg");
  std::istringstream stream(svg);
  boost::property_tree::ptree tree;
  REQUIRE_NOTHROW(boost::property_tree::read_xml(stream, tree));
  CHECK(tree.get<std::string>("svg.<xmlattr>.xmlns") == "http://www.w3.org/2000/svg");
  CHECK(svg.find("&lt;b&gt;&amp;&quot;b&quot;") != std::string::npos);
  CHECK(svg.find("nan") == std::string::npos);
  CHECK(svg.find("inf") == std::string::npos);
  CHECK(svg.find("<polyline class=\"s0\"") != std::string::npos);
  CHECK(svg.find("<polyline class=\"s1\"") != std::string::npos);

  CHECK(run_v4cap(arguments).code == ExitCode::bad_input);  // not empty
  std::vector<std::string> again = arguments;
  again.push_back("--overwrite");
  CHECK(run_v4cap(again).code == ExitCode::done);
  CHECK(file_text(dir / "out/compare.svg") == svg);
}

TEST_CASE("compare: a run equals itself") {
  const TempDir dir;
  REQUIRE(
      run_v4cap({"simulate", kQuickstart, "--out", dir / "a", "--set", "workload.max_requests=60"})
          .code == ExitCode::done);
  const ProgramRun run = run_v4cap({"compare", dir / "a", dir / "a", "--limit", "ttft=0", "--limit",
                                    "e2el=0", "--limit", "throughput=0", "--limit", "kv_peak=0",
                                    "--limit", "hit_rate=0", "--limit", "paired=0"});
  CAPTURE(run.out);
  CHECK(run.code == ExitCode::done);
  CHECK(run.out.find("60 requests are paired by id\n") != std::string::npos);
}

TEST_CASE("compare: steps of another GPU than the scenario's are said to be so") {
  const std::string measured = kSource + "/exec/measured/h200/flash_saturated";
  const std::string scenario = kSource + "/scenarios/executor/flash_saturated.yaml";
  const ProgramRun other = run_v4cap({"compare", measured, "--scenario", scenario});
  CHECK(other.code == ExitCode::done);
  CHECK(other.err.find("the recorded run has hardware hgx-h200 and not hgx-h100\n") !=
        std::string::npos);
  const ProgramRun same =
      run_v4cap({"compare", measured, "--scenario", scenario, "--set", "hardware=hgx-h200"});
  CHECK(same.code == ExitCode::done);
  CHECK(same.err.empty());
}

TEST_CASE("compare: README's example does what it shows") {
  const ReadmeRun run = run_readme_section("## Two runs side by side");
  CHECK(run.commands >= 3);
  CHECK(run.shown >= 5);
}

}  // namespace v4cap
