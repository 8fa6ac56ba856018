// The profiles that are shipped: they load, they say how wrong they are, and what misses the target
// is listed with its reason in the README beside them.
#include <doctest/doctest.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <map>
#include <sstream>
#include <string>

#include "sim/config/data_files.h"
#include "sim/config/hardware_file.h"
#include "sim/config/profile_file.h"
#include "tests/data.h"
#include "tests/sim/app/program_run.h"
#include "tests/temp_dir.h"

namespace v4cap {
namespace {

constexpr double kMedianPct = 2.5, kP90Pct = 10;
constexpr std::array kNames = {"b200-sglang-0.5.14", "b200-trtllm-1.3.0rc23", "b200-vllm-0.24.0",
                               "h100-sglang-0.5.14", "h100-vllm-0.24.0",      "h200-sglang-0.5.14",
                               "h200-vllm-0.24.0"};

std::string text_of(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

// Lines of the README's table of misses by family.
std::map<std::string, std::string> documented_misses() {
  std::istringstream readme(
      text_of(std::string(V4CAP_SOURCE_DIR) + "/scenarios/profiles/README.md"));
  std::map<std::string, std::string> out;
  bool in_table = false;
  for (std::string line; std::getline(readme, line);) {
    if (line.starts_with("| family |")) in_table = line.starts_with("| family | profiles |");
    if (in_table && line.starts_with("| ")) {
      out[line.substr(2, line.find(' ', 2) - 2)] = line;
    }
  }
  return out;
}

TEST_CASE("every shipped profile loads, names a GPU that we describe and times V4's attention") {
  for (const std::string name : kNames) {
    CAPTURE(name);
    const Profile p = load_profile(name, "");
    CHECK(p.licence == "Apache-2.0");
    CHECK(p.source.find("095f58a51") != std::string::npos);
    std::string hardware = "hgx-";
    std::ranges::transform(p.gpu, std::back_inserter(hardware), [](char c) {
      return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
    });
    CHECK(load_hardware(hardware).gpu.name == p.gpu);
    for (const std::string family : {"attention_csa_decode", "attention_hca_prefill", "experts",
                                     "gemm", "all_reduce", "mhc_pre"}) {
      CAPTURE(family);
      REQUIRE(p.find(family) != nullptr);
      CHECK(p.find(family)->held_out.samples > 0);
    }
    for (const std::string model : {"deepseek-v4-pro", "deepseek-v4-flash"}) {
      for (const std::string tp : {"1", "2", "4", "8"}) {
        CHECK(p.find("attention_csa_decode")->find({{"model", model}, {"tp", tp}}) != nullptr);
      }
    }
  }
}

TEST_CASE("families miss the target for held-out errors exactly where the README says so") {
  const auto misses = documented_misses();
  CHECK(misses.size() > 5);
  for (const std::string name : kNames) {
    const Profile p = load_profile(name, "");
    for (const ProfileFamily& family : p.families) {
      CAPTURE(name);
      CAPTURE(family.name);
      const bool is_miss =
          family.held_out.median_pct > kMedianPct || family.held_out.p90_pct > kP90Pct;
      const auto it = misses.find(family.name);
      const bool is_listed = it != misses.end() && it->second.find(name) != std::string::npos;
      CHECK(is_miss == is_listed);
    }
  }
}

TEST_CASE("a longer past never makes decode of one request of SGLang much faster") {
  for (const std::string name :
       {"b200-sglang-0.5.14", "h200-sglang-0.5.14", "h100-sglang-0.5.14"}) {
    const Profile p = load_profile(name, "");
    for (const ProfileSeries& series : p.find("attention_csa_decode")->series) {
      CAPTURE(name);
      CAPTURE(series.keys[0]);
      CAPTURE(series.keys[1]);
      double longest_us = 0;
      for (double past = 1; past <= 1'048'575; past *= 1.25) {
        const double us = series.grid.at(std::array{1.0, past}).us;
        CHECK(us > 0.95 * longest_us);
        longest_us = std::max(longest_us, us);
      }
    }
  }
}

TEST_CASE("attention of V4-Pro in TP 8 on B200 takes what was published") {
  const Profile p = load_profile("b200-sglang-0.5.14", "");
  const auto us = [&](const std::string& family, std::vector<double> at) {
    const ProfileSeries* series = p.find(family)->find({{"model", "deepseek-v4-pro"}, {"tp", "8"}});
    REQUIRE(series != nullptr);
    return series->grid.at(at).us;
  };
  CHECK(us("attention_csa_decode", {1, 1}) == doctest::Approx(72.7).epsilon(0.01));
  CHECK(us("attention_csa_decode", {256, 4096}) == doctest::Approx(223.7).epsilon(0.01));
  // 144.1 us less 65.1 us of flat scores, and 3.1 us of realistic ones.
  CHECK(us("attention_csa_decode", {1, 8192}) == doctest::Approx(82.1).epsilon(0.01));
  CHECK(us("attention_csa_prefill", {1, 8192, 0}) == doctest::Approx(3065.6 - 92.1).epsilon(0.01));
}

DATA_TEST_CASE("fitting the public tables again gives the profile that is shipped") {
  const TempDir dir;
  const std::string name = "h100-vllm-0.24.0";
  const std::string command = "python3 '" + std::string(V4CAP_SOURCE_DIR) +
                              "/scripts/fit_profiles' '" + (data_dir() / "silicon").string() +
                              "' --only " + name + " --samples-only '" + dir.path() + "'";
  REQUIRE(std::system(command.c_str()) == 0);
  const ProgramRun run =
      run_v4cap({"fit", "--samples", dir / (name + ".jsonl"), "--out", dir.path()});
  CHECK(run.code == ExitCode::done);
  const std::string shipped = std::string(V4CAP_SOURCE_DIR) + "/scenarios/profiles/" + name;
  CHECK(text_of(dir / (name + ".csv")) == text_of(shipped + ".csv"));
  CHECK(text_of(dir / (name + ".yaml")) == text_of(shipped + ".yaml"));
}

}  // namespace
}  // namespace v4cap
