// The list of operators while StepOperators fills it; shared by its two source files.
#pragma once

#include <array>
#include <cstddef>
#include <string_view>

#include "sim/cost/operators.h"

namespace v4cap {

// An operator's name in the model and in its draft layer, made from one literal: "head"_op.
struct OperatorName {
  std::string_view in_draft;  // "mtp head"
  std::string_view in_model() const { return in_draft.substr(4); }
};

template <std::size_t N>
struct OperatorText {
  std::array<char, N + 4> draft{'m', 't', 'p', ' '};
  // NOLINTNEXTLINE: a literal converts.
  consteval OperatorText(const char (&text)[N]) {
    for (std::size_t i = 0; i < N; ++i) draft[i + 4] = text[i];
  }
};

template <OperatorText text>
inline constexpr OperatorText kOperatorText = text;

template <OperatorText text>
consteval OperatorName operator""_op() {
  const auto& stored = kOperatorText<text>.draft;
  return {{stored.data(), stored.size() - 1}};
}

// Operators without launches are dropped.
struct StepOperators::Builder {
  const PlanSums& sums;
  OperatorList& list;
  const Layers& layers;
  std::int64_t passes = 1;  // of these layers, each as many launches as `add` is told
  bool draft = false;

  void add(OperatorName name, OperatorPart part, std::int64_t count, const kernels::Work& work,
           double link_bytes = 0, double share = 1) {
    if (count * passes == 0) return;
    list.push_back(
        {draft ? name.in_draft : name.in_model(), part, count * passes, work, link_bytes, share});
  }
};

}  // namespace v4cap
