// Independent pieces of work on all cores. Results go where the caller says, by number, so that
// they do not depend on how many threads there are.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <exception>
#include <system_error>
#include <thread>
#include <vector>

namespace v4cap {

// Calls work(i) for every i < count, on up to `threads` threads (0 = as many as there are cores), on
// fewer where the system has no more. The first exception by number is thrown again when all have ended.
template <class Work>
void parallel_for(std::size_t count, Work work, unsigned threads = 0) {
  if (threads == 0) threads = std::max(1U, std::thread::hardware_concurrency());
  std::vector<std::exception_ptr> errors(count);
  std::atomic<std::size_t> next{0};
  const auto run = [&] {
    for (std::size_t i = next++; i < count; i = next++) {
      try {
        work(i);
      } catch (...) {
        errors[i] = std::current_exception();
      }
    }
  };
  std::vector<std::thread> others;
  try {
    for (std::size_t t = 1; t < std::min<std::size_t>(threads, count); ++t)
      others.emplace_back(run);
  } catch (const std::system_error&) {  // those that began do the work
  }
  run();
  for (std::thread& other : others) other.join();
  for (const std::exception_ptr& error : errors) {
    if (error) std::rethrow_exception(error);
  }
}

}  // namespace v4cap
