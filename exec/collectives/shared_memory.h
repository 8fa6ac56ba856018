// Memory that rank 0 shares with the processes it starts, as a file descriptor that they inherit,
// and how ranks wait for each other in it. Plain C++.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <thread>

namespace v4cap::exec {

class SharedMemory {
 public:
  explicit SharedMemory(std::size_t bytes);  // on rank 0, zeroed. Throws RunError "process".
  // On another rank: rank 0's. Throws RunError "process" where `fd` is something else.
  SharedMemory(int fd, std::size_t bytes);
  ~SharedMemory();
  SharedMemory(const SharedMemory&) = delete;
  SharedMemory& operator=(const SharedMemory&) = delete;

  int fd() const { return fd_; }  // open in processes that this one starts
  void* at() const { return at_; }

 private:
  void map();

  int fd_ = -1;
  std::size_t bytes_ = 0;
  void* at_ = nullptr;
};

// Asks without sleeping for as long as ranks follow each other, then now and then. Whoever waits is
// ended with rank 0.
template <class Done>
void wait_until(const Done& done) {
  using Clock = std::chrono::steady_clock;
  const auto begin = Clock::now();
  for (std::int64_t i = 0; !done(); ++i) {
    if (i % 1024 != 1023 || Clock::now() - begin < std::chrono::seconds(1)) continue;
    std::this_thread::sleep_for(std::chrono::microseconds(50));
  }
}

}  // namespace v4cap::exec
