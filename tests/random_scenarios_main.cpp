// Writes scenarios at random, those that tests compare plain and fast runs on:
//
//   random_scenarios SEED            one, to standard output
//   random_scenarios FROM TO DIR     of all seeds from FROM to TO, to DIR/random_SEED.yaml
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <stdexcept>
#include <string>
#include <vector>

#include "tests/sim/random_scenario.h"

namespace {

int write_all(const std::vector<std::string>& words) {
  const std::uint64_t from = std::stoull(words.at(0));
  if (words.size() == 1) {
    std::cout << v4cap::random_scenario(from);
    return 0;
  }
  const std::uint64_t to = std::stoull(words.at(1));
  const std::filesystem::path folder = words.at(2);
  std::filesystem::create_directories(folder);
  for (std::uint64_t seed = from; seed <= to; ++seed) {
    std::ofstream file(folder / ("random_" + std::to_string(seed) + ".yaml"));
    if (!(file << v4cap::random_scenario(seed))) {
      throw std::runtime_error("cannot write to " + folder.string());
    }
  }
  return 0;
}

}  // namespace

int main(int count, char** words) {
  try {
    return write_all({words + 1, words + count});
  } catch (const std::logic_error&) {  // a word that is missing or no number
    std::cerr << "usage: random_scenarios SEED | FROM TO DIR\n";
    return 2;
  } catch (const std::exception& error) {
    std::cerr << "random_scenarios: " << error.what() << '\n';
    return 1;
  }
}
