#include "sim/engine/engine.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <boost/random/uniform_int_distribution.hpp>
#include <string>

#include "sim/core/random.h"
#include "tests/dies.h"
#include "tests/sim/engine/toy_engine.h"

namespace v4cap {
namespace {

using enum PieceKind;

SimTime ms(std::int64_t n) {
  return SimTime{Duration{n * 1'000'000}};
}

TEST_CASE("engine: a prompt of P under a budget of B takes ceil(P/B) steps, output - 1 decodes") {
  struct Row {
    std::int64_t prompt, output, budget, prefills, decodes;
  };
  const Row rows[] = {
      {1, 1, 256, 1, 0},     {1, 2, 256, 1, 1},   {255, 1, 256, 1, 0},
      {256, 1, 256, 1, 0},   {257, 1, 256, 2, 0}, {1000, 10, 256, 4, 9},
      {1000, 3, 1, 1000, 2}, {64, 65, 64, 1, 64}, {300, 0, 256, 2, 0},
  };
  for (const Row& row : rows) {
    CAPTURE(row.prompt);
    CAPTURE(row.output);
    CAPTURE(row.budget);
    ToyEngine settings;
    settings.step_tokens = Tokens{row.budget};
    ToyDriver driver(settings);
    REQUIRE(driver.submit(toy_request(7, row.prompt, row.output, 0)));
    driver.run();
    const RequestRecord& r = driver.record(7);
    CHECK(driver.steps.size() == static_cast<std::size_t>(row.prefills + row.decodes));
    CHECK(driver.tokens_run(7, prefill) == row.prompt);
    CHECK(driver.tokens_run(7, decode) == row.decodes);
    CHECK(r.end == RequestEnd::finished);
    CHECK(r.prompt == Tokens{row.prompt});
    CHECK(r.output == Tokens{row.output});
    CHECK(r.computed == Tokens{row.prompt});
    CHECK(r.admitted == kSimStart);
    CHECK(r.first_token == (row.output > 0 ? ms(row.prefills) : kSimStart));
    CHECK(r.second_token == (row.output > 1 ? ms(row.prefills + 1) : kSimStart));
    CHECK(r.finished == ms(row.prefills + row.decodes));
  }
}

TEST_CASE("engine: positions follow each other without a gap, and just the right pieces emit") {
  ToyEngine settings;
  settings.step_tokens = Tokens{100};
  ToyDriver driver(settings);
  REQUIRE(driver.submit(toy_request(1, 250, 3, 0)));
  driver.run();
  const std::vector<std::vector<SeenPiece>> expected = {
      {{1, prefill, 0, 100, false}}, {{1, prefill, 100, 100, false}}, {{1, prefill, 200, 50, true}},
      {{1, decode, 250, 1, true}},   {{1, decode, 251, 1, true}},
  };
  CHECK(driver.steps == expected);
}

TEST_CASE("engine: decodes come first and prompts share what is left of the budget") {
  ToyEngine settings;
  settings.step_tokens = Tokens{100};
  ToyDriver driver(settings);
  driver.submit(toy_request(1, 90, 5, 0));
  driver.submit(toy_request(2, 150, 5, 1000));
  driver.submit(toy_request(3, 60, 5, 2000));
  CHECK(driver.step() ==
        std::vector<SeenPiece>{{1, prefill, 0, 90, true}, {2, prefill, 0, 10, false}});
  CHECK(driver.engine().wait_reason() == WaitReason::step_tokens);
  CHECK(driver.step() ==
        std::vector<SeenPiece>{{1, decode, 90, 1, true}, {2, prefill, 10, 99, false}});
  CHECK(driver.step() == std::vector<SeenPiece>{{1, decode, 91, 1, true},
                                                {2, prefill, 109, 41, true},
                                                {3, prefill, 0, 58, false}});
  CHECK(driver.engine().wait_reason() == WaitReason::nothing_waits);
  CHECK(driver.step() == std::vector<SeenPiece>{{1, decode, 92, 1, true},
                                                {2, decode, 150, 1, true},
                                                {3, prefill, 58, 2, true}});
  driver.run();
}

TEST_CASE("engine: a hit computes the rest only, hit + computed = prompt") {
  ToyDriver driver({});
  driver.submit(toy_request(1, 640, 65, 0));
  driver.run();
  driver.submit(toy_request(2, 1000, 2, 0));  // continues prompt and output of the first
  driver.submit(toy_request(3, 640, 2, 0));   // the same prompt: a block less, one token is left
  driver.run();
  CHECK(driver.record(1).hit == Tokens{0});
  // 640 + 65 tokens, but the last is never run: 704 are computed, 11 full blocks.
  CHECK(driver.record(2).hit == Tokens{704});
  CHECK(driver.record(2).computed == Tokens{296});
  CHECK(driver.tokens_run(2, prefill) == 296);
  CHECK(driver.record(3).hit == Tokens{576});
  CHECK(driver.record(3).computed == Tokens{64});
}

TEST_CASE("engine: without reuse_generated only prompts are hit") {
  ToyEngine settings;
  settings.reuse_generated = false;
  ToyDriver driver(settings);
  driver.submit(toy_request(1, 650, 100, 0));
  driver.run();
  driver.submit(toy_request(2, 1000, 2, 0));
  driver.run();
  CHECK(driver.record(2).hit == Tokens{640});
}

TEST_CASE("engine: rebuild and prompt share a step when the budget allows") {
  struct Row {
    std::int64_t budget;
    std::vector<std::vector<SeenPiece>> steps;
  };
  // 256 tokens are rebuilt before position 640; 100 tokens of prompt follow.
  const Row rows[] = {
      {1000, {{{2, rebuild, 384, 256, false}, {2, prefill, 640, 100, true}}}},
      {300,
       {{{2, rebuild, 384, 256, false}, {2, prefill, 640, 44, false}},
        {{2, prefill, 684, 56, true}}}},
      {256, {{{2, rebuild, 384, 256, false}}, {{2, prefill, 640, 100, true}}}},
      {200,
       {{{2, rebuild, 384, 200, false}},
        {{2, rebuild, 584, 56, false}, {2, prefill, 640, 100, true}}}},
  };
  for (const Row& row : rows) {
    CAPTURE(row.budget);
    ToyEngine settings;
    settings.policy = "recompute";
    settings.step_tokens = Tokens{row.budget};
    ToyDriver driver(settings);
    driver.submit(toy_request(1, 641, 1, 0));
    driver.run();
    driver.steps.clear();
    driver.submit(toy_request(2, 740, 1, 0));
    driver.run();
    CHECK(driver.steps == row.steps);
    CHECK(driver.record(2).hit == Tokens{640});
    CHECK(driver.record(2).computed == Tokens{100});
    CHECK(driver.record(2).rebuilt == Tokens{256});
  }
}

TEST_CASE("engine: a checkpoint hit resumes at the point and copies it back") {
  ToyEngine settings;
  settings.policy = "checkpoint=256";
  settings.costs = {1'000'000, 1, 0, 1000, 0};
  settings.step_tokens = Tokens{10'000};
  ToyDriver driver(settings);
  driver.submit(toy_request(1, 641, 1, 0));
  CHECK(driver.engine().plan_step(kSimStart).copies.points_written == Bytes{2000});
  std::vector<RequestRecord> ended;
  driver.engine().finish_step(ms(1), ended);
  driver.submit(toy_request(2, 641, 1, 0));
  const StepPlan& plan = driver.engine().plan_step(ms(1));
  REQUIRE(plan.pieces.size() == 1);
  CHECK(plan.pieces[0].past == Tokens{512});
  CHECK(plan.pieces[0].tokens == Tokens{129});
  CHECK(plan.copies.points_read == Bytes{1000});
  driver.engine().finish_step(ms(2), ended);
  REQUIRE(ended.size() == 2);
  CHECK(ended[1].hit == Tokens{512});
  CHECK(ended[1].rebuilt == Tokens{0});
}

TEST_CASE("engine: a point that found no room is kept when its prompt is computed again") {
  ToyEngine settings;
  settings.policy = "checkpoint=256";
  // Two points fit beside the 11 blocks of a prompt, none when 4 more blocks are in use.
  settings.costs = {11 + 2 * 3, 1, 0, 3, 0};
  settings.step_tokens = Tokens{2000};
  ToyDriver driver(settings);
  driver.submit(toy_request(1, 255, 1, 1000));
  driver.submit(toy_request(2, 641, 1, 0));
  driver.run();
  CHECK(driver.engine().cache().points_kept() == 0);
  for (const std::uint32_t id : {3U, 4U}) {
    driver.submit(toy_request(id, 641, 1, 0));
    driver.run();
  }
  CHECK(driver.record(3).hit == Tokens{0});
  CHECK(driver.engine().cache().points_kept() == 2);
  CHECK(driver.record(4).hit == Tokens{512});
}

TEST_CASE("engine: never more running than the cap, the rest is admitted in order of arrival") {
  ToyEngine settings;
  settings.max_running = 3;
  ToyDriver driver(settings);
  for (std::uint32_t id = 0; id < 10; ++id)
    driver.submit(toy_request(id, 10, 5 + id % 3, 1000 * id));
  while (driver.engine().has_work()) {
    driver.step();
    CHECK(driver.engine().running() <= 3);
    if (driver.engine().waiting() > 0) {
      CHECK(driver.engine().wait_reason() == WaitReason::running_cap);
    }
  }
  for (std::uint32_t id = 1; id < 10; ++id) {
    CHECK(driver.record(id - 1).admitted <= driver.record(id).admitted);
  }
}

TEST_CASE("engine: the head of the queue is not overtaken by one that would fit") {
  ToyEngine settings;
  settings.costs.capacity = 10;
  settings.step_tokens = Tokens{1000};
  ToyDriver driver(settings);
  driver.submit(toy_request(1, 256, 100, 0));   // 4 blocks, later 6
  driver.submit(toy_request(2, 512, 2, 1000));  // 8 blocks: has to wait
  driver.submit(toy_request(3, 10, 2, 2000));   // would fit beside the first
  driver.step();
  CHECK(driver.engine().wait_reason() == WaitReason::memory);
  CHECK(driver.engine().waiting() == 2);
  driver.run();
  CHECK(driver.record(2).admitted == driver.record(1).finished);
  CHECK(driver.record(3).admitted >= driver.record(2).admitted);
}

TEST_CASE("engine: what can never run is refused and leaves nothing behind") {
  struct Row {
    std::string name;
    std::int64_t prompt, output;
    bool taken;
  };
  // A context of 1,000 tokens; memory of 12 blocks of 64 beside a running sequence's 5.
  const Row rows[] = {
      {"longest that fits", 700, 68, true},
      {"memory, by its output", 700, 69, false},
      {"memory", 769, 0, false},
      {"context", 990, 11, false},
      {"both at their limit", 768, 0, true},
  };
  for (const Row& row : rows) {
    CAPTURE(row.name);
    ToyEngine settings;
    settings.costs = {12 + 5, 1, 0, 0, 5};
    settings.max_context = Tokens{1000};
    ToyDriver driver(settings);
    CHECK(driver.submit(toy_request(1, row.prompt, row.output, 0)) == row.taken);
    CHECK(driver.engine().has_work() == row.taken);
    if (!row.taken) {
      REQUIRE(driver.records.size() == 1);
      CHECK(driver.records[0].end == RequestEnd::refused);
      CHECK(driver.records[0].prompt == Tokens{row.prompt});
    }
    driver.submit(toy_request(2, 64, 2, 100));  // the engine goes on
    driver.run();
    CHECK(driver.record(2).end == RequestEnd::finished);
  }
}

TEST_CASE("engine: the context limit counts prompt and output") {
  ToyEngine settings;
  settings.max_context = Tokens{100};
  ToyDriver driver(settings);
  CHECK(driver.submit(toy_request(1, 60, 40, 0)));
  CHECK_FALSE(driver.submit(toy_request(2, 60, 41, 0)));
  CHECK_FALSE(driver.submit(toy_request(3, 101, 0, 0)));
  driver.run();
}

TEST_CASE("engine: the youngest is preempted and completes later with every token") {
  ToyEngine settings;
  settings.costs.capacity = 6;  // two of 2 blocks start; each wants 4 in the end
  settings.max_running = 2;
  ToyDriver driver(settings);
  driver.submit(toy_request(1, 100, 150, 0));
  driver.submit(toy_request(2, 100, 150, 1000));
  driver.submit(toy_request(3, 10, 2, 2000));
  driver.run();
  const RequestRecord &older = driver.record(1), &younger = driver.record(2);
  CHECK(older.preemptions == 0);
  CHECK(younger.preemptions == 1);
  CHECK(driver.engine().preemptions() == 1);
  CHECK(older.finished < younger.finished);
  CHECK(driver.record(3).admitted >= older.finished);  // the preempted one waits in front
  CHECK(older.recomputed_after_preemption == Tokens{0});
  CHECK(younger.hit + younger.computed == younger.prompt);
  // The second went when the first wanted a fourth block, at position 192, itself at 192, with its
  // 93rd token not yet run. Its 3 blocks were evicted from the end: the first took one.
  CHECK(younger.recomputed_after_preemption == Tokens{64});
  CHECK(driver.tokens_run(2, prefill) + driver.tokens_run(2, decode) ==
        100 + 149 + younger.recomputed_after_preemption.value);
}

TEST_CASE("engine: a request preempted before its prompt was read recomputes only what it had") {
  ToyEngine settings;
  settings.costs.capacity = 20;
  settings.step_tokens = Tokens{4};
  ToyDriver driver(settings);
  driver.submit(toy_request(1, 60, 700, 0));     // grows up to 12 blocks
  driver.submit(toy_request(2, 1000, 3, 1000));  // 16 blocks from the start, 3 tokens a step
  driver.run();
  const RequestRecord& r = driver.record(2);
  CHECK(r.preemptions > 0);
  CHECK(r.computed == Tokens{1000});
  CHECK(r.recomputed_after_preemption < Tokens{1000});
  CHECK(driver.tokens_run(2, prefill) + driver.tokens_run(2, decode) ==
        1000 + 2 + r.recomputed_after_preemption.value);
}

TEST_CASE("engine: a request that fits alone finishes however many points it would keep") {
  for (std::int64_t capacity = 10; capacity <= 30; ++capacity) {
    CAPTURE(capacity);
    ToyEngine settings;
    settings.policy = "checkpoint=64";
    settings.costs = {capacity, 1, 0, 1, 0};
    ToyDriver driver(settings);
    driver.submit(toy_request(1, 320, 320, 0));
    driver.submit(toy_request(2, 320, 320, 0));
    driver.run();
    driver.submit(toy_request(3, 400, 240, 0));
    driver.run();
    CHECK(driver.records.size() == 3);
  }
}

TEST_CASE("engine: decisions depend on what is submitted, not on when") {
  for (const std::string policy :
       {"full", "checkpoint=128", "checkpoint=128+ends", "recompute", "pool=0.3", "reuse"}) {
    CAPTURE(policy);
    ToyEngine settings;
    settings.policy = policy;
    settings.costs = {60, 1, 1, 2, 3};
    if (policy.starts_with("pool")) settings.costs.windows = 20;
    const auto engines = {settings.make(), settings.make()};
    const auto& a = *engines.begin();
    const auto& b = *(engines.begin() + 1);
    RandomEngine random = RandomStreams(3).stream("submissions");
    const auto draw = [&](std::int64_t low, std::int64_t high) {
      return boost::random::uniform_int_distribution<std::int64_t>(low, high)(random);
    };
    std::vector<RequestRecord> ended_a, ended_b;
    RequestRecord refused;
    std::int64_t step = 0;
    for (std::uint32_t id = 0; id < 200 || a->has_work(); ++step) {
      if (id < 200 && draw(0, 2) == 0) {
        const RequestSpec spec = toy_request(id++, draw(1, 700), draw(0, 300), draw(0, 4) * 1000);
        CHECK(a->submit(spec, ms(step), refused) == b->submit(spec, ms(step * step), refused));
      }
      const StepPlan &plan_a = a->plan_step(ms(step)), &plan_b = b->plan_step(ms(step * step));
      REQUIRE(plan_a.pieces == plan_b.pieces);
      REQUIRE(plan_a.copies == plan_b.copies);
      std::int64_t tokens = 0;
      for (const StepPiece& piece : plan_a.pieces) tokens += piece.tokens.value;
      REQUIRE(tokens <= settings.step_tokens.value);
      if (plan_a.empty()) continue;
      a->finish_step(ms(step), ended_a);
      b->finish_step(ms(step * step), ended_b);
      REQUIRE(ended_a.size() == ended_b.size());
    }
    a->check_drained();
    CHECK(a->preemptions() > 0);
    CHECK(a->preemptions() == b->preemptions());
    for (std::size_t i = 0; i < ended_a.size(); ++i) CHECK(ended_a[i].id == ended_b[i].id);
  }
}

TEST_CASE("engine: a decode verifies its drafts and keeps those that were accepted") {
  ToyEngine settings;
  settings.acceptance = {0, 0, 1};  // two drafts, both always right
  ToyDriver driver(settings);
  driver.submit(toy_request(1, 100, 8, 0));
  driver.run();
  // One token from the prompt, then 3 + 3 and the one that is left.
  const std::vector<std::vector<SeenPiece>> expected = {{{1, prefill, 0, 100, true}},
                                                        {{1, decode, 100, 3, true}},
                                                        {{1, decode, 103, 3, true}},
                                                        {{1, decode, 106, 3, true}}};
  CHECK(driver.steps == expected);
  CHECK(driver.record(1).first_token == ms(1));
  CHECK(driver.record(1).second_token == ms(2));
  CHECK(driver.record(1).finished == ms(4));
  CHECK(driver.engine().decode_steps() == 3);
  CHECK(driver.engine().decoded() == Tokens{7});
}

TEST_CASE("engine: drafts that are never accepted change steps in nothing but their rows") {
  ToyEngine plain, drafting;
  drafting.acceptance = {1, 0, 0, 0};
  ToyDriver a(plain), b(drafting);
  for (ToyDriver* driver : {&a, &b}) {
    for (std::uint32_t id = 0; id < 3; ++id) {
      driver->submit(toy_request(id, 100 * id + 1, 70, 1000 * id));
    }
    driver->run();
  }
  REQUIRE(a.steps.size() == b.steps.size());
  for (std::size_t i = 0; i < a.steps.size(); ++i) {
    for (SeenPiece& piece : b.steps[i]) piece.tokens = piece.kind == decode ? 1 : piece.tokens;
    CHECK(a.steps[i] == b.steps[i]);
  }
}

TEST_CASE("engine: what a request's drafts yield does not depend on who runs beside it") {
  ToyEngine settings;
  settings.acceptance = acceptance_of_mean(3, 2.5);
  const auto yields = [&](std::uint32_t beside, Tokens step_tokens) {
    ToyEngine engine = settings;
    engine.step_tokens = step_tokens;
    ToyDriver driver(engine);
    for (std::uint32_t id = 0; id < beside; ++id) {
      driver.submit(toy_request(100 + id, 300, 40, 50'000 + 1000 * id));
    }
    driver.submit(toy_request(7, 200, 150, 0));
    driver.run();
    std::vector<std::int64_t> past;
    for (const auto& step : driver.steps) {
      for (const SeenPiece& p : step) {
        if (p.id == 7 && p.kind == decode) past.push_back(p.past);
      }
    }
    return past;
  };
  const std::vector<std::int64_t> alone = yields(0, Tokens{256});
  CHECK(alone.size() > 40);
  CHECK(alone.size() < 80);
  CHECK(yields(5, Tokens{256}) == alone);
  CHECK(yields(2, Tokens{37}) == alone);
}

TEST_CASE("engine: room is made for drafts, up to the end of the output and not beyond") {
  ToyEngine settings;
  settings.acceptance = {1, 0, 0, 0};
  settings.costs.capacity = 2;  // 128 tokens
  ToyDriver driver(settings);
  driver.submit(toy_request(1, 62, 66, 0));  // fits to the last token
  driver.step();
  CHECK(driver.engine().cache().in_use().total() == Bytes{1});
  driver.step();  // 62 + 4 rows reach into the second block
  CHECK(driver.engine().cache().in_use().total() == Bytes{2});
  driver.run();
  CHECK(driver.record(1).preemptions == 0);
  CHECK(driver.record(1).end == RequestEnd::finished);
}

TEST_CASE("engine: drafts under memory pressure, with preemption, yield every token once") {
  for (const std::string policy : {"full", "checkpoint=128", "checkpoint=128+ends", "recompute"}) {
    CAPTURE(policy);
    std::int64_t preemptions = 0;
    for (std::uint64_t seed = 1; seed <= 50; ++seed) {
      CAPTURE(seed);
      ToyEngine settings;
      settings.policy = policy;
      settings.costs = {40, 1, 1, 2, 3};
      settings.acceptance = acceptance_of_mean(4, 3);
      settings.acceptance_seed = seed;
      ToyDriver driver(settings);
      RandomEngine random = RandomStreams(seed).stream("submissions");
      const auto draw = [&](std::int64_t low, std::int64_t high) {
        return boost::random::uniform_int_distribution<std::int64_t>(low, high)(random);
      };
      std::int64_t decoded = 0;
      std::vector<std::uint32_t> taken;
      for (std::uint32_t id = 0; id < 40; ++id) {
        const std::int64_t output = draw(0, 300);
        if (!driver.submit(toy_request(id, draw(1, 500), output, draw(0, 3) * 1000))) continue;
        taken.push_back(id);
        decoded += std::max<std::int64_t>(output - 1, 0);
        for (std::int64_t steps = draw(0, 9); steps > 0; --steps) driver.step();
      }
      driver.run();
      std::int64_t first_tokens_again = 0;
      for (const std::uint32_t id : taken) {
        const RequestRecord& r = driver.record(id);
        CHECK(r.end == RequestEnd::finished);
        CHECK(r.hit + r.computed == r.prompt);
        first_tokens_again += r.preemptions;
      }
      // Computing a prompt again yields a token that no decode step has to.
      CHECK(driver.engine().decoded().value <= decoded);
      CHECK(driver.engine().decoded().value >= decoded - first_tokens_again);
      preemptions += driver.engine().preemptions();
    }
    CHECK(preemptions > 50);
  }
}

TEST_CASE("engine: out of turn or out of range is our mistake") {
  const auto with = [](const auto& body) {
    return dies([&] {
      ToyDriver driver({});
      body(driver);
    });
  };
  std::vector<RequestRecord> ended;
  CHECK(with([&](ToyDriver& d) { d.engine().finish_step(kSimStart, ended); }));
  CHECK(with([&](ToyDriver& d) {
    d.submit(toy_request(1, 10, 1, 0));
    d.engine().plan_step(kSimStart);
    d.engine().plan_step(kSimStart);
  }));
  CHECK(with([&](ToyDriver& d) {
    d.submit(toy_request(1, 10, 1, 0));
    d.engine().check_drained();
  }));
  CHECK(with([&](ToyDriver& d) { d.submit(toy_request(1, 0, 1, 0)); }));
  CHECK(with([&](ToyDriver& d) { d.submit(toy_request(1, 10, -1, 0)); }));
  CHECK(with([&](ToyDriver& d) {
    RequestSpec spec = toy_request(1, 640, 64, 0);
    spec.keys = {{0, 10}};  // names prompt but not output
    d.submit(spec);
  }));
  CHECK_FALSE(with([&](ToyDriver& d) { d.submit(toy_request(1, 10, 1, 0)); }));
}

TEST_CASE("engine: an unknown scheduler is refused with the nearest name") {
  CHECK_THROWS_WITH_AS(make_scheduler("fcsf"), "unknown scheduler 'fcsf'; did you mean 'fcfs'?",
                       InputError);
}

}  // namespace
}  // namespace v4cap
