// Who carries out the operators of a layer. The layer's code (layer.cpp) is written once, against
// this interface:
//   DeviceExecutor  launches the preferred version of each operator on a GPU
//   HostExecutor    runs each operator's reference in double and rounds its outputs to what the
//                   operator stores
// so that a whole layer can be held against the reference just as one operator is.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "exec/layer/operators.h"

namespace v4cap::exec {

// Memory of an executor, freed with its last owner. Zeroed when it is made.
template <class T>
class Array {
 public:
  Array() = default;
  Array(std::shared_ptr<void> memory, std::int64_t count)
      : memory_(std::move(memory)), count_(count) {}
  T* data() const { return static_cast<T*>(memory_.get()); }
  std::int64_t size() const { return count_; }

 private:
  std::shared_ptr<void> memory_;
  std::int64_t count_ = 0;
};

// Discrete choices of a run, in order: selected entries and chosen experts. Two runs that round
// differently choose differently where scores nearly tie, and a single choice changes a whole row;
// so the reference follows the device's choices after it has compared them with its own.
struct Choice {
  std::vector<std::int32_t> values;
};
// How many of one's own choices are among the followed ones. Rows without a choice (all entries are
// taken, experts by table) do not count, and neither does a choice whose score is within kNearTie
// of the best one that was not taken.
struct ChoiceTally {
  std::int64_t own = 0, found = 0;
  std::int64_t impossible = 0;  // followed choices that nobody could make: out of range, twice
};
struct ChoiceLog {
  static constexpr double kNearTie = 0.05;  // of the score's size: what quantisers make of rounding

  std::vector<Choice> choices;
  ChoiceTally experts, entries;  // filled in by who follows
};

class Executor : public OperatorInterface<Operators> {
 public:
  virtual std::shared_ptr<void> allocate(std::size_t bytes) = 0;
  virtual void write(void* to, const void* from_host, std::size_t bytes) = 0;
  virtual void read(void* to_host, const void* from, std::size_t bytes) = 0;
  // Ranks that share a layer add up what each of them has of `data`, and all have the sum in its
  // place. Nothing happens where one rank stands for all.
  virtual void sum_over_ranks(kernels::Bf16* /*data*/, std::int64_t /*elements*/) {}

  template <class T>
  Array<T> array(std::int64_t count) {
    return {allocate(static_cast<std::size_t>(count) * sizeof(T)), count};
  }
  template <class T>
  Array<T> array(const std::vector<T>& values) {
    auto made = array<T>(static_cast<std::int64_t>(values.size()));
    write(made.data(), values.data(), values.size() * sizeof(T));
    return made;
  }
  template <class T>
  std::vector<T> fetch(const T* from, std::int64_t count) {
    std::vector<T> values(static_cast<std::size_t>(count));
    read(values.data(), from, values.size() * sizeof(T));
    return values;
  }
};

}  // namespace v4cap::exec
