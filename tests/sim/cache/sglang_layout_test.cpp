// Against SGLang's own figures: bytes per full token and pool sizes of public logs.
#include <doctest/doctest.h>

#include <cmath>

#include "sim/core/error.h"
#include "tests/sim/cache/engine_layout.h"

namespace v4cap {
namespace {

LayoutSetting setting(const std::string& model, double ratio, bool by_slot, bool draft = false) {
  LayoutSetting s;
  s.model = model;
  s.options = {{"swa_full_tokens_ratio", ratio},
               {"hca_state_by_slot", by_slot ? 1 : 0},
               {"request_slots", 0}};
  s.draft_tokens = draft ? 3 : 0;
  return s;
}

double bytes_per_token(const LayoutSetting& s) {
  return figure(*engine_layout("sglang", s), "bytes_per_full_token");
}

TEST_CASE("bytes per full token follow from the formula of each version") {
  const double ratios[] = {1, 0.2, 0.1, 0.075, 0.02, 0};
  struct Row {
    bool by_slot, draft;
    double bytes[6];
  };
  const Row rows[] = {{true, false, {60335, 16476, 10994, 9623, 6608, 5511}},
                      {true, true, {80839, 20649, 13126, 11245, 7107, 5602}},
                      {false, false, {187311, 41871, 23691, 19146, 9147, 5511}},
                      {false, true, {338954, 72272, 38937, 30603, 12269, 5602}}};
  for (const Row& row : rows) {
    for (std::size_t i = 0; i < 6; ++i) {
      CAPTURE(row.by_slot);
      CAPTURE(row.draft);
      CAPTURE(ratios[i]);
      const double bytes =
          bytes_per_token(setting("deepseek-v4-pro", ratios[i], row.by_slot, row.draft));
      CHECK(std::abs(bytes - row.bytes[i]) <= 1);
    }
  }
}

TEST_CASE("bytes per full token are those of the logs to the digit") {
  const auto to_digit = [](double bytes) { return std::round(bytes * 100) / 100; };
  CHECK(to_digit(bytes_per_token(setting("deepseek-v4-flash", 0.1, true))) == 7705.45);
  CHECK(to_digit(bytes_per_token(setting("deepseek-v4-pro", 0.15, false))) == 32781.44);
  LayoutSetting may = setting("deepseek-v4-flash", 0.1, false);
  may.options["draft_entry_counted"] = 1;
  CHECK(to_digit(bytes_per_token(may)) == 15955.85);
}

TEST_CASE("pools have the sizes of a log that states them all") {
  LayoutSetting s = setting("deepseek-v4-flash-0731", 0.1, true);
  s.memory = Bytes{static_cast<std::int64_t>(852992 * 7705.45) + 1};
  const auto layout = engine_layout("sglang", s);
  CHECK(figure(*layout, kTokensFigure) == 852992);
  CHECK(figure(*layout, "swa_tokens") == 85248);
  CHECK(figure(*layout, "c4_entries") == 213248);
  CHECK(figure(*layout, "c128_entries") == 6664);
  CHECK(figure(*layout, "c4_state_rows") == 5328);
  REQUIRE(layout->pools().size() == 2);
  CHECK(layout->pools()[0].capacity == layout->blocks(0, 852992 / 256, false).total());
  CHECK(layout->pools()[1].capacity == layout->windows(0, 85248 / 256).total());
}

TEST_CASE("request slots are taken off the memory first") {
  for (const auto& [slots, gib] :
       {std::pair{128, 1.97}, std::pair{256, 3.91}, std::pair{2048, 31.0}}) {
    CAPTURE(slots);
    LayoutSetting s = setting("deepseek-v4-pro", 0.1, true);
    s.options["request_slots"] = slots;
    const auto layout = engine_layout("sglang", s);
    CHECK(figure(*layout, "request_slot_gib") == doctest::Approx(gib).epsilon(0.01));
    LayoutSetting running = setting("deepseek-v4-pro", 0.1, true);
    running.options.erase("request_slots");
    running.max_running = slots;
    CHECK(engine_layout("sglang", running)->pools()[0].capacity == layout->pools()[0].capacity);
  }
}

// Together AI's pair for one HGX B200 node: 38 KiB a token, and 1.2 M tokens that became 3.7 M.
TEST_CASE("a lower window ratio explains three times the tokens in the same memory") {
  LayoutSetting s = setting("deepseek-v4-pro", 0.1, false, true);
  s.memory = Bytes{46'700'000'000};
  CHECK(bytes_per_token(s) / 1024 == doctest::Approx(38.02).epsilon(1e-3));
  CHECK(figure(*engine_layout("sglang", s), kTokensFigure) == doctest::Approx(1.2e6).epsilon(0.01));
  s.window_pool_ratio = 0.0211;  // of a policy: it overrides the option
  CHECK(figure(*engine_layout("sglang", s), kTokensFigure) == doctest::Approx(3.7e6).epsilon(0.02));
}

// Such pools are none of SGLang's: what it logs stays as it is.
TEST_CASE("a policy with windows of every token gets as many of them as tokens") {
  LayoutSetting s = setting("deepseek-v4-flash", 0.1, true);
  const auto engine = engine_layout("sglang", s);
  CHECK(engine->window_pool_ratio() == 0.1);
  s.window_of_every_token = true;
  const auto every = engine_layout("sglang", s);
  CHECK(every->window_pool_ratio() == 1.0);
  const std::int64_t pages =
      every->pools()[0].capacity.value / every->blocks(0, 1, false).total().value;
  CHECK(every->pools()[1].capacity == every->windows(0, pages).total());
  for (const LogFigure& f : engine->engine_log()) {
    CAPTURE(f.key);
    CHECK(figure(*every, f.key) == f.value);
  }
  s.window_of_every_token = false;
  s.window_pool_ratio = 1.0;
  CHECK(engine_layout("sglang", s)->pools()[0].capacity == every->pools()[0].capacity);
}

TEST_CASE("SGLang's objects add up and take whole pages") {
  for (const bool by_slot : {false, true}) {
    for (const bool draft : {false, true}) {
      const auto layout = engine_layout("sglang", setting("deepseek-v4-pro", 0.1, by_slot, draft));
      check_promises(*layout);
      CHECK(layout->point(Tokens{512}) == layout->windows(0, 1));
      CHECK(layout->running(true, Tokens{4096}) == KindBytes{});
      CHECK(layout->running(false, Tokens{1}) == layout->windows(0, 2));
    }
  }
}

TEST_CASE("SGLang's layout refuses what it cannot lay out") {
  LayoutSetting s;
  s.model = "deepseek-v3.2";
  CHECK_THROWS_AS(engine_layout("sglang", s), InputError);
  s = {};
  s.block = Tokens{64};
  CHECK_THROWS_AS(engine_layout("sglang", s), InputError);
}

}  // namespace
}  // namespace v4cap
