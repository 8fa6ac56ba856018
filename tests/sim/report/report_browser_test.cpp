// Reports in headless Chromium: they are drawn, nothing is said on the console, nothing is asked for,
// texts stay texts, a million requests cost a bounded multiple of plain work on as many figures. Where
// there is no Chromium these tests say so.
#include <doctest/doctest.h>
#include <sys/wait.h>

#include <boost/json.hpp>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "sim/output/humanise.h"
#include "sim/report/report_page.h"
#include "tests/golden.h"
#include "tests/sim/app/program_run.h"
#include "tests/sim/report/run_folder.h"

using namespace v4cap;

namespace {

const std::string kSource = V4CAP_SOURCE_DIR;

bool no_browser(const char* test) {
  static const bool found =
      std::system(
          "for b in chromium chromium-browser google-chrome chrome; do command -v $b && exit 0; "
          "done >/dev/null; exit 1") == 0;
  if (!found)
    std::printf("[skipped] %s: no Chromium here; scripts/setup --tests installs it\n", test);
  return !found;
}

// What browse.py says of a page.
boost::json::value visited(const TempDir& dir, const std::string& page,
                           const std::vector<std::string>& expressions = {},
                           const std::string& options = "") {
  const std::string answer = dir / "answer.json";
  std::string command =
      "python3 '" + kSource + "/tests/sim/report/browse.py' '" + page + "' " + options;
  for (std::size_t i = 0; i < expressions.size(); ++i) {
    command +=
        " --eval \"$(cat '" + dir.write("expression" + std::to_string(i), expressions[i]) + "')\"";
  }
  const int status = std::system((command + " > '" + answer + "'").c_str());
  REQUIRE(WIFEXITED(status));
  REQUIRE(WEXITSTATUS(status) == 0);
  return boost::json::parse(file_text(answer));
}

void check_quiet(const boost::json::value& visit) {
  CAPTURE(boost::json::serialize(visit.at("console")));
  CAPTURE(boost::json::serialize(visit.at("requests")));
  CHECK(visit.at("console").as_array().empty());
  CHECK(visit.at("requests").as_array().empty());
  CHECK(visit.at("drawn_ms").as_int64() >= 0);
}

std::string written_report(const TempDir& dir, std::vector<std::string> arguments) {
  const std::string page = dir / "report.html";
  arguments.insert(arguments.begin(), "report");
  arguments.insert(arguments.end(), {"--out", page, "--overwrite"});
  const ProgramRun run = run_v4cap(arguments);
  CAPTURE(run.err);
  REQUIRE(run.code == ExitCode::done);
  return page;
}

// Of every canvas whether anything is on it. A copy is read: a canvas that is read often would say so
// on the console.
constexpr const char* kDrawnCanvases =
    R"([...document.querySelectorAll('canvas')].filter((c) => c.width > 0).map((c) => {
  const copy = new OffscreenCanvas(c.width, c.height).getContext('2d', {willReadFrequently: true});
  copy.drawImage(c, 0, 0);
  return copy.getImageData(0, 0, c.width, c.height).data.some((b) => b > 0);
}))";

// What a name must not be able to do. Each sets window.hit if it can.
const std::vector<std::string> kAttempts = {
    "<script>window.hit=1</script>",
    "</script><script>window.hit=2</script>",
    "<img src=x onerror=window.hit=3>",
    "\"><svg onload=window.hit=4>",
    "'><iframe srcdoc=\"<script>parent.hit=5</script>\">",
    "<!--<script>window.hit=6</script>-->",
    "]]><script>window.hit=7</script>",
    "javascript:window.hit=8",
    "{{constructor.constructor('window.hit=9')()}}",
    "${window.hit=10}",
    "`;window.hit=11;`",
    "\\u003cscript\\u003ewindow.hit=12\\u003c/script\\u003e",
    "&lt;script&gt;window.hit=13&lt;/script&gt;",
    "<a href=javascript:window.hit=14>x</a>",
    "<style>*{display:none}</style>15",
    "<base href=https://example.invalid/>16",
    "<meta http-equiv=refresh content='0;url=https://example.invalid/'>17",
    "line\u2028separator\u2029 window.hit=18",
    "{a|<b>window.hit=19</b>}{@x}",
    "__proto__ <math><mtext><style><img src onerror=window.hit=20>"};

std::string csv_quoted(std::string field) {
  for (std::size_t at = 0; (at = field.find('"', at)) != std::string::npos; at += 2)
    field.insert(at, "\"");
  return '"' + field + '"';
}

// How many colours a canvas has, the first one below an element.
std::string colours_of(const std::string& selector) {
  return "((c) => { const copy = new OffscreenCanvas(c.width, c.height).getContext('2d', "
         "{willReadFrequently: true}); copy.drawImage(c, 0, 0); return new Set(new "
         "Uint32Array(copy.getImageData(0, 0, c.width, c.height).data.buffer)).size; "
         "})(document.querySelector('" +
         selector + " canvas'))";
}

// Chooses in a list as a person would.
std::string chosen(const std::string& selector, const std::string& value) {
  return "(() => { const s = document.querySelector('" + selector + "'); s.value = '" + value +
         "'; s.dispatchEvent(new Event('change')); return s.value; })()";
}

}  // namespace

TEST_CASE("browser: a comparison of runs is drawn, in the light, in the dark and on a phone") {
  if (no_browser("a comparison of runs is drawn")) return;
  const TempDir dir;
  const ProgramRun run = run_v4cap({"simulate", kSource + "/scenarios/quickstart.yaml", "--quiet",
                                    "--compare", "full", "recompute", "--out", dir / "runs"});
  REQUIRE(run.code == ExitCode::done);
  const std::string page =
      written_report(dir, {dir / "runs", "--measured", dir / "runs/recompute"});
  const std::vector<std::string> questions = {
      "[...document.querySelectorAll('section')].map((s) => s.id).join(' ')", kDrawnCanvases};
  for (const std::string options : {"", "--dark", "--width 390"}) {
    CAPTURE(options);
    const boost::json::value visit = visited(dir, page, questions, options);
    check_quiet(visit);
    CHECK(visit.at("values").at(0).as_string() ==
          "verdict figures latency pareto memory queue tokens time interference errors scenario "
          "downloads");
    CHECK(visit.at("values").at(1).as_array().size() > 12);
    for (const auto& drawn : visit.at("values").at(1).as_array()) CHECK(drawn.as_bool());
    CHECK(visit.at("width").as_int64() <= (options == "--width 390" ? 390 : 1150));
  }
}

TEST_CASE("browser: replicas are drawn with their faults, memory of each can be chosen") {
  if (no_browser("replicas are drawn")) return;
  const TempDir dir;
  const ProgramRun run = run_v4cap(
      {"simulate", kSource + "/scenarios/fleet_faults.yaml", "--quiet", "--out", dir / "run"});
  REQUIRE(run.code == ExitCode::done);
  const std::string page = written_report(dir, {dir / "run"});
  for (const std::string options : {"", "--dark --width 390"}) {
    CAPTURE(options);
    const boost::json::value visit =
        visited(dir, page,
                {"[...document.querySelectorAll('section')].map((s) => s.id).join(' ')",
                 kDrawnCanvases, "document.querySelectorAll('#replicas canvas').length",
                 "[...document.querySelectorAll('.after-faults tbody tr')].map((r) => "
                 "[...r.children].map((c) => c.textContent).join('|')).join('\\n')",
                 "document.querySelector('#replicas .keys').textContent",
                 "document.querySelector('#memory select').options.length",
                 "document.querySelector('.unit-memory .chart').getAttribute('aria-label')",
                 chosen("#memory select", "1"),
                 "document.querySelector('.unit-memory .chart').getAttribute('aria-label')",
                 colours_of(".unit-map"), chosen("#memory h4 + .choices select", "running"),
                 "document.querySelector('.unit-map .chart').getAttribute('aria-label')",
                 kDrawnCanvases, "document.querySelectorAll('#downloads button').length"},
                options);
    check_quiet(visit);
    const auto& values = visit.at("values").as_array();
    CHECK(values[0].as_string() ==
          "verdict figures latency memory queue replicas tokens time interference errors "
          "scenario downloads");
    for (const auto& drawn : values[1].as_array()) CHECK(drawn.as_bool());
    // States, requests of each, two of windows, after faults.
    CHECK(values[2].as_int64() == 5);
    // Of replica 1 nothing is asked for while it is down, half of its prefixes are gone then.
    CHECK(values[3].as_string() ==
          "150|1|lost|3|90.9 %|49.9 %|within 120 s\n"
          "300|2|down, planned|0|96.9 %|–|no request came");
    CHECK(values[4].as_string() == "updown");
    CHECK(values[5].as_int64() == 5);  // all and four replicas
    CHECK(values[6].as_string() ==
          "KV memory of one GPU of each of 4 replicas, summed over time, by cache kind");
    CHECK(values[8].as_string() == "KV memory of one GPU of replica 1 over time, by cache kind");
    CHECK(values[9].as_int64() > 50);  // of the ramp and of letters
    CHECK(values[11].as_string() == "running requests of each replica over time");
    for (const auto& drawn : values[12].as_array()) CHECK(drawn.as_bool());
    CHECK(values[13].as_int64() == 6);
    CHECK(visit.at("width").as_int64() <= (options.empty() ? 1150 : 390));
  }
}

TEST_CASE("browser: what is handed over is drawn, and said on the terminal") {
  if (no_browser("what is handed over is drawn")) return;
  const TempDir dir;
  const ProgramRun run =
      run_v4cap({"simulate", kSource + "/scenarios/prefill_decode.yaml", "--out", dir / "run",
                 "--set", "workload.synthetic.sessions=400", "--set", "profile=none"});
  REQUIRE(run.code == ExitCode::done);
  const boost::json::value summary = boost::json::parse(file_text(dir / "run/summary.json"));
  const boost::json::value& sent = summary.at("cluster").at("transfer");
  const boost::json::value visit = visited(
      dir, written_report(dir, {dir / "run"}),
      {"Object.fromEntries([...document.querySelectorAll('table.handed-over tbody tr')].map("
       "(r) => [...r.children].map((c) => c.textContent)))",
       "document.querySelectorAll('#replicas canvas').length", kDrawnCanvases},
      "--width 390");
  check_quiet(visit);
  const auto& values = visit.at("values").as_array();
  CHECK(values[0].at("requests").as_string() == grouped(sent.at("requests").as_int64()));
  constexpr double kGib = 1 << 30;
  CHECK(std::stod(std::string(values[0].at("swa to each GPU, GiB").as_string())) ==
        doctest::Approx(sent.at("sent_bytes").at("swa").to_number<double>() / kGib).epsilon(0.01));
  CHECK(std::stod(std::string(values[0].at("links into those that generate, used").as_string())) ==
        doctest::Approx(100 * sent.at("in_utilisation").as_double()).epsilon(0.01));
  CHECK(values[1].as_int64() == 3);  // states, requests of each, what was sent
  for (const auto& drawn : values[2].as_array()) CHECK(drawn.as_bool());
  for (const std::string words : {"to each GPU csa ", ", swa ", ", tails ", "waited for memory "}) {
    CAPTURE(words);
    CHECK(run.out.find(words) != std::string::npos);
  }
}

TEST_CASE("browser: attention ranks are drawn one by one, eight of them and sixty-four") {
  if (no_browser("attention ranks are drawn one by one")) return;
  const TempDir dir;
  const ProgramRun eight =
      run_v4cap({"simulate", kSource + "/scenarios/quickstart.yaml", "--quiet", "--out", dir / "8",
                 "--set", "deployment.tensor_parallel=1", "--set", "deployment.data_parallel=8"});
  REQUIRE(eight.code == ExitCode::done);
  const ProgramRun sixty_four =
      run_v4cap({"simulate", kSource + "/scenarios/fleet_faults.yaml", "--quiet", "--out",
                 dir / "64", "--set", "deployment.tensor_parallel=1", "--set",
                 "deployment.data_parallel=8", "--set", "cluster.replicas=8"});
  REQUIRE(sixty_four.code == ExitCode::done);
  struct Row {
    std::string folder, last;
    std::int64_t choices;
    std::string label;
  };
  for (const Row& row : {Row{"8", "0.7", 9, "rank 7"}, Row{"64", "7.7", 73, "replica 7, rank 7"}}) {
    CAPTURE(row.folder);
    const boost::json::value visit =
        visited(dir, written_report(dir, {dir / row.folder}),
                {"document.querySelector('#memory select').options.length",
                 chosen("#memory select", row.last),
                 "document.querySelector('.unit-memory .chart').getAttribute('aria-label')",
                 colours_of(".unit-map"), "document.querySelector('#memory h4').textContent",
                 kDrawnCanvases},
                "--width 390");
    check_quiet(visit);
    const auto& values = visit.at("values").as_array();
    CHECK(values[0].as_int64() == row.choices);
    CHECK(values[2].as_string() ==
          "KV memory of one GPU of " + row.label + " over time, by cache kind");
    CHECK(values[3].as_int64() > 50);
    CHECK(values[4].as_string() == "Each attention rank over time");
    for (const auto& drawn : values[5].as_array()) CHECK(drawn.as_bool());
    CHECK(visit.at("width").as_int64() <= 390);
  }
}

TEST_CASE("browser: tiers are drawn: where hits were found, what was moved, links and wear") {
  if (no_browser("tiers are drawn")) return;
  const TempDir dir;
  const ProgramRun run =
      run_v4cap({"simulate", kSource + "/scenarios/agents_tiers.yaml", "--quiet", "--out",
                 dir / "run", "--set", "workload.trace=agents_small.jsonl.gz", "--set",
                 "kv_cache.memory=8 GiB", "--set", "slo={}"});
  CAPTURE(run.err);
  REQUIRE(std::filesystem::exists(dir / "run/summary.json"));
  const boost::json::value summary = boost::json::parse(file_text(dir / "run/summary.json"));
  const boost::json::value visit =
      visited(dir, written_report(dir, {dir / "run"}),
              {"[...document.querySelectorAll('section')].map((s) => s.id).join(' ')",
               "document.querySelectorAll('#tiers canvas').length", kDrawnCanvases,
               "Object.fromEntries([...document.querySelectorAll('table.tiers tbody tr')].map((r) "
               "=> [r.children[0].textContent, [...r.children].slice(1).map((c) => "
               "c.textContent)]))"},
              "--width 390");
  check_quiet(visit);
  const auto& values = visit.at("values").as_array();
  CHECK(values[0].as_string() ==
        "verdict figures latency memory queue tiers tokens time interference errors "
        "scenario downloads");
  CHECK(values[1].as_int64() == 3);
  for (const auto& drawn : values[2].as_array()) CHECK(drawn.as_bool());
  const boost::json::value& rows = values[3];
  const boost::json::value& tiers = summary.at("tiers");
  CHECK(rows.at("tokens found there").at(0).as_string() ==
        grouped(tiers.at("host").at("hit_tokens").as_int64()));
  CHECK(rows.at("tokens found there").at(1).as_string() ==
        grouped(tiers.at("ssd").at("hit_tokens").as_int64()));
  CHECK(rows.at("drive writes a day").at(0).as_string() == "–");
  CHECK(std::stod(std::string(rows.at("drive writes a day").at(1).as_string())) ==
        doctest::Approx(tiers.at("ssd").at("drive_writes_per_day").as_double()).epsilon(0.01));
  CHECK(std::stod(std::string(rows.at("written, GiB").at(0).as_string())) > 1);
  CHECK(visit.at("width").as_int64() <= 390);
}

TEST_CASE("browser: a sweep is drawn, its axes can be chosen") {
  if (no_browser("a sweep is drawn")) return;
  const TempDir dir;
  std::string csv =
      "kv_cache.swa_policy,kv_cache.memory,sessions,status,hit_rate,tpot_ms.p50,tok_s_per_gpu."
      "output\n";
  for (const char* const policy : {"full", "recompute"}) {
    for (int gib = 8; gib <= 40; gib += 8) {
      for (int sessions = 4; sessions <= 32; sessions *= 2) {
        csv += fmt::format("{},{} GiB,{},done,{},{},{}\n", policy, gib, sessions,
                           std::min(1.0, gib / (2.0 * sessions)), 10 + sessions, 3 * sessions);
      }
    }
  }
  const std::string page = written_report(dir, {dir.write("points.csv", csv)});
  const boost::json::value visit = visited(
      dir, page,
      {"[...document.querySelectorAll('#sweep select')].map((s) => s.value).join('|')",
       "(() => { const s = document.querySelectorAll('#sweep select')[0]; s.value = 'hit_rate'; "
       "s.dispatchEvent(new Event('change')); return document.querySelectorAll('#sweep "
       "canvas').length; })()",
       kDrawnCanvases});
  check_quiet(visit);
  CHECK(visit.at("values").at(0).as_string() ==
        "tok/s of one user (TPOT p50)|tok_s_per_gpu.output|kv_cache.swa_policy|hit_rate|sessions|"
        "kv_cache.memory|full");
  CHECK(visit.at("values").at(1).as_int64() >= 2);
  for (const auto& drawn : visit.at("values").at(2).as_array()) CHECK(drawn.as_bool());
}

TEST_CASE("browser: axes that move together leave no empty rows, every column has its name") {
  if (no_browser("axes that move together")) return;
  const TempDir dir;
  std::string csv =
      "kv_cache.swa_policy,tiers.host.times_gpu,tiers.ssd.times_gpu,status,hit_rate,tpot_ms.p50,"
      "tok_"
      "s_per_gpu.output\n";
  const std::vector<std::string> policies = {"checkpoint=2048",
                                             "checkpoint=2048+ends",
                                             "full",
                                             "pool=0.1",
                                             "recompute",
                                             "replay",
                                             "reuse",
                                             "tail"};
  for (std::size_t i = 0; i < policies.size(); ++i) {
    for (const auto& [host, ssd] : {std::pair{1, 2}, std::pair{2, 8}, std::pair{10, 90}}) {
      csv += fmt::format("{},{},{},done,{},{},{}\n", policies[i], host, ssd, 0.1 * host, 10 + i,
                         3 + host);
    }
  }
  const std::string page = written_report(dir, {dir.write("points.csv", csv)});
  const std::string chart_of = "((i) => document.querySelectorAll('#sweep .chart')[i].options())";
  const boost::json::value visit =
      visited(dir, page,
              {chart_of + "(1).series[0].data.length", chart_of + "(1).yAxis[0].name",
               chart_of + "(1).xAxis[0].axisLabel.interval",
               "new Set(" + chart_of + "(0).series.slice(1).map((s) => s.color)).size",
               "[100, 100.5, 101, 12500, 12.25e6, 0.30000000000000004].map(" + chart_of +
                   "(0).xAxis[0].axisLabel.formatter).join('|')"});
  check_quiet(visit);
  CHECK(visit.at("values").at(0).as_int64() == 24);
  CHECK(visit.at("values").at(1).as_string() == "host.times_gpu");
  CHECK(visit.at("values").at(2).as_int64() == 0);
  CHECK(visit.at("values").at(3).as_int64() == 8);
  CHECK(visit.at("values").at(4).as_string() == "100|100.5|101|12.5 k|12.25 M|0.3");
}

TEST_CASE(
    "browser: a plan's report begins with its answer and opens on charts that show something") {
  if (no_browser("a plan's report")) return;
  const TempDir dir;
  const std::string plan = dir / "answers/agents";
  std::filesystem::create_directories(plan);
  dir.write("answers/plans.json", "{}");
  dir.write("answers/agents/plan.json",
            R"({"plan": "agents", "answer": [{"name": "", "text": "Take 2 engines of tail"},
                {"name": "holds", "text": "36 sessions at a time"}]})");
  // Beside the lightest load of `full`, which praise would go to, only another width was run.
  dir.write("answers/agents/runs.csv",
            "kv_cache.swa_policy,width,load,seed,met,interactivity_tok_s,tok_s_per_gpu,hit_rate\n"
            "full,4,1,1,true,95,1000,0.9\ntail,8,8,1,true,78,4400,0.9\n"
            "tail,8,36,1,true,30,13000,0.8\ntail,8,40,1,false,27,13900,0.8\n");
  dir.write("answers/agents/deployments.csv",
            "kv_cache.swa_policy,width,gpus,status,reason,size,held,engines,price_per_hour\n"
            "tail,8,8,done,,1,36,2,95.68\nfull,4,8,done,,1,4,15,717.6\n");
  const std::string page = written_report(dir, {dir / "answers"});
  const boost::json::value visit =
      visited(dir, page,
              {"document.querySelector('h1').textContent",
               "document.querySelector('#verdict .body').textContent",
               "[...document.querySelectorAll('#sweep select')].map((s) => s.value).join('|')",
               "document.getElementById('report').textContent.includes('No point has')"});
  check_quiet(visit);
  CHECK(visit.at("values").at(0).as_string() == "Plan: agents");
  const std::string verdict(visit.at("values").at(1).as_string());
  CHECK(verdict.starts_with("Take 2 engines of tailholds36 sessions at a time"));
  CHECK(verdict.find("Highest") == std::string::npos);
  const std::string choices(visit.at("values").at(2).as_string());
  CAPTURE(choices);
  CHECK(choices.starts_with("interactivity_tok_s|tok_s_per_gpu|"));
  CHECK(choices.find("|held|price_per_hour|") != std::string::npos);
  CHECK_FALSE(visit.at("values").at(3).as_bool());
}

TEST_CASE("browser: a comparison alone has no empty sections") {
  if (no_browser("a comparison alone")) return;
  const TempDir dir;
  const std::string page = written_report(
      dir, {dir.write("compare.json", R"({"a": {"path": "a"}, "b": {"path": "b"}, "figures":
        {"ttft_p50": {"unit": "ms", "a": 10, "b": 11, "error": 10, "error_unit": "%"}}})")});
  const boost::json::value visit =
      visited(dir, page, {"[...document.querySelectorAll('section')].map((s) => s.id).join(' ')"});
  check_quiet(visit);
  CHECK(visit.at("values").at(0).as_string() == "errors");
}

TEST_CASE("browser: the axis of a distribution is ticked at percentiles that people name") {
  if (no_browser("the axis of a distribution")) return;
  const TempDir dir;
  const ProgramRun run = run_v4cap(
      {"simulate", kSource + "/scenarios/quickstart.yaml", "--quiet", "--out", dir / "run"});
  REQUIRE(run.code == ExitCode::done);
  const boost::json::value visit = visited(
      dir, written_report(dir, {dir / "run"}),
      {"((a) => [a.name, ...a.axisLabel.customValues.map(a.axisLabel.formatter)].join(' '))("
       "document.querySelector('#latency .chart').options().yAxis[0])"});
  check_quiet(visit);
  CHECK(visit.at("values").at(0).as_string() == "percentile of the requests p0 p50 p90 p99");
}

TEST_CASE("browser: twenty names that would be markup are texts") {
  if (no_browser("twenty names that would be markup are texts")) return;
  const TempDir dir;
  std::vector<std::string> arguments;
  std::string csv = "axis";
  for (const std::string& attempt : kAttempts) {
    csv += ',' + csv_quoted(attempt);
  }
  csv += ",hit_rate\n";
  for (std::size_t i = 0; i < kAttempts.size(); ++i) {
    const std::string name = "run" + std::to_string(10 + i);
    // Names of tiers and what happened to a replica, too.
    const std::string more =
        ", \"duration_s\": 20, \"tiers\": {\"gpu_hit_tokens\": 1, " + json_quoted(kAttempts[i]) +
        R"(: {"write": )" + json_quoted(kAttempts[i]) +
        R"(, "hit_tokens": 2, "capacity_gib": 1, "written_bytes": {)" + json_quoted(kAttempts[i]) +
        R"(: 5}, "read_utilisation": 0.5, "write_utilisation": 0.5}}, )"
        R"("cluster": {"replicas": [{"requests": 1, "up_s": 9, "held_s": 9}], )"
        R"("after_disturbance": [{"from_s": -1, "to_s": 0, "hit_rate": 0.5}]})";
    arguments.push_back(
        write_folder(dir, name, {.scenario = kAttempts[i], .policy = kAttempts[i], .more = more}));
    dir.write(name + "/cluster_events.csv", "time_s,replica,what,lost_requests,disturbs\n1,0," +
                                                csv_quoted(kAttempts[i]) + ",0,1\n");
    dir.write(name + "/scenario.resolved.yaml",
              "workload:\n  trace: " + json_quoted(kAttempts[i]) + '\n');
    csv += std::to_string(i);
    for (std::size_t j = 0; j < kAttempts.size(); ++j) csv += ",v" + std::to_string(i + j);
    csv += ",0.5\n";
  }
  arguments.push_back(dir.write("<img src=x onerror=window.hit=21>.csv", csv));
  const std::string page = written_report(dir, arguments);
  std::vector<std::string> questions = {"String(window.hit)", "document.scripts.length",
                                        "document.querySelectorAll('img, iframe, svg, base, "
                                        "object, embed, a[href^=\"javascript\"]').length",
                                        "document.querySelectorAll('style').length"};
  for (const std::string& attempt : kAttempts) {
    const std::string quoted = json_for_html(json_quoted(attempt));
    // In a title, a table and a list of columns.
    questions.push_back(
        "document.querySelectorAll('h3, h4, th, td, option').length > 0 && "
        "[...document.querySelectorAll('h3')].some((e) => e.textContent.includes(" +
        quoted +
        ")) && [...document.querySelectorAll('option')].some((e) => e.textContent === " + quoted +
        ") && [...document.querySelectorAll('.after-faults td')].some((e) => "
        "e.textContent === " +
        quoted + ") && [...document.querySelectorAll('.tiers th')].some((e) => e.textContent === " +
        quoted + ")");
  }
  const boost::json::value visit = visited(dir, page, questions);
  check_quiet(visit);
  CHECK(visit.at("values").at(0).as_string() == "undefined");
  CHECK(visit.at("values").at(1).as_int64() == 3);
  CHECK(visit.at("values").at(2).as_int64() == 0);
  // uPlot and echarts add none of their own.
  CHECK(visit.at("values").at(3).as_int64() == 1);
  for (std::size_t i = 0; i < kAttempts.size(); ++i) {
    CAPTURE(kAttempts[i]);
    CHECK(visit.at("values").at(4 + i).as_bool());
  }
}

TEST_CASE("browser: figures of no steady state are withheld, and it is said why") {
  if (no_browser("figures of no steady state are withheld")) return;
  const TempDir dir;
  const std::string page =
      written_report(dir, {write_folder(dir, "full", {.saturated = true, .tpot_ms = 12345})});
  const boost::json::value visit = visited(dir, page,
                                           {"document.querySelector('.warning').textContent",
                                            "document.getElementById('verdict').textContent + "
                                            "document.getElementById('figures').textContent"});
  check_quiet(visit);
  CHECK(visit.at("values").at(0).as_string().starts_with("No steady state: the run is saturated"));
  CHECK(visit.at("values").at(1).as_string().find("12,345") == std::string::npos);
  CHECK(visit.at("values").at(1).as_string().find("withheld") != std::string::npos);
}

TEST_CASE("browser: the log of a performed run's steps is drawn, also without a time line") {
  if (no_browser("the log of a performed run's steps is drawn")) return;
  const TempDir dir;
  const std::string folder = kSource + "/exec/measured/h100/flash_agents";
  const boost::json::value visit =
      visited(dir, written_report(dir, {folder}),
              {"document.querySelectorAll('#queue canvas').length", kDrawnCanvases});
  check_quiet(visit);
  CHECK(visit.at("values").at(0).as_int64() == 1);
  for (const auto& drawn : visit.at("values").at(1).as_array()) CHECK(drawn.as_bool());
}

TEST_CASE("browser: a million requests are drawn in the time of a few sorts of as many figures") {
  if (no_browser("a million requests are drawn in the time of a few sorts")) return;
  const TempDir dir;
  Report report = read_report({write_folder(dir, "run", {})});
  ColumnSet& requests = report.runs[0].requests;
  requests.rows = requests.kept = 1'000'000;
  // No two alike and in no order, by a generator of the simplest kind.
  std::uint32_t state = 1;
  for (ColumnSet::Column& column : requests.columns) {
    column.figures.resize(1'000'000);
    for (std::size_t i = 0; i < column.figures.size(); ++i) {
      state = state * 1664525U + 1013904223U;
      const double share = static_cast<double>(state >> 8) / static_cast<double>(1 << 24);
      column.figures[i] = column.name == "start_s"   ? static_cast<double>(i) / 100
                          : column.name == "session" ? static_cast<double>(i / 10)
                          : column.name == "e2el_ms" ? 2000 + 1000 * share
                                                     : 1000 * share;
    }
  }
  const std::string page = dir / "million.html";
  std::ofstream(page, std::ios::binary) << report_page(report);
  // The same browser sorts a million numbers, by a comparison of its own: what this machine is worth
  // at this moment. Two to three sorts are usual.
  constexpr const char* kSort = R"((() => {
    const numbers = new Array(1000000);
    let state = 1;
    for (let i = 0; i < numbers.length; ++i) {
      state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
      numbers[i] = state;
    }
    numbers.sort((a, b) => a - b);
    return numbers[0] <= numbers[1];
  })())";
  const boost::json::value visit = visited(dir, page, {kSort});
  check_quiet(visit);
  const auto busy_ms = visit.at("busy_ms").as_int64();
  const auto sort_ms = visit.at("values_busy_ms").at(0).as_int64();
  MESSAGE("a million requests: " << visit.at("drawn_ms").as_int64()
                                 << " ms, of which the processor " << busy_ms
                                 << " ms; a sort of a million numbers " << sort_ms << " ms");
  // Time of the processor, not of the clock: other tests may be running.
  CHECK(busy_ms < 5 * sort_ms);
}
