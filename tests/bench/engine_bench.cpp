// What the simulator itself costs: nanoseconds of one core per decode step and per decoded token at
// several batch sizes, per admitted request with a long prompt, and per step while the head of the
// queue waits for memory. Not a test; run it before and after a change that claims speed.
#include <cstdio>
#include <ctime>
#include <string>

#include "tests/sim/cluster/toy_world.h"

namespace v4cap {
namespace {

double seconds_of(const auto& body) {
  const std::clock_t start = std::clock();  // of this process, whatever else runs
  body();
  return static_cast<double>(std::clock() - start) / CLOCKS_PER_SEC;
}

ToyEngine engine_with(const std::string& policy, std::int64_t max_running) {
  ToyEngine settings;
  settings.policy = policy;
  settings.costs = {std::int64_t{1} << 40, 10, 3, 100, 7};
  settings.max_running = max_running;
  settings.step_tokens = Tokens{8192};
  settings.block = Tokens{256};
  settings.max_context = Tokens{std::int64_t{1} << 24};
  settings.layers = 61;
  return settings;
}

void decode_steps(const std::string& policy, std::int64_t batch, std::int64_t steps) {
  Trace trace;
  for (std::int64_t i = 0; i < batch; ++i) add_request(trace, 1, steps);
  RunResult result;
  const double s = seconds_of(
      [&] { result = play(trace, {}, engine_with(policy, batch), ConstantCost(Duration{1000})); });
  const double per_step = 1e9 * s / static_cast<double>(result.totals.steps);
  std::printf("decode %-16s batch %4ld: %9.1f ns/step %7.1f ns/token\n", policy.c_str(),
              static_cast<long>(batch), per_step, per_step / static_cast<double>(batch));
}

// A single request at a time with 100,000 arrivals ahead.
void long_future(std::int64_t steps_each) {
  constexpr std::int64_t kPlayed = 2'000, kAhead = 100'000;
  Trace trace;
  for (std::int64_t i = 0; i < kPlayed; ++i) {
    add_request(trace, 1, steps_each, SimTime{Duration{i * steps_each * 1000}});
  }
  for (std::int64_t i = 0; i < kAhead; ++i)
    add_request(trace, 1, 0, SimTime{Duration{std::int64_t{1} << 60}});
  RunResult result;
  const double s = seconds_of(
      [&] { result = play(trace, {}, engine_with("full", 1), ConstantCost(Duration{1000})); });
  std::printf("decode full             100k ahead: %9.1f ns/step\n",
              1e9 * s / static_cast<double>(kPlayed * steps_each));
}

// Prompts of 400 scattered runs of 4 blocks behind a shared prefix of as many: 819,200 tokens.
void long_prompts(const std::string& policy, std::int64_t requests) {
  constexpr std::int64_t kRuns = 400, kBlocks = 4;
  Trace trace;
  trace.block = Tokens{256};
  for (std::int64_t r = 0; r < requests; ++r) {
    add_request(trace, 2 * kRuns * kBlocks * 256 + 1, 2, SimTime{Duration{r * 1'000'000}});
    for (std::int64_t i = 0; i < 2 * kRuns; ++i) {
      const std::int64_t owner = i < kRuns ? 0 : r + 1;
      trace.runs.push_back({10 * kBlocks * (owner * 2 * kRuns + i), kBlocks});
    }
    trace.requests.back().runs_end = static_cast<std::uint32_t>(trace.runs.size());
  }
  RunResult result;
  const double s = seconds_of(
      [&] { result = play(trace, {}, engine_with(policy, 16), ConstantCost(Duration{1000})); });
  std::printf("prompt %-16s 800 runs   : %9.1f ns/request, %ld steps each\n", policy.c_str(),
              1e9 * s / static_cast<double>(requests),
              static_cast<long>(result.totals.steps / requests));
}

// One request decodes while the next, whose 100 runs are all cached or not, waits for memory.
void blocked_head(const std::string& policy, std::int64_t steps) {
  constexpr std::int64_t kRuns = 100;
  Trace trace;
  trace.block = Tokens{256};
  const auto add = [&](std::int64_t output) {
    add_request(trace, kRuns * 256 + 1, output);
    for (std::int64_t i = 0; i < kRuns; ++i) trace.runs.push_back({2 * i, 1});
    trace.requests.back().runs_end = static_cast<std::uint32_t>(trace.runs.size());
  };
  add(steps);
  add(steps);
  ToyEngine settings = engine_with(policy, 16);
  settings.costs.capacity = (kRuns + steps / 256 + 3) * 13 + 1000;
  settings.costs.running = settings.costs.capacity / 2 + 1;  // one at a time
  settings.costs.capacity += settings.costs.running;
  RunResult result;
  const double s =
      seconds_of([&] { result = play(trace, {}, settings, ConstantCost(Duration{1000})); });
  std::printf("blocked %-15s 100 runs   : %9.1f ns/step\n", policy.c_str(),
              1e9 * s / static_cast<double>(result.totals.steps));
}

void run() {
  for (const char* policy : {"full", "checkpoint=2048"}) {
    for (const std::int64_t batch : {1, 16, 256}) decode_steps(policy, batch, 4'000'000 / batch);
  }
  long_future(2'000);
  for (const char* policy : {"full", "checkpoint=2048", "recompute"}) long_prompts(policy, 500);
  for (const char* policy : {"full", "checkpoint=2048"}) blocked_head(policy, 500'000);
}

}  // namespace
}  // namespace v4cap

int main() {
  v4cap::run();
}
