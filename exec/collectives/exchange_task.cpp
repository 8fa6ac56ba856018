#include "exec/collectives/exchange_task.h"

#include <algorithm>
#include <boost/random/uniform_01.hpp>
#include <boost/random/uniform_int_distribution.hpp>
#include <cmath>
#include <numeric>

#include "sim/core/error.h"
#include "sim/core/random.h"

namespace v4cap::exec {
namespace {

constexpr std::int64_t kBf16Bytes = 2;
constexpr std::uint64_t kRoutingSeed = 1;

bool is_of_tokens(Exchange what) {
  return what == Exchange::dispatch || what == Exchange::combine;
}

// Cumulative weights of the experts, in an order that has nothing to do with who holds them.
std::vector<double> cumulative_weights(const ExchangeTask& task, RandomEngine& random) {
  const auto experts = static_cast<std::size_t>(task.experts);
  std::vector<double> weights(experts, 1);
  if (task.routing == Routing::skewed) {
    for (std::size_t e = 0; e < experts; ++e)
      weights[e] = std::pow(static_cast<double>(e + 1), -kSkew);
    for (std::size_t e = experts - 1; e > 0; --e) {
      std::swap(weights[e],
                weights[boost::random::uniform_int_distribution<std::size_t>(0, e)(random)]);
    }
  }
  std::partial_sum(weights.begin(), weights.end(), weights.begin());
  return weights;
}

}  // namespace

TaskNumbers numbers_of(const ExchangeTask& task) {
  return {static_cast<std::int64_t>(task.what),
          task.graph ? 1 : 0,
          task.bytes,
          task.tokens,
          task.token_bytes,
          task.top_k,
          task.experts,
          static_cast<std::int64_t>(task.routing)};
}

ExchangeTask task_of(const TaskNumbers& n) {
  V4CAP_CHECK(n[0] >= 0 && n[0] <= static_cast<std::int64_t>(Exchange::stop) &&
                  (n[1] == 0 || n[1] == 1) && (n[7] == 0 || n[7] == 1) &&
                  std::ranges::all_of(n, [](std::int64_t x) { return x >= 0; }),
              "numbers of no task");
  return {.what = static_cast<Exchange>(n[0]),
          .graph = n[1] == 1,
          .bytes = n[2],
          .tokens = n[3],
          .token_bytes = n[4],
          .top_k = n[5],
          .experts = n[6],
          .routing = static_cast<Routing>(n[7])};
}

std::string refusal(const ExchangeTask& task, int ranks) {
  if (task.what == Exchange::stop) return "";
  if (is_of_tokens(task.what)) {
    if (task.tokens < 1 || task.token_bytes < 1) return "expected tokens of at least a byte";
    if (task.experts % ranks != 0) {
      return "expected experts that " + std::to_string(ranks) + " ranks can share, found " +
             std::to_string(task.experts);
    }
    if (task.top_k < 1 || task.top_k > task.experts) return "expected some of the experts";
    return "";
  }
  const bool cut = task.what == Exchange::all_gather || task.what == Exchange::reduce_scatter ||
                   task.what == Exchange::all_to_all;
  const std::int64_t unit = kBf16Bytes * (cut ? ranks : 1);
  if (task.bytes < unit || task.bytes % unit != 0) {
    return "expected a multiple of " + std::to_string(unit) + " bytes, found " +
           std::to_string(task.bytes);
  }
  return "";
}

std::vector<std::int64_t> routed_tokens(const ExchangeTask& task, int ranks) {
  const auto r = static_cast<std::size_t>(ranks);
  std::vector<std::int64_t> tokens(r * r);
  RandomEngine random = RandomStreams(kRoutingSeed).stream("expert routing");
  boost::random::uniform_01<double> share;
  const std::vector<double> weights = cumulative_weights(task, random);
  const std::int64_t experts_of_rank = task.experts / ranks;
  std::vector<std::int64_t> chosen;
  std::vector<bool> reached(r);
  for (std::size_t from = 0; from < r; ++from) {
    for (std::int64_t t = 0; t < task.tokens; ++t) {
      chosen.clear();
      std::fill(reached.begin(), reached.end(), false);
      while (static_cast<std::int64_t>(chosen.size()) < task.top_k) {
        const auto at = std::ranges::upper_bound(weights, share(random) * weights.back());
        const std::int64_t expert = std::min<std::int64_t>(at - weights.begin(), task.experts - 1);
        if (std::ranges::find(chosen, expert) != chosen.end()) continue;
        chosen.push_back(expert);
        const auto to = static_cast<std::size_t>(expert / experts_of_rank);
        if (!reached[to]) ++tokens[from * r + to];
        reached[to] = true;
      }
    }
  }
  return tokens;
}

Sizes sizes_of(const ExchangeTask& task, int rank, int ranks) {
  const auto r = static_cast<std::size_t>(ranks), own = static_cast<std::size_t>(rank);
  Sizes sizes{std::vector<std::size_t>(r), std::vector<std::size_t>(r)};
  if (task.what == Exchange::all_to_all) {
    const std::size_t each = static_cast<std::size_t>(task.bytes) / r;
    std::ranges::fill(sizes.to, each);
    std::ranges::fill(sizes.from, each);
    return sizes;
  }
  V4CAP_CHECK(is_of_tokens(task.what), "sizes of a collective");
  const std::vector<std::int64_t> tokens = routed_tokens(task, ranks);
  const auto bytes = static_cast<std::size_t>(task.token_bytes);
  for (std::size_t other = 0; other < r; ++other) {
    sizes.to[other] = bytes * static_cast<std::size_t>(tokens[own * r + other]);
    sizes.from[other] = bytes * static_cast<std::size_t>(tokens[other * r + own]);
  }
  if (task.what == Exchange::combine) std::swap(sizes.to, sizes.from);
  return sizes;
}

std::size_t in_bytes(const ExchangeTask& task, int rank, int ranks) {
  const auto bytes = static_cast<std::size_t>(task.bytes);
  if (task.what == Exchange::all_gather) return bytes / static_cast<std::size_t>(ranks);
  if (!is_of_tokens(task.what)) return bytes;
  const Sizes sizes = sizes_of(task, rank, ranks);
  return std::accumulate(sizes.to.begin(), sizes.to.end(), std::size_t{0});
}

std::size_t out_bytes(const ExchangeTask& task, int rank, int ranks) {
  const auto bytes = static_cast<std::size_t>(task.bytes);
  if (task.what == Exchange::reduce_scatter) return bytes / static_cast<std::size_t>(ranks);
  if (!is_of_tokens(task.what)) return bytes;
  const Sizes sizes = sizes_of(task, rank, ranks);
  return std::accumulate(sizes.from.begin(), sizes.from.end(), std::size_t{0});
}

Repeats repeats_of(const ExchangeTask& task, int ranks) {
  std::size_t most = static_cast<std::size_t>(task.bytes);
  if (is_of_tokens(task.what)) {
    most =
        static_cast<std::size_t>(task.tokens * task.token_bytes) * static_cast<std::size_t>(ranks);
  }
  constexpr double kStartUs = 8, kBytesPerUs = 100e3, kSampleUs = 1000;
  constexpr int kMostLaunches = 40, kSamples = 21;
  const double one_us = kStartUs + static_cast<double>(most) / kBytesPerUs;
  return {std::clamp(static_cast<int>(kSampleUs / one_us), 1, kMostLaunches), kSamples};
}

}  // namespace v4cap::exec
