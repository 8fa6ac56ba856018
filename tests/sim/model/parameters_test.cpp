#include "sim/model/parameters.h"

#include <doctest/doctest.h>

#include <cmath>
#include <string>

#include "tests/models.h"

namespace v4cap {
namespace {

// Tolerances are half a unit of the last digit that the model cards print.
TEST_CASE("parameters against the model cards") {
  struct Row {
    std::string name;
    double total, total_digit, active, active_digit;
  };
  const Row rows[] = {
      {"deepseek-v4-pro", 1.6e12, 0.1e12, 49e9, 1e9},
      {"deepseek-v4-flash", 284e9, 1e9, 13e9, 1e9},
      {"deepseek-v3.2", 671e9, 3e9, 37e9, 1e9},  // the indexer came after the figure
      {"deepseek-v3", 671e9, 1e9, 37e9, 1e9},
      {"gqa-70b", 70.6e9, 0.1e9, 69.5e9, 0.1e9}};  // active without the embedding
  for (const Row& row : rows) {
    CAPTURE(row.name);
    const Parameters p = parameters_of(known_model(row.name).spec);
    MESSAGE(row.name << ": " << p.total() / 1e9 << " B parameters, " << p.active() / 1e9
                     << " B active");
    CHECK(std::abs(p.total() - row.total) <= row.total_digit / 2);
    CHECK(std::abs(p.active() - row.active) <= row.active_digit / 2);
  }
}

TEST_CASE("checkpoint bytes of V4 against the published files") {
  for (const std::string name : {"deepseek-v4-pro", "deepseek-v4-flash"}) {
    CAPTURE(name);
    const ModelSpec& model = known_model(name).spec;
    const double derived = checkpoint_bytes(model);
    MESSAGE(name << ": " << derived / 1e9 << " GB derived, "
                 << model.published.checkpoint_bytes / 1e9 << " GB published");
    REQUIRE(model.published.checkpoint_bytes > 0);
    CHECK(derived == doctest::Approx(model.published.checkpoint_bytes).epsilon(0.005));
  }
}

// Sums worked by hand from the shapes of the V4 configs and the formats of their checkpoints, MB
// per layer: Pro CSA 177.6 + 1684.5 routed, HCA 142.4 + 1684.5; Flash TP4 CSA 91.8, HCA 70.5 +
// 855.6.
TEST_CASE("weights of one rank") {
  const ModelSpec& pro = known_model("deepseek-v4-pro").spec;
  const ModelSpec& flash = known_model("deepseek-v4-flash").spec;
  struct Row {
    std::string name;
    const ModelSpec& model;
    std::int64_t tensor_parallel;
    double gigabytes;
  };
  const Row rows[] = {{"Pro TP8", pro, 8, 113.0},
                      {"Flash TP1", flash, 1, 156},
                      {"Flash TP2", flash, 2, 79.2},
                      {"Flash TP4", flash, 4, 40.8},
                      {"Flash TP8", flash, 8, 21.6}};
  for (const Row& row : rows) {
    CAPTURE(row.name);
    const double got =
        static_cast<double>(weight_bytes_of_rank(row.model, row.tensor_parallel).value) / 1e9;
    CHECK(got == doctest::Approx(row.gigabytes).epsilon(0.005));
  }
}

TEST_CASE("every width adds up to the model plus what is repeated") {
  for (const std::string name : {"deepseek-v4-pro", "deepseek-v3.2", "gqa-70b"}) {
    CAPTURE(name);
    const ModelSpec& model = known_model(name).spec;
    const Parameters p = parameters_of(model);
    double repeated = 0;
    for (const PartParameters& part : p.parts) {
      if (!part.divided) repeated += part.total * part.bytes_per_weight;
    }
    for (const std::int64_t width : {1, 2, 8}) {
      const double all = static_cast<double>(width * weight_bytes_of_rank(model, width).value);
      const double expected = p.bytes() + static_cast<double>(width - 1) * repeated;
      CHECK(all == doctest::Approx(expected).epsilon(1e-9));
    }
  }
}

}  // namespace
}  // namespace v4cap
