// Runs body(0) .. body(count - 1) on all processors. For CPU references: every index writes its own
// part of the result, so the order and the number of threads do not show.
#pragma once

#include <atomic>
#include <cstdint>
#include <exception>
#include <mutex>
#include <thread>
#include <vector>

namespace v4cap::kernels {

template <class Body>
void for_each_index(std::int64_t count, const Body& body) {
  const auto wanted = static_cast<std::int64_t>(std::thread::hardware_concurrency());
  const std::int64_t threads = count < wanted ? count : wanted;
  if (threads <= 1) {
    for (std::int64_t i = 0; i < count; ++i) body(i);
    return;
  }
  std::atomic<std::int64_t> next{0};
  std::exception_ptr failure;
  std::mutex mutex;
  const auto work = [&] {
    try {
      for (std::int64_t i = next++; i < count; i = next++) body(i);
    } catch (...) {
      const std::lock_guard<std::mutex> lock(mutex);
      failure = std::current_exception();
      next = count;
    }
  };
  std::vector<std::thread> pool;
  for (std::int64_t i = 1; i < threads; ++i) pool.emplace_back(work);
  work();
  for (std::thread& thread : pool) thread.join();
  if (failure) std::rethrow_exception(failure);
}

}  // namespace v4cap::kernels
