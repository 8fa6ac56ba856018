#include "sim/output/summary_json.h"

#include <doctest/doctest.h>

#include <string>
#include <utility>

#include "tests/golden.h"
#include "tests/sim/output/sample_run.h"

using namespace v4cap;

TEST_CASE("summary json: the sample") {
  check_golden("summary.json", summary_json(sample_summary(), WallTime::left_out));
}

TEST_CASE("summary json: what lost requests found in tiers makes no hit on the GPU negative") {
  RunSummary run = sample_summary();
  run.metrics.hit = Tokens{1000};
  for (const auto& [below, on_gpu] : {std::pair{300, "700"}, std::pair{1300, "0"}}) {
    run.totals.tiers.assign(1, {});
    run.totals.tiers[0].name = "host";
    run.totals.tiers[0].hit_tokens = Tokens{below};
    CHECK(summary_json(run, WallTime::left_out)
              .find(std::string("\"gpu_hit_tokens\": ") + on_gpu + ",") != std::string::npos);
  }
}

TEST_CASE("summary json: has every key of the command contract") {
  const std::string text = summary_json(sample_summary(), WallTime::included);
  for (const std::string key : {"requests",
                                "finished",
                                "refused",
                                "steps",
                                "events",
                                "hit_rate",
                                "prompt_tokens",
                                "hit_tokens",
                                "computed_tokens",
                                "rebuilt_tokens",
                                "recomputed_after_preemption",
                                "ttft_ms",
                                "tpot_ms",
                                "e2el_ms",
                                "output_tok_s",
                                "tok_s_per_gpu",
                                "cached",
                                "computed",
                                "output",
                                "net_saved_tokens",
                                "kv_peak_gib",
                                "evicted_bytes",
                                "binding_constraint",
                                "time_share",
                                "measured",
                                "interpolated",
                                "transferred",
                                "roofline",
                                "saturated",
                                "result_hash",
                                "wall_s"}) {
    CAPTURE(key);
    CHECK(text.find('"' + key + "\": ") != std::string::npos);
  }
}

TEST_CASE("summary json: what a run does not have is null") {
  const std::string text =
      summary_json(summarise(RunResult{}, sample_identity()), WallTime::included);
  CHECK(text.find("\"hit_rate\": null") != std::string::npos);
  CHECK(text.find("\"p99\": null") != std::string::npos);
  CHECK(text.find("\"output_tok_s\": null") != std::string::npos);
  CHECK(text.find("\"roofline\": 0") != std::string::npos);
}

TEST_CASE("summary json: wall time only where it is asked for") {
  RunResult run = sample_run();
  const auto text = [&](WallTime wall) {
    return summary_json(summarise(run, sample_identity()), wall);
  };
  const std::string before = text(WallTime::left_out);
  CHECK(text(WallTime::included).find("\"wall_s\": 0.75") != std::string::npos);
  run.totals.wall_s = 99;
  CHECK(text(WallTime::left_out) == before);
}

TEST_CASE("summary json: fractions of step time") {
  const TimeShareFractions share = fractions({1, 2, 3, 4, 5, 10});
  CHECK(share.measured == doctest::Approx(0.04));
  CHECK(share.interpolated == doctest::Approx(0.08));
  CHECK(share.extrapolated == doctest::Approx(0.12));
  CHECK(share.transferred == doctest::Approx(0.16));
  CHECK(share.roofline == doctest::Approx(0.2));
  CHECK(share.host == doctest::Approx(0.4));
  CHECK(fractions({}).roofline == 0);
  CHECK(hash_text(0xff) == "00000000000000ff");
}
