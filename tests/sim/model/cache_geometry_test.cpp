#include "sim/model/cache_geometry.h"

#include <doctest/doctest.h>

#include <string>

#include "tests/models.h"

namespace v4cap {
namespace {

constexpr Tokens kMillion{1'000'000};

double bytes_per_token(const ModelSpec& model, const EntryFormat& format, bool full_window) {
  const CacheGeometry geometry(model, format);
  KindBytes bytes = geometry.compressed(Tokens{1280});
  if (full_window) bytes += geometry.window(Tokens{1280});
  return static_cast<double>(bytes.total().value) / 1280;
}

// Published layouts: 584 B entries (FlashMLA), 132 B or 68 B indexer keys, 656 B MLA entries
// (V3.2).
TEST_CASE("bytes per token follow from entry formats and layer counts") {
  struct Row {
    std::string name;
    bool fp4, full_window;
    double expected;
  };
  const Row rows[] = {
      {"deepseek-v4-pro", false, false, 5511},  {"deepseek-v4-pro", true, false, 5031},
      {"deepseek-v4-pro", false, true, 41135},  {"deepseek-v4-flash", false, false, 3850},
      {"deepseek-v4-flash", true, false, 3514}, {"deepseek-v4-flash", false, true, 28962},
      {"deepseek-v3.2", false, false, 48068},   {"gqa-70b", false, false, 327680}};
  for (const Row& row : rows) {
    CAPTURE(row.name);
    CAPTURE(row.fp4);
    CAPTURE(row.full_window);
    const ModelData& data = known_model(row.name);
    const double got =
        bytes_per_token(data.spec, row.fp4 ? *data.entry_fp4 : data.entry_fp8, row.full_window);
    CHECK(got == doctest::Approx(row.expected).epsilon(0.0002));
  }
}

TEST_CASE("cache at a million tokens against V3.2, within half a point of the report") {
  const ModelData& v32 = known_model("deepseek-v3.2");
  const auto share = [&](const std::string& model, bool fp4) {
    const ModelData& data = known_model(model);
    const CacheGeometry v4(data.spec, fp4 ? *data.entry_fp4 : data.entry_fp8);
    const CacheGeometry base(v32.spec, v32.entry_fp8);
    return 100 * static_cast<double>(v4.compressed(kMillion).total().value) /
           static_cast<double>(base.compressed(kMillion).total().value);
  };
  CHECK(share("deepseek-v4-pro", true) == doctest::Approx(10.5).epsilon(0.005));
  CHECK(share("deepseek-v4-pro", false) == doctest::Approx(11.5).epsilon(0.005));
  CHECK(share("deepseek-v4-flash", true) == doctest::Approx(7.3).epsilon(0.005));
}

TEST_CASE("entries appear when their last token does") {
  const ModelData& pro = known_model("deepseek-v4-pro");
  const CacheGeometry g(pro.spec, pro.entry_fp8);
  struct Row {
    std::int64_t tokens, csa_entries, hca_entries;
  };
  const Row rows[] = {{0, 0, 0}, {3, 0, 0}, {4, 1, 0}, {127, 31, 0}, {128, 32, 1}, {256, 64, 2}};
  for (const Row& row : rows) {
    CAPTURE(row.tokens);
    const KindBytes b = g.compressed(Tokens{row.tokens});
    CHECK(b[CacheKind::csa] == 30 * row.csa_entries * 584);
    CHECK(b[CacheKind::indexer] == 30 * row.csa_entries * 132);
    CHECK(b[CacheKind::hca] == 31 * row.hca_entries * 584);
    CHECK(b[CacheKind::swa] == 0);
    CHECK(b[CacheKind::tails] == 0);
    CHECK(b[CacheKind::kv] == 0);
  }
}

TEST_CASE("window, tails and kept points of V4-Pro") {
  const ModelData& pro = known_model("deepseek-v4-pro");
  const CacheGeometry g(pro.spec, pro.entry_fp8);
  CHECK(g.has_window());
  CHECK(g.window_tokens() == Tokens{128});
  CHECK(g.window_layers() == 61);
  CHECK(g.window(Tokens{128}).total() == Bytes{61 * 128 * 584});  // 4.56 MB
  CHECK(g.tails_at(Tokens{0}).total() == Bytes{0});
  CHECK(g.tails_at(Tokens{256}).total() == Bytes{30 * 81920});  // 2.46 MB
  CHECK(g.tails_at(Tokens{257}).total() == Bytes{30 * 81920 + 31 * 4096});
  CHECK(g.tails_at(Tokens{383}).total() == Bytes{30 * 81920 + 31 * 127 * 4096});
  CHECK(g.tails_at(Tokens{256})[CacheKind::tails] == 30 * 81920);
  const double point =
      static_cast<double>((g.window(Tokens{128}) + g.tails_at(Tokens{128})).total().value);
  CHECK(point == doctest::Approx(7.0e6).epsilon(0.005));
  const double running =
      static_cast<double>((g.window(Tokens{128}) + g.running_tails()).total().value);
  CHECK(running == doctest::Approx(23.3e6).epsilon(0.005));
}

TEST_CASE("models without windows keep neither windows nor tails") {
  for (const std::string name : {"deepseek-v3.2", "deepseek-v3", "gqa-70b"}) {
    CAPTURE(name);
    const ModelData& data = known_model(name);
    const CacheGeometry g(data.spec, data.entry_fp8);
    CHECK_FALSE(g.has_window());
    CHECK(g.window_tokens() == Tokens{0});
    CHECK(g.window(Tokens{128}).total() == Bytes{0});
    CHECK(g.running_tails().total() == Bytes{0});
    CHECK(g.tails_at(Tokens{129}).total() == Bytes{0});
  }
}

TEST_CASE("tensor parallelism divides GQA heads only, and never below one") {
  const ModelData& gqa = known_model("gqa-70b");
  const ModelData& pro = known_model("deepseek-v4-pro");
  CHECK(entry_on_rank(gqa.entry_fp8, gqa.spec, 1).entry_bytes == 4096);
  CHECK(entry_on_rank(gqa.entry_fp8, gqa.spec, 3).entry_bytes == 3 * 512);
  CHECK(entry_on_rank(gqa.entry_fp8, gqa.spec, 8).entry_bytes == 512);
  CHECK(entry_on_rank(gqa.entry_fp8, gqa.spec, 16).entry_bytes == 512);
  CHECK(entry_on_rank(pro.entry_fp8, pro.spec, 8).entry_bytes == 584);
}

}  // namespace
}  // namespace v4cap
