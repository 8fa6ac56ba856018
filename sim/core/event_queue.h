// The event queue of the simulator. Order is total and documented: earlier time first; at one
// instant the smaller rank of EventKind first; within a kind the one that was scheduled first. Ties
// are the rule in serving (a step ends as a request arrives), so none is left to chance.
#pragma once

#include <cstdint>
#include <queue>
#include <vector>

#include "sim/core/time.h"

namespace v4cap {

// Rank at one instant. A step's end frees memory and slots, so it comes before what wants them.
enum class EventKind : std::uint8_t {
  step_end = 0,  // target: replica
  arrival = 1,   // target: request
};

struct Event {
  SimTime at;
  EventKind kind{};
  std::uint32_t target = 0;
  std::uint64_t sequence = 0;  // given by the queue
};

class EventQueue {
 public:
  void push(SimTime at, EventKind kind, std::uint32_t target) {
    heap_.push(Event{at, kind, target, next_sequence_++});
  }
  bool empty() const { return heap_.empty(); }
  std::size_t size() const { return heap_.size(); }
  const Event& top() const { return heap_.top(); }
  Event pop() {
    const Event event = heap_.top();
    heap_.pop();
    return event;
  }
  std::uint64_t scheduled() const { return next_sequence_; }

 private:
  struct Later {
    bool operator()(const Event& a, const Event& b) const {
      if (a.at != b.at) return a.at > b.at;
      if (a.kind != b.kind) return a.kind > b.kind;
      return a.sequence > b.sequence;
    }
  };
  std::priority_queue<Event, std::vector<Event>, Later> heap_;
  std::uint64_t next_sequence_ = 0;
};

}  // namespace v4cap
