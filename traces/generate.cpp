#include "traces/generate.h"

#include <algorithm>
#include <boost/random/exponential_distribution.hpp>
#include <boost/random/uniform_int_distribution.hpp>
#include <cmath>
#include <limits>

#include "traces/arrivals.h"
#include "traces/length_sampler.h"
#include "traces/trace_builder.h"

namespace v4cap {

namespace {

[[noreturn]] void refuse(const std::string& message) {
  throw InputError(Place{}, message);
}

void check_range(const char* name, std::int64_t value, std::int64_t low, std::int64_t high) {
  if (value >= low && value <= high) return;
  refuse(std::string(name) + ": expected " + std::to_string(low) + " to " + std::to_string(high) +
         ", found " + std::to_string(value));
}

void check_range(const char* name, double value, double low, double high) {
  if (value >= low && value <= high) return;
  refuse(std::string(name) + ": expected " + std::to_string(low) + " to " + std::to_string(high) +
         ", found " + std::to_string(value));
}

void check(const SyntheticSpec& spec) {
  constexpr std::int64_t kMany = 100'000'000;
  check_range("sessions", spec.sessions, 1, kMany);
  check_range("turns_min", spec.turns_min, 1, kMany);
  check_range("turns_max", spec.turns_max, spec.turns_min, kMany);
  check_range("shared_prefix", spec.shared_prefix.value, 0, kTraceTokensMax);
  check_range("prefix_groups", spec.prefix_groups, 1, kMany);
  check_range("block", spec.block.value, 1, kTraceTokensMax);
  check_range("think_mean_s", spec.think_mean_s, 0, 1e6);
  check_range("rate_per_s", spec.rate_per_s, 1e-9, 1e9);
  check_range("burstiness", spec.burstiness, 1e-4, 1e6);
}

ArrivalStream session_arrivals(const SyntheticSpec& spec, RandomEngine engine) {
  std::vector<RateWindow> windows;
  const GapShape gaps{GapKind::gamma, spec.arrivals == "poisson" ? 1.0 : spec.burstiness};
  if (spec.arrivals == "table") {
    const RateTable table = read_rate_table(spec.rate_table);
    double expected = 0;
    for (const double rate_per_s : table.requests_per_s) {
      expected += rate_per_s * table.window_s * spec.rate_per_s;
    }
    constexpr double kExpectedMin = 1e-3;
    if (expected < kExpectedMin)
      refuse("rate_table: expected rates that bring a session, found none");
    for (std::size_t i = 0; i < table.requests_per_s.size(); ++i) {
      const double start_s = static_cast<double>(i) * table.window_s;
      windows.push_back(
          {start_s, start_s + table.window_s, table.requests_per_s[i] * spec.rate_per_s, gaps});
    }
  } else if (spec.arrivals == "poisson" || spec.arrivals == "gamma") {
    windows.push_back({0, std::numeric_limits<double>::infinity(), spec.rate_per_s, gaps});
  } else {
    refuse("arrivals: expected poisson, gamma or table, found '" + spec.arrivals + "'" +
           suggestion(spec.arrivals, {"poisson", "gamma", "table"}));
  }
  return {std::move(windows), engine, spec.arrivals == "table"};
}

// Grows one session at a time. Ids of a session: its group's prefix blocks, then blocks of its own;
// the block that the prefix ends in is already its own.
class Generator {
 public:
  Generator(const SyntheticSpec& spec, std::uint64_t seed)
      : spec_(spec),
        streams_(seed),
        arrivals_(session_arrivals(spec, streams_.stream("arrivals"))),
        sessions_engine_(streams_.stream("sessions")),
        lengths_engine_(streams_.stream("lengths")),
        first_prompt_("first_prompt", spec.first_prompt, LengthSampler::Column::prompt),
        next_prompt_("next_prompt", spec.turns_max > 1 ? spec.next_prompt : spec.first_prompt,
                     LengthSampler::Column::prompt),
        output_("output", spec.output, LengthSampler::Column::output),
        builder_({}, spec.block),
        prefix_blocks_(spec.shared_prefix / spec.block),
        next_id_(prefix_blocks_ * spec.prefix_groups) {}

  Trace generate() {
    Trace& trace = builder_.trace();
    trace.name = "synthetic";
    trace.format = "synthetic";
    trace.has_arrivals = trace.has_sessions = true;
    for (std::int64_t i = 0; i < spec_.sessions; ++i) add_session(i);
    builder_.note("generated with seed " + std::to_string(streams_.seed()));
    return builder_.finish();
  }

 private:
  void add_session(std::int64_t number) {
    const std::optional<double> start_s = arrivals_.next_s();
    V4CAP_CHECK(start_s.has_value(), "a stream that repeats or has no end ran dry");
    check_time(*start_s);
    const std::int64_t turns = draw_integer(spec_.turns_min, spec_.turns_max);
    const std::int64_t group = draw_integer(0, spec_.prefix_groups - 1);
    const std::int32_t session = builder_.session("session-" + std::to_string(number));
    Duration arrival = duration_from_seconds(*start_s);
    Tokens prompt = spec_.shared_prefix + first_prompt_.draw(lengths_engine_);
    for (std::int64_t turn = 0; turn < turns; ++turn) {
      const Tokens output = output_.draw(lengths_engine_);
      if ((prompt + output).value > kTraceTokensMax)
        throw RunError("a session outgrew 16 Mi tokens");
      TraceRequest& request = builder_.add(prompt, output);
      const std::uint32_t before = builder_.join_session(session);
      if (before != kNoRequest) {
        builder_.add_after(before);
        request.think = draw_think();
        arrival += request.think;
        check_time(to_seconds(arrival));
      }
      request.arrival = arrival;
      add_blocks(group, prompt / spec_.block);
      if (turn + 1 < turns) prompt += output + next_prompt_.draw(lengths_engine_);
    }
    next_id_ += std::max<std::int64_t>(0, prompt / spec_.block - prefix_blocks_);
  }

  void add_blocks(std::int64_t group, std::int64_t blocks) {
    const std::int64_t shared = std::min(prefix_blocks_, blocks);
    if (shared > 0) builder_.add_run(group * prefix_blocks_, shared);
    if (blocks > shared) builder_.add_run(next_id_, blocks - shared);
  }

  static void check_time(double arrival_s) {
    constexpr double kLongest_s = 1e9;
    if (!(arrival_s <= kLongest_s)) throw RunError("the generated trace is longer than 31 years");
  }

  std::int64_t draw_integer(std::int64_t low, std::int64_t high) {
    return boost::random::uniform_int_distribution<std::int64_t>(low, high)(sessions_engine_);
  }

  Duration draw_think() {
    if (spec_.think_mean_s <= 0) return {};
    return duration_from_seconds(boost::random::exponential_distribution<double>(
        1.0 / spec_.think_mean_s)(sessions_engine_));
  }

  const SyntheticSpec& spec_;
  RandomStreams streams_;
  ArrivalStream arrivals_;
  RandomEngine sessions_engine_, lengths_engine_;
  LengthSampler first_prompt_, next_prompt_, output_;
  TraceBuilder builder_;
  std::int64_t prefix_blocks_, next_id_;
};

}  // namespace

Trace generate_trace(const SyntheticSpec& spec, std::uint64_t seed) {
  check(spec);
  return Generator(spec, seed).generate();
}

}  // namespace v4cap
