// scenarios/serving_cases.yaml: the free numbers of the predictions of published serving runs, and
// what the words of their tables mean.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace v4cap {

struct ServingConstants {
  struct Acceptance {
    std::string model, strategy;
    double length = 1;
  };
  struct Weights {
    std::string name;
    std::optional<double> expert_bytes;  // empty: as in the model's file
  };
  struct Version {
    std::string name, means;
  };
  std::string file;
  std::vector<Acceptance> acceptance;
  std::vector<Weights> weights;
  std::vector<std::string> expert_parallel;  // backends
  std::vector<Version> versions;
  std::int64_t warmup_requests = 0;
};

// Throws InputError when the file is missing or wrong.
ServingConstants load_serving_constants();

}  // namespace v4cap
