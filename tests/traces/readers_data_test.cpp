// The public traces against the figures published with them: every row of their README that a
// reader covers.
#include <algorithm>

#include "tests/data.h"
#include "traces/prefix_stats.h"
#include "traces/reader.h"
#include "traces/summary.h"

namespace v4cap {
namespace {

struct Published {
  const char* file;
  const char* format;
  std::size_t requests, sessions;
  std::int64_t block;
  double hit_rate_pct;          // < 0: no ids
  double prompt[4], output[4];  // p50, p90, p99, max
};

// Full figures where a SOURCE.md gives them, else rounded as in the README.
const Published kPublished[] = {
    {"weka-agentic-v8/sessions.jsonl.gz",
     "weka",
     35846,
     539,
     64,
     96.2,
     {97344, 182298, 505242, 894371},
     {218, 864, 3738, 18195}},
    {"weka-agentic-v6/sessions.jsonl.gz",
     "weka",
     21069,
     340,
     64,
     95.1,
     {87759, 141267, 222907, 526123},
     {216, 856, 3692, 13736}},
    {"mooncake-conversation/trace.jsonl.gz",
     "mooncake",
     8940,
     0,
     512,
     36.1,
     {7112, 27552, 87278, 124847},
     {355, 605, 1185, 2000}},
    {"mooncake-synthetic/trace.jsonl.gz",
     "mooncake",
     3993,
     0,
     512,
     65.1,
     {11587, 38615, 66458, 191378},
     {69, 389, 769, 893}},
    {"azure-2023-code/trace.csv.gz",
     "azure",
     8819,
     0,
     0,
     -1,
     {1469, 5194, 7436, 7437},
     {13, 55, 252, 1899}},
    {"azure-2023-conv/trace.csv.gz",
     "azure",
     19366,
     0,
     0,
     -1,
     {1020, 2735, 4142, 14050},
     {129, 424, 601, 1000}},
    {"lmcache-agents/mini-swe-agent.jsonl.gz",
     "lmcache",
     402,
     20,
     16,
     93.5,
     {4990, 16024, 48460, 57126},
     {112, 221, 353, 479}},
    {"lmcache-agents/magentic-agent.jsonl.gz",
     "lmcache",
     693,
     25,
     16,
     84.1,
     {1250, 11092, 12339, 12573},
     {395, 639, 14036, 14917}},
    {"rl-rollout-groups/taubench-airline-x4.jsonl.gz",
     "taubench",
     2002,
     160,
     16,
     92.8,
     {2894, 6207, 9575, 11198},
     {51, 186, 380, 609}},
    {"rl-rollout-groups/math-l5-lengths.csv.gz",
     "math-lengths",
     23657,
     0,
     0,
     -1,
     {160, 251, 596, 1058},
     {399, 936, 4324, 9868}},
    {"length-tables/sharegpt-8k.csv.gz",
     "length-table",
     30731,
     0,
     0,
     -1,
     {1730, 5696, 7434, 8141},
     {415, 834, 998, 1024}},
    {"length-tables/bwb.csv.gz",
     "length-table",
     33768,
     0,
     0,
     -1,
     {1037, 1453, 1800, 3504},
     {1601, 2149, 2533, 2858}},
    {"length-tables/arxiv-summarization.csv.gz",
     "length-table",
     28257,
     0,
     0,
     -1,
     {2730, 3702, 3934, 4054},
     {167, 372, 3273, 4056}},
};

// The publishers' quantile: the order statistic at floor(q x count), without interpolation.
void check_lengths(std::vector<double> found, const double (&expected)[4]) {
  std::sort(found.begin(), found.end());
  const double quantiles[] = {0.5, 0.9, 0.99};
  for (std::size_t i = 0; i < 3; ++i) {
    CAPTURE(quantiles[i]);
    const auto at = static_cast<std::size_t>(quantiles[i] * static_cast<double>(found.size()));
    CHECK(found[at] == expected[i]);
  }
  CHECK(found.back() == expected[3]);
}

DATA_TEST_CASE("public traces have the published requests, lengths and ideal hit rates") {
  for (const Published& row : kPublished) {
    CAPTURE(row.file);
    const Trace trace = read_trace((data_dir() / "traces" / row.file).string());
    CHECK(trace.format == row.format);
    CHECK(trace.requests.size() == row.requests);
    CHECK(trace.session_names.size() == row.sessions);
    CHECK(trace.block == Tokens{row.block});
    std::vector<double> prompts, outputs;
    for (const TraceRequest& r : trace.requests) {
      prompts.push_back(static_cast<double>(r.prompt.value));
      outputs.push_back(static_cast<double>(r.output.value));
    }
    check_lengths(std::move(prompts), row.prompt);
    check_lengths(std::move(outputs), row.output);
    const double without = ideal_hit_rate(trace, GeneratedTokens::forgotten);
    const double with = ideal_hit_rate(trace, GeneratedTokens::kept);
    if (row.hit_rate_pct >= 0) CHECK(std::abs(100 * without - row.hit_rate_pct) <= 0.05);
    CHECK(with >= without);
    CHECK(with <= 1);
  }
}

struct PublishedArrivals {
  const char* file;
  double mean_per_s, busiest_minute_per_s, gap_cv, span_s;  // 0 = not published
};

const PublishedArrivals kArrivals[] = {
    {"mooncake-conversation/trace.jsonl.gz", 3.31, 4.12, 0, 2700},
    {"mooncake-synthetic/trace.jsonl.gz", 3.91, 0, 0, 1022},
    {"azure-2023-code/trace.csv.gz", 2.57, 10.5, 13, 3436},
    {"azure-2023-conv/trace.csv.gz", 5.53, 8.45, 1.09, 3502},
};

DATA_TEST_CASE("public traces have the published arrival rates") {
  for (const PublishedArrivals& row : kArrivals) {
    CAPTURE(row.file);
    const ArrivalSummary found =
        summarize(read_trace((data_dir() / "traces" / row.file).string())).arrivals;
    CHECK(std::abs(found.mean_per_s - row.mean_per_s) <= 0.005);
    CHECK(std::abs(found.span_s - row.span_s) <= 0.5);
    if (row.busiest_minute_per_s > 0) {
      CHECK(found.busiest_minute_per_s == doctest::Approx(row.busiest_minute_per_s).epsilon(0.005));
    }
    if (row.gap_cv > 0) CHECK(found.gap_cv == doctest::Approx(row.gap_cv).epsilon(0.02));
  }
}

DATA_TEST_CASE("weka sub-agents run beside the main thread and it waits for them") {
  // trace_0003 of v8 starts a sub-agent of 10 requests after its first request.
  const Trace trace =
      read_trace((data_dir() / "traces/weka-agentic-v8/sessions.jsonl.gz").string());
  const auto named =
      std::find(trace.session_names.begin(), trace.session_names.end(), "trace_0003");
  REQUIRE(named != trace.session_names.end());
  const auto session = static_cast<std::int32_t>(named - trace.session_names.begin());
  std::uint32_t first = 0;
  while (trace.requests[first].session != session) ++first;
  const auto waits_for = [&](std::uint32_t i) {
    const auto after = trace.after_of(trace.requests[first + i]);
    std::vector<std::uint32_t> found;
    for (const std::uint32_t request : after) found.push_back(request - first);
    return found;
  };
  CHECK(waits_for(0).empty());
  CHECK(waits_for(1) == std::vector<std::uint32_t>{0});
  CHECK(waits_for(2) == std::vector<std::uint32_t>{1});
  CHECK(waits_for(11) == std::vector<std::uint32_t>{0, 10});
  // Launched 8.212 - 7.3 s after the first request ended; its own start, not the entry's completion
  // time.
  CHECK(to_seconds(trace.requests[first + 1].think) == doctest::Approx(0.9).epsilon(0.1));
  // The recorded 145 s of think time before request 11 were the sub-agent's work.
  CHECK(trace.requests[first + 11].think == Duration{});
  std::int64_t waiting = 0, background = 0;
  for (const std::string& note : trace.notes) {
    waiting += note.find("600 requests come from 53 sub-agents") != std::string::npos;
    background += note.find("4 sub-agents ran in the background") != std::string::npos;
  }
  CHECK(waiting == 1);
  CHECK(background == 1);
}

DATA_TEST_CASE("servegen clients are sampled to the published load and lengths") {
  const std::string path = (data_dir() / "traces/servegen-deepseek-r1/clients.jsonl.gz").string();
  const Trace day = read_trace(path);
  const TraceSummary found = summarize(day);
  CHECK(found.requests == doctest::Approx(1'383'669).epsilon(0.02));
  CHECK(found.prompt_tokens.p50 == doctest::Approx(208).epsilon(0.05));
  CHECK(found.prompt_tokens.p90 == doctest::Approx(2092).epsilon(0.03));
  CHECK(found.prompt_tokens.p99 == doctest::Approx(23423).epsilon(0.03));
  CHECK(found.prompt_tokens.mean == doctest::Approx(1268).epsilon(0.03));
  CHECK(found.output_tokens.p50 == doctest::Approx(792).epsilon(0.03));
  CHECK(found.output_tokens.p90 == doctest::Approx(3432).epsilon(0.03));
  CHECK(found.output_tokens.p99 == doctest::Approx(12607).epsilon(0.03));
  CHECK(found.output_tokens.mean == doctest::Approx(1527).epsilon(0.03));
  CHECK(found.output_tokens.max <= 32768);
  std::vector<double> hours(24);
  for (const TraceRequest& request : day.requests) {
    hours[static_cast<std::size_t>(request.arrival / std::chrono::hours{1})] += 1.0 / 3600;
  }
  CHECK(*std::min_element(hours.begin(), hours.end()) == doctest::Approx(7).epsilon(0.1));
  CHECK(*std::max_element(hours.begin(), hours.end()) == doctest::Approx(35).epsilon(0.1));

  TraceReadOptions part;
  part.window_start = std::chrono::hours{12};
  part.window_length = std::chrono::minutes{30};
  const Trace half_hour = read_trace(path, part);
  CHECK(half_hour.requests.back().arrival <= std::chrono::minutes{30});
  CHECK(half_hour.requests.size() < day.requests.size() / 20);
  CHECK(half_hour.requests.size() > day.requests.size() / 200);
}

DATA_TEST_CASE("servegen windows sum to the published rates") {
  const Distribution found = summarize(
      read_rate_table((data_dir() / "traces/servegen-m-large-arrivals/windows.csv.gz").string()));
  CHECK(found.count == 2016);
  CHECK(std::round(found.mean) == 196);
  CHECK(std::round(found.min) == 48);
  CHECK(std::round(found.max) == 583);
}

}  // namespace
}  // namespace v4cap
