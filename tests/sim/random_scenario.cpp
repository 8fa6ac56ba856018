#include "tests/sim/random_scenario.h"

#include <fmt/format.h>

#include <boost/random/uniform_int_distribution.hpp>
#include <initializer_list>
#include <vector>

#include "sim/core/random.h"

namespace v4cap {

namespace {

class Draw {
 public:
  explicit Draw(std::uint64_t seed) : random_(RandomStreams(seed).stream("random scenario")) {}
  std::int64_t from(std::int64_t low, std::int64_t high) {
    return boost::random::uniform_int_distribution<std::int64_t>(low, high)(random_);
  }
  bool one_in(std::int64_t n) { return from(1, n) == 1; }
  template <class T>
  T of(std::initializer_list<T> choices) {
    return *(choices.begin() + from(0, static_cast<std::int64_t>(choices.size()) - 1));
  }

 private:
  RandomEngine random_;
};

struct Ranks {
  int tensor, data, expert;
};

std::string policy(Draw& draw, const std::string& layout) {
  // Only these have a pool for windows.
  const bool pool = layout == "ideal" || layout == "sglang";
  switch (draw.from(0, pool ? 11 : 10)) {
    case 0:
      return "full";
    case 1:
      return "checkpoint=2048";
    case 2:
      return "checkpoint=512+ends";
    case 3:
      return "tail";
    case 4:
      return "recompute";
    case 5:
      return "recompute=pyramid";
    case 6:
      return "replay";
    case 7:
      return "reuse=0.1";
    case 8:
      return "reuse=0.5";
    case 9:
      return "checkpoint=1024";
    case 10:
      return "tail";
    default:
      return draw.of<const char*>({"pool=0.02", "pool=0.1", "pool=0.5"});
  }
}

std::string tier(Draw& draw, const std::string& name) {
  std::string out = fmt::format(
      "    {}:\n      times_gpu: {}\n      read_bandwidth: {} GB/s\n      write_bandwidth: {} "
      "GB/s\n"
      "      latency: {} us\n      write: {}\n",
      name, draw.of({0.5, 1.0, 4.0}), draw.from(1, 60), draw.from(1, 60), draw.from(0, 200),
      draw.of<const char*>({"write_through", "write_back", "selective=2"}));
  if (draw.one_in(3)) out += fmt::format("      holds: {}\n", draw.one_in(2) ? "blocks" : "points");
  if (draw.one_in(4)) out += fmt::format("      scope: {}\n", draw.one_in(2) ? "rank" : "shared");
  if (draw.one_in(6)) out += fmt::format("      blocks_live: {} s\n", draw.from(1, 30));
  return out;
}

}  // namespace

std::string random_scenario(std::uint64_t seed) {
  Draw draw(seed);
  const bool pro = draw.one_in(3);
  const std::string layout =
      draw.one_in(2) ? "ideal" : draw.of<const char*>({"vllm", "sglang", "trtllm"});
  const bool ideal = layout == "ideal";
  const Ranks ranks = draw.one_in(2) ? Ranks{draw.of({4, 8}), 1, 1}
                                     : draw.of<Ranks>({{1, 8, 8},
                                                       {1, 8, 1},
                                                       {2, 4, 8},
                                                       {2, 4, 1},
                                                       {4, 2, 1},
                                                       {1, 4, 4},
                                                       {1, 4, 1},
                                                       {2, 2, 1}});
  const std::string scheduler =
      ideal ? draw.of<const char*>({"fcfs", "fcfs", "vllm", "sglang"})
            : draw.of<const char*>({"fcfs", layout == "sglang" ? "sglang" : "vllm"});
  const std::int64_t drafts = draw.one_in(3) ? draw.from(1, 3) : 0;
  const std::int64_t block = ideal ? draw.of<std::int64_t>({64, 128, 256}) : 256;
  std::string out = fmt::format(
      "# Made at random, seed {}.\nmodel: {}\nhardware: hgx-b200\nprofile: {}\nseed: {}\n", seed,
      pro ? "deepseek-v4-pro" : "deepseek-v4-flash", draw.one_in(4) ? "none" : "b200-sglang-0.5.14",
      draw.from(1, 1'000'000));
  out += fmt::format(
      "deployment:\n  tensor_parallel: {}\n  data_parallel: {}\n  expert_parallel: {}\n",
      ranks.tensor, ranks.data, ranks.expert);
  if (ranks.data > 1) {
    out += fmt::format("  router: {}\n",
                       draw.of<const char*>({"round_robin", "session", "shortest_queue",
                                             "least_tokens", "prefix_affinity"}));
  }
  out += fmt::format("engine:\n  scheduler: {}\n  max_running: {}\n  step_tokens: {}\n", scheduler,
                     draw.of({3, 8, 32, 64}), draw.of({256, 512, 2048, 8192}));
  if (drafts > 0) {
    out += fmt::format("  draft_tokens: {}\n  acceptance_length: {}\n", drafts,
                       1 + 0.1 * static_cast<double>(draw.from(0, 10 * drafts)));
  }
  if (scheduler == "sglang" && draw.one_in(3)) out += "  mixed_chunk: true\n";
  if (scheduler == "vllm" && draw.one_in(3)) out += "  long_prefill_token_threshold: 384\n";
  out += fmt::format(
      "kv_cache:\n  layout: {}\n  swa_policy: {}\n  block_tokens: {}\n  memory: {} MiB\n"
      "  reuse_generated: {}\n",
      layout, policy(draw, layout), block,
      ideal ? draw.of({40, 60, 90, 250, 1000, 20'000}) : draw.of({1500, 3000, 6000, 40'000}),
      draw.one_in(4) ? "false" : "true");
  if (block % 128 != 0 || draw.one_in(4)) out += "  tails: stored\n";
  if (draw.one_in(3)) {
    out += "  tiers:\n" + tier(draw, "host");
    if (draw.one_in(2)) out += tier(draw, "ssd");
    if (draw.one_in(2)) out += "    load: whole\n";
  }
  const std::int64_t turns = draw.from(1, 4);
  const std::string next =
      turns > 1 ? "    next_prompt: {kind: lognormal, mean: 200, sigma: 1, min: 8, max: 2000}\n"
                : "";
  out += fmt::format(
      "workload:\n  synthetic:\n    sessions: {}\n    turns_min: 1\n    turns_max: {}\n"
      "    block_tokens: {}\n    shared_prefix_tokens: {}\n    prefix_groups: 3\n"
      "    first_prompt: {{kind: lognormal, mean: {}, sigma: 1, min: 8, max: 20000}}\n"
      "{}"
      "    output: {{kind: lognormal, mean: {}, sigma: 1, min: 1, max: 4000}}\n"
      "    think_time_mean: {} ms\n",
      draw.from(5, 60), turns, block, draw.one_in(2) ? 8 * block : 0, draw.of({300, 1500, 4000}),
      next, draw.of({20, 120}), draw.from(1, 2000));
  switch (draw.from(0, 2)) {
    case 0:
      out += fmt::format("  arrivals: {{mode: poisson, rate_per_s: {}}}\n", draw.of({1, 5, 50}));
      break;
    case 1:
      out += fmt::format("  arrivals: {{mode: closed_loop, sessions_at_a_time: {}}}\n",
                         draw.from(1, 12));
      break;
    default:
      out += "  arrivals: {mode: burst}\n";
  }
  return out;
}

}  // namespace v4cap
