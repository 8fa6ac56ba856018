// The three policies as functions: where points are kept, and where and at what cost a hit resumes.
#include "sim/cache/swa_policy.h"

#include <doctest/doctest.h>

#include <string>

#include "tests/sim/cache/toy_model.h"

namespace v4cap {
namespace {

std::unique_ptr<SwaPolicy> policy(const std::string& text, std::int64_t block = 256,
                                  std::optional<Tokens> threshold = std::nullopt) {
  return make_policy(text, toy_geometry(), Tokens{block}, threshold);
}

TEST_CASE("policies keep points where they say") {
  struct Row {
    std::string policy;
    std::int64_t after, prompt_end, point;
  };
  const std::int64_t none = kNoPoint.value;
  const Row rows[] = {
      {"full", 0, 5120, none},
      {"recompute", 0, 5120, none},
      {"recompute=pyramid", 0, 5120, none},
      {"replay", 0, 5120, none},
      {"checkpoint=2048", 0, 5120, 2048},
      {"checkpoint=2048", 2047, 5120, 2048},
      {"checkpoint=2048", 2048, 5120, 4096},
      {"checkpoint=2048", 4096, 5120, 6144},
      {"checkpoint=256", 893'000, 5120, 893'184},
      {"checkpoint=2048+ends", 4096, 5120, 5120},
      {"checkpoint=2048+ends", 5120, 5120, 6144},
      {"checkpoint=2048+ends", 0, 1024, 1024},
      {"tail", 0, 5120, 5120},
      {"tail", 5120, 5120, none},
      {"pool=0.1", 0, 5120, 256},
      {"pool=0.1", 5120, 5120, 5376},
      {"reuse", 0, 5120, 5120},
      {"reuse", 5120, 5120, 8192},
      {"reuse", 8192, 5120, 16'384},
  };
  for (const Row& row : rows) {
    CAPTURE(row.policy);
    CAPTURE(row.after);
    CHECK(policy(row.policy)
              ->next_point(Tokens{row.after}, PointContext{Tokens{row.prompt_end}, {}}) ==
          Tokens{row.point});
  }
}

TEST_CASE("policies resume where they can and rebuild what they must") {
  struct Row {
    std::string policy;
    std::int64_t cached, last_point, resume, rebuild;
  };
  // recompute on 61 layers with a window of 128: 7,808 tokens, worth it from twice that on.
  const Row rows[] = {
      {"full", 0, 0, 0, 0},
      {"full", 256, 0, 256, 0},
      {"full", 102'400, 0, 102'400, 0},
      {"checkpoint=2048", 0, 0, 0, 0},
      {"checkpoint=2048", 1792, 0, 0, 0},
      {"checkpoint=2048", 5888, 4096, 4096, 0},
      {"checkpoint=2048", 4096, 4096, 4096, 0},
      {"recompute", 0, 0, 0, 0},
      {"recompute", 15'615, 0, 0, 0},
      {"recompute", 15'616, 0, 15'616, 7808},
      {"recompute", 102'400, 0, 102'400, 7808},
      {"recompute=rectangle", 102'400, 0, 102'400, 7808},
      // pyramid: 128 L (L + 1) / 2 layer-tokens, reaching as far back as the rectangle.
      {"recompute=pyramid", 7935, 0, 0, 0},
      {"recompute=pyramid", 7936, 0, 7936, 3968},
      {"recompute=pyramid", 102'400, 0, 102'400, 3968},
      {"replay", 128, 0, 0, 0},
      {"replay", 256, 0, 256, 128},
      {"tail", 5888, 5120, 5120, 0},
      {"tail", 5888, 0, 0, 0},
      {"pool=0.1", 5888, 5632, 5632, 0},
      {"pool=0.1+recompute", 15'360, 15'104, 15'104, 0},  // too short to be rebuilt
      {"pool=0.1+recompute", 15'616, 15'360, 15'616, 7808},
      {"pool=0.1+recompute", 15'616, 15'616, 15'616, 0},
      {"pool=0.1+recompute", 0, 0, 0, 0},
      // reuse rebuilds where the last point is further back than that costs.
      {"reuse", 5888, 4096, 4096, 0},
      {"reuse", 102'400, 96'000, 96'000, 0},
      {"reuse", 102'400, 90'000, 102'400, 7808},
      {"reuse", 15'360, 0, 0, 0},
  };
  for (const Row& row : rows) {
    CAPTURE(row.policy);
    CAPTURE(row.cached);
    const Resume resume = policy(row.policy)->resume(Tokens{row.cached}, Tokens{row.last_point});
    CHECK(resume.position == Tokens{row.resume});
    CHECK(resume.rebuild == Tokens{row.rebuild});
  }
}

TEST_CASE("recompute: the threshold can be set, down to what a hit rebuilds") {
  const auto lowest = policy("recompute", 256, Tokens{7808});
  CHECK(lowest->resume(Tokens{7807}, {}).position == Tokens{0});
  CHECK(lowest->resume(Tokens{7808}, {}).position == Tokens{7808});
  CHECK_THROWS_AS(policy("recompute", 256, Tokens{7807}), InputError);
}

TEST_CASE("pool with recompute: what it rebuilds and from when on is as of recompute") {
  const auto lowest = policy("pool=0.1+recompute", 256, Tokens{7808});
  CHECK(lowest->name() == "pool=0.1+recompute");
  CHECK(lowest->window_pool_ratio() == 0.1);
  CHECK(lowest->resume(Tokens{7936}, Tokens{256}).rebuild == Tokens{7808});
  CHECK_FALSE(lowest->hits_end_at_points());
  CHECK(policy("pool=0.1")->hits_end_at_points());
  CHECK_THROWS_AS(policy("pool=0.1+recompute", 256, Tokens{7807}), InputError);
}

TEST_CASE("pyramid runs as many layer-tokens as its rows add up to") {
  // Token at distance d before the resume point (1 = the last) is needed in the first
  // L - ceil(d / 128) + 1 layers.
  const CacheGeometry geometry = toy_geometry();
  const std::int64_t layers = geometry.layers(), window = geometry.window_tokens().value;
  std::int64_t layer_tokens = 0;
  for (std::int64_t d = 1; d <= layers * window; ++d) {
    layer_tokens += layers - (d + window - 1) / window + 1;
  }
  const Tokens rebuilt = policy("recompute=pyramid")->resume(Tokens{100'096}, {}).rebuild;
  CHECK(rebuilt.value * layers == layer_tokens);
}

TEST_CASE("recompute with an engine's page aligns what it rebuilds, and its threshold") {
  const auto aligned = make_policy("recompute", toy_geometry(), Tokens{256}, {}, Tokens{256});
  CHECK(aligned->resume(Tokens{15'871}, {}).position == Tokens{0});
  CHECK(aligned->resume(Tokens{15'872}, {}).rebuild == Tokens{7936});
  CHECK(make_policy("reuse", toy_geometry(), Tokens{256}, {}, Tokens{256})
            ->resume(Tokens{20'000}, {})
            .rebuild == Tokens{7936});
}

TEST_CASE("only full stores the window of every token") {
  CHECK(policy("full")->stores_window_of_every_token());
  CHECK_FALSE(policy("checkpoint=2048")->stores_window_of_every_token());
  CHECK_FALSE(policy("recompute")->stores_window_of_every_token());
  CHECK(policy("checkpoint=02048")->name() == "checkpoint=2048");
}

TEST_CASE("a policy that does not fit is refused with what was expected") {
  struct Row {
    std::string name;
    std::string policy;
    const char* says;
  };
  const Row rows[] = {
      {"unknown", "ful", "did you mean 'full'?"},
      {"unknown with argument", "chekpoint=2048", "did you mean 'checkpoint'?"},
      {"empty", "", "one of: checkpoint, full, pool, recompute, replay, reuse, tail"},
      {"full with argument", "full=1", "takes no argument"},
      {"full with empty argument", "full=", "expected an argument"},
      {"no interval", "checkpoint", "K from 1 to 16777216"},
      {"empty interval", "checkpoint=", "expected an argument"},
      {"no number", "checkpoint=two", "K from 1 to 16777216"},
      {"half a number", "checkpoint=2048k", "K from 1 to 16777216"},
      {"zero", "checkpoint=0", "K from 1 to 16777216"},
      {"negative", "checkpoint=-256", "K from 1 to 16777216"},
      {"beyond any context", "checkpoint=16777472", "K from 1 to 16777216"},
      {"beyond 63 bits", "checkpoint=9223372036854775808", "K from 1 to 16777216"},
      {"not whole blocks", "checkpoint=2000", "multiple of the block of 256"},
      {"less than a block", "checkpoint=128", "multiple of the block of 256"},
      {"no ends", "checkpoint=2048+end", "'checkpoint=K+ends'"},
      {"ends of nothing", "checkpoint=+ends", "K from 1 to 16777216"},
      {"tail with argument", "tail=2048", "takes no argument"},
      {"replay with argument", "replay=128", "takes no argument"},
      {"unknown shape", "recompute=cone", "'recompute=pyramid'"},
      {"no share", "pool", "above 0 and up to 1"},
      {"share of nothing", "pool=0", "above 0 and up to 1"},
      {"more than all", "pool=1.5", "above 0 and up to 1"},
      {"no number", "pool=10%", "above 0 and up to 1"},
      {"not a number", "pool=nan", "above 0 and up to 1"},
      {"rebuilt without a share", "pool=+recompute", "'pool=r+recompute'"},
      {"rebuilt otherwise", "pool=0.1+replay", "'pool=r+recompute'"},
      {"negative share", "reuse=-0.1", "above 0 and up to 1"},
  };
  for (const Row& row : rows) {
    CAPTURE(row.name);
    try {
      policy(row.policy);
      FAIL("accepted");
    } catch (const InputError& error) {
      CAPTURE(std::string(error.what()));
      CHECK(std::string(error.what()).find(row.says) != std::string::npos);
    }
  }
}

TEST_CASE("what must be known before a result is believed is said") {
  CHECK(policy("full")->caveat().empty());
  CHECK(policy("recompute")->caveat().empty());
  CHECK(policy("recompute=pyramid")->caveat().find("hypothetical") == 0);
  CHECK(policy("replay")->caveat().find("approximate") == 0);
  for (const char* name : {"full", "checkpoint=2048", "tail", "recompute", "replay", "pool=0.1",
                           "pool=0.1+recompute"}) {
    CAPTURE(std::string(name));
    CHECK_FALSE(policy(name)->fallback().empty());
  }
}

TEST_CASE("without window layers only full makes sense") {
  ModelSpec dense;
  dense.layers.assign(80, LayerKind::gqa);
  const CacheGeometry geometry(dense, EntryFormat{4096, 0, 0, 0});
  CHECK_NOTHROW(make_policy("full", geometry, Tokens{256}, std::nullopt));
  CHECK_THROWS_AS(make_policy("recompute", geometry, Tokens{256}, std::nullopt), InputError);
  CHECK_THROWS_AS(make_policy("checkpoint=256", geometry, Tokens{256}, std::nullopt), InputError);
}

}  // namespace
}  // namespace v4cap
