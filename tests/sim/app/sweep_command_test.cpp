// `v4cap sweep` whole and in the process, on small parts of the bundled sample.
#include <doctest/doctest.h>
#include <sqlite3.h>

#include <boost/json.hpp>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>
#include <sstream>

#include "sim/sweep/sweep_directory.h"
#include "tests/sim/app/program_run.h"
#include "tests/temp_dir.h"

namespace v4cap {
namespace {

namespace fs = std::filesystem;

const std::string kSource = V4CAP_SOURCE_DIR;

std::string bytes_of(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

// Eight points, of which two never fit, and two are the same.
std::string small_sweep(const TempDir& dir, const std::string& more = "") {
  return dir.write("small.yaml",
                   "base: " + kSource +
                       "/scenarios/quickstart.yaml\n"
                       "axes:\n  workload.max_requests: [30]\n  profile: [none]\n"
                       "  kv_cache.swa_policy: [full, recompute]\n"
                       "  node:\n    keys: [hardware, workload.arrivals.sessions_at_a_time]\n"
                       "    rows: [[hgx-b200, 4], [hgx-b200, 8], [hgx-h100, 4], [hgx-b200, 16]]\n" +
                       more);
}

std::vector<std::string> rows_of(const std::string& csv) {
  std::istringstream stream(bytes_of(csv));
  std::vector<std::string> lines;
  for (std::string line; std::getline(stream, line);) lines.push_back(line);
  return lines;
}

std::int64_t results_in(const std::string& store) {
  sqlite3* database = nullptr;
  REQUIRE(sqlite3_open(store.c_str(), &database) == SQLITE_OK);
  std::int64_t count = -1;
  sqlite3_exec(
      database, "SELECT count(*) FROM results",
      [](void* out, int, char** text, char**) {
        *static_cast<std::int64_t*>(out) = std::stoll(text[0]);
        return 0;
      },
      &count, nullptr);
  sqlite3_close(database);
  return count;
}

void check_equal_exports(const std::string& a, const std::string& b) {
  CHECK(bytes_of(a + "/points.csv") == bytes_of(b + "/points.csv"));
  CHECK(bytes_of(a + "/points.jsonl") == bytes_of(b + "/points.jsonl"));
  CHECK_FALSE(bytes_of(a + "/points.jsonl").empty());
}

TEST_CASE("sweep: one thread and two give the same bytes") {
  const TempDir dir;
  const std::string sweep = small_sweep(dir);
  for (const std::string jobs : {"1", "2"}) {
    REQUIRE(run_v4cap({"sweep", sweep, "--out", dir / jobs, "--jobs", jobs}).code ==
            ExitCode::done);
  }
  check_equal_exports(dir / "1", dir / "2");
  const auto rows = rows_of(dir / "1/points.csv");
  REQUIRE(rows.size() == 9);
  CHECK(
      rows[0].starts_with("position,key,workload.max_requests,profile,kv_cache.swa_policy,"
                          "hardware,workload.arrivals.sessions_at_a_time,seed,status,reason,met,"));
  CHECK(rows[1].find(",30,none,full,hgx-b200,4,1,done,,,") != std::string::npos);
  CHECK(rows[3].find("infeasible,\"deepseek-v4-pro does not fit") != std::string::npos);
}

TEST_CASE(
    "sweep: figures of tiers are columns where there are some, and thresholds may ask for them") {
  const TempDir dir;
  const std::string text =
      "base: " + kSource +
      "/scenarios/quickstart.yaml\n"
      "axes:\n  workload.max_requests: [100]\n  profile: [none]\n  kv_cache.memory: [4 GiB]\n"
      "  kv_cache.tiers.host.read_bandwidth: [50 GB/s]\n"
      "  kv_cache.tiers.host.write_bandwidth: [50 GB/s]\n"
      "  kv_cache.tiers.host.times_gpu: [1, 100]\n"
      "thresholds:\n  - tiers.host.hit_tokens >= ";
  const std::string sweep = dir.write("tiers.yaml", text + "1\n");
  REQUIRE(run_v4cap({"sweep", sweep, "--out", dir / "s"}).code == ExitCode::done);
  const auto rows = rows_of(dir / "s/points.csv");
  REQUIRE(rows.size() == 3);
  CHECK(rows[0].find(",tiers.gpu_hit_tokens,") != std::string::npos);
  CHECK(rows[0].find(",tiers.host.written_bytes_per_output_token,") != std::string::npos);
  CHECK(rows[0].find(",tiers.ssd.") == std::string::npos);
  CHECK(rows[2].find(",done,,true,") != std::string::npos);
  const std::string never = dir.write("never.yaml", text + "1e15\n");
  CHECK(run_v4cap({"sweep", never, "--out", dir / "n"}).code == ExitCode::slo_missed);
}

TEST_CASE("sweep: a point is what simulate gives for it") {
  const TempDir dir;
  REQUIRE(run_v4cap({"sweep", small_sweep(dir), "--out", dir / "s"}).code == ExitCode::done);
  std::istringstream lines(bytes_of(dir / "s/points.jsonl"));
  std::string line;
  std::getline(lines, line);
  std::getline(lines, line);
  const boost::json::value row = boost::json::parse(line);
  const ProgramRun one =
      run_v4cap({"simulate", kSource + "/scenarios/quickstart.yaml", "--json", "--set",
                 "workload.max_requests=30", "--set", "profile=none", "--set",
                 "kv_cache.swa_policy=full", "--set", "workload.arrivals.sessions_at_a_time=8"});
  REQUIRE(one.code == ExitCode::done);
  const boost::json::value expected = boost::json::parse(one.out);
  CHECK(row.at("position").as_int64() == 1);
  CHECK(row.at("values").at("workload.arrivals.sessions_at_a_time").as_int64() == 8);
  CHECK(row.at("summary").at("result_hash") == expected.at("result_hash"));
  CHECK(row.at("summary").at("ttft_ms") == expected.at("ttft_ms"));
}

TEST_CASE("sweep: what is known is not run again, in a larger sweep either") {
  const TempDir dir;
  const std::string out = dir / "s";
  REQUIRE(run_v4cap({"sweep", small_sweep(dir), "--out", out}).code == ExitCode::done);
  CHECK(results_in(out + "/sweep.sqlite") == 8);
  const std::string before = bytes_of(out + "/points.csv");
  REQUIRE(run_v4cap({"sweep", small_sweep(dir), "--out", out}).code == ExitCode::done);
  CHECK(bytes_of(out + "/points.csv") == before);

  const ProgramRun dry = run_v4cap(
      {"sweep", small_sweep(dir, "seeds: [1, 2]\n"), "--out", out, "--dry-run", "--json"});
  REQUIRE(dry.code == ExitCode::done);
  const boost::json::value plan = boost::json::parse(dry.out);
  CHECK(plan.at("points").as_int64() == 16);
  CHECK(plan.at("to_run").as_int64() == 8);
  CHECK(plan.at("estimated_wall_s").as_double() > 0);
  CHECK(plan.at("estimated_memory_bytes").as_int64() > 0);
  CHECK(bytes_of(out + "/points.csv") == before);

  REQUIRE(run_v4cap({"sweep", small_sweep(dir, "seeds: [1, 2]\n"), "--out", out}).code ==
          ExitCode::done);
  CHECK(results_in(out + "/sweep.sqlite") == 16);
  CHECK(rows_of(out + "/points.csv").size() == 17);
}

TEST_CASE("sweep: identical points are run once and shown each") {
  const TempDir dir;
  // The engine's default is 256.
  const std::string sweep =
      dir.write("same.yaml", "base: " + kSource +
                                 "/scenarios/quickstart.yaml\naxes:\n"
                                 "  workload.max_requests: [20]\n  profile: [none]\n"
                                 "  engine.max_running: [null, 256]\n");
  REQUIRE(run_v4cap({"sweep", sweep, "--out", dir / "s"}).code == ExitCode::done);
  CHECK(results_in(dir / "s/sweep.sqlite") == 1);
  CHECK(rows_of(dir / "s/points.csv").size() == 3);
}

TEST_CASE("sweep: thresholds mark points, and none that meets them ends with 99") {
  const TempDir dir;
  const ProgramRun met =
      run_v4cap({"sweep", small_sweep(dir, "thresholds: [hit_rate >= 0.01, ttft_ms.p99 <= 1e9]\n"),
                 "--out", dir / "a", "--json"});
  CHECK(met.code == ExitCode::done);
  const boost::json::value document = boost::json::parse(met.out);
  CHECK(document.at("met").as_int64() == 6);
  CHECK(document.at("infeasible").as_int64() == 2);
  REQUIRE(document.at("rows").as_array().size() == 8);
  CHECK(document.at("rows").at(0).at("met").as_bool());
  CHECK_FALSE(document.at("rows").at(2).at("met").as_bool());
  const ProgramRun missed = run_v4cap(
      {"sweep", small_sweep(dir, "thresholds: [ttft_ms.p99 <= 0.001]\n"), "--out", dir / "a"});
  CHECK(missed.code == ExitCode::slo_missed);
  CHECK(missed.out.find("0 of 8 points meet ttft_ms.p99 <= 0.001") != std::string::npos);
}

TEST_CASE("sweep: when nothing can run it has failed, with the reason") {
  const TempDir dir;
  const ProgramRun run = run_v4cap({"sweep",
                                    dir.write("s.yaml", "base: " + kSource +
                                                            "/scenarios/quickstart.yaml\naxes: "
                                                            "{hardware: [hgx-h100]}\n"),
                                    "--out", dir / "s"});
  CHECK(run.code == ExitCode::failed);
  CHECK(run.out.find("infeasible, 1 point: deepseek-v4-pro does not fit") != std::string::npos);
}

TEST_CASE("sweep: shards, merged, give the bytes of a local run") {
  const TempDir dir;
  const std::string sweep = small_sweep(dir), planned = dir / "planned";
  REQUIRE(run_v4cap({"sweep", sweep, "--out", dir / "local"}).code == ExitCode::done);
  REQUIRE(run_v4cap({"sweep", "plan", sweep, "--out", planned}).code == ExitCode::done);
  const std::string plan = planned + "/plan.json";
  for (const std::string shard : {"3/3", "1/3"}) {
    REQUIRE(run_v4cap({"sweep", plan, "--shard", shard}).code == ExitCode::done);
  }
  const ProgramRun early = run_v4cap({"sweep", "merge", planned});
  CHECK(early.code == ExitCode::failed);
  CHECK(early.err.find("3 of 8 points have no result yet") != std::string::npos);
  const ProgramRun status = run_v4cap({"sweep", "status", planned});
  CHECK(status.out.find("5 of 8 points are done") != std::string::npos);
  CHECK(status.out.find("2 of 3 shards are there; missing: 2") != std::string::npos);

  REQUIRE(run_v4cap({"sweep", plan, "--shard", "2/3", "--jobs", "2"}).code == ExitCode::done);
  const std::string third = planned + "/shards/shard-00003-of-00003.jsonl";
  const std::string before = bytes_of(third);
  const ProgramRun again = run_v4cap({"sweep", plan, "--shard", "3/3"});
  CHECK(again.err.find("is there already") != std::string::npos);
  CHECK(run_v4cap({"sweep", plan, "--shard", "3/3", "--overwrite"}).code == ExitCode::done);
  CHECK(bytes_of(third) == before);
  REQUIRE(run_v4cap({"sweep", "merge", planned}).code == ExitCode::done);
  check_equal_exports(dir / "local", planned);
}

TEST_CASE("sweep: a shard of a sweep file brings its plan along") {
  const TempDir dir;
  const std::string sweep = small_sweep(dir), out = dir / "out";
  for (const std::string shard : {"1/2", "2/2"}) {
    REQUIRE(run_v4cap({"sweep", sweep, "--shard", shard, "--out", out}).code == ExitCode::done);
  }
  REQUIRE(run_v4cap({"sweep", "merge", out}).code == ExitCode::done);
  const ProgramRun other =
      run_v4cap({"sweep", small_sweep(dir, "seeds: [7]\n"), "--shard", "1/2", "--out", out});
  CHECK(other.code == ExitCode::bad_input);
  CHECK(other.err.find("this directory has another") != std::string::npos);
  // A local run would leave shards of another plan behind.
  CHECK(run_v4cap({"sweep", small_sweep(dir, "seeds: [7]\n"), "--out", out}).code ==
        ExitCode::bad_input);
}

TEST_CASE("sweep: a plan stays as it is") {
  const TempDir dir;
  const std::string planned = dir / "planned";
  REQUIRE(run_v4cap({"sweep", "plan", small_sweep(dir), "--out", planned}).code == ExitCode::done);
  CHECK(run_v4cap({"sweep", "plan", small_sweep(dir), "--out", planned}).code == ExitCode::done);
  const std::string other = small_sweep(dir, "seeds: [7]\n");
  const ProgramRun refused = run_v4cap({"sweep", "plan", other, "--out", planned});
  CHECK(refused.code == ExitCode::bad_input);
  CHECK(refused.err.find("this directory has another") != std::string::npos);
  CHECK(run_v4cap({"sweep", planned + "/plan.json", "--seed", "3"}).code == ExitCode::bad_input);
  CHECK(run_v4cap({"sweep", "plan", other, "--out", planned, "--overwrite"}).code ==
        ExitCode::done);
}

TEST_CASE("sweep: wrong use is refused") {
  const TempDir dir;
  const std::string sweep = small_sweep(dir);
  dir.write("full/notes.txt", "mine");
  fs::create_directory(dir / "empty");
  struct Row {
    std::vector<std::string> arguments;
    std::string message;
  };
  const std::vector<Row> rows = {
      {{"sweep"}, "FILE is missing"},
      {{"sweep", dir / "nowhere.yaml"}, "expected a file, found none of that name"},
      {{"sweep", sweep, "--jobs", "0"}, "--jobs"},
      {{"sweep", sweep, "--shard", "0/3"}, "expected i/N"},
      {{"sweep", sweep, "--out", dir / "full"}, "the directory is not empty and not of a sweep"},
      {{"sweep", sweep, "--set", "kv_cache.swa_policy=tail"}, "is an axis of the sweep"},
      {{"sweep", "resume", dir / "empty"}, "found no plan.json in it"},
      {{"sweep", "status", dir / "nowhere"}, "expected the directory of a sweep, found none"},
      {{"sweep", "merge"}, "DIR is missing"},
      {{"sweep", "submit", "slum", dir / "empty"}, "did you mean 'slurm'?"},
      {{"sweep", "statu"}, "did you mean 'status'?"},
      {{"sweep", "statu", dir / "empty"}, "unexpected argument"},
  };
  for (const Row& row : rows) {
    CAPTURE(row.message);
    const ProgramRun run = run_v4cap(row.arguments);
    CAPTURE(run.err);
    CHECK(run.code == ExitCode::bad_input);
    CHECK(run.err.find(row.message) != std::string::npos);
  }
  CHECK(bytes_of(dir / "full/notes.txt") == "mine");
}

TEST_CASE("sweep: two processes do not work on one directory") {
  const TempDir dir;
  const SweepDirectory held(dir / "s", false);
  const ProgramRun run = run_v4cap({"sweep", small_sweep(dir), "--out", dir / "s"});
  CHECK(run.code == ExitCode::bad_input);
  CHECK(run.err.find("another v4cap is working on this sweep") != std::string::npos);
}

TEST_CASE("sweep: submit --dry-run prints the job and writes nothing") {
  const TempDir dir;
  const std::string planned = dir / "planned";
  REQUIRE(run_v4cap({"sweep", "plan", small_sweep(dir), "--out", planned}).code == ExitCode::done);
  const ProgramRun run =
      run_v4cap({"sweep", "submit", "slurm", planned, "--shards", "4", "--dry-run"});
  REQUIRE(run.code == ExitCode::done);
  CHECK(run.out.find("#SBATCH --array=1-4\n") != std::string::npos);
  CHECK(run.out.find("--shard \"${SLURM_ARRAY_TASK_ID}\"/4") != std::string::npos);
  CHECK_FALSE(fs::exists(planned + "/submit.slurm"));
  const ProgramRun parallel =
      run_v4cap({"sweep", "submit", "parallel", planned, "--shards", "100"});
  REQUIRE(parallel.code == ExitCode::done);
  CHECK(parallel.out.starts_with("seq 1 8 | parallel"));  // no more shards than points
  CHECK(bytes_of(planned + "/submit.parallel") == "#!/bin/sh\n" + parallel.out);
}

TEST_CASE("sweep: the shipped sweep has 500 points") {
  const char* data = std::getenv("V4CAP_DATA");
  if (data == nullptr) {
    MESSAGE("[skipped] V4CAP_DATA names no folder");
    return;
  }
  const TempDir dir;
  const ProgramRun run =
      run_v4cap({"sweep", "plan", kSource + "/scenarios/sweep_swa_policies.yaml", "--traces",
                 std::string(data) + "/traces", "--out", dir / "s", "--json"});
  CAPTURE(run.err);
  REQUIRE(run.code == ExitCode::done);
  CHECK(boost::json::parse(run.out).at("points").as_int64() == 500);
}

TEST_CASE("sweep: README's example does what it shows") {
  const std::string readme = bytes_of(kSource + "/README.md");
  const std::size_t begin = readme.find("## Many runs: sweeps");
  REQUIRE(begin != std::string::npos);
  std::istringstream section(readme.substr(begin, readme.find("\n## ", begin) - begin));
  const TempDir dir;
  fs::copy(kSource + "/scenarios/quickstart.yaml", dir / "quickstart.yaml");
  std::string line, printed, file;
  int commands = 0, shown = 0;
  while (std::getline(section, line)) {
    if (!line.starts_with("    ")) continue;
    line.erase(0, 4);
    // The sweep file comes first, up to the first command.
    if (commands == 0 && !line.starts_with("v4cap ")) {
      file += line + '\n';
      continue;
    }
    if (!line.starts_with("v4cap ")) {
      CAPTURE(line);
      CAPTURE(printed);
      CHECK(printed.find(line) != std::string::npos);
      ++shown;
      continue;
    }
    if (commands == 0) dir.write("sweep.yaml", file);
    std::istringstream words(line.substr(6, line.find('#') - 6));
    std::vector<std::string> arguments;
    for (std::string word; words >> word;) {
      if (word == "sweep.yaml" || word.starts_with("runs/")) word.insert(0, dir.path() + "/");
      arguments.push_back(word);
    }
    CAPTURE(line);
    const ProgramRun run = run_v4cap(arguments);
    CAPTURE(run.err);
    CHECK(run.code == ExitCode::done);
    printed = run.out;
    ++commands;
  }
  CHECK(commands >= 6);
  CHECK(shown >= 2);
}

// Fields of a line, of which some stand in quotes.
std::vector<std::string> fields_of(const std::string& line) {
  std::vector<std::string> out(1);
  bool quoted = false;
  for (const char c : line) {
    if (c == '"') quoted = !quoted;
    if (c == ',' && !quoted) {
      out.emplace_back();
    } else {
      out.back() += c;
    }
  }
  return out;
}

std::map<std::string, std::string> row_by_name(const std::vector<std::string>& rows,
                                               std::size_t row) {
  const auto names = fields_of(rows.at(0)), values = fields_of(rows.at(row));
  REQUIRE(names.size() == values.size());
  std::map<std::string, std::string> out;
  for (std::size_t i = 0; i < names.size(); ++i) out[names[i]] = values[i];
  return out;
}

TEST_CASE("sweep: what was lost with a tier is a figure, and may be a threshold") {
  const TempDir dir;
  const std::string tiers = dir.write(
      "tiers.yaml",
      "base: " + kSource +
          "/scenarios/quickstart.yaml\n"
          "axes:\n  workload.max_requests: [60]\n  profile: [none]\n  kv_cache.memory: [2 GiB]\n"
          "  kv_cache.tiers.host.read_bandwidth: [50 GB/s]\n"
          "  kv_cache.tiers.host.write_bandwidth: [50 GB/s]\n"
          "thresholds: [tiers.host.lost_gib <= 0]\n");
  const ProgramRun whole = run_v4cap({"sweep", tiers, "--out", dir / "whole", "--quiet"});
  CAPTURE(whole.err);
  CHECK(whole.code == ExitCode::done);
  CHECK(row_by_name(rows_of(dir / "whole/points.csv"), 1).at("met") == "true");
  const ProgramRun lost =
      run_v4cap({"sweep", tiers, "--out", dir / "lost", "--quiet", "--set",
                 "cluster.faults=[{kind: lost_tier, tier: host, at: 10 s, for: 5 s}]"});
  CAPTURE(lost.err);
  CHECK(lost.code != ExitCode::done);
  const auto row = row_by_name(rows_of(dir / "lost/points.csv"), 1);
  CHECK(row.at("met") == "false");
  CHECK(std::stod(row.at("tiers.host.lost_gib")) > 0.1);
  CHECK(row.at("cluster.disturbances") == "1");
}

TEST_CASE("sweep: links between replicas and what they moved are figures") {
  const TempDir dir;
  const std::string file = dir.write(
      "handed.yaml", "base: " + kSource +
                         "/scenarios/prefill_decode.yaml\n"
                         "axes:\n  workload.synthetic.sessions: [200]\n  profile: [none]\n"
                         "  prefill.transfer.bandwidth: [50 GB/s, 5 GB/s]\n"
                         "thresholds: [cluster.transfer.in_utilisation <= 1, "
                         "cluster.transfer.after_prompt_ms.p99 <= "
                         "1000]\n");
  const ProgramRun run = run_v4cap({"sweep", file, "--out", dir / "s", "--quiet"});
  CAPTURE(run.err);
  REQUIRE(run.code == ExitCode::done);
  const auto rows = rows_of(dir / "s/points.csv");
  REQUIRE(rows.size() == 3);
  const auto fast = row_by_name(rows, 1), slow = row_by_name(rows, 2);
  CHECK(fast.at("met") == "true");
  CHECK(std::stod(fast.at("cluster.transfer.moved_bytes")) > 1e9);
  CHECK(fast.at("cluster.transfer.sent_bytes.swa") == slow.at("cluster.transfer.sent_bytes.swa"));
  CHECK(std::stod(slow.at("cluster.transfer.in_utilisation")) >
        5 * std::stod(fast.at("cluster.transfer.in_utilisation")));
  CHECK(std::stod(slow.at("cluster.gpu_hours")) > 0);
}

}  // namespace
}  // namespace v4cap
