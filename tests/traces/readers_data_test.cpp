// The public traces against the figures published with them: every row of their README that a
// reader covers.
#include "sim/core/quantiles.h"
#include "tests/data.h"
#include "traces/prefix_stats.h"
#include "traces/reader.h"

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

void check_lengths(const Distribution& found, const double (&expected)[4]) {
  // Published as integers; their quantile rule may round to the next order statistic.
  CHECK(found.p50 == doctest::Approx(expected[0]).epsilon(0.003));
  CHECK(found.p90 == doctest::Approx(expected[1]).epsilon(0.003));
  CHECK(found.p99 == doctest::Approx(expected[2]).epsilon(0.003));
  CHECK(found.max == expected[3]);
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
    check_lengths(describe(prompts), row.prompt);
    check_lengths(describe(outputs), row.output);
    const double without = ideal_hit_rate(trace, GeneratedTokens::forgotten);
    const double with = ideal_hit_rate(trace, GeneratedTokens::kept);
    if (row.hit_rate_pct >= 0) CHECK(std::abs(100 * without - row.hit_rate_pct) <= 0.05);
    CHECK(with >= without);
    CHECK(with <= 1);
    MESSAGE(row.file, " ", 100 * without, " ", 100 * with);
  }
}

}  // namespace
}  // namespace v4cap
