// kernels/README.md shows what kernels/measured holds, and the script that writes the tables
// refuses what it cannot do.
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
      "'" + (root / "scripts/kernel_tables").string() + "' " + arguments + " > /dev/null 2>&1";
  const int status = std::system(command.c_str());
  return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

// A copy of what the script reads, so that it can be changed.
void copy_kernels(const fs::path& to) {
  const fs::path from(V4CAP_SOURCE_DIR);
  fs::create_directories(to / "scripts");
  fs::create_directories(to / "kernels");
  fs::copy(from / "scripts/kernel_tables", to / "scripts/kernel_tables");
  fs::copy(from / "kernels/README.md", to / "kernels/README.md");
  fs::copy(from / "kernels/measured", to / "kernels/measured");
}

}  // namespace

TEST_CASE("kernel tables: the committed page shows the committed measurements") {
  CHECK(run_script(V4CAP_SOURCE_DIR, "--check") == 0);
}

TEST_CASE("kernel tables: another measurement is noticed and rendered") {
  const TempDir tmp;
  const fs::path root(tmp / "copy");
  copy_kernels(root);
  REQUIRE(run_script(root, "--check") == 0);
  std::ofstream(root / "kernels/measured/another.json") << R"({
    "device": "A GPU", "driver": "1.2", "cuda_runtime": "13.0", "date": "2026-01-02",
    "ceilings": {"copy_gb_per_s": 1, "read_gb_per_s": 2, "bf16_tflop_per_s": 3,
                 "fp8_tflop_per_s": 4, "nothing_cold_us": 5, "nothing_warm_us": 6},
    "rows": [{"operator": "topk", "case": "one", "version": "portable",
              "cold": {"median_us": 12.34, "p10_us": 12, "p90_us": 13},
              "warm": {"median_us": 11}, "gb_per_s": 100, "tflop_per_s": 0,
              "roofline_us": 6.17, "roofline_share": 0.5,
              "goal": {"unit": "us", "first_rung": 12, "to_beat": 10, "origin": "published",
                       "source": "somebody", "l2": "cold", "figure": 12.34, "reached": false}},
             {"operator": "topk", "case": "one", "version": "slow",
              "cold": {"median_us": 200, "p10_us": 12, "p90_us": 13},
              "warm": {"median_us": 11}, "gb_per_s": 100, "tflop_per_s": 0,
              "roofline_us": 6.17, "roofline_share": 0.5}]})";
  CHECK(run_script(root, "--check") == 1);
  CHECK(run_script(root, "") == 0);
  CHECK(run_script(root, "--check") == 0);
  const std::string page = file_text((root / "kernels/README.md").string());
  CHECK(page.find("| topk | one | portable | 12.3 (12.0-13.0) | 11.0 | 100 | 0 | 50 % | "
                  "<= 12 us cold, 10 published | 12.34 us (missed) | slow 200 |") !=
        std::string::npos);
}

TEST_CASE("kernel tables: unknown arguments and a page without marks are refused") {
  const TempDir tmp;
  const fs::path root(tmp / "copy");
  copy_kernels(root);
  CHECK(run_script(root, "--nonsense") == 2);
  std::ofstream(root / "kernels/README.md") << "nothing\n";
  CHECK(run_script(root, "") == 1);
}
