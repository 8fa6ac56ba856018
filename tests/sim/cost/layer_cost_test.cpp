// Steps composed from whole layers whose times are formulas (tests/layer_profile.h), so that what a
// step takes is worked out here independently.
#include "sim/cost/layer_cost.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <string>
#include <utility>
#include <vector>

#include "sim/core/random.h"
#include "tests/layer_profile.h"
#include "tests/models.h"

namespace v4cap {
namespace {

// Five layers of V4-Flash's shapes, the first of which choose experts by a table.
constexpr double kLayers = 5;
const std::vector<std::string> kNames = {"window_hash", "hca_hash", "csa", "hca", "csa"};

StepSetting small() {
  StepSetting setting = known_setting("deepseek-v4-flash", 4);
  setting.model.name = setting.model.measured_as = "small";
  setting.model.layers = {LayerKind::window, LayerKind::hca, LayerKind::csa, LayerKind::hca,
                          LayerKind::csa};
  setting.model.moe.hash_layers = 2;
  setting.expert_parallel = 4;
  setting.collectives = false;
  return setting;
}

// Nothing that is not measured takes time.
HardwareSpec boundless() {
  HardwareSpec h;
  h.gpu.memory_bytes_per_s_peak = h.gpu.flop_per_s_peak_bf16 = 1e30;
  h.link_bytes_per_s_peak = 1e30;
  return h;
}

// An H100 whose operators take their time on the roofline, under peaks that no sample gets near.
HardwareSpec far_from_peaks() {
  HardwareSpec h = known_hardware("hgx-h100");
  constexpr double kFar = 1e4;
  for (double* peak : {&h.gpu.memory_bytes_per_s_peak, &h.gpu.flop_per_s_peak_bf16,
                       &h.gpu.flop_per_s_peak_fp8, &h.link_bytes_per_s_peak}) {
    *peak *= kFar;
  }
  h.efficiency.memory /= kFar;
  h.efficiency.compute /= kFar;
  h.efficiency.link /= kFar;
  return h;
}

Profile small_profile() {
  return layer_profile("small", "4", "4");
}

StepPlan plan_of(const std::vector<std::int64_t>& decodes, std::vector<StepPiece> others = {}) {
  StepPlan plan;
  for (const std::int64_t past : decodes) {
    plan.pieces.push_back({.kind = PieceKind::decode,
                           .emits_token = true,
                           .past = Tokens{past},
                           .tokens = Tokens{1}});
  }
  plan.pieces.insert(plan.pieces.end(), others.begin(), others.end());
  return plan;
}

StepPiece chunk(std::int64_t past, std::int64_t tokens, bool last = false,
                PieceKind kind = PieceKind::prefill) {
  return {.kind = kind, .emits_token = last, .past = Tokens{past}, .tokens = Tokens{tokens}};
}

StepPiece rebuild(std::int64_t past, std::int64_t tokens) {
  return chunk(past, tokens, false, PieceKind::rebuild);
}

// Times are whole nanoseconds.
constexpr double kRounding_us = 1.01e-3;

struct Step {
  StepTime time;
  CostLedger ledger;
  double us = 0;

  double part(const std::string& name) const {
    const auto it = ledger.seconds().find(name);
    return it == ledger.seconds().end() ? 0 : 1e6 * it->second;
  }
};

Step step_of(const CostModel& cost, const StepPlan& plan) {
  const StepPlan* const ranks = &plan;
  Step step;
  step.time = cost.step_time(plan);
  cost.explain(std::span(&ranks, 1), step.ledger);
  step.us = 1e6 * to_seconds(step.time.total);
  double parts = 0;
  for (const auto& [name, seconds] : step.ledger.seconds()) parts += 1e6 * seconds;
  const TimeShare& s = step.time.share;
  const double shares = s.measured_s + s.interpolated_s + s.extrapolated_s + s.transferred_s +
                        s.roofline_s + s.host_s;
  CHECK(std::abs(parts - step.us) <= kRounding_us);
  CHECK(std::abs(1e6 * shares - step.us) <= kRounding_us);
  CHECK(step.time.total >= step.time.roofline_floor);
  return step;
}

Step small_step(const StepPlan& plan, const Profile& profile = small_profile(),
                const StepSetting& setting = small()) {
  return step_of(LayerCost(setting, boundless(), profile, *profile.host), plan);
}

void check_us(const Step& step, double us) {
  CHECK(std::abs(step.us - us) <= 2 * kRounding_us);
}

// ---- What a step should take ----

double in_window(const std::string& layer, double past) {
  return layer.starts_with("window") ? std::min(past, 128.0) : past;
}

// All layers of a captured batch, one row for each of `pasts`.
double decode_layers_us(const std::vector<double>& pasts) {
  double us = 0;
  const auto rows = static_cast<double>(pasts.size());
  for (const std::string& layer : kNames) {
    for (const double past : pasts) {
      us += times_of(layer).decode(rows, in_window(layer, past)) / rows;
    }
  }
  return us;
}

double decode_us(const std::vector<double>& pasts) {
  return decode_layers_us(pasts) + ends_decode_us(static_cast<double>(pasts.size())) + 7;
}

struct Run {
  double tokens, past;
};

double prefill_layer_us(const std::string& layer, const std::vector<Run>& runs) {
  double all = 0, us = 0;
  for (const Run& run : runs) all += run.tokens;
  for (const Run& run : runs) {
    us += run.tokens / all *
          times_of(layer).prefill(all / run.tokens, all, in_window(layer, run.past));
  }
  return us;
}

double prefill_us(const std::vector<Run>& runs, double logits) {
  double all = 0, us = 0;
  for (const Run& run : runs) all += run.tokens;
  for (const std::string& layer : kNames) us += prefill_layer_us(layer, runs);
  return us + ends_prefill_us(all, logits);
}

// ---- Decode ----

TEST_CASE("a captured step of equal sequences is its layers, its ends and the host between steps") {
  const Step step = small_step(plan_of({1000, 1000, 1000, 1000}));
  check_us(step, decode_us({1000, 1000, 1000, 1000}));
  CHECK(step.part("decode: layers csa") == doctest::Approx(2 * times_of("csa").decode(4, 1000)));
  CHECK(step.part("decode: layers hca") == doctest::Approx(times_of("hca").decode(4, 1000)));
  CHECK(step.part("decode: layers hca_hash") ==
        doctest::Approx(times_of("hca_hash").decode(4, 1000)));
  CHECK(step.part("decode: layers window_hash") ==
        doctest::Approx(times_of("window_hash").decode(4, 128)));
  CHECK(step.part("decode: ends") == doctest::Approx(ends_decode_us(4)));
  CHECK(step.part("host") == doctest::Approx(7));
  CHECK(step.time.share.host_s == doctest::Approx(7e-6));
  CHECK(step.time.host == Duration{});
  CHECK_FALSE(step.time.clamped);
}

TEST_CASE("sequences of different contexts take the mean of the whole captured batch at each") {
  check_us(small_step(plan_of({50, 1000, 200'000})), decode_us({50, 1000, 200'000}));
}

TEST_CASE("a sequence longer than the others counts as one of them and what it adds") {
  Profile profile = small_profile();
  add_longest(profile, 1024);
  const auto expected = [](const std::vector<double>& others, double longest) {
    double mean = 0;
    for (const double past : others) mean += past / static_cast<double>(others.size());
    std::vector<double> all = others;
    all.push_back(mean);
    return decode_us(all) +
           (kLayers - 1) * longest_adds_us(longest - mean);  // not in the window's layer
  };
  check_us(small_step(plan_of({4000, 100'000, 2000, 3000}), profile),
           expected({4000, 2000, 3000}, 100'000));
  // Below what was measured it shrinks to nothing with the difference.
  check_us(small_step(plan_of({3000, 3512}), profile), expected({3000}, 3512));
  check_us(small_step(plan_of({3000, 3000}), profile), decode_us({3000, 3000}));
  check_us(small_step(plan_of({90'000}), profile), decode_us({90'000}));
}

TEST_CASE("between measured batches what a longer sequence adds grows evenly, and not the layer") {
  // A layer's time bends with the batch, as the number of experts that it touches does. Sequences of
  // equal length were measured at every batch, a longer one at two of them alone.
  const auto bent = [](double batch) { return 100 * std::sqrt(batch); };
  const auto adds = [](double batch) { return 8 + 2 * batch; };
  Profile profile = small_profile();
  add_longest(profile, 1024);
  const auto set = [&](const std::string& family, const std::vector<double>& batches,
                       bool longest) {
    for (ProfileFamily& f : profile.families) {
      if (f.name != family) continue;
      for (ProfileSeries& series : f.series) {
        std::vector<Sample> samples;
        std::vector<Interpolation> how(longest ? 3 : 2, Interpolation::linear);
        how[0] = Interpolation::log;
        for (const double batch : batches) {
          for (const double past : {0.0, kAxisEnd}) {
            samples.push_back({{batch, past}, bent(batch)});
            if (!longest) continue;
            samples.back() = {{batch, past, 1024}, bent(batch) + adds(batch)};
            samples.push_back({{batch, past, kAxisEnd}, bent(batch) + adds(batch)});
          }
        }
        series.grid = SampleGrid(std::move(how), std::move(samples));
      }
    }
  };
  set("layer_decode", {1, 2, 3, 4, 8, 16, 24}, false);
  set("layer_decode_longest", {2, 8}, true);
  const auto added = [&](const std::vector<std::int64_t>& pasts) {
    const std::vector<std::int64_t> equal(pasts.size(), 3000);
    return small_step(plan_of(pasts), profile).us - small_step(plan_of(equal), profile).us;
  };
  CHECK(added({3000, 9000}) == doctest::Approx((kLayers - 1) * adds(2)));
  CHECK(added({3000, 9000, 3000, 3000}) == doctest::Approx((kLayers - 1) * adds(4)));
  CHECK(added({3000, 9000, 3000, 3000, 3000, 3000, 3000, 3000}) ==
        doctest::Approx((kLayers - 1) * adds(8)));
  std::vector<std::int64_t> many(16, 3000);
  many.back() = 9000;
  CHECK(added(many) == doctest::Approx((kLayers - 1) * adds(8)));
}

TEST_CASE("longer sequences count whole also where the context that selects all is a sample") {
  // Of a sequence longer than the others' mean, the time at that context counts negative.
  Profile profile = small_profile();
  add_longest(profile, 1024);
  for (ProfileSeries& series : profile.families[0].series) {
    std::vector<Sample> samples;
    for (const double batch : {1.0, 4.0}) {
      for (const double past : {0.0, 128.0, 2048.0, 262'144.0}) {
        samples.push_back({{batch, past}, times_of(series.keys[3]).decode(batch, past)});
      }
    }
    series.grid = SampleGrid({Interpolation::linear, Interpolation::linear}, samples);
  }
  const double mean = (1000.0 + 1500.0 + 50'000.0) / 3;
  check_us(small_step(plan_of({1000, 1500, 50'000, 100'000}), profile),
           decode_us({1000, 1500, 50'000, mean}) + (kLayers - 1) * longest_adds_us(100'000 - mean));
}

TEST_CASE("rows that pad a captured batch stand at the least past that was measured") {
  const Profile profile = layer_profile("small", "4", "4", {}, 64);
  const std::vector<double> padded{1000, 2000, 3000, 4000, 5000, 64, 64, 64};
  check_us(small_step(plan_of({1000, 2000, 3000, 4000, 5000}), profile), decode_us(padded));
  // Between the captured 4 and 8 nothing is captured; 4 needs no padding.
  check_us(small_step(plan_of({1000, 2000, 3000, 4000}), profile),
           decode_us({1000, 2000, 3000, 4000}));
}

TEST_CASE("a batch above the largest captured size is launched eagerly, without padding") {
  Profile profile = small_profile();
  const std::vector<std::int64_t> pasts(33, 1000);
  const std::vector<double> rows(33, 1000);
  check_us(small_step(plan_of(pasts), profile), decode_us(rows) - 7);
  profile.host->eager_layer = Duration{200'000};
  profile.host->eager_step = Duration{50'000};
  const Step bound = small_step(plan_of(pasts), profile);
  check_us(bound, kLayers * 200 + 50);
  CHECK(bound.time.host == bound.time.total);
  CHECK(1e6 * to_seconds(bound.time.gpu) == doctest::Approx(decode_us(rows) - 7));
  // The captured one does not wait for that host.
  check_us(small_step(plan_of({1000}), profile), decode_us({1000}));
}

TEST_CASE("times at samples are measured, between them interpolated, beyond them extrapolated") {
  Profile p = small_profile();
  for (ProfileSeries& series : p.families[0].series) {
    const LayerTimes& times = times_of(series.keys[3]);
    std::vector<Sample> samples;
    for (const double batch : {1.0, 2.0}) {
      for (const double past : {0.0, 128.0, 1024.0}) {
        samples.push_back({{batch, past}, times.decode(batch, past)});
      }
    }
    series.grid = SampleGrid({Interpolation::linear, Interpolation::linear}, samples);
  }
  p.families[2].series[0].grid =
      SampleGrid({Interpolation::linear}, {{{1}, ends_decode_us(1)}, {{2}, ends_decode_us(2)}});
  const Step on = small_step(plan_of({1024, 128}), p);
  check_us(on, decode_us({1024, 128}));
  CHECK(1e6 * on.time.share.measured_s == doctest::Approx(decode_us({1024, 128}) - 7));
  const Step between = small_step(plan_of({1000}), p);
  check_us(between, decode_us({1000}));
  // All but the window's layer, which is full from 128 on, and the ends.
  const double full = times_of("window_hash").decode(1, 128) + ends_decode_us(1);
  CHECK(1e6 * between.time.share.measured_s == doctest::Approx(full));
  CHECK(1e6 * between.time.share.interpolated_s == doctest::Approx(decode_us({1000}) - 7 - full));
  const Step beyond = small_step(plan_of({2000}), p);
  check_us(beyond, decode_us({2000}));
  CHECK(1e6 * beyond.time.share.extrapolated_s == doctest::Approx(decode_us({2000}) - 7 - full));
}

// ---- Prefill ----

TEST_CASE("equal pieces of prompts are the batch that was measured") {
  const Step step = small_step(plan_of({}, {chunk(4096, 512), chunk(4096, 512, true)}));
  double us = ends_prefill_us(1024, 1);
  for (const std::string& layer : kNames) {
    us += times_of(layer).prefill(2, 1024, in_window(layer, 4096));
  }
  check_us(step, us);
  CHECK(step.part("prefill: layers csa") ==
        doctest::Approx(2 * times_of("csa").prefill(2, 1024, 4096)));
  CHECK(step.part("prefill: ends") == doctest::Approx(ends_prefill_us(1024, 1)));
  CHECK(step.part("host") == 0);
}

TEST_CASE("unequal pieces are weighted by their tokens, each as if all tokens were like it") {
  check_us(small_step(plan_of({}, {chunk(0, 256, true), chunk(10'000, 768), chunk(64, 1, true)})),
           prefill_us({{256, 0}, {768, 10'000}, {1, 64}}, 2));
}

TEST_CASE("a prefill batch is filled up to the next of its sizes by tokens at the beginning") {
  Profile profile = small_profile();
  profile.host->eager_sizes = {{64, 256, 64}, {512, 2048, 512}};
  const auto check = [&](std::vector<StepPiece> pieces, const std::vector<Run>& runs) {
    check_us(small_step(plan_of({}, std::move(pieces)), profile), prefill_us(runs, 1));
  };
  check({chunk(4096, 64, true)}, {{64, 4096}});
  check({chunk(4096, 65, true)}, {{65, 4096}, {63, 0}});
  check({chunk(4096, 200), chunk(0, 200, true)}, {{200, 4096}, {200, 0}, {112, 0}});
  check({chunk(0, 3000, true)}, {{3000, 0}});  // behind the last size
  // Decodes beside it are in a graph of their own.
  check_us(small_step(plan_of({1000}, {chunk(0, 100, true)}), profile),
           decode_us({1000}) + prefill_us({{100, 0}, {28, 0}}, 1));
}

TEST_CASE("a mixed step is its captured batch and then its eager one") {
  check_us(small_step(plan_of({1000, 2000, 3000}, {chunk(0, 97, true)})),
           decode_us({1000, 2000, 3000}) + prefill_us({{97, 0}}, 1));
}

TEST_CASE("an eager batch lasts as long as the host launches it, whatever runs before it") {
  Profile profile = small_profile();
  profile.host->eager_layer = Duration{100'000};
  profile.host->eager_step = Duration{30'000};
  const double host = kLayers * 100 + 30;
  REQUIRE(prefill_us({{16, 0}}, 1) < host);
  REQUIRE(prefill_us({{4096, 0}}, 1) > host);
  const Step bound = small_step(plan_of({1000}, {chunk(0, 16, true)}), profile);
  check_us(bound, decode_us({1000}) + host);
  CHECK(bound.part("host") == doctest::Approx(7 + host - prefill_us({{16, 0}}, 1)));
  CHECK(1e6 * to_seconds(bound.time.host) == doctest::Approx(host));
  CHECK(1e6 * to_seconds(bound.time.gpu) ==
        doctest::Approx(decode_us({1000}) + prefill_us({{16, 0}}, 1)));
  check_us(small_step(plan_of({}, {chunk(0, 4096, true)}), profile), prefill_us({{4096, 0}}, 1));
}

// ---- Rebuilds and copies ----

TEST_CASE("a rectangle runs its tokens through every layer and asks for no logits") {
  const auto of = [](std::uint32_t request, StepPiece piece) {
    piece.request = request;
    return piece;
  };
  // One sequence when the prompt goes on behind it, two pieces of different requests otherwise.
  check_us(small_step(plan_of({}, {rebuild(5000, 640), chunk(5640, 100, true)})),
           prefill_us({{740, 5000}}, 1));
  check_us(small_step(plan_of({}, {of(1, rebuild(5000, 640)), of(2, chunk(5640, 100, true))})),
           prefill_us({{640, 5000}, {100, 5640}}, 1));
}

TEST_CASE("a pyramid runs fewer tokens in every next layer, at the end of what was cached") {
  StepSetting setting = small();
  setting.pyramid_rebuild = true;
  // Five layers: 640 tokens in the first, 128 in the last, 384 in the mean.
  const std::int64_t end = 6000, tokens = 128 * (5 + 1) / 2;
  double us = ends_prefill_us(640 + 100, 1);
  for (std::size_t l = 0; l < kNames.size(); ++l) {
    const double runs = 128 * (kLayers - static_cast<double>(l));
    us += prefill_layer_us(kNames[l], {{runs, end - runs}, {100, end}});
  }
  const StepPlan plan = plan_of({}, {rebuild(end - tokens, tokens), chunk(end, 100, true)});
  check_us(small_step(plan, small_profile(), setting), us);
  // Half of it, cut by a step's budget: half of the tokens in each layer.
  double half = ends_prefill_us(320, 0);
  for (std::size_t l = 0; l < kNames.size(); ++l) {
    const double runs = 64 * (kLayers - static_cast<double>(l));
    half += prefill_layer_us(kNames[l], {{runs, end - runs}});
  }
  check_us(
      small_step(plan_of({}, {rebuild(end - tokens / 2, tokens / 2)}), small_profile(), setting),
      half);
  // A prompt is no pyramid.
  check_us(small_step(plan_of({}, {chunk(0, 384, true)}), small_profile(), setting),
           prefill_us({{384, 0}}, 1));
}

TEST_CASE("the host launches each pyramid by itself and all other pieces together") {
  Profile profile = small_profile();
  profile.host->eager_layer = Duration{4'000'000};  // more than any of these takes on the GPU
  profile.host->eager_step = Duration{30'000};
  const double launch = kLayers * 4000 + 30;
  const auto check = [&](bool pyramid, const std::vector<StepPiece>& pieces, double launches) {
    StepSetting setting = small();
    setting.pyramid_rebuild = pyramid;
    const Step step = small_step(plan_of({}, pieces), profile, setting);
    REQUIRE(1e6 * to_seconds(step.time.gpu) < launch);
    check_us(step, launches * launch);
    CHECK(1e6 * to_seconds(step.time.host) == doctest::Approx(launches * launch));
  };
  const StepPiece one = rebuild(6000 - 384, 384), prompt = chunk(6000, 100, true);
  check(true, {one}, 1);
  check(true, {one, prompt}, 2);
  check(true, {one, one, one}, 3);
  check(true, {one, prompt, one, prompt}, 3);
  check(true, {prompt, prompt}, 1);
  check(false, {one, one, prompt}, 1);  // rectangles are pieces of the batch
  // The GPU may be busy for as long as all of them are launched.
  profile.host->eager_layer = Duration{100};
  StepSetting setting = small();
  setting.pyramid_rebuild = true;
  const Step step = small_step(plan_of({}, {one, one}), profile, setting);
  CHECK(step.time.total == step.time.gpu);
}

TEST_CASE("kept points are copied out and in, each by its bytes") {
  StepPlan plan = plan_of({1000});
  plan.copies.points_written = Bytes{1 << 20};
  check_us(small_step(plan), decode_us({1000}) + copies_us(1 << 20));
  plan.copies.points_read = Bytes{1 << 18};
  const Step both = small_step(plan);
  check_us(both, decode_us({1000}) + copies_us(1 << 20) + copies_us(1 << 18));
  CHECK(both.part("copy kept points") == doctest::Approx(4 + 3.25));
}

// ---- What is not in the profile ----

TEST_CASE("layers that choose experts by a table take the time of those that do not") {
  const Profile p = layer_profile("small", "4", "4", {"window_hash", "hca_hash", "csa_hash"});
  const LayerCost cost(small(), boundless(), p, *p.host);
  CHECK(cost.missing().empty());
  double us = ends_decode_us(1) + 7;
  for (const std::string layer : {"window", "hca", "csa", "hca", "csa"}) {
    us += times_of(layer).decode(1, in_window(layer, 1000));
  }
  const Step step = step_of(cost, plan_of({1000}));
  check_us(step, us);
  CHECK(step.part("decode: layers hca") == doctest::Approx(2 * times_of("hca").decode(1, 1000)));
  // One of the two phases is enough for a series of its own.
  Profile half = small_profile();
  std::erase_if(half.families[1].series,
                [](const ProfileSeries& s) { return s.keys[3].ends_with("_hash"); });
  const LayerCost mixed(small(), boundless(), half, *half.host);
  CHECK(mixed.missing().empty());
  check_us(step_of(mixed, plan_of({1000})), decode_us({1000}));
  const Step prefill = step_of(mixed, plan_of({}, {chunk(0, 64, true)}));
  CHECK(prefill.part("prefill: layers hca_hash") ==
        doctest::Approx(times_of("hca").prefill(1, 64, 0)));
}

// Of the operators of a plan that `counts` says.
template <class Counts>
double roofline_us(const StepPlan& plan, const StepSetting& setting, Counts counts) {
  const RooflineCost roofline(setting, far_from_peaks());
  double us = 0;
  for (const Operator& op : roofline.own_list(plan)) {
    if (counts(op)) us += 1e6 * op.launches() * roofline.launch_seconds(op);
  }
  return us;
}

bool is_end(const Operator& op) {
  return op.part == OperatorPart::embedding || op.part == OperatorPart::head ||
         op.name == "mhc_pre head";
}

using Missing = std::vector<std::string>;

TEST_CASE("a layer that is not in the profile leaves all layers of the phase to the roofline") {
  const Profile p = layer_profile("small", "4", "4", {"csa", "csa_hash"});
  const LayerCost cost(small(), far_from_peaks(), p, *p.host);
  CHECK(cost.missing() == Missing{"decode layer csa", "prefill layer csa"});
  const StepPlan plan = plan_of({1000, 3000}, {chunk(0, 512, true)});
  const StepPlan decode = plan_of({1000, 3000}), prefill = plan_of({}, {chunk(0, 512, true)});
  const auto in_layer = [](const Operator& op) { return !is_end(op); };
  const double roofline =
      roofline_us(decode, small(), in_layer) + roofline_us(prefill, small(), in_layer);
  const Step step = step_of(cost, plan);
  check_us(step, roofline + ends_decode_us(2) + 7 + ends_prefill_us(512, 1));
  CHECK(1e6 * step.time.share.roofline_s == doctest::Approx(roofline));
  CHECK(step.part("decode: ends") == doctest::Approx(ends_decode_us(2)));
  CHECK(step.part("attention_csa") > 0);
  CHECK(step.part("embedding") == 0);
}

TEST_CASE("ends and copies that are not in the profile are taken from the roofline") {
  Profile p = small_profile();
  std::erase_if(p.families, [](const ProfileFamily& f) { return !f.name.starts_with("layer_"); });
  const LayerCost cost(small(), far_from_peaks(), p, *p.host);
  CHECK(cost.missing() == Missing{"decode ends", "prefill ends", "copies"});
  StepPlan plan = plan_of({1000});
  plan.copies.points_written = Bytes{100'000'000};
  const double ends = roofline_us(plan, small(), is_end);
  const double copies = roofline_us(
      plan, small(), [](const Operator& op) { return op.part == OperatorPart::copies; });
  CHECK(copies > 1);
  const Step step = step_of(cost, plan);
  check_us(step, decode_layers_us({1000}) + 7 + ends + copies);
  CHECK(step.part("copy kept points") == doctest::Approx(copies));
  CHECK(1e6 * step.time.share.roofline_s == doctest::Approx(ends + copies));
}

TEST_CASE("a profile of another deployment has nothing for this one") {
  const Profile p = layer_profile("small", "8", "8");
  const LayerCost cost(small(), far_from_peaks(), p, *p.host);
  CHECK(cost.missing() == Missing{"decode layer window", "prefill layer window", "decode layer hca",
                                  "prefill layer hca", "decode layer csa", "prefill layer csa",
                                  "decode ends", "prefill ends", "copies"});
  const StepPlan plan = plan_of({1000, 1000});
  const auto all = [](const Operator&) { return true; };
  check_us(step_of(cost, plan), roofline_us(plan, small(), all) + 7);
}

TEST_CASE("collectives that are not skipped, and drafts, come from the roofline") {
  const Profile p = small_profile();
  StepSetting setting = small();
  setting.collectives = true;
  const LayerCost sums(setting, far_from_peaks(), p, *p.host);
  CHECK(sums.missing() == Missing{"all-reduce"});
  const StepPlan plan = plan_of({1000, 1000}, {chunk(0, 512)});
  const auto moved = [](const Operator& op) { return op.part == OperatorPart::collectives; };
  const double all_reduce = roofline_us(plan_of({1000, 1000}), setting, moved) +
                            roofline_us(plan_of({}, {chunk(0, 512)}), setting, moved);
  CHECK(all_reduce > 10);
  check_us(step_of(sums, plan), decode_us({1000, 1000}) + prefill_us({{512, 0}}, 0) + all_reduce);

  setting = small();
  setting.draft_steps = 1;
  const LayerCost drafts(setting, far_from_peaks(), p, *p.host);
  CHECK(drafts.missing() == Missing{"drafts"});
  StepPlan verify = plan_of({1000, 1000});
  for (StepPiece& piece : verify.pieces) piece.tokens = Tokens{2};
  const double drafted =
      roofline_us(verify, setting, [](const Operator& op) { return op.name.starts_with("mtp "); });
  CHECK(drafted > 10);
  // Two rows of each sequence.
  check_us(step_of(drafts, verify), decode_us({1000, 1000, 1000, 1000}) + drafted);
}

TEST_CASE("collectives that are measured take what they took, of batches as they are filled up") {
  Profile p = small_profile();
  add_sums(p, "4");
  StepSetting setting = small();
  setting.collectives = true;
  const LayerCost cost(setting, boundless(), p, *p.host);
  CHECK(cost.missing() == Missing{});
  const double row_bytes = 2.0 * static_cast<double>(setting.model.hidden);
  const auto sums = [&](double rows) { return 2 * kLayers * sum_us(rows * row_bytes); };
  check_us(step_of(cost, plan_of({1000, 1000})), decode_us({1000, 1000}) + sums(2));
  // Five rows are captured as eight.
  const Step five = step_of(cost, plan_of({1000, 1000, 1000, 1000, 1000}));
  CHECK(five.part("decode: all-reduce") == doctest::Approx(sums(8)));
  check_us(step_of(cost, plan_of({1000, 1000}, {chunk(0, 512)})),
           decode_us({1000, 1000}) + sums(2) + prefill_us({{512, 0}}, 0) + sums(512));
  // Of another width the profile has none.
  Profile other = small_profile();
  add_sums(other, "8");
  CHECK(LayerCost(setting, boundless(), other, *p.host).missing() == Missing{"all-reduce"});

  // A pyramid's sums shrink with its tokens.
  setting.pyramid_rebuild = true;
  const LayerCost pyramid(setting, boundless(), p, *p.host);
  const Step rebuilt = step_of(pyramid, plan_of({}, {rebuild(0, 128 * 5)}));
  double pyramid_us = 0;
  for (int l = 0; l < 5; ++l) {
    pyramid_us += 2 * sum_us(row_bytes * 128 * 5 * 2 * (5 - l) / 6.0);
  }
  CHECK(rebuilt.part("prefill: all-reduce") == doctest::Approx(pyramid_us));
}

TEST_CASE("ranks that were measured together take the place of layers and sums") {
  Profile p = small_profile();
  add_longest(p, 4096);
  add_sums(p, "4");
  StepSetting setting = small();
  setting.collectives = true;
  const double row_bytes = 2.0 * static_cast<double>(setting.model.hidden);
  const auto sums = [&](double rows) { return 2 * kLayers * sum_us(rows * row_bytes); };
  const auto cost_of = [&](const StepPlan& plan) {
    return step_of(LayerCost(setting, boundless(), p, *p.host), plan);
  };
  const StepPlan both = plan_of({1000, 1000}, {chunk(0, 512)});
  const Step apart = cost_of(both);
  check_us(apart, decode_us({1000, 1000}) + sums(2) + prefill_us({{512, 0}}, 0) + sums(512));

  // All layers, none of the rest: (together - alone) of each.
  const auto adds = [&](double layers_us) { return 0.25 * layers_us + 3 * kLayers; };
  add_ranks(p, "decode");
  const Step decode = cost_of(both);
  CHECK(decode.part("decode: all-reduce") == 0);
  CHECK(decode.part("prefill: all-reduce") == doctest::Approx(sums(512)));
  check_us(decode, apart.us - sums(2) + adds(decode_layers_us({1000, 1000})));

  add_ranks(p, "prefill");
  const Step together = cost_of(both);
  CHECK(together.part("prefill: all-reduce") == 0);
  CHECK(together.us > decode.us - sums(512));
  // Sums that nobody measured alone are not missed.
  std::erase_if(p.families, [](const ProfileFamily& f) { return f.name == "all_reduce"; });
  CHECK(LayerCost(setting, boundless(), p, *p.host).missing() == Missing{});
  CHECK(cost_of(both).us == together.us);

  // One longer than the others: measured together as well, or not at all.
  const StepPlan uneven = plan_of({1000, 9192});
  const double without = cost_of(uneven).us;
  add_ranks(p, "decode_longest");
  CHECK(cost_of(uneven).us != without);

  // One rank that stands for all has none of it.
  setting.collectives = false;
  check_us(cost_of(both), decode_us({1000, 1000}) + prefill_us({{512, 0}}, 0));
}

TEST_CASE("ranks that were measured together in part leave layers and sums as they are") {
  Profile p = small_profile();
  add_sums(p, "4");
  StepSetting setting = small();
  setting.collectives = true;
  const StepPlan plan = plan_of({1000, 1000}, {chunk(0, 512)});
  const double apart = step_of(LayerCost(setting, boundless(), p, *p.host), plan).us;
  add_ranks(p, "decode");
  add_ranks(p, "prefill");
  CHECK(step_of(LayerCost(setting, boundless(), p, *p.host), plan).us != apart);
  for (ProfileFamily& family : p.families) {
    if (!family.name.starts_with("ranks_")) continue;
    std::erase_if(family.series, [](const ProfileSeries& s) { return s.keys.back() == "csa"; });
  }
  CHECK(step_of(LayerCost(setting, boundless(), p, *p.host), plan).us == apart);
}

// ---- The roofline below ----

TEST_CASE("no step is faster than its roofline, and a raised one is counted") {
  const HardwareSpec& h100 = known_hardware("hgx-h100");
  const Profile p = small_profile();
  const LayerCost cost(small(), h100, p, *p.host);
  RandomEngine random;
  const auto below = [&](std::int64_t n) {
    return static_cast<std::int64_t>(random() % static_cast<std::uint64_t>(n));
  };
  int raised = 0;
  for (int i = 0; i < 300; ++i) {
    std::vector<std::int64_t> decodes(static_cast<std::size_t>(below(40)));
    for (std::int64_t& past : decodes) past = below(1 << 20);
    std::vector<StepPiece> pieces;
    for (std::int64_t more = below(4); more > 0 || decodes.size() + pieces.size() == 0; --more) {
      pieces.push_back(chunk(below(100'000), 1 + below(200'000), below(2) == 0,
                             below(3) == 0 ? PieceKind::rebuild : PieceKind::prefill));
    }
    const Step step = step_of(cost, plan_of(decodes, pieces));
    raised += step.time.clamped ? 1 : 0;
    CHECK((step.part("raised to the roofline") > 0) == step.time.clamped);
  }
  CHECK(raised > 0);
  CHECK(raised < 300);
}

}  // namespace
}  // namespace v4cap
