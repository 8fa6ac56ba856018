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
    std::int64_t after, point;
  };
  const Row rows[] = {
      {"full", 0, kNoPoint.value},          {"recompute", 0, kNoPoint.value},
      {"checkpoint=2048", 0, 2048},         {"checkpoint=2048", 2047, 2048},
      {"checkpoint=2048", 2048, 4096},      {"checkpoint=2048", 2049, 4096},
      {"checkpoint=256", 893'000, 893'184},
  };
  for (const Row& row : rows) {
    CAPTURE(row.policy);
    CAPTURE(row.after);
    CHECK(policy(row.policy)->next_point(Tokens{row.after}) == Tokens{row.point});
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
      {"empty", "", "one of: checkpoint, full, recompute"},
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
      {"unknown shape", "recompute=pyramid", "expected 'recompute'"},
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
