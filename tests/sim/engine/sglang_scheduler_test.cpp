#include <doctest/doctest.h>

#include <utility>

#include "sim/config/engine_file.h"
#include "tests/sim/cluster/random_sessions.h"

namespace v4cap {
namespace {

using enum PieceKind;
using Pieces = std::vector<SeenPiece>;

// SGLang's own numbers; blocks of 64 tokens, one byte each.
ToyEngine sglang_engine() {
  static const EngineData data = known_engine("sglang");
  ToyEngine settings;
  settings.scheduler = "sglang";
  settings.rules.options = data.scheduler->options;
  return settings;
}

// Nobody's output is expected to need anything: admission asks for the prompt and one token.
void expect_nothing(ToyEngine& settings) {
  settings.rules.options["clip_max_new_tokens"] = 0;
}

TEST_CASE("sglang: prefill goes first and decodes stall for it") {
  ToyDriver driver(sglang_engine());
  driver.submit(toy_request(1, 100, 5, 0));
  CHECK(driver.step() == Pieces{{1, prefill, 0, 100, true}});
  CHECK(driver.step() == Pieces{{1, decode, 100, 1, true}});
  driver.submit(toy_request(2, 300, 3, 1000));
  CHECK(driver.step() == Pieces{{2, prefill, 0, 256, false}});
  CHECK(driver.step() == Pieces{{2, prefill, 256, 44, true}});
  CHECK(driver.step() == Pieces{{1, decode, 101, 1, true}, {2, decode, 300, 1, true}});
  driver.run();
}

TEST_CASE("sglang: the chunk goes to the unfinished prompt, then to others, in whole blocks") {
  ToyDriver driver(sglang_engine());
  driver.submit(toy_request(1, 100, 2, 0));     // is charged 128 of 256
  driver.submit(toy_request(2, 200, 2, 1000));  // is cut at 128
  driver.submit(toy_request(3, 60, 2, 2000));
  driver.submit(toy_request(4, 300, 2, 3000));
  CHECK(driver.step() == Pieces{{1, prefill, 0, 100, true}, {2, prefill, 0, 128, false}});
  CHECK(driver.engine().wait_reason() == WaitReason::step_tokens);
  // 72 are charged 128, 60 are charged 64, and 64 are left.
  CHECK(driver.step() ==
        Pieces{{2, prefill, 128, 72, true}, {3, prefill, 0, 60, true}, {4, prefill, 0, 64, false}});
  CHECK(driver.engine().wait_reason() == WaitReason::nothing_waits);
  CHECK(driver.step() == Pieces{{4, prefill, 64, 236, true}});
  CHECK(driver.step() == Pieces{{1, decode, 100, 1, true},
                                {2, decode, 200, 1, true},
                                {3, decode, 60, 1, true},
                                {4, decode, 300, 1, true}});
  driver.run();
}

TEST_CASE("sglang: a prompt of which the cut leaves nothing waits, short as it is") {
  ToyEngine settings = sglang_engine();
  settings.step_tokens = Tokens{300};
  ToyDriver driver(settings);
  driver.submit(toy_request(1, 250, 1, 0));
  driver.submit(toy_request(2, 10, 1, 1000));
  CHECK(driver.step() == Pieces{{1, prefill, 0, 250, true}});
  CHECK(driver.engine().wait_reason() == WaitReason::step_tokens);
  CHECK(driver.step() == Pieces{{2, prefill, 0, 10, true}});
}

TEST_CASE("sglang: a prompt that fits the chunk is cut where its whole blocks do not") {
  ToyEngine settings = sglang_engine();
  settings.step_tokens = Tokens{300};
  ToyDriver driver(settings);
  driver.submit(toy_request(1, 290, 1, 0));  // 320 in whole blocks
  driver.run();
  CHECK(driver.steps ==
        std::vector<Pieces>{{{1, prefill, 0, 256, false}}, {{1, prefill, 256, 34, true}}});
}

TEST_CASE("sglang: a chunk below a block is cut anywhere") {
  ToyEngine settings = sglang_engine();
  settings.step_tokens = Tokens{50};
  ToyDriver driver(settings);
  driver.submit(toy_request(1, 120, 1, 0));
  driver.submit(toy_request(2, 40, 1, 1000));
  driver.run();
  CHECK(driver.steps ==
        std::vector<Pieces>{{{1, prefill, 0, 50, false}},
                            {{1, prefill, 50, 50, false}},
                            {{1, prefill, 100, 20, true}, {2, prefill, 0, 30, false}},
                            {{2, prefill, 30, 10, true}}});
}

TEST_CASE("sglang: rebuilds take from the chunk and the prompt behind them still ends at a block") {
  ToyEngine settings = sglang_engine();
  settings.policy = "recompute";
  settings.step_tokens = Tokens{320};
  ToyDriver driver(settings);
  driver.submit(toy_request(1, 641, 1, 0));
  driver.run();
  driver.steps.clear();
  driver.submit(toy_request(2, 740, 1, 0));  // rebuilds 256 before 640, then 100 follow
  driver.run();
  CHECK(driver.steps ==
        std::vector<Pieces>{{{2, rebuild, 384, 256, false}, {2, prefill, 640, 64, false}},
                            {{2, prefill, 704, 36, true}}});
}

TEST_CASE("sglang: a rebuild is not cut, and waits for a batch that has room for it and a block") {
  ToyEngine settings = sglang_engine();
  settings.policy = "recompute";
  // A rebuild of 256 and a block are 320: with another prompt before it 64 less are left, or 128.
  struct Row {
    std::int64_t step_tokens;
    std::vector<Pieces> steps;
    bool whole = true;
  };
  const std::vector<Row> rows = {
      // As prompts are, when it is asked for.
      {320,
       {{{2, prefill, 0, 60, true}, {3, rebuild, 384, 256, false}}, {{3, prefill, 640, 100, true}}},
       false},
      {384,
       {{{2, prefill, 0, 60, true}, {3, rebuild, 384, 256, false}, {3, prefill, 640, 64, false}},
        {{3, prefill, 704, 36, true}}}},
      {320,
       {{{2, prefill, 0, 60, true}},
        {{3, rebuild, 384, 256, false}, {3, prefill, 640, 64, false}},
        {{3, prefill, 704, 36, true}}}},
      // No step could hold it.
      {256,
       {{{2, prefill, 0, 60, true}, {3, rebuild, 384, 192, false}},
        {{3, rebuild, 576, 64, false}, {3, prefill, 640, 100, true}}}}};
  for (const Row& row : rows) {
    CAPTURE(row.step_tokens);
    settings.step_tokens = Tokens{row.step_tokens};
    settings.rules.options["rebuild_whole"] = row.whole ? 1 : 0;
    ToyDriver driver(settings);
    driver.submit(toy_request(1, 641, 1, 0));
    driver.run();
    driver.steps.clear();
    driver.submit(toy_request(2, 60, 1, 5000));
    driver.submit(toy_request(3, 740, 1, 0));
    driver.run();
    CHECK(driver.steps == row.steps);
  }
}

TEST_CASE("sglang: max_prefill_tokens stops a batch, whatever is left of the chunk") {
  ToyEngine settings = sglang_engine();
  settings.rules.options["max_prefill_tokens"] = 128;
  settings.step_tokens = Tokens{1024};
  ToyDriver driver(settings);
  driver.submit(toy_request(1, 60, 1, 0));
  driver.submit(toy_request(2, 200, 1, 1000));  // begun with 64 left: the chunk governs its length
  driver.submit(toy_request(3, 10, 1, 2000));
  CHECK(driver.step() == Pieces{{1, prefill, 0, 60, true}, {2, prefill, 0, 200, true}});
  CHECK(driver.engine().wait_reason() == WaitReason::step_tokens);
  CHECK(driver.step() == Pieces{{3, prefill, 0, 10, true}});
}

TEST_CASE("sglang: where prompts are not cut max_prefill_tokens bounds all but the first") {
  ToyEngine settings = sglang_engine();
  settings.rules.options["max_prefill_tokens"] = 256;
  settings.step_tokens = settings.max_context = Tokens{1000};
  ToyDriver driver(settings);
  driver.submit(toy_request(1, 60, 1, 0));
  driver.submit(toy_request(2, 60, 1, 1000));
  driver.submit(toy_request(3, 100, 1, 2000));  // 128 of the 128 left
  driver.submit(toy_request(4, 900, 1, 3000));
  CHECK(driver.step() == Pieces{{1, prefill, 0, 60, true}, {2, prefill, 0, 60, true}});
  CHECK(driver.step() == Pieces{{3, prefill, 0, 100, true}});
  CHECK(driver.step() == Pieces{{4, prefill, 0, 900, true}});
}

TEST_CASE("sglang: at most max_running requests run, and the next comes when one has ended") {
  ToyEngine settings = sglang_engine();
  settings.max_running = 2;
  ToyDriver driver(settings);
  driver.submit(toy_request(1, 60, 4, 0));
  driver.submit(toy_request(2, 60, 3, 1000));
  driver.submit(toy_request(3, 60, 2, 2000));
  CHECK(driver.step() == Pieces{{1, prefill, 0, 60, true}, {2, prefill, 0, 60, true}});
  CHECK(driver.engine().wait_reason() == WaitReason::running_cap);
  for (int i = 0; i < 2; ++i) {
    CHECK(driver.step().size() == 2);
    CHECK(driver.engine().wait_reason() == WaitReason::running_cap);
  }
  CHECK(driver.step() == Pieces{{3, prefill, 0, 60, true}});
  driver.run();
}

// The ratio is 1 at first, 0 after two decode steps.
ToyEngine fast_decay(std::int64_t capacity) {
  ToyEngine settings = sglang_engine();
  settings.rules.options["new_token_ratio"] = 1;
  settings.rules.options["new_token_ratio_least"] = 0;
  settings.rules.options["new_token_ratio_decay_steps"] = 2;
  settings.costs.capacity = capacity;
  return settings;
}

TEST_CASE("sglang: admission counts what running requests are expected to need") {
  // The first takes a block and expects 129 tokens, the second asks for a block, 65 tokens and one
  // more: 195, which is 4 blocks.
  for (const std::int64_t capacity : {5, 6}) {
    CAPTURE(capacity);
    ToyDriver driver(fast_decay(capacity));
    driver.submit(toy_request(1, 64, 129, 0));
    driver.submit(toy_request(2, 64, 65, 1000));
    CHECK(driver.step().size() == (capacity == 5 ? 1 : 2));
    CHECK(driver.engine().wait_reason() ==
          (capacity == 5 ? WaitReason::memory : WaitReason::nothing_waits));
    driver.run();
  }
}

TEST_CASE("sglang: what fits to the token is one too many") {
  // 64 + 63 tokens are asked for of the 128 left, and 64 + 64.
  for (const std::int64_t output : {63, 64}) {
    CAPTURE(output);
    ToyEngine settings = sglang_engine();
    settings.costs.capacity = 3;
    settings.rules.options["new_token_ratio"] = 0;
    ToyDriver driver(settings);
    driver.submit(toy_request(1, 10, 20, 0));
    driver.step();
    driver.submit(toy_request(2, 64, output, 1000));
    driver.step();
    CHECK(driver.engine().waiting() == (output == 63 ? 0 : 1));
  }
}

TEST_CASE("sglang: a refused request is admitted later because less is expected by then") {
  // When the second ends after its one decode the first holds 2 blocks and has 127 tokens to go.
  // Half of them, 63 and 65 + 1: 3 blocks, so 6 with the third's own. All of them: 193, 7 blocks.
  for (const bool decays : {true, false}) {
    CAPTURE(decays);
    ToyEngine settings = fast_decay(6);
    if (!decays) settings.rules.options["new_token_ratio_least"] = 1;
    ToyDriver driver(settings);
    driver.submit(toy_request(1, 64, 129, 0));
    driver.submit(toy_request(2, 64, 2, 1000));
    driver.submit(toy_request(3, 64, 65, 2000));
    CHECK(driver.step().size() == 2);
    CHECK(driver.step() == Pieces{{1, decode, 64, 1, true}, {2, decode, 64, 1, true}});
    CHECK(driver.step() ==
          (decays ? Pieces{{3, prefill, 0, 64, true}} : Pieces{{1, decode, 65, 1, true}}));
    driver.run();
    CHECK(driver.engine().preemptions() == 0);
  }
}

TEST_CASE("sglang: a full rank tries nobody until a running request has ended") {
  // From the third decode on nothing is expected of the first: the last request would fit.
  for (const bool another_ends : {false, true}) {
    CAPTURE(another_ends);
    ToyDriver driver(fast_decay(5));
    driver.submit(toy_request(1, 64, 129, 0));
    if (another_ends) driver.submit(toy_request(2, 64, 4, 1000));
    driver.submit(toy_request(3, 64, 65, 2000));
    for (int i = 0; i < 4; ++i) {
      CHECK(driver.step().size() == (another_ends ? 2 : 1));
      CHECK(driver.engine().wait_reason() == WaitReason::memory);
    }
    CHECK(driver.step() ==
          (another_ends ? Pieces{{3, prefill, 0, 64, true}} : Pieces{{1, decode, 67, 1, true}}));
    driver.run();
    CHECK((driver.record(3).admitted < driver.record(1).finished) == another_ends);
  }
}

TEST_CASE("sglang: what is expected falls to its least and no further") {
  // After three decodes the first holds 2 blocks and has 125 tokens to go, of which half, 62, are
  // expected however long it has run. With 1 + 1 more these are one block, with 2 + 1 two.
  for (const std::int64_t output : {1, 2}) {
    CAPTURE(output);
    ToyEngine settings = fast_decay(4);
    settings.rules.options["new_token_ratio_least"] = 0.5;
    settings.rules.options["new_token_ratio_decay_steps"] = 1;
    ToyDriver driver(settings);
    driver.submit(toy_request(1, 64, 129, 0));
    for (int i = 0; i < 4; ++i) driver.step();
    driver.submit(toy_request(2, 10, output, 1000));
    driver.step();
    CHECK(driver.engine().waiting() == (output == 1 ? 0 : 1));
    driver.run();
  }
}

TEST_CASE("sglang: an idle server expects the most again") {
  for (const std::int64_t read_ns : {0, 500'000}) {  // the host may read a prompt before
    CAPTURE(read_ns);
    const Duration read{read_ns};
    ToyDriver idle(fast_decay(6));
    idle.submit(toy_request(1, 64, 9, 0));
    idle.run();  // the ratio was 0 in the end
    idle.submit(toy_request(2, 64, 126, 1000), read);
    idle.step();
    idle.submit(toy_request(3, 64, 131, 2000), read);  // 125 + 131 + 1: 5 blocks beside 1 + 1
    idle.step();
    CHECK(idle.engine().waiting() == 1);
    idle.run();
  }

  ToyDriver busy(fast_decay(6));
  busy.submit(toy_request(1, 64, 9, 0));
  for (int i = 0; i < 4; ++i) busy.step();
  busy.submit(toy_request(2, 64, 126, 1000));  // 126 + 1: 2 blocks beside 1 + 2
  busy.step();
  busy.submit(toy_request(3, 10, 63, 2000));  // 63 + 1: 1 block beside 1 + 3
  busy.step();
  CHECK(busy.engine().running() == 3);
  busy.run();
}

TEST_CASE("sglang: the clip bounds what one request is expected to need") {
  for (const std::int64_t clip : {64, 640}) {
    CAPTURE(clip);
    ToyEngine settings = sglang_engine();
    settings.rules.options["clip_max_new_tokens"] = static_cast<double>(clip);
    settings.costs.capacity = 20;  // 129 tokens are 3 blocks, 1,281 are 21
    ToyDriver driver(settings);
    driver.submit(toy_request(1, 64, 1000, 0));
    driver.submit(toy_request(2, 64, 1000, 1000));
    CHECK(driver.step().size() == (clip == 64 ? 2 : 1));
  }
}

TEST_CASE("sglang: attention ranks are less conservative") {
  // 1,000 tokens to go: 302 with the second's one and one more are 5 blocks, 1,002 are 16.
  for (const std::int64_t ranks : {1, 2}) {
    CAPTURE(ranks);
    ToyEngine settings = sglang_engine();
    settings.rules.options["new_token_ratio"] = 1;
    settings.rules.attention_ranks = ranks;
    settings.costs.capacity = 17;
    ToyDriver driver(settings);
    driver.submit(toy_request(1, 64, 1001, 0));
    driver.step();
    driver.submit(toy_request(2, 64, 1, 2000));
    driver.step();
    CHECK(driver.engine().waiting() == (ranks == 1 ? 1 : 0));
  }
}

TEST_CASE("sglang: every pool is asked, and the one without room is named") {
  for (const std::int64_t windows : {4, 5}) {
    CAPTURE(windows);
    ToyEngine settings = sglang_engine();
    settings.costs = {100, 1, 1, 0, 0, 0, windows};
    settings.rules.options["new_token_ratio"] = 1;
    ToyDriver driver(settings);
    driver.submit(toy_request(1, 64, 65, 0));
    driver.submit(toy_request(2, 64, 65, 1000));  // 131 tokens expected: 3 blocks beside 1 + 1
    CHECK(driver.step().size() == (windows == 4 ? 1 : 2));
    if (windows == 4) {
      CHECK(driver.engine().wait_reason() == WaitReason::memory);
      CHECK(driver.engine().cache().short_pool() == "windows");
    }
    driver.run();
  }
}

TEST_CASE("sglang: retracted are the fewest generated tokens, of equals the longest prompt") {
  ToyEngine settings = sglang_engine();
  settings.costs.capacity = 3;
  expect_nothing(settings);
  ToyDriver driver(settings);
  driver.submit(toy_request(1, 61, 20, 0));  // the older, but longer
  driver.submit(toy_request(2, 60, 20, 1000));
  for (int i = 0; i < 5; ++i) {
    REQUIRE(driver.step().size() == 2);
  }
  // The first is at 65 with 2 blocks, the second needs its second one.
  CHECK(driver.step() == Pieces{{2, decode, 64, 1, true}});
  CHECK(driver.engine().waiting() == 1);
  CHECK(driver.engine().wait_reason() == WaitReason::memory);
  driver.run();
  CHECK(driver.record(1).preemptions == 1);
  CHECK(driver.record(2).preemptions == 0);

  settings.costs.capacity = 4;
  ToyDriver fewest(settings);
  fewest.submit(toy_request(1, 60, 40, 0));
  fewest.submit(toy_request(2, 61, 40, 1000));
  fewest.step();
  fewest.step();
  fewest.submit(toy_request(3, 10, 40, 2000));
  CHECK(fewest.step() == Pieces{{3, prefill, 0, 10, true}});
  for (int i = 0; i < 3; ++i) {
    REQUIRE(fewest.step().size() == 3);
  }
  // The short one has 4 tokens, the others 5, and the first wants its second block.
  CHECK(fewest.step() == Pieces{{1, decode, 64, 1, true}, {2, decode, 65, 1, true}});
  fewest.run();
  CHECK(fewest.record(3).preemptions == 1);
}

TEST_CASE("sglang: a retraction sets what is expected to what was seen so far") {
  // Two are left with 8 tokens each of 65 + 10. When the second has ended the first has 55 to go
  // and the retracted one asks for 33 + 1 beside its block: one block more is there for it while 55
  // x ratio is below 31. The ratio is (16 + 2 ahead) / 75: 0.56 with 13 ahead, 0.587 with 14.
  for (const std::int64_t ahead : {13, 14}) {
    CAPTURE(ahead);
    ToyEngine settings = sglang_engine();
    settings.rules.options["new_token_ratio"] = 0;
    settings.rules.options["retract_decode_steps"] = static_cast<double>(ahead);
    settings.costs.capacity = 8;
    settings.step_tokens = Tokens{512};
    ToyDriver driver(settings);
    driver.submit(toy_request(1, 315, 65, 0));
    driver.submit(toy_request(2, 57, 10, 1000));
    REQUIRE(driver.step().size() == 2);
    REQUIRE(driver.step().size() == 2);
    driver.submit(toy_request(3, 10, 40, 2000));
    REQUIRE(driver.step() == Pieces{{3, prefill, 0, 10, true}});
    for (int i = 0; i < 6; ++i) {
      REQUIRE(driver.step().size() == 3);
    }
    CHECK(driver.step() == Pieces{{1, decode, 322, 1, true}, {2, decode, 64, 1, true}});
    CHECK(driver.engine().preemptions() == 1);
    CHECK(driver.step() == Pieces{{1, decode, 323, 1, true}, {2, decode, 65, 1, true}});
    CHECK(driver.engine().running() == 1);
    CHECK(driver.step() ==
          (ahead == 13 ? Pieces{{3, prefill, 0, 17, true}} : Pieces{{1, decode, 324, 1, true}}));
    driver.run();
  }
}

TEST_CASE("sglang: with mixed chunks decodes run beside prefill, out of the same chunk") {
  ToyEngine settings = sglang_engine();
  settings.rules.mixed_chunk = true;
  ToyDriver driver(settings);
  driver.submit(toy_request(1, 100, 5, 0));
  CHECK(driver.step() == Pieces{{1, prefill, 0, 100, true}});
  driver.submit(toy_request(2, 300, 2, 1000));
  // 255 are left, 192 of them in whole blocks.
  CHECK(driver.step() == Pieces{{1, decode, 100, 1, true}, {2, prefill, 0, 192, false}});
  CHECK(driver.step() == Pieces{{1, decode, 101, 1, true}, {2, prefill, 192, 108, true}});
  CHECK(driver.step() == Pieces{{1, decode, 102, 1, true}, {2, decode, 300, 1, true}});
  driver.run();
}

TEST_CASE("sglang: decodes beside prefill are no decode step: as much is expected after them") {
  ToyEngine settings = fast_decay(9);
  settings.rules.options["new_token_ratio_decay_steps"] = 1;
  settings.rules.mixed_chunk = true;
  ToyDriver driver(settings);
  driver.submit(toy_request(1, 64, 65, 0));
  driver.step();
  driver.submit(toy_request(2, 300, 1, 1000));
  CHECK(driver.step() == Pieces{{1, decode, 64, 1, true}, {2, prefill, 0, 192, false}});
  CHECK(driver.step() == Pieces{{1, decode, 65, 1, true}, {2, prefill, 192, 108, true}});
  // All of the 62 tokens to go, and 2 + 1: two blocks beside 6 + 2. None of them would be one.
  driver.submit(toy_request(3, 384, 2, 2000));
  CHECK(driver.step() == Pieces{{1, decode, 66, 1, true}});
  CHECK(driver.engine().wait_reason() == WaitReason::memory);
  driver.run();
}

TEST_CASE("sglang: decodes are not bound by the chunk") {
  ToyEngine settings = sglang_engine();
  settings.step_tokens = Tokens{64};
  settings.max_running = 100;
  ToyDriver driver(settings);
  for (std::uint32_t id = 0; id < 70; ++id) driver.submit(toy_request(id, 10, 100, id * 1000));
  for (int i = 0; i < 70; ++i) {
    REQUIRE(driver.step().size() == 1);
  }
  CHECK(driver.step().size() == 70);
  driver.run();
}

// Asks the rules what they want, and allows prefill when it is told to.
class Gate final : public SchedulerRules {
 public:
  Gate(std::unique_ptr<SchedulerRules> rules, bool& allowed, bool& wanted)
      : rules_(std::move(rules)), allowed_(allowed), wanted_(wanted) {}
  void plan(Batch& batch, SimTime now) override {
    wanted_ = rules_->wants_prefill(batch);
    batch.allow_prefill(allowed_);
    rules_->plan(batch, now);
  }

 private:
  std::unique_ptr<SchedulerRules> rules_;
  bool& allowed_;
  bool& wanted_;
};

TEST_CASE("sglang: whoever waits is held back while prefill is not allowed") {
  const ToyEngine settings = sglang_engine();
  bool allowed = false, wanted = false;
  auto cache = std::make_unique<KvCache>(std::make_unique<ToyLayout>(settings.costs),
                                         make_policy("full", toy_geometry(), settings.block, {}),
                                         settings.block);
  Engine engine({2, settings.step_tokens, settings.max_context}, std::move(cache),
                std::make_unique<Gate>(make_scheduler("sglang", settings.rules), allowed, wanted),
                true);
  std::vector<RequestRecord> ended;
  RequestRecord refused;
  const auto submit = [&](RequestSpec spec) { engine.submit(std::move(spec), kSimStart, refused); };
  const auto step = [&] {
    const StepPlan plan = engine.plan_step(kSimStart);
    if (!plan.empty()) engine.finish_step(kSimStart, ended);
    return plan;
  };
  submit(toy_request(1, 300, 5, 0));
  CHECK(step().empty());
  CHECK(wanted);
  CHECK(engine.wait_reason() == WaitReason::prefill_delayed);
  allowed = true;
  CHECK(step().pieces.front().tokens == Tokens{256});
  // What has begun goes on, and decodes do not wait for permission.
  allowed = false;
  CHECK(step().pieces.front().tokens == Tokens{44});
  CHECK(wanted);
  CHECK(step().pieces.front().kind == decode);
  CHECK_FALSE(wanted);
  submit(toy_request(2, 100, 1, 1000));
  submit(toy_request(3, 100, 1, 2000));
  CHECK(step().pieces.front().kind == decode);
  CHECK(wanted);
  CHECK(engine.wait_reason() == WaitReason::prefill_delayed);
  allowed = true;
  CHECK(step().pieces.front().kind == prefill);
  // The second has ended with its prompt; the third follows.
  CHECK(step().pieces.front().kind == prefill);
  CHECK(wanted);
  CHECK(step().pieces.front().kind == decode);
  CHECK(step().pieces.front().kind == decode);
  CHECK_FALSE(wanted);
  CHECK(ended.size() == 3);
  engine.check_drained();
}

TEST_CASE(
    "sglang: an engine that lost all remembers no prompt that was cut, and that nobody fits") {
  ToyEngine settings = sglang_engine();
  settings.max_running = 1;
  ToyDriver driver(settings);
  driver.submit(toy_request(1, 300, 3, 0));
  driver.submit(toy_request(2, 10, 3, 1000));
  CHECK(driver.step() == Pieces{{1, prefill, 0, 256, false}});
  std::vector<LostRequest> lost;
  driver.engine().lose(lost);
  REQUIRE(lost.size() == 2);
  CHECK_FALSE(driver.engine().wants_prefill());
  CHECK(driver.step().empty());
  // As the first of a new engine, in the place that another one had.
  driver.submit(toy_request(3, 500, 2, 2000));
  CHECK(driver.step() == Pieces{{3, prefill, 0, 256, false}});
  CHECK(driver.step() == Pieces{{3, prefill, 256, 244, true}});
  driver.run();
}

TEST_CASE("sglang: hits end at whole blocks and leave a token to compute") {
  ToyEngine settings = sglang_engine();
  settings.block = settings.step_tokens = Tokens{256};
  ToyDriver driver(settings);
  const auto hit = [&](std::uint32_t id, std::int64_t prompt) {
    driver.submit(toy_request(id, prompt, 1, 0, Tokens{256}));
    driver.run();
    return driver.record(id).hit;
  };
  CHECK(hit(1, 1024) == Tokens{0});
  CHECK(hit(2, 1024) == Tokens{768});
  CHECK(hit(3, 1025) == Tokens{1024});
  CHECK(driver.tokens_run(3, prefill) == 1);
}

TEST_CASE("sglang, vllm: random sessions under memory pressure end with all books in balance") {
  struct Row {
    std::string scheduler;
    bool mixed;
    std::int64_t ranks;
  };
  for (const Row& row : {Row{"sglang", false, 1}, Row{"sglang", true, 1}, Row{"sglang", false, 8},
                         Row{"vllm", false, 1}}) {
    CAPTURE(row.scheduler);
    CAPTURE(row.mixed);
    CAPTURE(row.ranks);
    std::int64_t preemptions = 0, hits = 0;
    for (std::uint64_t seed = 1; seed <= 50; ++seed) {
      CAPTURE(seed);
      const std::string policies[] = {"full", "checkpoint=128+ends", "recompute", "pool=0.3"};
      ToyEngine settings = tight_engine(policies[seed % 4]);
      settings.scheduler = row.scheduler;
      settings.rules = sglang_engine().rules;
      settings.rules.mixed_chunk = row.mixed;
      settings.rules.attention_ranks = row.ranks;
      settings.rules.long_prefill_token_threshold = Tokens{seed % 3 == 0 ? 100 : 0};
      const Trace trace = random_sessions(seed, 60);
      // Simulation::run checks conservation, drained caches and Little's law.
      const RunResult result = play(trace, seed % 2 == 0 ? closed_loop(12) : WorkloadConfig{},
                                    settings, LinearCost{}, seed);
      CHECK(result.totals.finished + result.totals.refused ==
            static_cast<std::int64_t>(trace.requests.size()));
      preemptions += result.totals.preemptions;
      hits += result.totals.hit_tokens.value;
    }
    CHECK(preemptions > 0);
    CHECK(hits > 0);
  }
}

}  // namespace
}  // namespace v4cap
