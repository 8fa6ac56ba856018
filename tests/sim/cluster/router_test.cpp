// Rules that choose among candidates which come and go; what they do for ranks is in
// replica_test.cpp.
#include "sim/cluster/router.h"

#include <doctest/doctest.h>

#include <string>
#include <vector>

namespace v4cap {
namespace {

struct Target final : RouteTarget {
  std::size_t count = 0;
  std::int64_t tokens = 0, hit = 0;
  std::size_t requests() const override { return count; }
  Tokens prompt_tokens() const override { return Tokens{tokens}; }
  Tokens would_hit(const RequestSpec&) const override { return Tokens{hit}; }
};

// Targets with their own numbers as candidates.
struct Field {
  std::vector<Target> targets;
  explicit Field(std::size_t count) : targets(count) {}
  // The number that is chosen among those named.
  std::size_t choose(Router& router, const RequestSpec& request,
                     const std::vector<std::size_t>& there) {
    std::vector<Candidate> candidates;
    for (const std::size_t n : there) candidates.push_back({n, &targets[n]});
    return candidates[router.choose(request, candidates)].number;
  }
};

RequestSpec request_of(std::int32_t session, std::int64_t prompt = 100) {
  return {0, Tokens{prompt}, Tokens{1}, {}, session};
}

TEST_CASE("router: round robin goes on behind whom it chose last, whoever is gone") {
  Field field(4);
  const auto router = make_router("round_robin");
  const RequestSpec any = request_of(-1);
  CHECK(field.choose(*router, any, {0, 1, 2, 3}) == 0);
  CHECK(field.choose(*router, any, {0, 2, 3}) == 2);
  CHECK(field.choose(*router, any, {0, 1}) == 0);
  CHECK(field.choose(*router, any, {0, 1, 2, 3}) == 1);
  CHECK(field.choose(*router, any, {3}) == 3);
  CHECK(field.choose(*router, any, {0, 1, 2, 3}) == 0);
}

TEST_CASE("router: the fewest tokens are not the fewest requests") {
  Field field(3);
  field.targets[0].count = 1;
  field.targets[0].tokens = 9000;
  field.targets[1].count = 5;
  field.targets[1].tokens = 500;
  field.targets[2].count = 4;
  field.targets[2].tokens = 500;
  const RequestSpec any = request_of(-1);
  CHECK(field.choose(*make_router("least_tokens"), any, {0, 1, 2}) == 2);
  CHECK(field.choose(*make_router("shortest_queue"), any, {0, 1, 2}) == 0);
}

TEST_CASE("router: a session stays where it is, and moves for good when that is gone") {
  Field field(3);
  const auto router = make_router("session");
  CHECK(field.choose(*router, request_of(7), {0, 1, 2}) == 0);
  field.targets[0].count = 9;
  CHECK(field.choose(*router, request_of(7), {0, 1, 2}) == 0);
  CHECK(field.choose(*router, request_of(8), {0, 1, 2}) == 1);
  field.targets[1].count = 1;
  CHECK(field.choose(*router, request_of(7), {1, 2}) == 2);
  CHECK(field.choose(*router, request_of(7), {0, 1, 2}) == 2);
  CHECK(field.choose(*router, request_of(-1), {0, 1, 2}) == 2);  // no session: the shortest queue
}

TEST_CASE("router: a weighted score trades hits for load") {
  Field field(3);
  field.targets[0].count = 10;
  field.targets[0].hit = 90;  // of 100
  field.targets[1].count = 4;
  field.targets[2].count = 4;
  field.targets[2].tokens = 50;
  const RequestSpec any = request_of(-1);
  const auto chosen = [&](const std::string& name) {
    return field.choose(*make_router(name), any, {0, 1, 2});
  };
  CHECK(chosen("weighted") == 0);      // 0.9 - 1 against -0.4: -0.1 is more
  CHECK(chosen("weighted=1,2") == 1);  // 0.9 - 2 against -0.8, and fewer tokens than the third
  CHECK(chosen("weighted=0,1") == 1);
  CHECK(chosen("weighted=1,0") == 0);
}

TEST_CASE("router: one that says that it does not look chooses the same whatever there is to see") {
  for (const std::string& name : RouterRegistry::names()) {
    CAPTURE(name);
    const auto seeing = make_router(name), blind = make_router(name);
    if (seeing->looks()) continue;
    CHECK(name == "round_robin");
    Field field(5), empty(5);
    for (std::size_t i = 0; i < 40; ++i) {
      field.targets[i % 5].count = i * 7 % 11;
      field.targets[i % 3].hit = 60;
      const std::vector<std::size_t> there =
          i % 4 == 0 ? std::vector<std::size_t>{0, 2, 3} : std::vector<std::size_t>{0, 1, 2, 4};
      RequestSpec request = request_of(static_cast<std::int32_t>(i));
      const std::size_t chosen = field.choose(*seeing, request, there);
      request.keys.clear();
      CHECK(empty.choose(*blind, request, there) == chosen);
    }
  }
}

TEST_CASE("router: arguments that a rule does not take") {
  for (const std::string name : {"session=1", "least_tokens=2", "weighted=1", "weighted=-1,1",
                                 "weighted=0,0", "weighted=1,1,1", "weighted=a,b"}) {
    CAPTURE(name);
    CHECK_THROWS_AS(make_router(name), InputError);
  }
}

}  // namespace
}  // namespace v4cap
