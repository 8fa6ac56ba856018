// Steps composed from a profile that is made here, so that their times can be worked out by hand,
// and properties of steps composed from the shipped ones.
#include "sim/cost/profile_cost.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "sim/config/data_files.h"
#include "sim/config/profile_file.h"
#include "sim/core/random.h"
#include "sim/cost/layer_cost.h"
#include "tests/models.h"

namespace v4cap {
namespace {

using SeriesKeys = std::vector<std::pair<std::string, std::string>>;
using Times = std::function<double(std::array<double, 3>)>;

// ---- A profile of times that linear interpolation gives back exactly ----

constexpr double kMiB = 1 << 20;
constexpr double kMost = 1 << 20;  // where axes end; they begin at 0

double csa(double batch, double past) {
  return 10 + batch + past / 1000;
}
double hca(double batch, double past) {
  return 4 + batch / 2 + past / 10'000;
}
double csa_prefill(double batch, double tokens, double past) {
  return 20 + batch * tokens / 100 + batch * past / 1000;
}
double hca_prefill(double batch, double tokens, double past) {
  return 8 + batch * tokens / 200 + batch * past / 10'000;
}
// Once before and once after each of a layer's two parts.
double mhc(double tokens) {
  return 2 * (1 + tokens / 1000) + 2 * (2 + tokens / 1000);
}
double experts(double tokens) {
  return 50 + tokens / 10;
}
double shared_expert(double tokens) {
  return (3 + tokens / 100) + (2 + tokens / 200);
}
double reduced_eager(double tokens) {
  return 30 + tokens * 8192 / kMiB;
}
double reduced_in_graph(double tokens) {
  return 3 + tokens * 8192 / kMiB;
}

void add_series(Profile& profile, const std::string& family, const SeriesKeys& keys,
                std::size_t axes, const Times& us) {
  auto found = std::ranges::find(profile.families, family, &ProfileFamily::name);
  if (found == profile.families.end()) {
    ProfileFamily made;
    made.name = family;
    for (const auto& [key, value] : keys) made.keys.push_back(key);
    profile.families.push_back(std::move(made));
    found = profile.families.end() - 1;
  }
  std::vector<Sample> samples;
  for (unsigned corner = 0; corner < (1U << axes); ++corner) {
    Sample sample;
    std::array<double, 3> at{};
    for (std::size_t i = 0; i < axes; ++i) {
      at[i] = (corner >> i & 1U) != 0 ? kMost : 0;
      sample.at[i] = at[i];
    }
    sample.us = us(at);
    samples.push_back(sample);
  }
  ProfileSeries series;
  for (const auto& [key, value] : keys) series.keys.push_back(value);
  series.grid = SampleGrid(std::vector<Interpolation>(axes, Interpolation::linear), samples);
  found->series.push_back(std::move(series));
}

// A line over one axis.
Times line(double at_0, double slope) {
  return [at_0, slope](std::array<double, 3> x) { return at_0 + slope * x[0]; };
}

Profile made_profile(const std::string& expert_dtype = "w4a8_mxfp4_mxfp8") {
  Profile p;
  for (const std::string tp : {"1", "2"}) {
    const SeriesKeys keys{{"model", "tiny"}, {"tp", tp}};
    add_series(p, "attention_csa_decode", keys, 2, [](auto x) { return csa(x[0], x[1]); });
    add_series(p, "attention_hca_decode", keys, 2, [](auto x) { return hca(x[0], x[1]); });
    add_series(p, "attention_csa_prefill", keys, 3,
               [](auto x) { return csa_prefill(x[0], x[1], x[2]); });
    add_series(p, "attention_hca_prefill", keys, 3,
               [](auto x) { return hca_prefill(x[0], x[1], x[2]); });
  }
  add_series(p, "mhc_pre", {{"hidden", "4096"}}, 1, line(1, 0.001));
  add_series(p, "mhc_post", {{"hidden", "4096"}}, 1, line(2, 0.001));
  for (const auto& [tp, ep] : {std::pair("1", "1"), std::pair("2", "1"), std::pair("1", "2")}) {
    add_series(p, "experts",
               {{"model", "tiny"},
                {"dtype", expert_dtype},
                {"moe_tp", tp},
                {"moe_ep", ep},
                {"distribution", "power_law_1.01"}},
               1, line(50, 0.1));
  }
  add_series(p, "gemm", {{"dtype", "fp8_block"}, {"n", "4096"}, {"k", "4096"}}, 1, line(3, 0.01));
  add_series(p, "gemm", {{"dtype", "fp8_block"}, {"n", "4096"}, {"k", "2048"}}, 1, line(2, 0.005));
  add_series(p, "all_reduce", {{"gpus", "2"}, {"mode", "eager"}}, 1, line(30, 1 / kMiB));
  add_series(p, "all_reduce", {{"gpus", "2"}, {"mode", "graph"}}, 1, line(3, 1 / kMiB));
  add_series(p, "all_gather", {{"gpus", "2"}}, 1, line(7, 1 / kMiB));
  add_series(p, "reduce_scatter", {{"gpus", "2"}}, 1, line(9, 2 / kMiB));
  SeriesKeys moved{{"hidden", "4096"}, {"topk", "6"}, {"experts", "256"}};
  add_series(p, "expert_dispatch_low_latency", moved, 1, line(11, 0.1));
  add_series(p, "expert_combine_low_latency", moved, 1, line(13, 0.1));
  moved.emplace_back("sms", "24");
  add_series(p, "expert_dispatch_normal", moved, 1, line(41, 0.1));
  add_series(p, "expert_combine_normal", moved, 1, line(43, 0.1));
  return p;
}

Profile without(Profile profile, const std::vector<std::string>& families) {
  std::erase_if(profile.families, [&](const ProfileFamily& family) {
    return std::ranges::find(families, family.name) != families.end();
  });
  return profile;
}

// One window, two CSA and one HCA layer of V4-Flash's shapes.
constexpr double kLayers = 4;

StepSetting tiny(std::int64_t tensor_parallel = 1, std::int64_t data_parallel = 1,
                 std::int64_t expert_parallel = 1, std::int64_t draft_steps = 0) {
  StepSetting setting = known_setting("deepseek-v4-flash", tensor_parallel);
  setting.model.name = setting.model.measured_as = "tiny";
  setting.model.layers = {LayerKind::window, LayerKind::csa, LayerKind::hca, LayerKind::csa};
  setting.data_parallel = data_parallel;
  setting.expert_parallel = expert_parallel;
  setting.draft_steps = draft_steps;
  return setting;
}

// Nothing that is not measured takes time.
HardwareSpec boundless() {
  HardwareSpec h;
  h.gpu.memory_bytes_per_s_peak = h.gpu.flop_per_s_peak_bf16 = 1e30;
  h.link_bytes_per_s_peak = 1e30;
  return h;
}

const ProfileChoice kChoice{"w4a8_mxfp4_mxfp8", "power_law_1.01"};
const HostCost kGraphs{.graph_max_batch = 1000, .graph_sizes = {}};
const HostCost kEager{};

std::vector<StepPiece> decodes(const std::vector<std::int64_t>& pasts, std::int64_t tokens = 1) {
  std::vector<StepPiece> out;
  for (const std::int64_t past : pasts) {
    out.push_back({.kind = PieceKind::decode,
                   .emits_token = true,
                   .past = Tokens{past},
                   .tokens = Tokens{tokens}});
  }
  return out;
}

std::vector<StepPiece> operator+(std::vector<StepPiece> a, const std::vector<StepPiece>& b) {
  a.insert(a.end(), b.begin(), b.end());
  return a;
}

StepPiece chunk(std::int64_t past, std::int64_t tokens) {
  return {.kind = PieceKind::prefill, .past = Tokens{past}, .tokens = Tokens{tokens}};
}

using Ranks = std::vector<std::vector<StepPiece>>;

struct Plans {
  explicit Plans(const Ranks& ranks) {
    for (const auto& pieces : ranks) plans.push_back({.pieces = pieces, .copies = {}});
    for (const StepPlan& plan : plans) pointers.push_back(&plan);
  }
  std::vector<StepPlan> plans;
  std::vector<const StepPlan*> pointers;
};

double share_sum(const TimeShare& s) {
  return s.measured_s + s.interpolated_s + s.extrapolated_s + s.transferred_s + s.roofline_s +
         s.host_s;
}

double ledger_sum(const CostLedger& ledger) {
  double sum = 0;
  for (const auto& [part, seconds] : ledger.seconds()) sum += seconds;
  return sum;
}

double part_us(const CostLedger& ledger, const std::string& part) {
  const auto it = ledger.seconds().find(part);
  return it == ledger.seconds().end() ? 0 : 1e6 * it->second;
}

// Times are whole nanoseconds.
constexpr double kRounding_s = 1.01e-9;

struct Step {
  StepTime time;
  CostLedger ledger;
  double us = 0;
};

Step step_of(const ProfileCost& cost, const Ranks& ranks) {
  const Plans plans(ranks);
  Step step;
  step.time = cost.step_time(plans.pointers);
  cost.explain(plans.pointers, step.ledger);
  step.us = 1e6 * to_seconds(step.time.total);
  CHECK(std::abs(share_sum(step.time.share) - to_seconds(step.time.total)) <= kRounding_s);
  CHECK(std::abs(ledger_sum(step.ledger) - to_seconds(step.time.total)) <= kRounding_s);
  return step;
}

Step tiny_step(const StepSetting& setting, const HostCost& host, const Ranks& ranks,
               const Profile& profile = made_profile()) {
  return step_of(ProfileCost(setting, boundless(), profile, kChoice, host), ranks);
}

void check_us(const Step& step, double us) {
  CHECK(std::abs(step.us - us) <= 1e6 * kRounding_s);
}

// Of all layers in decode, each rank's own: attention and hyper-connections.
double decode_us(double rows, double past) {
  return 2 * csa(rows, past) + hca(rows, past) + hca(rows, std::min(past, 127.0)) +
         kLayers * mhc(rows);
}

double prefill_attention_us(double batch, double tokens, double past) {
  return 2 * csa_prefill(batch, tokens, past) + hca_prefill(batch, tokens, past) +
         hca_prefill(batch, tokens, std::min(past, 128.0));
}

// ---- One rank ----

TEST_CASE("a decode step of equal sequences is its modules, layer by layer") {
  const Step step = tiny_step(tiny(), kGraphs, {decodes({1000, 1000, 1000, 1000})});
  check_us(step, decode_us(4, 1000) + kLayers * experts(4));
  CHECK(part_us(step.ledger, "attention CSA") == doctest::Approx(2 * csa(4, 1000)));
  CHECK(part_us(step.ledger, "attention window") == doctest::Approx(hca(4, 127)));
  CHECK(part_us(step.ledger, "experts") == doctest::Approx(kLayers * experts(4)));
  CHECK(step.time.share.interpolated_s == doctest::Approx(to_seconds(step.time.total)));
  CHECK(step.time.gpu == step.time.total);
  CHECK_FALSE(step.time.clamped);
}

TEST_CASE("sequences of different contexts take the mean of the whole batch at each context") {
  const Step step = tiny_step(tiny(), kGraphs, {decodes({50, 1000, 200'000})});
  check_us(step, (decode_us(3, 50) + decode_us(3, 1000) + decode_us(3, 200'000)) / 3 +
                     kLayers * experts(3));
}

TEST_CASE("sequences that verify drafts count a row for each token") {
  const Step step = tiny_step(tiny(), kGraphs, {decodes({1000, 1000}, 4)});
  check_us(step, decode_us(8, 1000) + kLayers * experts(8));
}

TEST_CASE("pieces of a prompt are weighted by their tokens, each as if all tokens were like it") {
  const Step equal = tiny_step(tiny(), kGraphs, {{chunk(4096, 512), chunk(4096, 512)}});
  const double others = kLayers * (mhc(1024) + experts(1024) + shared_expert(1024));
  check_us(equal, prefill_attention_us(2, 512, 4096) + others);
  // 1024 tokens: 256 in a piece of which four fit, 768 in one of which 4/3 fit.
  const Step mixed = tiny_step(tiny(), kGraphs, {{chunk(0, 256), chunk(10'000, 768)}});
  check_us(mixed, 0.25 * prefill_attention_us(4, 256, 0) +
                      0.75 * prefill_attention_us(4.0 / 3, 768, 10'000) + others);
  // A rebuild is timed as the prompt it repeats.
  StepPiece again = chunk(10'000, 768);
  again.kind = PieceKind::rebuild;
  CHECK(tiny_step(tiny(), kGraphs, {{chunk(0, 256), again}}).time.total == mixed.time.total);
}

TEST_CASE("decode beside a prompt adds what its rows take beyond one row at no context") {
  const Step step =
      tiny_step(tiny(), kGraphs, {decodes({1000, 1000, 1000}) + Ranks{{chunk(0, 97)}}[0]});
  double attention = prefill_attention_us(1, 97, 0);
  attention +=
      2 * (csa(3, 1000) - csa(1, 1)) + (hca(3, 1000) - hca(1, 1)) + (hca(3, 127) - hca(1, 1));
  check_us(step, attention + kLayers * (mhc(100) + experts(100) + shared_expert(100)));
}

TEST_CASE("V3.2 selects nothing while a prompt is shorter than its top k") {
  StepSetting setting = known_setting("deepseek-v3.2", 1);
  setting.model.measured_as = "tiny";
  setting.model.layers = {LayerKind::dsa, LayerKind::dsa};
  setting.model.moe.dense_layers = 0;
  Profile p;
  const auto prefill = [&](const std::string& path, double us) {
    add_series(p, "attention_dsa_prefill", {{"model", "tiny"}, {"tp", "1"}, {"path", path}}, 3,
               [us](auto x) { return us + x[1]; });
  };
  prefill("sparse", 100);
  prefill("dense", 10);
  const ProfileCost cost(setting, boundless(), p, kChoice, kEager);
  REQUIRE(setting.model.indexer.top_k == 2048);
  CHECK(step_of(cost, {{chunk(1024, 1024)}}).us == doctest::Approx(2 * (10 + 1024)));
  CHECK(step_of(cost, {{chunk(1025, 1024)}}).us == doctest::Approx(2 * (100 + 1024)));
}

// ---- Graphs and the host ----

TEST_CASE("a step from a graph runs at the captured size, also of drafts") {
  HostCost host = kGraphs;
  host.graph_sizes = {{1, 4, 1}, {8, 32, 8}};
  const auto us = [&](std::size_t sequences, std::int64_t tokens) {
    return tiny_step(tiny(), host, {decodes(std::vector<std::int64_t>(sequences, 1000), tokens)});
  };
  check_us(us(3, 1), decode_us(3, 1000) + kLayers * experts(3));
  check_us(us(5, 1), decode_us(8, 1000) + kLayers * experts(8));
  check_us(us(9, 2), decode_us(32, 1000) + kLayers * experts(32));
  // No size holds so many: no graph, no padding.
  check_us(us(33, 1), decode_us(33, 1000) + kLayers * (experts(33) + shared_expert(33)));
}

TEST_CASE("a step without a graph lasts as long as the host launches it") {
  HostCost host;
  host.eager_layer = Duration{100'000};
  const double gpu_us = decode_us(1, 1000) + kLayers * (experts(1) + shared_expert(1));
  REQUIRE(gpu_us < 400);
  const Step slow = tiny_step(tiny(), host, {decodes({1000})});
  check_us(slow, 400);
  CHECK(1e6 * slow.time.share.host_s == doctest::Approx(400 - gpu_us));
  CHECK(1e6 * to_seconds(slow.time.gpu) == doctest::Approx(gpu_us).epsilon(1e-5));
  CHECK(slow.time.host == Duration{400'000});
  host.eager_step = Duration{30'000};
  check_us(tiny_step(tiny(), host, {decodes({1000})}), 430);
  host.eager_step = Duration{};
  host.eager_layer = Duration{1'000};
  const Step hidden = tiny_step(tiny(), host, {decodes({1000})});
  check_us(hidden, gpu_us);
  CHECK(hidden.time.share.host_s == 0);
  CHECK(hidden.time.host == Duration{4'000});
}

TEST_CASE("a step from a graph waits for the host once and is not bounded by launches") {
  HostCost host = kGraphs;
  host.eager_layer = Duration{1'000'000};
  host.graph_step = Duration{70'000};
  const Step step = tiny_step(tiny(), host, {decodes({1000})});
  check_us(step, decode_us(1, 1000) + kLayers * experts(1) + 70);
  CHECK(step.time.share.host_s == doctest::Approx(70e-6));
  CHECK(part_us(step.ledger, "host") == doctest::Approx(70));
  // A prompt never runs from a graph.
  check_us(tiny_step(tiny(), host, {{chunk(0, 10)}}), 4000);
}

TEST_CASE("the shared expert is hidden by the routed ones in a graph and counts elsewhere") {
  const double graph = tiny_step(tiny(), kGraphs, {decodes({1000})}).us;
  const Step eager = tiny_step(tiny(), kEager, {decodes({1000})});
  check_us(eager, graph + kLayers * shared_expert(1));
  CHECK(part_us(eager.ledger, "shared expert") == doctest::Approx(kLayers * shared_expert(1)));
}

// ---- Several GPUs ----

TEST_CASE("tensor parallelism adds two all-reduces a layer, cheaper from a graph") {
  const double own = decode_us(2, 1000) + kLayers * experts(2);
  check_us(tiny_step(tiny(2), kGraphs, {decodes({1000, 1000})}),
           own + 2 * kLayers * reduced_in_graph(2));
  check_us(tiny_step(tiny(2), kEager, {decodes({1000, 1000})}),
           own + kLayers * shared_expert(2) + 2 * kLayers * reduced_eager(2));
}

TEST_CASE("ranks: the slowest one's own part, then experts on the tokens of all") {
  const Ranks ranks{decodes({1000}), decodes({90'000, 90'000})};
  // Low-latency dispatch and combine of the fullest rank.
  const auto moved = [](double most) { return (11 + most / 10) + (13 + most / 10); };
  // From a graph all run the size of the fullest, so that the joint part sees 2 + 2 tokens.
  check_us(tiny_step(tiny(1, 2, 2), kGraphs, ranks),
           decode_us(2, 90'000) + kLayers * (experts(4) + moved(2)));
  // An idle rank has no tokens.
  check_us(tiny_step(tiny(1, 2, 2), kGraphs, {{}, decodes({90'000, 90'000})}),
           decode_us(2, 90'000) + kLayers * (experts(2) + moved(2)));
  // Without a graph nothing is padded, and the normal kernels move tokens.
  const auto moved_normal = [](double most) { return (41 + most / 10) + (43 + most / 10); };
  check_us(tiny_step(tiny(1, 2, 2), kEager, ranks),
           decode_us(2, 90'000) + kLayers * (experts(3) + shared_expert(2) + moved_normal(2)));
}

TEST_CASE("ranks that cut experts hand rows round: gathered in decode, summed in prefill") {
  const Ranks ranks{decodes({1000}), decodes({1000, 1000, 1000})};
  const double bytes = 6 * 8192 / kMiB;  // both padded to the fullest
  check_us(tiny_step(tiny(1, 2, 1), kEager, ranks),
           decode_us(3, 1000) +
               kLayers * (shared_expert(3) + experts(6) + (7 + bytes) + (9 + 2 * bytes)));
  const Step prefill = tiny_step(tiny(1, 2, 1), kGraphs, {decodes({1000}), {chunk(0, 300)}});
  check_us(prefill,
           prefill_attention_us(1, 300, 0) + kLayers * (mhc(300) + shared_expert(300) +
                                                        experts(301) + 2 * reduced_in_graph(301)));
  CHECK(part_us(prefill.ledger, "exchange between ranks") ==
        doctest::Approx(kLayers * 2 * reduced_in_graph(301)));
}

TEST_CASE("within a rank of several GPUs the sum after the feed-forward is left to the ranks") {
  StepSetting setting = tiny(2, 2, 1);
  Profile p = made_profile();
  add_series(p, "experts",
             {{"model", "tiny"},
              {"dtype", kChoice.expert_format},
              {"moe_tp", "4"},
              {"moe_ep", "1"},
              {"distribution", kChoice.distribution}},
             1, line(50, 0.1));
  const auto all_reduce_us = [&](const StepSetting& s) {
    const ProfileCost cost(s, boundless(), p, kChoice, kGraphs);
    return part_us(step_of(cost, {decodes({1000}), decodes({1000})}).ledger, "all-reduce");
  };
  CHECK(all_reduce_us(setting) == doctest::Approx(kLayers * reduced_in_graph(1)));
  // Layers with a dense MLP have their sum all the same: nothing joins ranks there.
  setting.model.moe.dense_layers = 1;
  setting.model.moe.dense_intermediate = 2048;
  CHECK(all_reduce_us(setting) == doctest::Approx((kLayers + 1) * reduced_in_graph(1)));
}

TEST_CASE("layers with a dense MLP have neither routed experts nor a shared one") {
  StepSetting setting = tiny();
  setting.model.moe.dense_layers = 1;
  setting.model.moe.dense_intermediate = 2048;
  const Step step = tiny_step(setting, kEager, {decodes({1000})});
  check_us(step, decode_us(1, 1000) + (kLayers - 1) * (experts(1) + shared_expert(1)));
}

TEST_CASE("passes of the draft layer: one on all tokens, the others on a row a sequence") {
  HostCost host = kGraphs;
  host.graph_sizes = {{4, 32, 4}};
  // Three sequences padded to four, each with two drafts to verify; three passes.
  const Step step = tiny_step(tiny(1, 1, 1, 3), host, {decodes({1000, 1000, 1000}, 3)});
  const double first = hca(12, 127) + mhc(12) + experts(12);
  const double later = hca(4, 127) + mhc(4) + experts(4);
  check_us(step, decode_us(12, 1000) + kLayers * experts(12) + first + 2 * later);
  CHECK(part_us(step.ledger, "drafts: attention") ==
        doctest::Approx(hca(12, 127) + 2 * hca(4, 127)));
  // A prompt runs through the draft layer once: no sequence drafts.
  const Step prefill = tiny_step(tiny(2, 1, 1, 3), host, {{chunk(0, 100)}});
  const double own =
      prefill_attention_us(1, 100, 0) + kLayers * (mhc(100) + experts(100) + shared_expert(100));
  check_us(prefill, own + hca_prefill(1, 100, 0) + mhc(100) + experts(100) +
                        (2 * kLayers + 2) * reduced_eager(100));
}

// ---- What the profile lacks ----

TEST_CASE("experts measured in another format only are rescaled and count as transferred") {
  const Profile fp8 = made_profile("fp8_block");
  const ProfileCost cost(tiny(), known_hardware("hgx-b200"), fp8, kChoice, kGraphs);
  CHECK(cost.missing() == std::vector<std::string>{"experts"});
  const auto experts_us = [&](std::size_t sequences) {
    const Step step = step_of(cost, {decodes(std::vector<std::int64_t>(sequences, 1000))});
    CHECK(step.time.share.transferred_s == doctest::Approx(part_us(step.ledger, "experts") / 1e6));
    return part_us(step.ledger, "experts");
  };
  // One token is bound by the weights that it reads, nearly: 17/32 of a byte in place of one, and
  // activations that are the same.
  const double ratio = experts_us(1) / (kLayers * experts(1));
  CHECK(ratio > 0.53125);
  CHECK(ratio < 0.54);
  // The model's own format needs no scale.
  const Profile fp4 = made_profile();
  const ProfileCost own(tiny(), known_hardware("hgx-b200"), fp4, kChoice, kGraphs);
  CHECK(own.missing().empty());
  const Step step = step_of(own, {decodes({1000})});
  CHECK(part_us(step.ledger, "experts") == doctest::Approx(kLayers * experts(1)));
  CHECK(step.time.share.transferred_s == 0);
}

TEST_CASE("a model's experts have the name of the nearest format") {
  for (const auto& [bytes, name] :
       {std::pair(0.53125, "w4a8_mxfp4_mxfp8"), std::pair(0.5625, "nvfp4"),
        std::pair(1.00006, "fp8_block"), std::pair(2.0, "bf16")}) {
    ModelSpec m;
    m.weights.expert_bytes = bytes;
    CHECK(expert_format(m) == name);
  }
}

TEST_CASE("a profile that holds nothing is the roofline") {
  HardwareSpec hardware = known_hardware("hgx-b200");
  hardware.efficiency.fixed_per_step = Duration{};  // the host is the engine's here
  const Ranks one{decodes({1000, 70'000}) + Ranks{{chunk(8192, 700)}}[0]};
  const Ranks two{decodes({1000, 70'000}), decodes({5})};
  const Profile nothing;
  for (const auto& [setting, ranks] :
       {std::pair(tiny(), one), std::pair(tiny(2), one), std::pair(tiny(1, 1, 1, 3), one),
        std::pair(tiny(1, 2, 2), two), std::pair(tiny(2, 2, 1, 2), two)}) {
    CAPTURE(setting.tensor_parallel);
    CAPTURE(setting.data_parallel);
    const ProfileCost cost(setting, hardware, nothing, kChoice, kGraphs);
    const RooflineCost roofline(setting, hardware);
    const Plans plans(ranks);
    const StepTime expected = roofline.step_time(plans.pointers);
    const Step step = step_of(cost, ranks);
    CHECK(std::abs((step.time.total - expected.total).count()) <= 1);
    CHECK(step.time.roofline_floor == expected.roofline_floor);
    CHECK(step.time.share.roofline_s == doctest::Approx(to_seconds(expected.total)));
  }
}

TEST_CASE("what a profile lacks is named, and taken from the roofline operator by operator") {
  struct Lacking {
    std::vector<std::string> families;
    std::string missing;
    std::vector<std::string> parts;      // of the ledger, that are gone
    std::vector<std::string> operators;  // that stand for them
  };
  const std::vector<Lacking> rows = {
      {{"experts"}, "experts", {"experts"}, {"experts", "mlp shared expert"}},
      {{"all_reduce"}, "all-reduce", {"all-reduce"}, {"all_reduce"}},
      {{"mhc_post"}, "hyper-connections", {"hyper-connections"}, {"mhc_pre", "mhc_post"}},
      {{"attention_hca_decode"},
       "attention in decode",
       {"attention CSA", "attention HCA", "attention window"},
       {"linear q_a kv", "attention_csa", "attention_hca", "attention_window", "topk"}}};
  const StepSetting setting = tiny(2);
  const HardwareSpec& hardware = known_hardware("hgx-b200");
  const RooflineCost roofline(setting, hardware);
  const Ranks ranks{decodes({1000, 70'000})};
  const Plans plans(ranks);
  const std::vector<OperatorTime> operators = roofline.breakdown(plans.pointers);
  const Profile whole_profile = made_profile();
  const Step whole =
      step_of(ProfileCost(setting, hardware, whole_profile, kChoice, kGraphs), ranks);
  for (const Lacking& row : rows) {
    CAPTURE(row.missing);
    const Profile profile = without(made_profile(), row.families);
    const ProfileCost cost(setting, hardware, profile, kChoice, kGraphs);
    CHECK(cost.missing() == std::vector<std::string>{row.missing});
    const Step step = step_of(cost, ranks);
    for (const std::string& part : row.parts) {
      CAPTURE(part);
      const bool is_operator = std::ranges::find(row.operators, part) != row.operators.end();
      CHECK(part_us(whole.ledger, part) > 0);
      if (!is_operator) CHECK(part_us(step.ledger, part) == 0);
    }
    for (const std::string& name : row.operators) {
      CAPTURE(name);
      const auto op = std::ranges::find(operators, name, &OperatorTime::name);
      REQUIRE(op != operators.end());
      CHECK(part_us(step.ledger, name) == doctest::Approx(1e6 * op->seconds));
    }
  }
}

TEST_CASE("norms before attention are part of its module, and of no other") {
  const HardwareSpec& hardware = known_hardware("hgx-b200");
  const Ranks ranks{decodes({1000})};
  const Plans plans(ranks);
  const auto norms = [&](const Profile& profile, const std::string& name, const StepSetting& s) {
    return part_us(step_of(ProfileCost(s, hardware, profile, kChoice, kGraphs), ranks).ledger,
                   name);
  };
  const StepSetting setting = tiny(1, 1, 1, 2);
  const auto roofline_us = [&](std::string_view name) {
    const auto operators = RooflineCost(setting, hardware).breakdown(plans.pointers);
    double us = 0;
    for (const OperatorTime& op : operators) us += op.name == name ? 1e6 * op.seconds : 0;
    return us;
  };
  const double all = roofline_us("rmsnorm_quant"), drafts = roofline_us("mtp rmsnorm_quant");
  REQUIRE(drafts > 0);
  const Profile whole = made_profile();
  CHECK(norms(whole, "rmsnorm_quant", setting) == doctest::Approx(all / 2));
  CHECK(norms(whole, "mtp rmsnorm_quant", setting) == doctest::Approx(drafts / 2));
  // Drafts are composed of measured parts or not at all.
  const Profile no_mhc = without(made_profile(), {"mhc_pre"});
  CHECK(norms(no_mhc, "rmsnorm_quant", setting) == doctest::Approx(all / 2));
  CHECK(norms(no_mhc, "mtp rmsnorm_quant", setting) == doctest::Approx(drafts));
  const Profile no_csa = without(made_profile(), {"attention_csa_decode"});
  CHECK(norms(no_csa, "rmsnorm_quant", setting) == doctest::Approx(all));
  CHECK(norms(no_csa, "mtp rmsnorm_quant", setting) == doctest::Approx(drafts / 2));
}

TEST_CASE("attention of layers that no module stands for is the roofline's") {
  StepSetting setting = tiny();
  setting.model.layers.push_back(LayerKind::gqa);
  const Profile whole = made_profile();
  const ProfileCost cost(setting, known_hardware("hgx-b200"), whole, kChoice, kGraphs);
  CHECK(cost.missing() == std::vector<std::string>{"attention in decode", "attention in prefill"});
  const Step step = step_of(cost, {decodes({100'000})});
  CHECK(part_us(step.ledger, "attention_gqa") > 0);
  CHECK(part_us(step.ledger, "attention CSA") == 0);
}

TEST_CASE("a deployment that nothing was measured for names all parts") {
  const Profile nothing;
  const auto missing = [&](const StepSetting& setting) {
    return ProfileCost(setting, boundless(), nothing, kChoice, kGraphs).missing();
  };
  const std::vector<std::string> one{"attention in decode", "attention in prefill",
                                     "hyper-connections", "experts", "shared expert"};
  CHECK(missing(tiny()) == one);
  auto expected = one;
  expected.push_back("all-reduce");
  CHECK(missing(tiny(2)) == expected);
  expected.back() = "expert dispatch and combine";
  CHECK(missing(tiny(1, 2, 2)) == expected);
  expected.back() = "all-gather and reduce-scatter";
  CHECK(missing(tiny(1, 2, 1)) == expected);
  StepSetting drafts = known_setting("deepseek-v3.2", 1);
  drafts.draft_steps = 1;
  expected = {"attention in decode", "attention in prefill", "experts", "shared expert", "drafts"};
  CHECK(missing(drafts) == expected);
}

TEST_CASE("a model of the same shapes takes the times of the one it was measured as") {
  StepSetting setting = tiny();
  setting.model.name = "another";
  const Profile profile = made_profile();
  CHECK(ProfileCost(setting, boundless(), profile, kChoice, kGraphs).missing().empty());
  setting.model.measured_as = "another";
  CHECK(ProfileCost(setting, boundless(), profile, kChoice, kGraphs).missing() ==
        std::vector<std::string>{"attention in decode", "attention in prefill", "experts"});
  CHECK(known_model("deepseek-v4-flash-0731").spec.measured_as == "deepseek-v4-flash");
  CHECK(known_model("deepseek-v4-pro").spec.measured_as == "deepseek-v4-pro");
}

TEST_CASE("times of a transferred profile are marked, those of the roofline are not") {
  Profile profile = made_profile();
  profile.families[0].marks.push_back("transferred");
  const ProfileCost cost(tiny(), known_hardware("hgx-b200"), profile, kChoice, kGraphs);
  const Profile measured = made_profile();
  const ProfileCost own(tiny(), known_hardware("hgx-b200"), measured, kChoice, kGraphs);
  const Ranks ranks{decodes({1000})};
  const Step a = step_of(cost, ranks), b = step_of(own, ranks);
  CHECK(a.time.total == b.time.total);
  CHECK(a.time.share.measured_s + a.time.share.interpolated_s + a.time.share.extrapolated_s == 0);
  CHECK(a.time.share.transferred_s == doctest::Approx(b.time.share.interpolated_s));
  CHECK(a.time.share.roofline_s == doctest::Approx(b.time.share.roofline_s));
  CHECK(b.time.share.roofline_s > 0);
}

TEST_CASE("a step is raised to the roofline, and the host comes on top") {
  // So slow a GPU that what was measured of another one is below its peaks.
  HardwareSpec slow = boundless();
  slow.gpu.memory_bytes_per_s_peak = 1e12;
  HostCost host = kGraphs;
  const Ranks ranks{decodes({1000})};
  const Profile profile = made_profile();
  const Step bare = step_of(ProfileCost(tiny(), slow, profile, kChoice, host), ranks);
  REQUIRE(bare.time.clamped);
  CHECK(bare.time.total == bare.time.roofline_floor);
  CHECK(part_us(bare.ledger, "raised to the roofline") > 0);
  host.graph_step = Duration{70'000};
  const Step waits = step_of(ProfileCost(tiny(), slow, profile, kChoice, host), ranks);
  CHECK(waits.time.clamped);
  CHECK((waits.time.total - bare.time.total).count() == 70'000);
}

TEST_CASE("rows beyond those kept ready are looked up all the same") {
  const Step step =
      tiny_step(tiny(), kEager, {decodes(std::vector<std::int64_t>(4, 1000), 10'000)});
  check_us(step, decode_us(40'000, 1000) + kLayers * (experts(40'000) + shared_expert(40'000)));
}

// ---- The shipped profiles ----

struct Draw {
  RandomEngine engine;
  std::int64_t below(std::int64_t n) {
    return static_cast<std::int64_t>(engine() % static_cast<std::uint64_t>(n));
  }
  // As many of one magnitude as of another.
  std::int64_t up_to(std::int64_t n) {
    const double most = std::log(static_cast<double>(n) + 1);
    const double x = most * static_cast<double>(engine() >> 11) * 0x1p-53;
    return std::clamp<std::int64_t>(std::llround(std::exp(x)), 1, n);
  }
};

constexpr std::int64_t kLongest = 1 << 20;

struct Shipped {
  std::string name, model;
  std::int64_t tensor_parallel, data_parallel, expert_parallel, draft_steps;
};

std::string hardware_of(const Profile& profile) {
  std::string name = "hgx-";
  for (const char c : profile.gpu) {
    name += c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  }
  return name;
}

// To the last bit, the floor aside.
bool same_time(const StepTime& a, const StepTime& b) {
  const auto parts = [](const TimeShare& s) {
    return std::bit_cast<std::array<std::uint64_t, 6>>(s);
  };
  return a.total == b.total && a.gpu == b.gpu && a.host == b.host && a.clamped == b.clamped &&
         parts(a.share) == parts(b.share) &&
         (a.roofline_floor == b.roofline_floor || a.roofline_floor == Duration{});
}

StepSetting setting_of(const Shipped& c) {
  StepSetting setting = known_setting(c.model, c.tensor_parallel);
  setting.data_parallel = c.data_parallel;
  setting.expert_parallel = c.expert_parallel;
  setting.draft_steps = c.draft_steps;
  return setting;
}

std::vector<StepPiece> random_pieces(Draw& draw, bool decode, bool prefill, std::int64_t drafts) {
  std::vector<StepPiece> out;
  if (decode) {
    for (std::int64_t i = draw.up_to(64); i > 0; --i) {
      out.push_back(decodes({draw.up_to(kLongest - 8)}, 1 + drafts)[0]);
    }
  }
  if (prefill) {
    for (std::int64_t i = draw.up_to(4); i > 0; --i) {
      out.push_back(chunk(draw.up_to(kLongest - 8192) - 1, draw.up_to(8192)));
    }
  }
  return out;
}

Ranks random_ranks(Draw& draw, const Shipped& c) {
  const std::int64_t kind = draw.below(3);
  Ranks ranks;
  for (std::int64_t i = 0; i < c.data_parallel; ++i) {
    const bool idle = i > 0 && draw.below(4) == 0;
    ranks.push_back(idle ? std::vector<StepPiece>{}
                         : random_pieces(draw, kind != 1, kind != 0, c.draft_steps));
  }
  return ranks;
}

const std::vector<std::array<std::int64_t, 4>> kDeployments = {
    {1, 1, 1, 0}, {2, 1, 1, 0}, {4, 1, 1, 3}, {8, 1, 1, 0}, {8, 1, 8, 1},
    {1, 8, 8, 0}, {1, 8, 1, 3}, {1, 2, 1, 0}, {2, 4, 8, 1}, {1, 4, 4, 0}};

TEST_CASE(
    "steps of all shipped profiles: finite, not below the roofline, repeatable, accounted for") {
  const RandomStreams streams(21);
  std::int64_t steps = 0, clamped = 0, quick_equal = 0;
  for (const std::string& name : data_names(DataKind::profile, "")) {
    const Profile profile = load_profile(name, "");
    if (profile.engine == kLayerEngine) continue;  // of whole layers
    for (const std::string model : {"deepseek-v4-pro", "deepseek-v4-flash", "deepseek-v3.2"}) {
      Draw draw{streams.stream(name + model)};
      for (const auto& [tp, dp, ep, drafts] : kDeployments) {
        const Shipped c{name, model, tp, dp, ep, drafts};
        const StepSetting setting = setting_of(c);
        HostCost host;
        host.graph_max_batch = draw.below(2) * 48;
        host.graph_sizes = {{1, 8, 1}, {12, 48, 4}};
        host.eager_layer = Duration{draw.below(20'000)};
        host.graph_step = Duration{draw.below(100'000)};
        const ProfileChoice choice{expert_format(setting.model), "power_law_1.01"};
        const HardwareSpec& hardware = known_hardware(hardware_of(profile));
        const ProfileCost cost(setting, hardware, profile, choice, host);
        for (int i = 0; i < 48; ++i) {
          Plans plans(random_ranks(draw, c));
          for (StepPlan& plan : plans.plans) {
            if (plan.empty() || draw.below(4) > 0) continue;
            plan.copies.points_written = Bytes{draw.below(1 << 24)};
          }
          const StepTime time = cost.step_time(plans.pointers);
          CostLedger ledger;
          cost.explain(plans.pointers, ledger);
          const StepTime again = cost.step_time(plans.pointers);
          quick_equal += same_time(cost.quick_time(plans.pointers), time) ? 1 : 0;
          const double total = to_seconds(time.total), tolerance = 1e-9 * total + kRounding_s;
          ++steps;
          clamped += time.clamped ? 1 : 0;
          const bool good = std::isfinite(share_sum(time.share)) && time.total > Duration{} &&
                            time.total >= time.roofline_floor && time.total == again.total &&
                            time.roofline_floor > Duration{} &&
                            std::abs(share_sum(time.share) - total) <= tolerance &&
                            std::abs(ledger_sum(ledger) - total) <= tolerance;
          if (good) continue;
          CAPTURE(name);
          CAPTURE(model);
          CAPTURE(i);
          FAIL_CHECK("tp " << tp << " dp " << dp << " ep " << ep << " drafts " << drafts
                           << ": total " << total << " s, floor " << to_seconds(time.roofline_floor)
                           << " s, shares " << share_sum(time.share) << " s, ledger "
                           << ledger_sum(ledger) << " s");
          break;
        }
      }
    }
  }
  CHECK(steps >= 10'000);
  CHECK(clamped > 0);
  CHECK_MESSAGE(quick_equal == steps, "what is looked up once differs from what is listed");
  MESSAGE(clamped << " of " << steps << " steps raised to the roofline");
}

// Worst of two kinds of steps or look-ups: within what was measured, and outside of it.
struct Worst {
  std::array<double, 2> by{};
  std::array<std::string, 2> where{"none", "none"};
  void see(bool outside, double value, const std::string& place) {
    if (value <= by[outside]) return;
    by[outside] = value;
    where[outside] = place;
  }
};

TEST_CASE("one more sequence of the same context does not make decode of shipped profiles faster") {
  const RandomStreams streams(22);
  Worst worst;
  for (const std::string& name : data_names(DataKind::profile, "")) {
    const Profile profile = load_profile(name, "");
    if (profile.engine == kLayerEngine) continue;  // of whole layers
    for (const std::string model : {"deepseek-v4-pro", "deepseek-v4-flash", "deepseek-v3.2"}) {
      Draw draw{streams.stream(name + model)};
      for (const auto& [tp, dp, ep, drafts] : kDeployments) {
        if (dp > 1) continue;
        const StepSetting setting = setting_of({name, model, tp, dp, ep, drafts});
        const ProfileChoice choice{expert_format(setting.model), "power_law_1.01"};
        const ProfileCost cost(setting, known_hardware(hardware_of(profile)), profile, choice,
                               kGraphs);
        for (int i = 0; i < 200; ++i) {
          const auto sequences = static_cast<std::size_t>(draw.up_to(255));
          const std::int64_t past = draw.up_to(kLongest - 8);
          StepPlan plan;
          plan.pieces = decodes(std::vector<std::int64_t>(sequences, past), 1 + drafts);
          const StepTime before = cost.step_time(plan);
          plan.pieces.push_back(plan.pieces.back());
          const StepTime after = cost.step_time(plan);
          worst.see(before.share.extrapolated_s + after.share.extrapolated_s > 0,
                    1 - to_seconds(after.total) / to_seconds(before.total),
                    name + ' ' + model + " tp " + std::to_string(tp) + " drafts " +
                        std::to_string(drafts) + ", " + std::to_string(sequences) +
                        " sequences at " + std::to_string(past));
        }
      }
    }
  }
  for (const bool outside : {false, true}) {
    MESSAGE(std::string(outside ? "outside" : "within")
            << " what was measured time falls by at most " << 100 * worst.by[outside]
            << " %: " << worst.where[outside]);
  }
  // Mostly a table's own: under vLLM on B200 attention of two requests of four tokens takes 3 %
  // (CSA) and 4 % (HCA) less than that of one.
  CHECK(worst.by[false] <= 0.065);
  // Batches end at different contexts, and beyond its end each goes on with a slope of its own: a
  // million tokens are 16 times what was measured, and more. Other draws have found 43 %.
  CHECK(worst.by[true] <= 0.45);
}

TEST_CASE("rows kept of decode grids give the times of the grids") {
  const RandomStreams streams(23);
  Draw draw{streams.stream("rows")};
  Worst worst;
  int points = 0;
  for (const std::string& name : data_names(DataKind::profile, "")) {
    const Profile profile = load_profile(name, "");
    if (profile.engine == kLayerEngine) continue;  // of whole layers
    for (const std::string family : {"attention_csa_decode", "attention_hca_decode"}) {
      const ProfileFamily* found = profile.find(family);
      REQUIRE(found != nullptr);
      const auto count = static_cast<std::int64_t>(found->series.size());
      for (int i = 0; i < 1000; ++i, ++points) {
        const ProfileSeries& series = found->series[static_cast<std::size_t>(draw.below(count))];
        const auto rows = static_cast<double>(draw.up_to(1024));
        const auto past = static_cast<double>(draw.up_to(kLongest));
        const SampleTime direct = series.grid.at(std::array{rows, past});
        const SampleTime kept = series.grid.row(rows).at(past);
        worst.see(direct.kind == SampleKind::extrapolated, std::abs(kept.us / direct.us - 1),
                  name + ' ' + family + ' ' + series.keys[0] + " tp " + series.keys[1] + ", " +
                      std::to_string(rows) + " rows at " + std::to_string(past));
      }
    }
  }
  CHECK(points >= 2000);
  for (const bool outside : {false, true}) {
    MESSAGE(std::string(outside ? "outside" : "within")
            << " what was measured rows differ by at most " << 100 * worst.by[outside]
            << " %: " << worst.where[outside]);
  }
  CHECK(worst.by[false] < 0.005);
  // Where batches are a log axis, times beyond the ends of two batches are no line in between: a
  // row has the slope of the first stretch, as long as what was measured.
  CHECK(worst.by[true] < 0.35);
}

}  // namespace
}  // namespace v4cap
