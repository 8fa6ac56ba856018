// The order of events is total: time, then kind, then the order in which they were scheduled.
#include "sim/core/event_queue.h"

#include <doctest/doctest.h>

#include <string>

#include <algorithm>
#include <tuple>
#include <vector>

namespace v4cap {
namespace {

struct Scheduled {
  std::int64_t at_ns;
  EventKind kind;
  std::uint32_t target;
};

std::vector<std::uint32_t> targets_popped(const std::vector<Scheduled>& events) {
  EventQueue queue;
  for (const Scheduled& e : events) queue.push(SimTime{Duration{e.at_ns}}, e.kind, e.target);
  std::vector<std::uint32_t> targets;
  while (!queue.empty()) targets.push_back(queue.pop().target);
  return targets;
}

TEST_CASE("event queue: earlier first, then step ends before arrivals, then as scheduled") {
  using enum EventKind;
  struct Row {
    std::string name;
    std::vector<Scheduled> events;
    std::vector<std::uint32_t> order;
  };
  const Row rows[] = {
      {"time", {{3, arrival, 0}, {1, arrival, 1}, {2, arrival, 2}}, {1, 2, 0}},
      {"kind at one instant", {{5, arrival, 0}, {5, step_end, 1}}, {1, 0}},
      {"time beats kind", {{6, step_end, 0}, {5, arrival, 1}}, {1, 0}},
      {"sequence within a kind",
       {{5, arrival, 9}, {5, arrival, 3}, {5, arrival, 7}, {5, arrival, 1}},
       {9, 3, 7, 1}},
      {"the target plays no part", {{0, step_end, 2}, {0, step_end, 1}}, {2, 1}},
  };
  for (const Row& row : rows) {
    CAPTURE(row.name);
    CHECK(targets_popped(row.events) == row.order);
  }
}

TEST_CASE("event queue: whatever lies in the heap, many equal events leave as they came") {
  EventQueue queue;
  for (std::uint32_t i = 0; i < 1000; ++i) {
    queue.push(SimTime{Duration{i % 7}}, i % 3 == 0 ? EventKind::step_end : EventKind::arrival, i);
  }
  CHECK(queue.size() == 1000);
  Event last = queue.pop();
  while (!queue.empty()) {
    const Event next = queue.pop();
    const auto key = [](const Event& e) { return std::tuple(e.at, e.kind, e.sequence); };
    CHECK(key(last) < key(next));
    last = next;
  }
  CHECK(queue.scheduled() == 1000);
}

TEST_CASE("event queue: pushes and pops in any mixture leave in the total order") {
  const auto key = [](const Event& e) { return std::tuple(e.at, e.kind, e.sequence); };
  const auto later = [&](const Event& a, const Event& b) { return key(b) < key(a); };
  EventQueue queue;
  std::vector<Event> plain;  // sorted, the next event last
  std::uint64_t state = 1, sequence = 0;
  for (int i = 0; i < 20'000; ++i) {
    state = state * 6364136223846793005ULL + 1442695040888963407ULL;
    const auto random = static_cast<std::uint32_t>(state >> 33);
    if (random % 5 < 3 || plain.empty()) {
      const Event event{SimTime{Duration{random / 8 % 50}},
                        random % 2 == 0 ? EventKind::step_end : EventKind::arrival, random,
                        sequence++};
      queue.push(event.at, event.kind, event.target);
      plain.insert(std::upper_bound(plain.begin(), plain.end(), event, later), event);
    } else {
      REQUIRE(key(queue.top()) == key(plain.back()));
      REQUIRE(queue.pop().target == plain.back().target);
      plain.pop_back();
    }
    REQUIRE(queue.size() == plain.size());
    REQUIRE(queue.empty() == plain.empty());
  }
}

}  // namespace
}  // namespace v4cap
