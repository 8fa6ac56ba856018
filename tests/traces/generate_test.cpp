#include "traces/generate.h"

#include <doctest/doctest.h>

#include <cmath>
#include <limits>
#include <set>

#include "tests/traces/files.h"
#include "traces/arrivals.h"
#include "traces/length_sampler.h"
#include "traces/native.h"
#include "traces/prefix_stats.h"
#include "traces/reader.h"
#include "traces/summary.h"

namespace v4cap {
namespace {

SyntheticSpec agent_spec() {
  SyntheticSpec spec;
  spec.sessions = 200;
  spec.turns_min = 2;
  spec.turns_max = 6;
  spec.shared_prefix = Tokens{1000};
  spec.prefix_groups = 3;
  spec.first_prompt = parse_length_spec("first", "uniform:10..500");
  spec.next_prompt = parse_length_spec("next", "exponential:mean=200");
  spec.output = parse_length_spec("output", "lognormal:mean=80,sigma=0.7,max=1000");
  spec.think_mean_s = 4;
  spec.rate_per_s = 2;
  spec.block = Tokens{16};
  return spec;
}

TEST_CASE("every turn continues the one before exactly") {
  const Trace trace = generate_trace(agent_spec(), 1);
  CHECK(trace.session_names.size() == 200);
  for (std::uint32_t i = 0; i < trace.requests.size(); ++i) {
    const TraceRequest& request = trace.requests[i];
    std::int64_t blocks = 0;
    for (const IdRun& run : trace.runs_of(request)) blocks += run.count;
    CHECK(blocks == request.prompt / trace.block);
    const bool last = i + 1 == trace.requests.size() || trace.requests[i + 1].turn == 0;
    CHECK(request.continued_by == (last ? kNoRequest : i + 1));
    if (!last) CHECK(trace.requests[i + 1].prompt > request.prompt + request.output);
    CHECK((request.turn == 0) == (request.after_begin == request.after_end));
    CHECK((request.turn == 0) == (request.think == Duration{}));
  }
}

TEST_CASE("sessions share the full blocks of their group's prefix and nothing else") {
  const Trace trace = generate_trace(agent_spec(), 1);
  std::set<std::int64_t> prefixes, own;
  for (const TraceRequest& request : trace.requests) {
    const auto runs = trace.runs_of(request);
    prefixes.insert(runs[0].first);
    CHECK(runs[0].count >= 1000 / 16);
    if (request.turn == 0 && runs.size() > 1) CHECK(own.insert(runs[1].first).second);
  }
  CHECK(prefixes.size() <= 3 + 1);  // group 2's prefix may join the first session's own blocks
  const std::vector<Tokens> hits = ideal_hits(trace, GeneratedTokens::kept);
  for (std::size_t i = 0; i < hits.size(); ++i) {
    const TraceRequest& request = trace.requests[i];
    if (request.turn > 0) {
      const TraceRequest& before = trace.requests[i - 1];
      CHECK(hits[i] == std::max(before.prompt + before.output, hits[i]));
      CHECK(hits[i] == before.prompt + before.output);
    } else {
      CHECK((hits[i] == Tokens{0} || hits[i] == Tokens{992}));
    }
  }
}

TEST_CASE("one seed gives one trace, another stream's draws leave the arrivals alone") {
  const SyntheticSpec spec = agent_spec();
  CHECK(native_text(generate_trace(spec, 5)) == native_text(generate_trace(spec, 5)));
  CHECK(native_text(generate_trace(spec, 5)) != native_text(generate_trace(spec, 6)));
  SyntheticSpec longer = spec;
  longer.output = parse_length_spec("output", "uniform:1..9");
  longer.turns_max = 9;
  const Trace a = generate_trace(spec, 5), b = generate_trace(longer, 5);
  const auto starts = [](const Trace& trace) {
    std::vector<Duration> out;
    for (const TraceRequest& request : trace.requests) {
      if (request.turn == 0) out.push_back(request.arrival);
    }
    return out;
  };
  CHECK(starts(a) == starts(b));
}

TEST_CASE("lengths have the mean, the bounds and the kind that were asked for") {
  struct Row {
    const char* spec;
    double mean, low, high, tolerance;
  };
  const Row rows[] = {
      {"300", 300, 300, 300, 0},
      {"constant:7", 7, 7, 7, 0},
      {"uniform:100..200", 150, 100, 200, 0.01},
      {"exponential:mean=500", 500, 1, 1e9, 0.03},
      {"lognormal:mean=2000,sigma=0.8", 2000, 1, 1e9, 0.03},
      {"lognormal:mean=2000,sigma=0", 2000, 2000, 2000, 0},
      {"exponential:mean=500,min=500,max=500", 500, 500, 500, 0},
  };
  for (const Row& row : rows) {
    CAPTURE(row.spec);
    const LengthSampler sampler("x", parse_length_spec("x", row.spec),
                                LengthSampler::Column::prompt);
    RandomEngine engine = RandomStreams(3).stream("lengths");
    double sum = 0;
    constexpr int kDraws = 20'000;
    for (int i = 0; i < kDraws; ++i) {
      const auto tokens = static_cast<double>(sampler.draw(engine).value);
      CHECK_UNARY(tokens >= row.low && tokens <= row.high);
      sum += tokens;
    }
    CHECK(std::abs(sum / kDraws - row.mean) <= row.tolerance * row.mean);
  }
}

TEST_CASE("a length table serves prompts to prompts and outputs to outputs") {
  const TestFile table("table.csv",
                       "num_prefill_tokens,num_decode_tokens,num_total_tokens,pd_ratio\n"
                       "10,3,13,3.3\n20,4,24,5\n");
  const LengthSpec spec = parse_length_spec("x", "table:" + table.path());
  RandomEngine engine = RandomStreams(3).stream("lengths");
  std::set<std::int64_t> prompts, outputs;
  const LengthSampler prompt("x", spec, LengthSampler::Column::prompt);
  const LengthSampler output("x", spec, LengthSampler::Column::output);
  for (int i = 0; i < 100; ++i) {
    prompts.insert(prompt.draw(engine).value);
    outputs.insert(output.draw(engine).value);
  }
  CHECK(prompts == std::set<std::int64_t>{10, 20});
  CHECK(outputs == std::set<std::int64_t>{3, 4});
}

TEST_CASE("wrong parameters are refused by name") {
  struct Row {
    const char* name;
    void (*change)(SyntheticSpec&);
    const char* fragment;
  };
  const Row rows[] = {
      {"no sessions", [](SyntheticSpec& s) { s.sessions = 0; }, "sessions: expected 1"},
      {"turns backwards", [](SyntheticSpec& s) { s.turns_min = 9; }, "turns_max: expected 9"},
      {"block 0", [](SyntheticSpec& s) { s.block = Tokens{0}; }, "block: expected 1"},
      {"rate 0", [](SyntheticSpec& s) { s.rate_per_s = 0; }, "rate_per_s: expected"},
      {"rate NaN", [](SyntheticSpec& s) { s.rate_per_s = std::nan(""); }, "rate_per_s: expected"},
      {"arrivals", [](SyntheticSpec& s) { s.arrivals = "poison"; }, "did you mean 'poisson'?"},
      {"kind", [](SyntheticSpec& s) { s.output.kind = "normal"; },
       "unknown kind of length 'normal'"},
      {"mean 0", [](SyntheticSpec& s) { s.output = {}; }, "output: mean expected"},
      {"table missing", [](SyntheticSpec& s) { s.output.kind = "table"; }, "expected the path"},
      {"table absent", [](SyntheticSpec& s) { s.arrivals = "table", s.rate_table = "/none"; },
       "cannot open"},
  };
  for (const Row& row : rows) {
    CAPTURE(row.name);
    SyntheticSpec spec = agent_spec();
    row.change(spec);
    try {
      generate_trace(spec, 1);
      FAIL_CHECK("accepted");
    } catch (const InputError& error) {
      CHECK(std::string(error.what()).find(row.fragment) != std::string::npos);
    }
  }
  for (const char* text :
       {"", "x", "uniform:5", "normal:mean=3", "lognormal:mean", "lognormal:median=3", "1e999"}) {
    CAPTURE(text);
    CHECK_THROWS_AS(parse_length_spec("x", text), InputError);
  }
}

// Gaps of a process of constant rate 4/s.
Distribution gaps_of(const GapShape& shape) {
  ArrivalStream stream({{0, std::numeric_limits<double>::infinity(), 4, shape}},
                       RandomStreams(9).stream("arrivals"), false);
  std::vector<double> gaps;
  double before = *stream.next_s();
  for (int i = 0; i < 200'000; ++i) {
    const double at = *stream.next_s();
    gaps.push_back(at - before);
    before = at;
  }
  return describe(gaps);
}

TEST_CASE("gaps have mean 1 / rate and their distribution's coefficient of variation") {
  struct Row {
    const char* name;
    GapShape shape;
    double cv;
  };
  const Row rows[] = {
      {"poisson", {GapKind::gamma, 1}, 1},
      {"gamma 0.25", {GapKind::gamma, 0.25}, 2},
      {"gamma 4", {GapKind::gamma, 4}, 0.5},
      {"weibull 1", {GapKind::weibull, 1}, 1},
      {"weibull 0.5", {GapKind::weibull, 0.5}, std::sqrt(5.0)},
      {"weibull 2", {GapKind::weibull, 2}, std::sqrt(4 / 3.141592653589793 - 1)},
  };
  for (const Row& row : rows) {
    CAPTURE(row.name);
    const Distribution gaps = gaps_of(row.shape);
    CHECK(gaps.mean == doctest::Approx(0.25).epsilon(0.02));
    CHECK(gaps.stddev / gaps.mean == doctest::Approx(row.cv).epsilon(0.03));
  }
}

TEST_CASE("the expected count of a stretch is the integral of its rate, also for bursty gaps") {
  // Short stretches, where a process that began with a burst would show it.
  for (const GapShape shape : {GapShape{GapKind::gamma, 0.1}, GapShape{GapKind::weibull, 0.4}}) {
    std::int64_t first = 0, second = 0;
    constexpr std::uint64_t kRuns = 20'000;
    for (std::uint64_t seed = 0; seed < kRuns; ++seed) {
      ArrivalStream stream({{10, 11, 2, shape}, {11, 12, 0, shape}, {12, 13, 6, shape}},
                           RandomStreams(seed).stream("arrivals"), false);
      while (const auto at_s = stream.next_s()) {
        CHECK_UNARY((*at_s >= 10 && *at_s < 11) || (*at_s >= 12 && *at_s < 13));
        ++(*at_s < 11 ? first : second);
      }
    }
    CHECK(static_cast<double>(first) / kRuns == doctest::Approx(2).epsilon(0.06));
    CHECK(static_cast<double>(second) / kRuns == doctest::Approx(6).epsilon(0.06));
  }
}

TEST_CASE("sessions follow a rate table and begin it again") {
  const TestFile table("rates.csv",
                       "client,window_start_s,rate_rps,cv,dist,param1,param2\n"
                       "0,0,1.0,1,Gamma,1,1\n0,1200,0.5,1,Gamma,1,1\n1,0,2.0,1,Weibull,1,1\n");
  const RateTable rates = read_rate_table(table.path());
  CHECK(rates.requests_per_s == std::vector<double>{3, 0, 0.5});
  SyntheticSpec spec;
  spec.sessions = 10'000;
  spec.first_prompt = spec.output = parse_length_spec("x", "10");
  spec.arrivals = "table";
  spec.rate_table = table.path();
  spec.rate_per_s = 2;  // twice the table's rates: 4,200 sessions in 1,800 s
  const Trace trace = generate_trace(spec, 1);
  std::vector<std::int64_t> counts(12);
  for (const TraceRequest& request : trace.requests) {
    ++counts[static_cast<std::size_t>(request.arrival / std::chrono::seconds{600})];
  }
  CHECK(static_cast<double>(counts[0]) == doctest::Approx(3600).epsilon(0.06));
  CHECK(counts[1] == 0);
  CHECK(static_cast<double>(counts[2]) == doctest::Approx(600).epsilon(0.12));
  CHECK(static_cast<double>(counts[3]) == doctest::Approx(3600).epsilon(0.06));
  CHECK(counts[4] == 0);
}

TEST_CASE("a trace that would last for ages is a failed run, not an overflow") {
  SyntheticSpec spec = agent_spec();
  spec.rate_per_s = 1e-9;
  CHECK_THROWS_AS(generate_trace(spec, 1), RunError);
  spec = agent_spec();
  spec.think_mean_s = 1e6;
  spec.turns_max = 100'000;
  spec.turns_min = 100'000;
  spec.next_prompt = spec.output = parse_length_spec("x", "1");
  CHECK_THROWS_AS(generate_trace(spec, 1), RunError);
}

TEST_CASE("a rate table without a rate is refused") {
  const TestFile table("rates.csv",
                       "client,window_start_s,rate_rps,cv,dist,param1,param2\n"
                       "0,0,1e-9,1,Gamma,1,1\n");
  SyntheticSpec spec = agent_spec();
  spec.arrivals = "table";
  spec.rate_table = table.path();
  CHECK_THROWS_AS(generate_trace(spec, 1), InputError);
}

TEST_CASE("the bundled sample is what its README's parameters generate") {
  SyntheticSpec spec;
  spec.sessions = 48;
  spec.turns_min = 8;
  spec.turns_max = 24;
  spec.shared_prefix = Tokens{16000};
  spec.prefix_groups = 2;
  spec.first_prompt =
      parse_length_spec("first", "lognormal:mean=30000,sigma=0.8,min=2000,max=120000");
  spec.next_prompt = parse_length_spec("next", "lognormal:mean=5000,sigma=0.9,min=200,max=30000");
  spec.output = parse_length_spec("output", "lognormal:mean=400,sigma=0.8,min=20,max=3000");
  spec.think_mean_s = 10;
  spec.rate_per_s = 0.2;
  Trace made = generate_trace(spec, 1);
  made.name = "agents_small";
  const std::string path = std::string(V4CAP_SOURCE_DIR) + "/traces/sample/agents_small.jsonl.gz";
  CHECK(std::filesystem::file_size(path) <= 100'000);
  TextFile bundled(path);
  std::string text;
  while (bundled.next()) text += std::string(bundled.line()) + "\n";
  CHECK(text == native_text(made));
}

}  // namespace
}  // namespace v4cap
