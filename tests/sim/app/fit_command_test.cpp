#include <doctest/doctest.h>
#include <fmt/format.h>

#include <filesystem>
#include <string>
#include <vector>

#include "sim/cluster/run_scenario.h"
#include "sim/config/profile_file.h"
#include "sim/config/scenario_file.h"
#include "tests/sim/app/program_run.h"
#include "tests/temp_dir.h"

namespace v4cap {
namespace {

const std::string kProfile =
    R"({"profile": {"name": "toy", "gpu": "B200", "engine": "sglang", "engine_version": "1", )"
    R"("device": "d", "driver": "not recorded", "clocks": "c", "date": "2026-08-21", )"
    R"("source": "s", "licence": "l"}})"
    "\n";
const std::string kFamily =
    R"({"family": {"name": "gemm", "grain": "operator", "engine": "sglang", "engine_version": "1", )"
    R"("kernel_source": "k", "keys": ["n"], "axes": [{"name": "m", "unit": "rows"}], )"
    R"("refused_rows": {"no_time": 2}, "tolerance_pct": 0.7}})"
    "\n";
const std::string kSamples = R"({"keys": ["7"], "samples": [[1, 10], [2, 11], [4, 13], [8, 20]]})"
                             "\n";

std::string error_of(const std::string& text) {
  const TempDir dir;
  const std::string file = dir.write("s.jsonl", text);
  const ProgramRun run = run_v4cap({"fit", "--samples", file});
  return run.code == ExitCode::bad_input ? run.err.substr(run.err.find("s.jsonl")) : "accepted";
}

TEST_CASE("fit writes a profile that loads, with the held-out errors that it prints") {
  const TempDir dir;
  const std::string file = dir.write("s.jsonl", kProfile + kFamily + kSamples);
  const ProgramRun run = run_v4cap({"fit", "--samples", file, "--out", dir.path(), "--json"});
  CHECK(run.code == ExitCode::done);
  CHECK(run.out.find("\"name\": \"gemm\"") != std::string::npos);
  CHECK(run.out.find("\"samples\": 2") != std::string::npos);
  const Profile p = load_profile("./toy.yaml", dir.path());
  REQUIRE(p.families.size() == 1);
  CHECK(p.families[0].rows == 4);
  CHECK(p.families[0].held_out.samples == 2);
  CHECK(p.families[0].refused_rows.at("no_time") == 2);
  CHECK(p.families[0].find({{"n", "7"}}) != nullptr);
  const ProgramRun text = run_v4cap({"fit", "--samples", file});
  CHECK(text.out.find("gemm") != std::string::npos);
}

TEST_CASE("malformed samples are refused at their place") {
  CHECK(error_of(kFamily + kSamples).find("expected a line with 'profile'") != std::string::npos);
  CHECK(error_of(kProfile).find("expected a line with 'family'") != std::string::npos);
  CHECK(error_of(kProfile + kFamily).find("family gemm: expected samples, got none") !=
        std::string::npos);
  CHECK(error_of(kProfile + kSamples).find("s.jsonl:2:1: expected a line with 'family' before") ==
        0);
  CHECK(error_of(kProfile + kFamily + R"({"keys": [], "samples": [[1, 2]]})" + "\n")
            .find("keys: expected 1 values, got 0") != std::string::npos);
  CHECK(error_of(kProfile + kFamily + R"({"keys": ["7"], "samples": [[1, 2, 3]]})" + "\n")
            .find("s.jsonl:3:29: expected 2 numbers") == 0);
  CHECK(error_of(kProfile + kFamily + R"({"keys": ["7"], "samples": [[1, 0]]})" + "\n")
            .find("s.jsonl:3:33: us: expected a time above 0") == 0);
  CHECK(error_of(kProfile + kFamily + R"({"keys": ["7"], "samples": [[1, 2], [1, 3]]})" + "\n")
            .find("samples: a point is there twice") != std::string::npos);
  std::string family = kFamily;
  family.replace(family.find("operator"), 8, "layer");
  CHECK(error_of(kProfile + family + kSamples).find("grain: expected operator or module") !=
        std::string::npos);
}

TEST_CASE("fit transfers profiles to another GPU and compares with its own") {
  const std::vector<std::string> command{
      "fit", "--transfer", "h200-vllm-0.24.0", "h100-vllm-0.24.0", "--to", "hgx-b200"};
  const auto with = [&](std::vector<std::string> more) {
    more.insert(more.begin(), command.begin(), command.end());
    return run_v4cap(more);
  };
  const TempDir dir;
  const ProgramRun written = with({"--out", dir.path()});
  CHECK(written.code == ExitCode::done);
  CHECK(written.out.find("median %") == std::string::npos);
  const Profile p =
      load_profile("./hgx-b200-from-h200-vllm-0.24.0-and-h100-vllm-0.24.0.yaml", dir.path());
  CHECK(p.gpu == "B200");
  CHECK(p.find("gemm")->has_mark("transferred"));

  const ProgramRun compared = with({"--against", "b200-vllm-0.24.0"});
  CHECK(compared.out.find("median %") != std::string::npos);
  CHECK(with({"--against", "b200-vllm-0.24.0"}).out == compared.out);
  const ProgramRun json = with({"--against", "b200-vllm-0.24.0", "--json"});
  CHECK(json.out.find("\"signed_median_pct\"") != std::string::npos);

  const ProgramRun other = with({"--against", "h200-vllm-0.24.0"});
  CHECK(other.code == ExitCode::bad_input);
  CHECK(other.err.find("--against: expected a profile of B200 under vllm, h200-vllm-0.24.0 is of "
                       "H200 under vllm") != std::string::npos);
  const ProgramRun nowhere = run_v4cap({"fit", "--transfer", "h200-vllm-0.24.0"});
  CHECK(nowhere.err.find("expected --transfer and --to together") != std::string::npos);
  const ProgramRun both = with({"--samples", "s.jsonl"});
  CHECK(both.err.find("expected either STEPS, --samples or --transfer") != std::string::npos);
}

TEST_CASE("fit makes its folder, adds to one that is there and replaces only what it is told to") {
  const TempDir dir;
  const std::string file = dir.write("s.jsonl", kProfile + kFamily + kSamples);
  const std::string folder = dir / "new/profiles";
  const std::vector<std::string> command{"fit", "--samples", file, "--out", folder};
  const auto with = [&](std::vector<std::string> more) {
    more.insert(more.begin(), command.begin(), command.end());
    return run_v4cap(more);
  };
  REQUIRE(with({}).code == ExitCode::done);
  CHECK(load_profile("./toy.yaml", folder).find("gemm")->rows == 4);
  dir.write("new/profiles/other.yaml", "not looked at");
  // The table alone keeps the name, too.
  std::filesystem::remove(folder + "/toy.yaml");
  const ProgramRun again = with({});
  CHECK(again.code == ExitCode::bad_input);
  CHECK(again.err.find("toy.csv: the file exists; choose another name or pass --overwrite") !=
        std::string::npos);
  CHECK_FALSE(std::filesystem::exists(folder + "/toy.yaml"));
  CHECK(with({"--overwrite"}).code == ExitCode::done);
  CHECK(with({}).err.find("toy.yaml: the file exists") != std::string::npos);

  // A profile of steps has no table: that of the one that it replaces goes with it.
  std::string log;
  for (int i = 1; i <= 20; ++i) {
    log += "{\"ms\": " + std::to_string(i) + ", \"decode_tokens\": " + std::to_string(i) + "}\n";
  }
  const std::string steps = dir.write("steps.jsonl", log);
  const std::vector<std::string> of_steps{"fit", steps, "--out", folder, "--name", "toy"};
  const auto fit_steps_with = [&](std::vector<std::string> more) {
    more.insert(more.begin(), of_steps.begin(), of_steps.end());
    return run_v4cap(more);
  };
  CHECK(fit_steps_with({}).err.find("--gpu: expected with STEPS and --out") != std::string::npos);
  CHECK(fit_steps_with({"--gpu", "B200"}).err.find("the file exists") != std::string::npos);
  REQUIRE(fit_steps_with({"--gpu", "B200", "--overwrite"}).code == ExitCode::done);
  CHECK(load_profile("./toy.yaml", folder).whole_steps() != nullptr);
  CHECK_FALSE(std::filesystem::exists(folder + "/toy.csv"));
  std::size_t files = 0;
  for (const auto& entry : std::filesystem::directory_iterator(folder)) {
    files += entry.is_regular_file() ? 1 : 0;
  }
  CHECK(files == 2);

  CHECK(with({"--gpu", "B200"}).err.find("--gpu: expected together with STEPS") !=
        std::string::npos);
  CHECK(run_v4cap({"fit", steps, "--overwrite"}).err.find("--overwrite: expected with --out") !=
        std::string::npos);
  CHECK(run_v4cap({"fit", steps, "--out", folder, "--gpu", "B200", "--name", "../toy"})
            .err.find("expected the name of a file for the profile, got \"../toy\"") !=
        std::string::npos);
  CHECK(run_v4cap({"fit", steps, "--out", file, "--gpu", "B200"}).code == ExitCode::bad_input);
}

TEST_CASE("a scenario is timed by what fit made of samples, and of a transfer") {
  // The times of one family, ten times as long as they were.
  const TempDir dir;
  const Profile real = load_profile("b200-sglang-0.5.14", "");
  const ProfileFamily& experts = *real.find("experts");
  const auto lines = [&](double factor) {
    std::string text =
        R"({"profile": {"name": "mine", "gpu": "B200", "engine": "sglang", "engine_version": "1", )"
        R"("device": "d", "driver": "n", "clocks": "c", "date": "2026-08-21", "source": "s", )"
        R"("licence": "l"}})"
        "\n"
        R"({"family": {"name": "experts", "grain": "operator", "engine": "sglang", )"
        R"("engine_version": "1", "kernel_source": "k", "tolerance_pct": 0, "keys": [)";
    const auto list = [&](const auto& items, const auto& item_text) {
      for (std::size_t i = 0; i < items.size(); ++i)
        text += (i == 0 ? "" : ", ") + item_text(items[i]);
    };
    const auto quoted = [](const std::string& s) { return '"' + s + '"'; };
    list(experts.keys, quoted);
    text += "], \"axes\": [";
    list(experts.axes, [](const ProfileAxis& a) {
      return R"({"name": ")" + a.name + R"(", "unit": ")" + a.unit + R"("})";
    });
    text += "]}}\n";
    for (const ProfileSeries& series : experts.series) {
      text += "{\"keys\": [";
      list(series.keys, quoted);
      text += "], \"samples\": [";
      list(series.grid.samples(), [&](const Sample& sample) {
        std::string row = "[";
        for (std::size_t i = 0; i < experts.axes.size(); ++i) {
          row += fmt::format("{}, ", sample.at[i]);
        }
        return row + fmt::format("{}]", factor * sample.us);
      });
      text += "]}\n";
    }
    return text;
  };
  const auto made = [&](const std::string& folder, double factor) {
    const std::string file = dir.write("samples.jsonl", lines(factor));
    REQUIRE(run_v4cap({"fit", "--samples", file, "--out", dir / folder}).code == ExitCode::done);
    return dir / (folder + "/mine.yaml");
  };
  const auto decode = [](const std::string& hardware, const std::string& profile) {
    ScenarioOptions options;
    options.find_traces = false;
    const Scenario s =
        parse_scenario("model: deepseek-v4-pro\nhardware: " + hardware + "\nprofile: " + profile +
                           "\nworkload: {trace: none}\ndeployment: {tensor_parallel: 8}\n"
                           "kv_cache: {layout: sglang}\n",
                       "s.yaml", options);
    StepPlan plan;
    plan.pieces.assign(64, {.kind = PieceKind::decode, .past = Tokens{9'000}, .tokens = Tokens{1}});
    return make_cost(s).model->step_time(plan);
  };
  const auto measured_s = [](const StepTime& time) {
    return time.share.measured_s + time.share.interpolated_s + time.share.extrapolated_s;
  };
  const StepTime own = decode("hgx-b200", made("own", 1)),
                 slow = decode("hgx-b200", made("slow", 10));
  CHECK(measured_s(own) > 0);
  CHECK(measured_s(slow) / measured_s(own) == doctest::Approx(10).epsilon(1e-3));
  CHECK(slow.total > own.total);

  REQUIRE(run_v4cap({"fit", "--transfer", "b200-sglang-0.5.14", "--to", "hgx-b300", "--out",
                     dir / "moved"})
              .code == ExitCode::done);
  const StepTime moved = decode("hgx-b300", dir / "moved/hgx-b300-from-b200-sglang-0.5.14.yaml");
  CHECK(moved.share.transferred_s > 0.5 * to_seconds(moved.total));
  CHECK(measured_s(moved) == 0);
  const StepTime rescaled = decode("hgx-b300", "b200-sglang-0.5.14");
  CHECK(to_seconds(moved.total) / to_seconds(rescaled.total) == doctest::Approx(1).epsilon(1e-3));
}

}  // namespace
}  // namespace v4cap
