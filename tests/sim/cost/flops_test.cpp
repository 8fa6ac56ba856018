#include "sim/cost/flops.h"

#include <doctest/doctest.h>

#include <string>

#include "tests/models.h"

namespace v4cap {
namespace {

constexpr Tokens kMillion{1'000'000};
constexpr Tokens kMi{std::int64_t{1} << 20};

double giga(double flops) {
  return flops * 1e-9;
}

// GFLOP per decoded token, worked from the published shapes and maths.
TEST_CASE("FLOPs per token at context lengths") {
  struct Row {
    std::string model;
    std::int64_t context;
    double gflop;
  };
  const Row rows[] = {
      {"deepseek-v4-pro", 4096, 108.6},      {"deepseek-v4-pro", 32768, 113.9},
      {"deepseek-v4-pro", 131072, 132.3},    {"deepseek-v4-pro", 262144, 156.7},
      {"deepseek-v4-pro", 524288, 205.6},    {"deepseek-v4-pro", 1000000, 294.2},
      {"deepseek-v4-pro", 1 << 20, 303.3},   {"deepseek-v4-flash", 4096, 29.1},
      {"deepseek-v4-flash", 131072, 42.6},   {"deepseek-v4-flash", 1000000, 135.2},
      {"deepseek-v4-flash", 1 << 20, 140.4}, {"deepseek-v3.2", 4096, 113.8},
      {"deepseek-v3.2", 131072, 240.7},      {"deepseek-v3.2", 1000000, 1109.2},
      {"deepseek-v3.2", 1 << 20, 1157.7},
  };
  for (const Row& row : rows) {
    CAPTURE(row.model);
    CAPTURE(row.context);
    const TokenFlops f = flops_per_token(known_model(row.model).spec, Tokens{row.context});
    CHECK(giga(f.total()) == doctest::Approx(row.gflop).epsilon(0.005));
  }
}

TEST_CASE("FLOPs per token by part, V4-Pro, V4-Flash and V3.2 at 2^20 tokens") {
  const TokenFlops pro = flops_per_token(known_model("deepseek-v4-pro").spec, kMi);
  CHECK(giga(pro.attention_projections) == doctest::Approx(36.6).epsilon(0.005));
  CHECK(giga(pro.compressors) == doctest::Approx(1.34).epsilon(0.005));
  CHECK(giga(pro.index_projection) == doctest::Approx(1.00).epsilon(0.005));
  CHECK(giga(pro.index_scores) == doctest::Approx(128.9).epsilon(0.005));
  CHECK(giga(pro.attention_csa) == doctest::Approx(9.06).epsilon(0.005));
  CHECK(giga(pro.attention_hca) == doctest::Approx(67.6).epsilon(0.005));
  CHECK(giga(pro.experts) == doctest::Approx(56.4).epsilon(0.005));
  CHECK(giga(pro.mhc_and_router) == doctest::Approx(0.55).epsilon(0.01));
  CHECK(giga(pro.head) == doctest::Approx(1.85).epsilon(0.005));
  CHECK(pro.attention_dense == 0);
  CHECK(giga(pro.other) < 0.01);
  const TokenFlops flash = flops_per_token(known_model("deepseek-v4-flash").spec, kMi);
  CHECK(giga(flash.index_scores) == doctest::Approx(90.2).epsilon(0.005));
  CHECK(giga(flash.attention_csa) == doctest::Approx(1.76).epsilon(0.005));
  CHECK(giga(flash.attention_hca) == doctest::Approx(21.8).epsilon(0.005));
  CHECK(giga(flash.experts) == doctest::Approx(15.2).epsilon(0.005));
  CHECK(flash.attention_window > 0);
  const TokenFlops v32 = flops_per_token(known_model("deepseek-v3.2").spec, kMi);
  CHECK(giga(v32.attention_projections) == doctest::Approx(22.8).epsilon(0.005));
  CHECK(giga(v32.index_projection) == doctest::Approx(1.70).epsilon(0.005));
  CHECK(giga(v32.index_scores) == doctest::Approx(1048.0).epsilon(0.005));
  CHECK(giga(v32.attention_dense) == doctest::Approx(34.8).epsilon(0.005));
  CHECK(giga(v32.experts) == doctest::Approx(48.4).epsilon(0.005));
}

// The V4 report says 27 % (Pro) and 10 % (Flash) of V3.2 in equivalent FP8 FLOPs at a million
// tokens.
TEST_CASE("FLOPs at a million tokens against V3.2") {
  struct Row {
    std::string model;
    double raw_min, raw_max, weighted_min, weighted_max;  // percent
  };
  const Row rows[] = {{"deepseek-v4-pro", 26.15, 26.55, 26.45, 26.85},
                      {"deepseek-v4-flash", 12.05, 12.25, 9.95, 10.15}};
  for (const Row& row : rows) {
    for (const Tokens context : {kMillion, kMi}) {
      CAPTURE(row.model);
      CAPTURE(context.value);
      const TokenFlops v4 = flops_per_token(known_model(row.model).spec, context);
      const TokenFlops v32 = flops_per_token(known_model("deepseek-v3.2").spec, context);
      const double raw = 100 * v4.total() / v32.total();
      const double weighted =
          100 * v4.fp8_equivalent(IndexerFormat::fp4) / v32.fp8_equivalent(IndexerFormat::fp8);
      MESSAGE(row.model << " at " << context.value << ": " << raw << " % raw, " << weighted
                        << " % in FP8 equivalents");
      CHECK(raw >= row.raw_min);
      CHECK(raw <= row.raw_max);
      CHECK(weighted >= row.weighted_min);
      CHECK(weighted <= row.weighted_max);
    }
  }
}

TEST_CASE("V3 attends to every latent, absorbed") {
  // 61 layers x 128 heads x (576 + 512) channels x 2 FLOP x n.
  const TokenFlops v3 = flops_per_token(known_model("deepseek-v3").spec, Tokens{1000});
  CHECK(v3.attention_dense == 61.0 * 128 * 1088 * 2 * 1000);
  CHECK(v3.index_scores == 0);
}

}  // namespace
}  // namespace v4cap
