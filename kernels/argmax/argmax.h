// Greedy sampling: the index of each row's largest logit, the smallest index among equals.
#pragma once

#include <cstdint>
#include <vector>

#include "kernels/work.h"

namespace v4cap::kernels::argmax {

struct Args {
  int rows = 0;
  int width = 0;
  const float* logits = nullptr;  // [rows, stride]
  std::int64_t stride = 0;
  std::int32_t* index = nullptr;  // [rows]
};
std::vector<std::int32_t> reference(const Args& args);

struct Shape {
  std::int64_t rows = 0;
  std::int64_t width = 0;
};

constexpr Work work(const Shape& s) {
  Work w;
  w.activation_bytes = real(s.rows) * (4 * real(s.width) + 4);
  return w;
}

}  // namespace v4cap::kernels::argmax
