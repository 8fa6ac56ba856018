#include "sim/cost/step_fit.h"

#include <doctest/doctest.h>

#include <cmath>
#include <fstream>
#include <random>
#include <string>

#include "sim/app/step_log.h"
#include "sim/config/profile_file.h"
#include "tests/sim/app/program_run.h"
#include "tests/temp_dir.h"

namespace v4cap {
namespace {

// In the order of kStepFeatures; microseconds.
constexpr StepValues kTrue = {3000, 5000, 12, 0.0004, 9, 2e-5, 3e-5, 8000};

std::string step_line(std::mt19937& random, double noise) {
  StepRecord step;
  std::string text = "{\"decode_contexts\": [";
  const auto decodes = random() % 256;
  for (unsigned i = 0; i < decodes; ++i) {
    const auto context = 1 + random() % 60'000;
    step.decode_context += static_cast<double>(context);
    text += (i == 0 ? "" : ", ") + std::to_string(context);
  }
  step.decode_tokens = static_cast<double>(decodes);
  text += "], \"prefill\": [";
  if (random() % 2 == 0 || decodes == 0) {
    const auto tokens = 1 + random() % 8192, past = random() % 100'000;
    step.prefills.push_back({static_cast<double>(tokens), static_cast<double>(past)});
    text += "[" + std::to_string(tokens) + ", " + std::to_string(past) + "]";
  }
  const double factor = 1 + noise * std::normal_distribution<double>()(random);
  const double ms = factor * predicted_us(step, kTrue, {}) / 1000;
  return text + "], \"ms\": " + std::to_string(ms) + "}\n";
}

std::string log_of(double noise) {
  std::mt19937 random(11);
  std::string log;
  for (int i = 0; i < 1000; ++i) log += step_line(random, noise);
  return log;
}

TEST_CASE("a log without noise gives back the coefficients that made it") {
  const TempDir dir;
  const std::vector<StepRecord> steps = read_step_log(dir.write("log.jsonl", log_of(0)));
  const StepValues c = fit_steps(steps, {});
  for (std::size_t i = 0; i < c.size(); ++i) {
    CAPTURE(std::string(kStepFeatures[i]));
    CHECK(c[i] == doctest::Approx(kTrue[i]).epsilon(0.01));
  }
  CHECK(held_out_steps(steps, {}).worst_pct < 0.1);
}

TEST_CASE("a log with 2 % noise is predicted within 3 % and its profile loads") {
  const TempDir dir;
  const std::string log = dir.write("log.jsonl", log_of(0.02));
  const ProgramRun run = run_v4cap({"fit", log, "--out", dir.path(), "--name", "mine", "--gpu",
                                    "H100", "--engine", "vllm", "--engine-version", "0.24.0"});
  REQUIRE(run.code == ExitCode::done);
  CHECK(run.out.find("step: decode_step") != std::string::npos);
  const Profile p = load_profile("./mine.yaml", dir.path());
  REQUIRE(p.families.size() == 1);
  const ProfileFamily& step = p.families[0];
  CHECK(step.grain == ProfileGrain::step);
  CHECK(step.held_out.median_pct <= 3);
  CHECK(step.held_out.median_pct > 0.5);
  CHECK(step.held_out.samples == 1000);
  CHECK(step.coefficients.at("decode_token") == doctest::Approx(kTrue[2]).epsilon(0.2));
  CHECK(step.coefficients.at("experts") == 384);
  CHECK(run_v4cap({"fit", log, "--json"}).out.find("\"coefficients\"") != std::string::npos);
}

TEST_CASE("a coefficient that least squares would make negative is 0") {
  std::vector<StepRecord> steps;
  for (int tokens = 1; tokens <= 40; ++tokens) {
    StepRecord s;
    s.decode_tokens = tokens;
    s.decode_context = 1000.0 * tokens * tokens;
    s.us = 5000 + 40.0 * tokens - 0.002 * s.decode_context;
    steps.push_back(s);
  }
  // Times fall with everything that grows, so the best that is left is the same time for all.
  double inverse = 0, inverse_square = 0;
  for (const StepRecord& s : steps) {
    inverse += 1 / s.us;
    inverse_square += 1 / (s.us * s.us);
  }
  const StepValues c = fit_steps(steps, {});
  CHECK(c[0] == doctest::Approx(inverse / inverse_square));
  for (std::size_t i = 1; i < c.size(); ++i) CHECK(c[i] == 0);
}

TEST_CASE("malformed steps are refused at their place") {
  const auto error_of = [](const std::string& line) {
    const TempDir dir;
    const ProgramRun run = run_v4cap({"fit", dir.write("log.jsonl", line + "\n")});
    const std::size_t at = run.err.find("log.jsonl");
    return run.code == ExitCode::bad_input && at != std::string::npos ? run.err.substr(at)
                                                                      : "accepted";
  };
  CHECK(error_of(R"({"ms": 0, "decode_tokens": 1})") ==
        "log.jsonl:1:8: ms: expected a time above 0\n");
  CHECK(error_of(R"({"decode_tokens": 1})").find("log.jsonl:1") == 0);
  CHECK(error_of(R"({"ms": 1, "decode_token": 1})").find("did you mean 'decode_tokens'?") !=
        std::string::npos);
  CHECK(error_of(R"({"ms": 1})").find("expected a step with at least one token") !=
        std::string::npos);
  CHECK(error_of(R"({"ms": 1, "prefill": [[1]]})").find("expected [tokens, past]") !=
        std::string::npos);
  CHECK(error_of(R"({"ms": 1, "prefill": [[1, 2]], "prefill_tokens": 1})")
            .find("prefill_tokens: expected either this or prefill, got both") !=
        std::string::npos);
  CHECK(error_of(R"({"ms": "1", "decode_tokens": 1})").find("log.jsonl:1:8") == 0);
  CHECK(error_of(R"({"ms": 1, "decode_tokens": 1})").find("expected at least 20 steps, got 1") !=
        std::string::npos);
  CHECK(run_v4cap({"fit"}).err.find("expected either STEPS, --samples or --transfer") !=
        std::string::npos);
}

}  // namespace
}  // namespace v4cap
