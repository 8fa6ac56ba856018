#include <doctest/doctest.h>

#include "tests/sim/engine/toy_engine.h"

namespace v4cap {
namespace {

using enum PieceKind;
using Pieces = std::vector<SeenPiece>;

ToyEngine vllm_engine() {
  ToyEngine settings;
  settings.scheduler = "vllm";
  return settings;
}

TEST_CASE("vllm: running requests take from one budget in order of admission, then waiting ones") {
  ToyEngine settings = vllm_engine();
  settings.step_tokens = Tokens{100};
  ToyDriver driver(settings);
  driver.submit(toy_request(1, 90, 4, 0));
  driver.submit(toy_request(2, 150, 3, 1000));
  driver.submit(toy_request(3, 60, 2, 2000));
  CHECK(driver.step() == Pieces{{1, prefill, 0, 90, true}, {2, prefill, 0, 10, false}});
  CHECK(driver.engine().wait_reason() == WaitReason::step_tokens);
  CHECK(driver.step() == Pieces{{1, decode, 90, 1, true}, {2, prefill, 10, 99, false}});
  CHECK(driver.step() ==
        Pieces{{1, decode, 91, 1, true}, {2, prefill, 109, 41, true}, {3, prefill, 0, 58, false}});
  CHECK(driver.engine().wait_reason() == WaitReason::nothing_waits);
  CHECK(driver.step() ==
        Pieces{{1, decode, 92, 1, true}, {2, decode, 150, 1, true}, {3, prefill, 58, 2, true}});
  CHECK(driver.step() == Pieces{{2, decode, 151, 1, true}, {3, decode, 60, 1, true}});
  driver.run();
  CHECK(driver.steps.size() == 5);
}

TEST_CASE(
    "vllm: a threshold caps the chunk of every prompt, and an older prompt goes before decodes") {
  struct Row {
    std::int64_t budget;
    std::vector<Pieces> steps;
  };
  const Row rows[] = {
      {100,
       {{{1, prefill, 0, 40, false}, {2, prefill, 0, 30, true}},
        {{1, prefill, 40, 40, false}, {2, decode, 30, 1, true}},
        {{1, prefill, 80, 20, true}, {2, decode, 31, 1, true}}}},
      // The older prompt leaves nothing for the younger request, decoding or not.
      {40,
       {{{1, prefill, 0, 40, false}},
        {{1, prefill, 40, 40, false}},
        {{1, prefill, 80, 20, true}, {2, prefill, 0, 20, false}},
        {{2, prefill, 20, 10, true}},
        {{2, decode, 30, 1, true}},
        {{2, decode, 31, 1, true}}}},
  };
  for (const Row& row : rows) {
    CAPTURE(row.budget);
    ToyEngine settings = vllm_engine();
    settings.step_tokens = Tokens{row.budget};
    settings.rules.long_prefill_token_threshold = Tokens{40};
    ToyDriver driver(settings);
    driver.submit(toy_request(1, 100, 1, 0));
    driver.submit(toy_request(2, 30, 3, 1000));
    driver.run();
    CHECK(driver.steps == row.steps);
  }
}

TEST_CASE("vllm: a threshold counts what is rebuilt, too") {
  ToyEngine settings = vllm_engine();
  settings.policy = "recompute";
  settings.step_tokens = Tokens{1000};
  settings.rules.long_prefill_token_threshold = Tokens{300};
  ToyDriver driver(settings);
  driver.submit(toy_request(1, 641, 1, 0));
  driver.run();
  driver.steps.clear();
  driver.submit(toy_request(2, 740, 1, 0));
  driver.run();
  CHECK(driver.steps ==
        std::vector<Pieces>{{{2, rebuild, 384, 256, false}, {2, prefill, 640, 44, false}},
                            {{2, prefill, 684, 56, true}}});
}

TEST_CASE("vllm: at most max_running requests run") {
  ToyEngine settings = vllm_engine();
  settings.max_running = 2;
  ToyDriver driver(settings);
  for (std::uint32_t id = 1; id <= 3; ++id) driver.submit(toy_request(id, 50, 2, id * 1000));
  CHECK(driver.step() == Pieces{{1, prefill, 0, 50, true}, {2, prefill, 0, 50, true}});
  CHECK(driver.engine().wait_reason() == WaitReason::running_cap);
  CHECK(driver.step().size() == 2);
  CHECK(driver.step() == Pieces{{3, prefill, 0, 50, true}});
}

TEST_CASE("vllm: the latest is preempted, nobody is admitted then, and it returns to hits") {
  ToyEngine settings = vllm_engine();
  settings.costs.capacity = 6;  // two of 2 blocks start, each wants 4 in the end
  settings.max_running = 3;
  ToyDriver driver(settings);
  driver.submit(toy_request(1, 100, 150, 0));
  driver.submit(toy_request(2, 100, 150, 1000));
  CHECK(driver.step().size() == 2);
  // Position 192, where both want a fourth block, comes after 92 decodes.
  for (int i = 0; i < 92; ++i) {
    REQUIRE(driver.step().size() == 2);
  }
  driver.submit(toy_request(3, 10, 2, 2000));
  CHECK(driver.step() == Pieces{{1, decode, 192, 1, true}});
  CHECK(driver.engine().preemptions() == 1);
  CHECK(driver.engine().waiting() == 2);
  CHECK(driver.engine().wait_reason() == WaitReason::memory);
  driver.run();
  CHECK(driver.record(1).preemptions == 0);
  const RequestRecord& latest = driver.record(2);
  CHECK(latest.preemptions == 1);
  // The first took one of its three full blocks, the last: two are hit when it returns.
  CHECK(latest.recomputed_after_preemption == Tokens{64});
  CHECK(driver.record(3).admitted >= driver.record(1).finished);  // never overtakes
}

TEST_CASE("vllm: hits end at whole blocks and leave a token to compute") {
  ToyEngine settings = vllm_engine();
  settings.block = Tokens{256};
  settings.step_tokens = Tokens{2048};
  ToyDriver driver(settings);
  const auto hit = [&](std::uint32_t id, std::int64_t prompt) {
    driver.submit(toy_request(id, prompt, 1, 0, Tokens{256}));
    driver.run();
    return driver.record(id).hit;
  };
  CHECK(hit(1, 1024) == Tokens{0});
  CHECK(hit(2, 1024) == Tokens{768});
  CHECK(hit(3, 1025) == Tokens{1024});
  CHECK(hit(4, 1000) == Tokens{768});
  CHECK(hit(5, 256) == Tokens{0});
}

}  // namespace
}  // namespace v4cap
