// Figures of a run by dotted name, as its summary has them: "hit_rate", "ttft_ms.p99",
// "kv_peak_gib.swa". What thresholds ask for and what the columns of an exported table are.
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace v4cap {

// What a run has that not every run has.
struct FiguresOf {
  std::vector<std::string> tiers{};  // below GPU memory
  bool replicas = false;             // several of them
  bool transfer = false;             // between those that read prompts and those that generate
};

// Every number, truth value and name that a summary of such a run holds, in its order.
std::vector<std::string> figure_names(const FiguresOf& of = {});

// The same of one summary (a JSON object on one line): values as they are written there, texts
// without quotes, "" for null.
using Figures = std::vector<std::pair<std::string, std::string>>;
Figures figures_of(std::string_view summary);

}  // namespace v4cap
