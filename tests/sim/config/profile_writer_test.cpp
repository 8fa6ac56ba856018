#include "sim/config/profile_writer.h"

#include <doctest/doctest.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <utility>
#include <vector>

#include "sim/config/profile_file.h"
#include "sim/core/error.h"
#include "sim/cost/step_fit.h"
#include "tests/temp_dir.h"

namespace v4cap {
namespace {

std::string read_all(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

ProfileSeries series(std::vector<std::string> keys, const ProfileFamily& family,
                     std::vector<Sample> samples) {
  std::vector<Interpolation> axes;
  for (const ProfileAxis& axis : family.axes) axes.push_back(axis.interpolation);
  return {std::move(keys), SampleGrid(std::move(axes), std::move(samples))};
}

// Every field is set, and every text needs quotes or has a mark of YAML inside.
Profile made_profile() {
  Profile p;
  p.name = "toy-1.0";
  p.gpu = "H100";
  p.engine = "v4cap";
  p.engine_version = "1.10";
  p.device = "NVIDIA H100: 80GB";
  p.driver = "580.1 # open";
  p.clocks = "1980 MHz, \"locked\"";
  p.date = "2026-08-21";
  p.source = "made up";
  p.licence = "none";
  HostCost host;
  host.eager_layer = Duration{21'513};
  host.eager_step = Duration{130'000};
  host.eager_sizes = {{16, 64, 16}, {128, 1024, 64}};
  host.graph_step = Duration{1};
  host.prompt_token = Duration{200};
  host.overlapped = true;
  host.graph_max_batch = 48;
  host.graph_sizes = {{1, 8, 1}, {16, 64, 8}};
  p.host = host;

  ProfileFamily attention;
  attention.name = "attention";
  attention.engine = "v4cap";
  attention.engine_version = "1.10";
  attention.kernel_source = "own: sm_90a";
  attention.keys = {"model", "tp"};
  attention.axes = {{"batch", "rows", Interpolation::log, false},
                    {"past", "tokens", Interpolation::linear, true}};
  attention.covers = {"linear q_a kv", "attention"};
  attention.marks = {"l2_warm"};
  attention.note = "a note: with \"marks\"";
  attention.held_out = {1.25, 4.5, 9.1, 17};
  attention.refused_rows = {{"clock dropped", 2}, {"shared", 1}};
  attention.rows = 7;
  // Not in order, and with a pair of values that one digit tells apart.
  attention.series.push_back(
      series({"pro", "8"}, attention,
             {{{4, 1}, 80.14}, {{1, 1024}, 81.2}, {{1, 0}, 79.35}, {{4, 1e6}, 12340}}));
  attention.series.push_back(series({"pro", "1"}, attention, {{{1, 1}, 0.001234}}));
  p.families.push_back(attention);

  ProfileFamily copies;
  copies.name = "copies";
  copies.grain = ProfileGrain::kernel;
  copies.engine = copies.engine_version = copies.kernel_source = "any";
  copies.axes = {{"bytes", "bytes", Interpolation::log, false}};
  copies.rows = 2;
  copies.series.push_back(series({}, copies, {{{4096.5}, 5.1}, {{1e12}, 6}}));
  p.families.push_back(copies);
  return p;
}

Profile written_and_read(const Profile& profile, const TempDir& dir) {
  write_profile(profile, dir.path());
  return load_profile("./" + profile.name + ".yaml", dir.path());
}

TEST_CASE("a profile that is written reads back with every field") {
  const TempDir dir;
  const Profile p = made_profile(), back = written_and_read(p, dir);
  CHECK(back.name == p.name);
  CHECK(back.gpu == p.gpu);
  CHECK(back.engine == p.engine);
  CHECK(back.engine_version == p.engine_version);
  CHECK(back.device == p.device);
  CHECK(back.driver == p.driver);
  CHECK(back.clocks == p.clocks);
  CHECK(back.date == p.date);
  CHECK(back.source == p.source);
  CHECK(back.licence == p.licence);
  CHECK(back.host == p.host);
  REQUIRE(back.families.size() == p.families.size());
  for (std::size_t i = 0; i < p.families.size(); ++i) {
    const ProfileFamily &was = p.families[i], &is = back.families[i];
    CAPTURE(was.name);
    CHECK(is.name == was.name);
    CHECK(is.grain == was.grain);
    CHECK(is.engine == was.engine);
    CHECK(is.engine_version == was.engine_version);
    CHECK(is.kernel_source == was.kernel_source);
    CHECK(is.keys == was.keys);
    CHECK(is.covers == was.covers);
    CHECK(is.marks == was.marks);
    CHECK(is.note == was.note);
    CHECK(is.rows == was.rows);
    CHECK(is.refused_rows == was.refused_rows);
    CHECK(is.held_out.median_pct == was.held_out.median_pct);
    CHECK(is.held_out.p90_pct == was.held_out.p90_pct);
    CHECK(is.held_out.worst_pct == was.held_out.worst_pct);
    CHECK(is.held_out.samples == was.held_out.samples);
    CHECK(is.raised.samples == 0);
    REQUIRE(is.axes.size() == was.axes.size());
    for (std::size_t axis = 0; axis < was.axes.size(); ++axis) {
      CHECK(is.axes[axis].name == was.axes[axis].name);
      CHECK(is.axes[axis].unit == was.axes[axis].unit);
      CHECK(is.axes[axis].interpolation == was.axes[axis].interpolation);
      CHECK(is.axes[axis].monotone == was.axes[axis].monotone);
    }
    REQUIRE(is.series.size() == was.series.size());
    for (std::size_t one = 0; one < was.series.size(); ++one) {
      CHECK(is.series[one].keys == was.series[one].keys);
      const auto samples = was.series[one].grid.samples(), read = is.series[one].grid.samples();
      REQUIRE(read.size() == samples.size());
      for (std::size_t at = 0; at < samples.size(); ++at) {
        CHECK(read[at].at == samples[at].at);
        CHECK(read[at].us == samples[at].us);
      }
    }
  }
}

TEST_CASE("what was written, read and written again has the same bytes") {
  const TempDir dir;
  Profile p = made_profile();
  const Profile back = written_and_read(p, dir);
  const ProfileText text = profile_text(p);
  CHECK(read_all(dir / "toy-1.0.yaml") == text.yaml);
  CHECK(read_all(dir / "toy-1.0.csv") == text.csv);
  CHECK(profile_text(back).yaml == text.yaml);
  CHECK(profile_text(back).csv == text.csv);
  // Times are kept to four digits.
  p.families[0].series[0].grid =
      SampleGrid({Interpolation::log, Interpolation::linear}, {{{1, 0}, 79.3512}});
  const TempDir other;
  const auto samples = written_and_read(p, other).families[0].series[0].grid.samples();
  REQUIRE(samples.size() == 1);
  CHECK(samples[0].us == 79.35);
}

TEST_CASE("a profile without a host says nothing of one, and one of whole steps has no table") {
  const TempDir dir;
  Profile p = made_profile();
  p.host.reset();
  CHECK(profile_text(p).yaml.find("host") == std::string::npos);
  CHECK_FALSE(written_and_read(p, dir).host.has_value());

  ProfileFamily step;
  step.name = "step";
  step.grain = ProfileGrain::step;
  double value = 0.1;
  for (const std::string& name : step_coefficient_names()) step.coefficients[name] = value += 1.7;
  step.coefficients["experts"] = 384;
  for (const char* name : kStepSizes) step.largest[name] = value += 1000.3;
  step.deployment = {"deepseek-v4-pro", 4, {}, 8, 0};
  step.engine = step.engine_version = step.kernel_source = "x";
  p.families = {step};
  CHECK(profile_text(p).csv.empty());
  const Profile back = written_and_read(p, dir);
  REQUIRE(back.whole_steps() != nullptr);
  CHECK(back.whole_steps()->coefficients == step.coefficients);
  CHECK(back.whole_steps()->largest == step.largest);
  CHECK(back.whole_steps()->deployment.model == "deepseek-v4-pro");
  CHECK(back.whole_steps()->deployment.numbers() == step.deployment.numbers());

  // Nothing is known of the host that it ran on, but that its times are among those of the steps.
  p.engine = "v4exec";
  CHECK(written_and_read(p, dir).whole_steps() != nullptr);
  const auto refusal = [&](const Profile& profile) -> std::string {
    try {
      written_and_read(profile, dir);
    } catch (const InputError& e) {
      const std::string message = e.what();
      return message.substr(message.find("yaml:"));
    }
    return "accepted";
  };
  p.families.back().coefficients["decode_token"] = -1;
  CHECK(refusal(p).find("families[0].coefficients.decode_token: expected") != std::string::npos);
  p.families.back().coefficients["decode_token"] = 1;
  p.families.back().coefficients["experts_per_token"] = 385;
  CHECK(refusal(p).find("experts_per_token: expected at most experts, 384, got 385") !=
        std::string::npos);
  p.families = {step};
  p.families.back().largest.clear();
  CHECK(refusal(p).find("largest") != std::string::npos);
  p = made_profile();
  p.families.push_back(step);
  CHECK(refusal(p).find("families: expected \"step\" alone, as it is of grain step, got " +
                        std::to_string(p.families.size()) + " families") != std::string::npos);
}

TEST_CASE("a folder that is not there is named when a profile cannot be written") {
  const TempDir dir;
  CHECK_THROWS_WITH_AS(write_profile(made_profile(), dir / "nowhere"),
                       doctest::Contains("nowhere/toy-1.0.yaml"), RunError);
}

}  // namespace
}  // namespace v4cap
