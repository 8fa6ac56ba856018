// A profile of v4exec whose times are formulas that interpolation gives back exactly, so that the
// time of a step can be worked out by hand.
#pragma once

#include <algorithm>
#include <array>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "sim/core/error.h"
#include "sim/cost/layer_cost.h"
#include "sim/cost/profile.h"

namespace v4cap {

inline constexpr double kAxisEnd = 1 << 20;

// Microseconds of a layer: `base` for the weights, then so much a row or token, and for the contexts.
struct LayerTimes {
  std::string layer;
  double base = 0, row = 0, context = 0;

  double decode(double batch, double past) const { return base + batch * (row + past * context); }
  // `tokens` of all sequences.
  double prefill(double sequences, double tokens, double past) const {
    return 2 * base + tokens * row / 4 + sequences * past * context / 2;
  }
};

inline const std::vector<LayerTimes> kLayerTimes = {
    {"csa", 40, 0.5, 1.0 / 1024},   {"csa_hash", 36, 0.25, 1.0 / 1024},
    {"hca", 30, 0.5, 1.0 / 4096},   {"hca_hash", 28, 0.25, 1.0 / 4096},
    {"window", 20, 0.5, 1.0 / 512}, {"window_hash", 18, 0.25, 1.0 / 512}};

inline const LayerTimes& times_of(const std::string& layer) {
  return *std::ranges::find(kLayerTimes, layer, &LayerTimes::layer);
}

inline double ends_decode_us(double rows) {
  return 60 + rows / 8;
}
inline double ends_prefill_us(double tokens, double rows) {
  return 70 + tokens / 64 + rows * 2;
}
inline double copies_us(double bytes) {
  return 3 + bytes / 1'048'576;
}

// Times at all corners of the axes, each from its value in `least` to kAxisEnd.
inline SampleGrid corner_grid(const std::vector<double>& least,
                              const std::function<double(std::array<double, 3>)>& us) {
  std::vector<Sample> samples;
  for (unsigned corner = 0; corner < (1U << least.size()); ++corner) {
    std::array<double, 3> at{};
    Sample sample;
    for (std::size_t i = 0; i < least.size(); ++i) {
      at[i] = sample.at[i] = (corner >> i & 1U) != 0 ? kAxisEnd : least[i];
    }
    sample.us = us(at);
    samples.push_back(sample);
  }
  return {std::vector<Interpolation>(least.size(), Interpolation::linear), std::move(samples)};
}

// Of one deployment; layers without `without`, decode measured from `least_past` on.
inline Profile layer_profile(const std::string& model, const std::string& tp, const std::string& ep,
                             const std::vector<std::string>& without = {}, double least_past = 0) {
  Profile p;
  p.name = "h100-v4exec-test";
  p.gpu = "H100";
  p.engine = std::string(kLayerEngine);
  p.engine_version = p.device = p.driver = p.clocks = p.date = p.source = p.licence = "made up";
  for (const LayerFamily& known : layer_families()) {
    // add_longest(), add_sums(), add_ranks()
    if (known.name == "layer_decode_longest" || known.name == "all_reduce" ||
        known.name.starts_with("ranks_")) {
      continue;
    }
    ProfileFamily family;
    family.name = known.name;
    family.engine = p.engine;
    family.engine_version = family.kernel_source = "made up";
    family.keys = known.keys;
    for (const std::string& axis : known.axes) {
      const bool counts = axis == "batch" || axis == "sequences" || axis == "rows";
      family.axes.push_back({axis,
                             axis == "bytes" ? "bytes"
                             : counts        ? "rows"
                                             : "tokens",
                             Interpolation::linear, false});
    }
    p.families.push_back(std::move(family));
  }
  const auto add = [&](std::size_t family, std::vector<std::string> keys, SampleGrid grid) {
    p.families[family].rows += static_cast<std::int64_t>(grid.size());
    p.families[family].series.push_back({std::move(keys), std::move(grid)});
  };
  for (const LayerTimes& times : kLayerTimes) {
    if (std::ranges::find(without, times.layer) != without.end()) continue;
    const std::vector<std::string> keys{model, tp, ep, times.layer};
    add(0, keys, corner_grid({0, least_past}, [&](auto x) { return times.decode(x[0], x[1]); }));
    add(1, keys, corner_grid({0, 0, 0}, [&](auto x) { return times.prefill(x[0], x[1], x[2]); }));
  }
  add(2, {model, tp}, corner_grid({0}, [](auto x) { return ends_decode_us(x[0]); }));
  add(3, {model, tp}, corner_grid({0, 0}, [](auto x) { return ends_prefill_us(x[0], x[1]); }));
  add(4, {model, tp}, corner_grid({0}, [](auto x) { return copies_us(x[0]); }));
  HostCost host;
  host.graph_step = Duration{7'000};
  host.graph_max_batch = 32;
  host.graph_sizes = {{1, 4, 1}, {8, 32, 8}};
  p.host = host;
  return p;
}

// What one sequence adds to a layer whose others are so much shorter.
inline double longest_adds_us(double beyond) {
  return beyond / 4096;
}

inline void add_longest(Profile& p, double least_beyond) {
  const LayerFamily& known =
      *std::ranges::find(layer_families(), "layer_decode_longest", &LayerFamily::name);
  ProfileFamily family = p.families.front();
  family.name = known.name;
  family.keys = known.keys;
  family.axes.push_back({"beyond", "tokens", Interpolation::linear, false});
  family.series.clear();
  for (const ProfileSeries& layer : p.families.front().series) {
    const LayerTimes& times = times_of(layer.keys.back());
    family.series.push_back({layer.keys, corner_grid({0, 0, least_beyond}, [&](auto x) {
                               return times.decode(x[0], x[1]) + longest_adds_us(x[2]);
                             })});
  }
  p.families.push_back(std::move(family));
}

// An all-reduce of so many bytes of each GPU.
inline double sum_us(double bytes) {
  return 5 + bytes / 65536;
}

inline void add_sums(Profile& p, const std::string& gpus) {
  const LayerFamily& known = *std::ranges::find(layer_families(), "all_reduce", &LayerFamily::name);
  ProfileFamily family = p.families.front();
  family.name = known.name;
  family.keys = known.keys;
  family.axes = {{"bytes", "bytes", Interpolation::linear, false}};
  const SampleGrid times({Interpolation::linear},
                         {Sample{.at = {0, 0, 0}, .us = sum_us(0)},
                          Sample{.at = {kAxisEnd * 1024, 0, 0}, .us = sum_us(kAxisEnd * 1024)}});
  family.series = {{{gpus, "graph"}, times}};
  p.families.push_back(std::move(family));
}

// What ranks that were measured together take for a layer, sums included, `us` alone.
inline double together_us(double us) {
  return 1.25 * us + 3;
}

// Beside the families of one rank that `p` has, `of` among "decode", "prefill", "decode_longest".
inline void add_ranks(Profile& p, const std::string& of) {
  ProfileFamily family = *p.find("layer_" + of);
  family.name = "ranks_" + of;
  for (ProfileSeries& series : family.series) {
    const auto alone = series.grid.samples();
    std::vector<Sample> samples(alone.begin(), alone.end());
    for (Sample& sample : samples) sample.us = together_us(sample.us);
    std::vector<Interpolation> how;
    for (const ProfileAxis& axis : family.axes) how.push_back(axis.interpolation);
    series.grid = SampleGrid(std::move(how), std::move(samples));
  }
  p.families.push_back(std::move(family));
}

}  // namespace v4cap
