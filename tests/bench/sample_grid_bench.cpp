// What a look-up of a measured time costs, in nanoseconds of one core: over the grid, and over a row
// whose batch has been fixed. Not a test; run it before and after a change that claims speed.
#include <array>
#include <cstdio>
#include <ctime>
#include <random>
#include <vector>

#include "sim/config/profile_file.h"

namespace v4cap {
namespace {

constexpr std::size_t kQueries = 1 << 12, kRounds = 2000;

double ns_per_query(const auto& body) {
  double sum = 0;  // printed, so that nothing is left out
  const std::clock_t start = std::clock();
  for (std::size_t round = 0; round < kRounds; ++round) sum += body();
  const double s = static_cast<double>(std::clock() - start) / CLOCKS_PER_SEC;
  std::printf("  (sum %.3g)", sum);
  return 1e9 * s / (static_cast<double>(kRounds) * static_cast<double>(kQueries));
}

void family(const Profile& profile, const char* name) {
  const ProfileFamily& f = *profile.find(name);
  const SampleGrid& grid = f.series.back().grid;
  std::mt19937 random(1);
  std::vector<std::array<double, 3>> queries(kQueries);
  for (auto& q : queries) {
    q = {static_cast<double>(1 + random() % 256), static_cast<double>(1 + random() % 4096),
         static_cast<double>(1 + random() % 100'000)};
  }
  const std::size_t axes = grid.axes();
  const double all = ns_per_query([&] {
    double sum = 0;
    for (const auto& q : queries) sum += grid.at(std::span(q.data(), axes)).us;
    return sum;
  });
  std::printf(" %-24s %zu axes %5zu samples %6.1f ns\n", name, axes, grid.size(), all);
  if (axes != 2) return;
  const double row = ns_per_query([&] {
    const SampleGrid::Row fixed = grid.row(48);
    double sum = 0;
    for (const auto& q : queries) sum += fixed.at(q[1]).us;
    return sum;
  });
  std::printf(" %-24s row of a fixed batch     %6.1f ns\n", name, row);
}

}  // namespace
}  // namespace v4cap

int main() {
  const v4cap::Profile profile = v4cap::load_profile("b200-sglang-0.5.14", "");
  for (const char* name : {"gemm", "attention_csa_decode", "attention_hca_decode",
                           "attention_csa_prefill", "experts"}) {
    v4cap::family(profile, name);
  }
}
