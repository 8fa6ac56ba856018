// exec/README.md shows what the profiles say of our layers and of other engines' modules, and the
// script that composes them does so as sim/cost/profile_cost.cpp.
#include <doctest/doctest.h>
#include <sys/wait.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>

#include "tests/golden.h"
#include "tests/temp_dir.h"

using namespace v4cap;

namespace {

namespace fs = std::filesystem;

int run_script(const fs::path& root, const std::string& arguments) {
  const std::string command =
      "'" + (root / "scripts/layer_crosscheck").string() + "' " + arguments + " > /dev/null 2>&1";
  const int status = std::system(command.c_str());
  return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

// A copy of the script and its page, with profiles of its own.
void write_tree(const fs::path& to) {
  const fs::path from(V4CAP_SOURCE_DIR);
  for (const char* folder : {"scripts", "exec", "kernels/measured", "scenarios/profiles"}) {
    fs::create_directories(to / folder);
  }
  fs::copy(from / "scripts/layer_crosscheck", to / "scripts/layer_crosscheck");
  fs::copy(from / "exec/README.md", to / "exec/README.md");
  fs::copy(from / "scenarios/models", to / "scenarios/models");
  std::ofstream(to / "kernels/measured/gpu.json")
      << R"({"device": "A GPU", "ceilings": {"read_gb_per_s": 1000}})";
}

// Family, its axes and its table.
struct Family {
  std::string name, interpolations, keys, samples;
};

void write_profile(const fs::path& root, const std::string& name, const std::string& engine,
                   std::initializer_list<Family> families) {
  std::ofstream yaml(root / "scenarios/profiles" / (name + ".yaml"));
  yaml << "name: " << name << "\ngpu: G1\nengine: " << engine
       << "\nengine_version: 1.10.0\ndevice: A GPU\nfamilies:\n";
  std::ofstream csv(root / "scenarios/profiles" / (name + ".csv"));
  csv << "v4cap_profile=1,name=" << name << "\n";
  for (const Family& f : families) {
    yaml << "  - name: " << f.name << "\n    axes:\n" << f.interpolations;
    csv << "family=" << f.name << "," << f.keys << ",samples=1\n" << f.samples;
  }
}

std::string axes(std::initializer_list<const char*> interpolations) {
  std::string text;
  for (const char* interpolation : interpolations) {
    text += std::string("      - {name: x, unit: rows, interpolation: ") + interpolation + "}\n";
  }
  return text;
}

void write_profiles(const fs::path& root) {
  const std::string of_rank = "model=deepseek-v4-flash,tp=4", layer = of_rank + ",ep=4,layer=csa";
  write_profile(
      root, "g1-v4exec", "v4exec",
      {{"layer_decode", axes({"log", "log"}), layer, "1,2047,100\n,8191,120\n64,2047,500\n"},
       {"layer_prefill", axes({"linear", "linear", "linear"}), layer,
        "1,512,0,800\n,,65536,1000\n"}});
  const std::string experts = "model=deepseek-v4-flash,dtype=fp8_block,moe_tp=1,moe_ep=4";
  write_profile(
      root, "g1-sglang", "sglang",
      {{"attention_csa_decode", axes({"log", "linear"}), of_rank,
        "1,2048,40\n16,2048,80\n,8192,90\n256,2048,160\n"},
       {"attention_csa_prefill", axes({"linear", "linear", "linear"}), of_rank,
        "1,512,0,300\n,,65536,400\n"},
       {"mhc_pre", axes({"linear"}), "hidden=4096", "1,8\n64,8\n512,15\n"},
       {"mhc_post", axes({"linear"}), "hidden=4096", "1,2\n64,2\n512,5\n"},
       {"experts", axes({"linear"}), experts + ",distribution=balanced", "1,40\n64,100\n512,600\n"},
       {"experts", axes({"linear"}), experts + ",distribution=power_law_1.01",
        "1,40\n64,350\n512,500\n"},
       {"gemm", axes({"linear"}), "dtype=fp8_block,n=4096,k=4096", "512,25\n"},
       {"gemm", axes({"linear"}), "dtype=fp8_block,n=4096,k=2048", "512,15\n"}});
}

}  // namespace

TEST_CASE("layer cross-check: the committed page shows the committed profiles") {
  CHECK(run_script(V4CAP_SOURCE_DIR, "--check") == 0);
}

TEST_CASE("layer cross-check: a layer is composed of an engine's modules") {
  const TempDir tmp;
  const fs::path root(tmp / "copy");
  write_tree(root);
  write_profiles(root);
  CHECK(run_script(root, "--check") == 1);
  REQUIRE(run_script(root, "") == 0);
  CHECK(run_script(root, "--check") == 0);
  const std::string page = file_text((root / "exec/README.md").string());
  const auto shows = [&](const std::string& text) { return page.find(text) != std::string::npos; };
  CHECK(shows("### A GPU: deepseek-v4-flash, TP 4, EP 4"));
  // 40 + 2 (8 + 2) + 40
  CHECK(
      shows("| csa | decode | 1 | 1 | 2,047 | 100.0 | 100.0 | 40.0 + 20.0 + 40.0 | 1.00, 1.00 |"));
  // The table ends before; no vLLM at all.
  CHECK(shows("| csa | decode | 1 | 1 | 8,191 | 120.0 | - | - | - |\n"));
  // Batch 64 lies half way between 16 and 256 on a log axis: sqrt(80 x 160).
  CHECK(
      shows("| csa | decode | 64 | 1 | 2,047 | 500.0 | 233.1 | ~113.1 + 20.0 + 100.0 | 2.14, "
            "1.03 |"));
  // 300 + 2 (15 + 5) + 600 + 25 + 15; the shared expert runs beside the others in decode only.
  CHECK(
      shows("| csa | prefill | 1 | 512 | 0 | 800.0 | 980.0 | 300.0 + 40.0 + 600.0 + 40.0 | 0.82, "
            "0.91 |"));
  CHECK(shows(
      "| csa | prefill | 1 | 512 | 32,768 | ~900.0 | 1,030 | ~350.0 + 40.0 + 600.0 + 40.0 |"));
  // 64 of 256 experts on the rank, all touched by 64 x 6 balanced routes; 3 x 4096 x 2048 weights.
  CHECK(shows("| 64 | 50.0 | 64.0 | 668.1 | 1,611 | 100.0 | 350.0 |"));
  // Ours are asked for what they have alone.
  CHECK_FALSE(shows("| hca |"));
  CHECK_FALSE(shows("| csa | decode | 128 |"));
}

TEST_CASE("layer cross-check: the newest version of an engine is taken") {
  const TempDir tmp;
  const fs::path root(tmp / "copy");
  write_tree(root);
  write_profiles(root);
  const fs::path older = root / "scenarios/profiles/g1-sglang-old";
  std::ofstream(older.string() + ".yaml")
      << "name: g1-sglang-old\ngpu: G1\nengine: sglang\nengine_version: 1.9.0\nfamilies:\n";
  std::ofstream(older.string() + ".csv") << "v4cap_profile=1\n";
  REQUIRE(run_script(root, "") == 0);
  const std::string page = file_text((root / "exec/README.md").string());
  CHECK(page.find("Ours: g1-v4exec. Engines: g1-sglang.") != std::string::npos);
}

TEST_CASE("layer cross-check: unknown arguments and a page without marks are refused") {
  const TempDir tmp;
  const fs::path root(tmp / "copy");
  write_tree(root);
  write_profiles(root);
  CHECK(run_script(root, "--nonsense") == 2);
  std::ofstream(root / "exec/README.md") << "nothing\n";
  CHECK(run_script(root, "") == 1);
}
