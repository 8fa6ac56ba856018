// What ranks are told to exchange, and what each of them needs for it: sizes, who sends how much to
// whom, how often it is timed. The same on all ranks, because it follows from the task alone; rank 0
// sends the task as whole numbers. Plain C++.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace v4cap::exec {

// What is exchanged; `peer_sums` is our own all-reduce (peer_sums.h).
enum class Exchange : std::uint8_t {
  all_reduce,
  peer_sums,
  all_gather,
  reduce_scatter,
  all_to_all,
  dispatch,  // tokens to the ranks of their experts, once to each
  combine,   // what experts made of them back
  stop,      // the job is over
};

enum class Routing : std::uint8_t {
  balanced,  // each token draws its experts uniformly, without repetition
  skewed,    // by a power law of exponent kSkew over the experts, in an order drawn once
};
inline constexpr double kSkew = 1.01;  // as the public tables of experts have it

struct ExchangeTask {
  Exchange what = Exchange::stop;
  bool graph = false;  // launches in a captured graph, else one by one
  // Of collectives: the tensor that each rank has before (all_reduce, reduce_scatter, all_to_all) or
  // after it (all_gather).
  std::int64_t bytes = 0;
  // Of dispatch and combine: tokens of each rank, bytes of a token, experts of a token, experts of
  // all ranks.
  std::int64_t tokens = 0, token_bytes = 0, top_k = 0, experts = 0;
  Routing routing = Routing::balanced;

  bool operator==(const ExchangeTask&) const = default;
};

inline constexpr std::size_t kTaskNumbers = 8;
using TaskNumbers = std::array<std::int64_t, kTaskNumbers>;
TaskNumbers numbers_of(const ExchangeTask& task);
// Of numbers_of() and no others.
ExchangeTask task_of(const TaskNumbers& numbers);

// Whole bf16 elements (bytes for all_to_all) for every rank: why `task` cannot be done by so many
// ranks, or "".
std::string refusal(const ExchangeTask& task, int ranks);

// tokens[from * ranks + to]: tokens of `from` that `to` has an expert of.
std::vector<std::int64_t> routed_tokens(const ExchangeTask& task, int ranks);

// Bytes that `rank` sends to and gets from each rank.
struct Sizes {
  std::vector<std::size_t> to, from;
};
Sizes sizes_of(const ExchangeTask& task, int rank, int ranks);

// Bytes of the buffers that `rank` needs.
std::size_t in_bytes(const ExchangeTask& task, int rank, int ranks);
std::size_t out_bytes(const ExchangeTask& task, int rank, int ranks);

// Launches that one sample times together, and samples: long enough for events to resolve, short
// enough for 256 MB.
struct Repeats {
  int launches = 1, samples = 1;
};
Repeats repeats_of(const ExchangeTask& task, int ranks);

}  // namespace v4cap::exec
