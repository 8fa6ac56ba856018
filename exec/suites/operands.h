// What the suites share: operands as numbers, findings put together, cases named.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "exec/device.h"
#include "exec/suite.h"
#include "kernels/reference.h"

namespace v4cap::exec {

template <class T>
std::vector<double> reals(Buffer<T>& buffer) {
  std::vector<double> values;
  values.reserve(buffer.host().size());
  for (const T& value : buffer.host()) values.push_back(kernels::real(value));
  return values;
}

inline void append(std::vector<Finding>& findings, const std::vector<Finding>& more) {
  findings.insert(findings.end(), more.begin(), more.end());
}

// Makes the spec of a case of this class, whose operands a Shape describes. An object and no
// function, so that a suite can give it a short name and still write shapes as {...}.
template <class OneCase, class Shape>
inline constexpr auto case_of =
    [](const std::string& name, const Shape& shape, bool small = false, const Goal& goal = {}) {
      return CaseSpec{.name = name,
                      .make = [shape](std::uint64_t seed) -> std::unique_ptr<Case> {
                        return std::make_unique<OneCase>(shape, seed);
                      },
                      .small = small,
                      .goal = goal};
    };

}  // namespace v4cap::exec
