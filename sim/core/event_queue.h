// The event queue of the simulator. Order is total and documented: earlier time first; at one
// instant the smaller rank of EventKind first; within a kind the one that was scheduled first. Ties
// are the rule in serving (a step ends as a request arrives), so none is left to chance.
//
// An event that comes before all that lie in the heap waits in a place of its own and costs no heap
// operation, however many arrivals wait.
#pragma once

#include <cstdint>
#include <queue>
#include <utility>
#include <vector>

#include "sim/core/time.h"

namespace v4cap {

// Rank at one instant. A step's end frees memory and slots, so it comes before what wants them.
// Ends of steps and prompts that were read are kept by each replica's driver itself.
enum class EventKind : std::uint8_t {
  step_end = 0,  // target: replica
  control = 1,   // target: what happens to a cluster, or is decided about it
  arrival = 2,   // target: request
  read = 3,      // target: replica, whose host has read a request's prompt
  transfer = 4,  // something may have arrived over a link of a replica's tiers
  handover = 5,  // or over links between replicas
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
    Event event{at, kind, target, next_sequence_++};
    if (!has_first_ && (heap_.empty() || Later{}(heap_.top(), event))) {
      first_ = event;
      has_first_ = true;
      return;
    }
    if (has_first_ && Later{}(first_, event)) std::swap(first_, event);
    heap_.push(event);
  }
  bool empty() const { return !has_first_ && heap_.empty(); }
  std::size_t size() const { return heap_.size() + (has_first_ ? 1 : 0); }
  const Event& top() const { return has_first_ ? first_ : heap_.top(); }
  Event pop() {
    const Event event = top();
    if (has_first_) {
      has_first_ = false;
    } else {
      heap_.pop();
    }
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
  Event first_;  // when there is one, earlier than all of the heap
  bool has_first_ = false;
  std::uint64_t next_sequence_ = 0;
};

}  // namespace v4cap
