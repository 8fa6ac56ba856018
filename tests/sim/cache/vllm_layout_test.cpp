// Against vLLM's own figures: blocks and logs of issues 44376 and 51041, PRs 44454 and 48993.
#include <doctest/doctest.h>

#include <cmath>

#include "sim/core/error.h"
#include "tests/sim/cache/engine_layout.h"

namespace v4cap {
namespace {

LayoutSetting packed(const std::string& model, IndexerFormat indexer, double packing,
                     double least_row = 0) {
  LayoutSetting s;
  s.model = model;
  s.indexer = indexer;
  s.options = {{"packing", packing}, {"indexer_row_min_bytes", least_row}};
  return s;
}

TEST_CASE("a block of vLLM's pool has the bytes that vLLM computes") {
  struct Row {
    std::string model;
    IndexerFormat indexer;
    double packing, least_row;
    std::int64_t bytes;
  };
  constexpr IndexerFormat fp8 = IndexerFormat::fp8, fp4 = IndexerFormat::fp4;
  const Row rows[] = {{"deepseek-v4-pro", fp8, 2, 0, 1'435'968},
                      {"deepseek-v4-pro", fp8, 0, 0, 1'482'048},
                      {"deepseek-v4-pro", fp4, 2, 0, 1'315'008},
                      {"deepseek-v4-pro", fp4, 0, 0, 1'357'056},
                      {"deepseek-v4-flash", fp8, 2, 0, 1'002'240},
                      {"deepseek-v4-flash", fp8, 0, 0, 1'051'776},
                      {"deepseek-v4-flash", fp4, 2, 0, 917'568},
                      {"deepseek-v4-flash", fp4, 0, 0, 963'072},
                      // PR 44454 and a run of vLLM's own grouping; PR 48993 before its change.
                      {"deepseek-v4-flash", fp8, 1, 0, 1'039'680},
                      {"deepseek-v4-pro", fp4, 1, 132, 1'473'408}};
  for (const Row& row : rows) {
    CAPTURE(row.model);
    CAPTURE(row.packing);
    CAPTURE(row.bytes);
    const auto layout =
        engine_layout("vllm", packed(row.model, row.indexer, row.packing, row.least_row));
    CHECK(figure(*layout, "block_bytes") == static_cast<double>(row.bytes));
    CHECK(layout->blocks(0, 1, false).total() == Bytes{row.bytes});
    CHECK(layout->pools().front().capacity.value % row.bytes == 0);
  }
}

TEST_CASE("blocks in a stated memory are those that vLLM reports") {
  // PR 48993, V4-Pro on GB200, 26.09 GiB: 19,015 blocks before, 21,306 after. The memory is
  // rounded to 0.01 GiB, a seventh of a percent at most four blocks.
  LayoutSetting s = packed("deepseek-v4-pro", IndexerFormat::fp4, 1, 132);
  s.memory = Bytes{26 * kGiB + kGiB * 9 / 100};
  CHECK(figure(*engine_layout("vllm", s), "num_gpu_blocks") ==
        doctest::Approx(19015).epsilon(2e-4));
  s.options = {{"packing", 2}};
  CHECK(figure(*engine_layout("vllm", s), "num_gpu_blocks") ==
        doctest::Approx(21306).epsilon(2e-4));
}

TEST_CASE("three layers of draft windows widen the tuple") {
  LayoutSetting s = packed("deepseek-v4-flash-0731", IndexerFormat::fp8, 0);
  s.draft_tokens = 7;
  CHECK(figure(*engine_layout("vllm", s), "block_bytes") == 1'099'584);
}

TEST_CASE("the fixed part of a request is the worst case in flight") {
  const auto layout = engine_layout("vllm", packed("deepseek-v4-pro", IndexerFormat::fp8, 2));
  CHECK(figure(*layout, "request_blocks") == 4096 + 3354);
  CHECK(3354 * 1'435'968.0 / kGiB == doctest::Approx(4.49).epsilon(1e-3));
  // Slope: a block every 256 tokens.
  CHECK(1'435'968 / 256 == 5609);
  LayoutSetting twice;
  twice.options = {{"packing", 2}};
  twice.steps_in_flight = 2;
  CHECK(figure(*engine_layout("vllm", twice), "request_blocks") == 4096 + 518 + 4099 + 2065);
}

TEST_CASE("a request that needs more than there is gets the figures of issue 44376") {
  LayoutSetting s = packed("deepseek-v4-flash", IndexerFormat::fp8, 0, 132);
  s.step_tokens = Tokens{16384};
  s.max_context = Tokens{30000};
  s.memory = Bytes{kGiB * 544 / 100};
  const auto layout = engine_layout("vllm", s);
  CHECK(figure(*layout, kNeededFigure) == doctest::Approx(6.66).epsilon(1e-3));
  CHECK(figure(*layout, kLongestFigure) == doctest::Approx(13528).epsilon(1e-3));
  CHECK(figure(*layout, kConcurrencyFigure) < 1);
}

// vllm issue 51041, four GPUs in TP4 with DSpark: 12.39 GiB, 33,792 tokens at most, groups of 4,227
// and 2,129 pages of state, so 2 x 8,448 tokens in flight; 63,859 tokens logged.
TEST_CASE("a log that states the pages of its groups gives the tokens it logs") {
  LayoutSetting s = packed("deepseek-v4-flash-0731", IndexerFormat::fp8, 2);
  s.memory = Bytes{kGiB * 1239 / 100};
  s.max_context = Tokens{33792};
  s.step_tokens = Tokens{8448};
  s.steps_in_flight = 2;
  s.draft_tokens = 5;
  const auto layout = engine_layout("vllm", s);
  CHECK(figure(*layout, "request_blocks") == 132 + 2 * 267 + 4227 + 2129);
  CHECK(figure(*layout, "num_gpu_blocks") == doctest::Approx(13270).epsilon(5e-4));
  CHECK(figure(*layout, kTokensFigure) == doctest::Approx(63859).epsilon(5e-4));
}

TEST_CASE("tokens as logged are concurrency times the longest request") {
  const auto layout = engine_layout("vllm", packed("deepseek-v4-pro", IndexerFormat::fp8, 2));
  const double concurrency = figure(*layout, kConcurrencyFigure);
  CHECK(concurrency == doctest::Approx(figure(*layout, "num_gpu_blocks") / 7450));
  CHECK(figure(*layout, kTokensFigure) == std::floor(concurrency * 1048576));
}

TEST_CASE("decode holds 26 blocks beside the entries, a chunk in flight thousands") {
  const auto layout = engine_layout("vllm", packed("deepseek-v4-pro", IndexerFormat::fp8, 2));
  const auto blocks = [&](std::int64_t flight) {
    return layout->running(false, Tokens{flight}).total().value / 1'435'968;
  };
  CHECK(blocks(1) >= 24);
  CHECK(blocks(1) <= 26);
  CHECK(blocks(8192) == 3354);
}

TEST_CASE("every object of vLLM takes whole blocks") {
  for (const double packing : {0.0, 1.0, 2.0}) {
    const auto layout =
        engine_layout("vllm", packed("deepseek-v4-flash", IndexerFormat::fp8, packing));
    const auto block = static_cast<std::int64_t>(figure(*layout, "block_bytes"));
    check_promises(*layout);
    CHECK(layout->point(Tokens{256}).total().value == (4 + 2 + 16) * block);
    CHECK(layout->windows(0, 1).total().value == (8 + 2 + 16) * block);
  }
}

// A group's pages that did not fit into a block would lie in the next one's.
TEST_CASE("a block of vLLM's pool holds the pages of every group at any block and packing") {
  for (const double packing : {0.0, 1.0, 2.0}) {
    CAPTURE(packing);
    LayoutSetting s = packed("deepseek-v4-flash", IndexerFormat::fp8, packing);
    s.block = Tokens{128};
    CHECK(figure(*engine_layout("vllm", s), "block_bytes") >= 22 * 37440);  // 64 rows of windows
    s.block = Tokens{256};
    s.options["swa_block_tokens"] = 128;
    CHECK(figure(*engine_layout("vllm", s), "block_bytes") == 22 * 74880);
    s.options.erase("swa_block_tokens");
    s.options["csa_state_block_tokens"] = 64;
    CHECK(figure(*engine_layout("vllm", s), "block_bytes") >= 21 * 64 * 4608);
  }
}

TEST_CASE("vLLM's layout refuses what it cannot lay out") {
  LayoutSetting s;
  s.model = "gqa-70b";
  CHECK_THROWS_AS(engine_layout("vllm", s), InputError);
  s = {};
  s.block = Tokens{64};
  CHECK_THROWS_AS(engine_layout("vllm", s), InputError);
  s = {};
  s.window_pool_ratio = 0.1;
  CHECK_THROWS_AS(engine_layout("vllm", s), InputError);
}

}  // namespace
}  // namespace v4cap
