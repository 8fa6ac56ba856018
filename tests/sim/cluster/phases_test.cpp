// The phases of a load client: warm-up and earlier runs on the same server, then the run that is
// measured.
#include <doctest/doctest.h>

#include <algorithm>
#include <boost/json.hpp>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "sim/config/scenario_file.h"
#include "sim/output/aiperf.h"
#include "sim/output/metrics.h"
#include "tests/dies.h"
#include "tests/sim/cluster/random_sessions.h"
#include "traces/bench_serving.h"

namespace v4cap {
namespace {

// Lengths up to 900 and 60 tokens; runs of 20 prompts after one of 12, each behind 5 warm-ups.
BenchServingSpec two_runs() {
  BenchServingSpec spec;
  spec.run = {20, 7};
  spec.earlier = {{12, 3}};
  spec.input = Tokens{900};
  spec.output = Tokens{60};
  spec.warmup_requests = 5;
  spec.seed = 2;  // its first prompt is longer than a block
  return spec;
}

WorkloadConfig client() {
  WorkloadConfig config;
  config.arrivals = ArrivalMode::client;
  return config;
}

RunResult play_bench(const BenchServingSpec& spec, const ToyEngine& settings = {},
                     HostRules host = {}) {
  return play(bench_serving_trace(spec), client(), settings, LinearCost{}, 1, host);
}

// Records by place in the trace: a run's earlier requests have ids behind the measured ones.
std::map<std::uint32_t, RequestRecord> by_place(const RunResult& result) {
  const auto measured = static_cast<std::uint32_t>(result.records.size());
  const auto others = static_cast<std::uint32_t>(result.warmup.size());
  std::map<std::uint32_t, RequestRecord> out;
  for (const RequestRecord& r : result.warmup) {
    CHECK(out.emplace(r.id - measured, r).second);
  }
  for (const RequestRecord& r : result.records) CHECK(out.emplace(others + r.id, r).second);
  return out;
}

TEST_CASE("phases: each begins when the one before has ended, with its own concurrency") {
  for (const HostRules& host : {HostRules{}, HostRules{true, Duration{2000}, nullptr}}) {
    CAPTURE(host.overlapped);
    const BenchServingSpec spec = two_runs();
    const Trace trace = bench_serving_trace(spec);
    const RunResult result = play_bench(spec, {}, host);
    REQUIRE(trace.phases.size() == 4);
    const auto records = by_place(result);
    REQUIRE(records.size() == 42);
    SimTime before = kSimStart;
    for (const TracePhase& phase : trace.phases) {
      CAPTURE(phase.begin);
      std::map<SimTime, std::int64_t> changes;
      SimTime first = SimTime::max(), last = kSimStart;
      for (std::uint32_t i = phase.begin; i < phase.end; ++i) {
        const RequestRecord& r = records.at(i);
        CHECK(r.prompt == trace.requests[i].prompt);
        CHECK(r.output == trace.requests[i].output);
        first = std::min(first, r.arrival);
        last = std::max(last, r.finished);
        ++changes[r.arrival];
        --changes[r.finished];
        if (i > phase.begin) CHECK(r.arrival >= records.at(i - 1).arrival);
      }
      CHECK(first == before);
      std::int64_t inside = 0, most = 0;
      for (const auto& [at, change] : changes) most = std::max(most, inside += change);
      CHECK(most == std::min<std::int64_t>(phase.concurrency, phase.end - phase.begin));
      before = last;
    }
  }
}

TEST_CASE("phases: records and figures are those of the measured run") {
  const BenchServingSpec spec = two_runs();
  const BenchLengths lengths = bench_lengths(20, spec);
  const RunResult result = play_bench(spec);
  REQUIRE(result.records.size() == 20);
  CHECK(result.warmup.size() == 22);
  SimTime warm;
  for (const RequestRecord& r : result.warmup) warm = std::max(warm, r.finished);
  Tokens prompts, outputs;
  for (std::size_t i = 0; i < 20; ++i) {
    CAPTURE(i);
    CHECK(result.records[i].id == i);
    CHECK(result.records[i].prompt.value == lengths.input[i]);
    CHECK(result.records[i].output.value == lengths.output[i]);
    prompts += result.records[i].prompt;
    outputs += result.records[i].output;
  }
  const RunTotals& t = result.totals;
  CHECK(t.requests == 20);
  CHECK(t.prompt_tokens == prompts);
  CHECK(t.output_tokens == outputs);
  CHECK(t.decoded == outputs - Tokens{20});
  CHECK(t.first_arrival == warm);
  CHECK(t.busy + t.binding.idle == t.last_finish - t.first_arrival);
  CHECK(t.mean_in_system <= 7);
  const Metrics m = compute_metrics(result);
  CHECK(m.requests == 20);
  CHECK(m.prompt == prompts);
  CHECK(m.time_to_first_token_ms.count == 20);
  CHECK(m.duration == t.last_finish - warm);
}

TEST_CASE("phases: AIPerf's records say which are warm-up, each under a name of its own") {
  const RunResult result = play_bench(two_runs());
  std::string text;
  const TextSink sink = [&](std::string_view line) { text += line; };
  write_aiperf_records(result.warmup, sink, BenchmarkPhase::warmup);
  write_aiperf_records(result.records, sink, BenchmarkPhase::profiling);
  std::set<std::string> names;
  std::map<std::string, int> phases;
  std::size_t begin = 0;
  while (begin < text.size()) {
    const std::size_t end = text.find('\n', begin);
    const auto record = boost::json::parse(text.substr(begin, end - begin));
    const auto& metadata = record.at("metadata");
    CHECK(names.emplace(metadata.at("x_request_id").as_string()).second);
    ++phases[std::string(metadata.at("benchmark_phase").as_string())];
    begin = end + 1;
  }
  CHECK(phases == std::map<std::string, int>{{"warmup", 22}, {"profiling", 20}});
}

TEST_CASE("phases: what earlier runs and warm-up left in the cache is hit, to the token") {
  BenchServingSpec spec = two_runs();
  struct Row {
    std::string name;
    std::vector<BenchRun> earlier;
    std::int64_t warmups;
    std::size_t found;  // prompts that somebody had sent before
  };
  for (const Row& row : {Row{"nothing before", {}, 0, 0},
                         {"warm-up", {}, 3, 1},
                         {"a shorter run", {{12, 3}}, 0, 12},
                         {"the same run", {{20, 7}}, 2, 20},
                         {"two runs", {{4, 1}, {16, 2}}, 0, 16}}) {
    CAPTURE(row.name);
    spec.earlier = row.earlier;
    spec.warmup_requests = row.warmups;
    const RunResult result = play_bench(spec);
    Tokens hits;
    for (std::size_t i = 0; i < row.found; ++i) {
      const RequestRecord& r = result.records[i];
      CAPTURE(i);
      CHECK(r.hit == round_down(r.prompt - Tokens{1}, Tokens{64}));
      hits += r.hit;
    }
    CHECK(result.totals.hit_tokens == hits);
    CHECK((hits > Tokens{0}) == (row.found > 0));
  }
}

TEST_CASE("phases: a small cache has lost what the earlier run left") {
  BenchServingSpec spec = two_runs();
  spec.earlier = {spec.run};
  ToyEngine small;
  small.costs.capacity = 60;  // blocks; the run needs about 150
  const Tokens lost = play_bench(spec, small).totals.hit_tokens;
  CHECK(lost < play_bench(spec).totals.hit_tokens);
}

TEST_CASE("phases: requests of warm-up and earlier runs may be refused") {
  BenchServingSpec spec = two_runs();
  ToyEngine settings;
  settings.max_context = Tokens{400};
  const RunResult result = play_bench(spec, settings);
  const auto refused = [](const std::vector<RequestRecord>& records) {
    return std::ranges::count_if(
        records, [](const RequestRecord& r) { return r.end == RequestEnd::refused; });
  };
  CHECK(refused(result.warmup) > 0);
  CHECK(result.totals.refused == refused(result.records));
  CHECK(result.totals.finished + result.totals.refused == 20);
}

TEST_CASE("phases: the one that is measured is the last, and none is empty") {
  const auto playable = [](std::vector<TracePhase> phases) {
    Trace trace;
    for (int i = 0; i < 4; ++i) add_request(trace, 10, 2);
    trace.phases = std::move(phases);
    return !dies([&] { Workload(trace, client(), 1); });
  };
  CHECK(playable({{0, 2, 1, false}, {2, 4, 1, true}}));
  CHECK_FALSE(playable({{0, 2, 1, true}, {2, 4, 1, false}}));
  CHECK_FALSE(playable({{0, 2, 1, false}, {2, 2, 1, false}, {2, 4, 1, true}}));
}

const std::string kHead = "model: deepseek-v4-flash\nhardware: hgx-b200\n";

TEST_CASE("phases: a scenario with bench_serving says all of it, and its resolved copy the same") {
  const Scenario scenario = parse_scenario(
      kHead +
          "workload: {bench_serving: {prompts: 20, concurrency: 7, input_tokens: 900, "
          "output_tokens: 60, warmup_requests: 5, earlier: [{prompts: 12, concurrency: 3}]}}\n",
      "here");
  REQUIRE(scenario.workload.bench_serving);
  const BenchServingSpec& spec = *scenario.workload.bench_serving;
  CHECK(scenario.workload.arrivals == ArrivalMode::client);
  CHECK(spec.run.prompts == 20);
  CHECK(spec.run.concurrency == 7);
  REQUIRE(spec.earlier.size() == 1);
  CHECK(spec.earlier[0].prompts == 12);
  CHECK(spec.earlier[0].concurrency == 3);
  CHECK(spec.warmup_requests == 5);
  CHECK(spec.seed == 1);
  const Scenario again = parse_scenario(scenario.resolved_yaml, "resolved");
  CHECK(again.resolved_yaml == scenario.resolved_yaml);
  REQUIRE(again.workload.bench_serving);
  CHECK(again.workload.bench_serving->earlier.size() == 1);
}

TEST_CASE("phases: a wrong bench_serving section is refused with its place") {
  struct Row {
    std::string name, workload, place, expected;
  };
  const std::string good = "prompts: 2, concurrency: 1, input_tokens: 9, output_tokens: 9";
  const Row rows[] = {
      {"no prompts", "{bench_serving: {concurrency: 1, input_tokens: 9, output_tokens: 9}}",
       "x:3:", "prompts: expected"},
      {"none of them",
       "{bench_serving: {prompts: 0, concurrency: 1, input_tokens: 9, "
       "output_tokens: 9}}",
       "x:3:37:", "got \"0\""},
      {"ratio", "{bench_serving: {" + good + ", range_ratio: 1.5}}", "x:3:", "from 0 to 1"},
      {"unknown key", "{bench_serving: {" + good + ", warmup_request: 5}}",
       "x:3:", "did you mean 'warmup_requests'"},
      {"earlier is no list", "{bench_serving: {" + good + ", earlier: 3}}",
       "x:3:", "expected a list of {prompts, concurrency}"},
      {"earlier without concurrency", "{bench_serving: {" + good + ", earlier: [{prompts: 3}]}}",
       "x:3:", "concurrency: expected"},
      {"earlier with more",
       "{bench_serving: {" + good + ", earlier: [{prompts: 3, concurrency: 1, seed: 4}]}}",
       "x:3:", "unknown key 'seed'"},
      {"and a trace", "{bench_serving: {" + good + "}, trace: t.jsonl}",
       "x:3:", "expected either it or a trace"},
      {"and arrivals", "{bench_serving: {" + good + "}, arrivals: {mode: burst}}",
       "x:3:", "bench_serving brings its own"},
      {"and a cut", "{bench_serving: {" + good + "}, max_requests: 5}",
       "x:3:", "bench_serving.prompts says how many"},
      {"and a scale", "{bench_serving: {" + good + "}, time_scale: 2}",
       "x:3:", "only arrivals of mode trace"}};
  for (const Row& row : rows) {
    CAPTURE(row.name);
    ScenarioOptions options;
    options.find_traces = false;
    std::string text;
    try {
      parse_scenario(kHead + "workload: " + row.workload + "\n", "x", options);
    } catch (const InputError& error) {
      text = error.what();
    }
    CAPTURE(text);
    CHECK(text.find(row.place) != std::string::npos);
    CHECK(text.find(row.expected) != std::string::npos);
  }
}

}  // namespace
}  // namespace v4cap
