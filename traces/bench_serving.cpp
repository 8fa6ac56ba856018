#include "traces/bench_serving.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <random>

#include "sim/core/error.h"
#include "sim/core/hash.h"
#include "traces/trace_builder.h"

namespace v4cap {

namespace {

constexpr std::int64_t kWarmupOutput = 32;

// NumPy's legacy randint(low, high + 1): words of 32 bits, cut to the fewest bits that hold the
// range, drawn again while they are outside it.
class LegacyIntegers {
 public:
  explicit LegacyIntegers(std::uint32_t seed) : engine_(seed) {}

  std::int64_t draw(std::int64_t low, std::int64_t high) {
    const auto range = static_cast<std::uint32_t>(high - low);
    std::uint32_t mask = range;
    for (const unsigned shift : {1U, 2U, 4U, 8U, 16U}) mask |= mask >> shift;
    if (range == 0) return low;  // takes no word
    std::uint32_t value;
    do {
      value = static_cast<std::uint32_t>(engine_()) & mask;
    } while (value > range);
    return low + value;
  }

 private:
  std::mt19937 engine_;  // specified to the bit by the standard
};

void check(const BenchServingSpec& spec) {
  const auto refuse = [](const std::string& what) { throw InputError(Place{}, what); };
  std::vector<BenchRun> runs = spec.earlier;
  runs.push_back(spec.run);
  for (const BenchRun& run : runs) {
    if (run.prompts < 1) refuse("prompts: expected at least 1, got " + std::to_string(run.prompts));
    if (run.concurrency < 1) {
      refuse("concurrency: expected at least 1, got " + std::to_string(run.concurrency));
    }
  }
  if (spec.input < Tokens{1} || spec.output < Tokens{1} || spec.input.value > kTraceTokensMax ||
      spec.output.value > kTraceTokensMax) {
    refuse("input_tokens and output_tokens: expected 1 to " + std::to_string(kTraceTokensMax));
  }
  if (!(spec.range_ratio >= 0 && spec.range_ratio <= 1)) {
    refuse("range_ratio: expected 0 to 1, got " + std::to_string(spec.range_ratio));
  }
}

std::int64_t shortest(Tokens longest, double ratio) {
  return std::max<std::int64_t>(
      1, static_cast<std::int64_t>(static_cast<double>(longest.value) * ratio));
}

// In which order the requests of a run reach the server. Its bits are an engine's of the standard, so
// that the order is the same everywhere.
std::vector<std::int64_t> arrival_order(const BenchRun& run, std::uint32_t seed, std::size_t number,
                                        bool shuffled) {
  std::vector<std::int64_t> order(static_cast<std::size_t>(run.prompts));
  std::iota(order.begin(), order.end(), 0);
  if (!shuffled) return order;
  std::mt19937_64 engine(mix64(seed + (std::uint64_t{number} << 32)));
  for (std::int64_t left = std::min(run.prompts, run.concurrency); left > 1; --left) {
    const auto drawn = engine() % static_cast<std::uint64_t>(left);
    std::swap(order[static_cast<std::size_t>(left - 1)], order[static_cast<std::size_t>(drawn)]);
  }
  return order;
}

// Prompt i has the same ids in every run.
class Requests {
 public:
  explicit Requests(const BenchServingSpec& spec)
      : builder_({}, spec.block), blocks_of_prompt_(spec.input / spec.block + 1) {}

  void add(std::int64_t prompt, std::int64_t input, std::int64_t output) {
    builder_.add(Tokens{input}, Tokens{output});
    const std::int64_t blocks = input / builder_.trace().block.value;
    if (blocks > 0) builder_.add_run(prompt * blocks_of_prompt_, blocks);
  }

  void end_phase(std::int64_t concurrency, bool measured) {
    const auto end = static_cast<std::uint32_t>(builder_.trace().requests.size());
    const std::uint32_t begin = phases_.empty() ? 0 : phases_.back().end;
    if (end > begin) phases_.push_back({begin, end, concurrency, measured});
  }

  Trace finish(const BenchServingSpec& spec) {
    Trace& trace = builder_.trace();
    trace.name = trace.format = "bench_serving";
    builder_.note("sglang.bench_serving, random lengths of seed " + std::to_string(spec.seed));
    Trace done = builder_.finish();
    done.phases = std::move(phases_);
    return done;
  }

 private:
  TraceBuilder builder_;
  std::int64_t blocks_of_prompt_;
  std::vector<TracePhase> phases_;
};

}  // namespace

BenchLengths bench_lengths(std::int64_t count, const BenchServingSpec& spec) {
  LegacyIntegers integers(spec.seed);
  BenchLengths lengths;
  const auto draw = [&](std::vector<std::int64_t>& out, Tokens longest) {
    out.reserve(static_cast<std::size_t>(count));
    for (std::int64_t i = 0; i < count; ++i) {
      out.push_back(integers.draw(shortest(longest, spec.range_ratio), longest.value));
    }
  };
  draw(lengths.input, spec.input);
  draw(lengths.output, spec.output);
  return lengths;
}

Trace bench_serving_trace(const BenchServingSpec& spec) {
  check(spec);
  Requests requests(spec);
  std::size_t number = 0;  // of the run
  const auto add_run = [&](const BenchRun& run, bool measured) {
    const BenchLengths lengths = bench_lengths(run.prompts, spec);
    for (std::int64_t i = 0; i < spec.warmup_requests; ++i) {
      requests.add(0, lengths.input[0], std::min(lengths.output[0], kWarmupOutput));
    }
    requests.end_phase(run.concurrency, false);
    for (const std::int64_t i : arrival_order(run, spec.seed, number++, spec.burst_shuffled)) {
      const auto at = static_cast<std::size_t>(i);
      requests.add(i, lengths.input[at], lengths.output[at]);
    }
    requests.end_phase(run.concurrency, measured);
  };
  for (const BenchRun& run : spec.earlier) add_run(run, false);
  add_run(spec.run, true);
  return requests.finish(spec);
}

}  // namespace v4cap
