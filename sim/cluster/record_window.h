// Records in the order of their ids, though requests end in another: those that ended wait for all
// with smaller ids. How many wait is bounded by how far requests overtake each other, not by how
// many there are.
#pragma once

#include <cstdint>
#include <deque>
#include <optional>
#include <string>

#include "sim/core/error.h"
#include "sim/engine/request_record.h"

namespace v4cap {

class RecordWindow {
 public:
  // Each id comes once, from 0 on. `in_order` is called with every record whose turn it is.
  template <class Function>
  void add(const RequestRecord& record, const Function& in_order) {
    V4CAP_CHECK(record.id >= first_, "request " + std::to_string(record.id) + " ended twice");
    const std::size_t place = record.id - first_;
    if (place >= waiting_.size()) waiting_.resize(place + 1);
    V4CAP_CHECK(!waiting_[place], "request " + std::to_string(record.id) + " ended twice");
    waiting_[place] = record;
    while (!waiting_.empty() && waiting_.front()) {
      in_order(*waiting_.front());
      waiting_.pop_front();
      ++first_;
    }
  }
  // Ids below it have been handed on.
  std::uint32_t first() const { return first_; }
  bool empty() const { return waiting_.empty(); }

 private:
  std::uint32_t first_ = 0;
  std::deque<std::optional<RequestRecord>> waiting_;  // from id first_ on
};

}  // namespace v4cap
