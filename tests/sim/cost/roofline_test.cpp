#include "sim/cost/roofline.h"

#include <doctest/doctest.h>

#include <cmath>
#include <ctime>
#include <span>
#include <string>
#include <utility>

#include "sim/core/random.h"
#include "tests/models.h"

namespace v4cap {
namespace {

StepPiece decode_piece(std::int64_t context) {
  return {.kind = PieceKind::decode,
          .emits_token = true,
          .past = Tokens{context - 1},
          .tokens = Tokens{1}};
}

StepPiece chunk_piece(std::int64_t past, std::int64_t tokens, PieceKind kind = PieceKind::prefill) {
  return {.kind = kind, .past = Tokens{past}, .tokens = Tokens{tokens}};
}

StepPlan plan_of(std::vector<StepPiece> pieces) {
  StepPlan plan;
  plan.pieces = std::move(pieces);
  return plan;
}

struct Draw {
  RandomEngine engine;
  std::int64_t below(std::int64_t n) {
    return static_cast<std::int64_t>(engine() % static_cast<std::uint64_t>(n));
  }
};

StepPlan random_plan(Draw& draw) {
  StepPlan plan;
  for (std::int64_t i = draw.below(24); i > 0; --i) {
    plan.pieces.push_back(decode_piece(1 + draw.below(1 << 20)));
  }
  for (std::int64_t i = draw.below(3); i > 0 || plan.empty(); --i) {
    const PieceKind kind = draw.below(4) == 0 ? PieceKind::rebuild : PieceKind::prefill;
    plan.pieces.push_back(chunk_piece(draw.below(1 << 19), 1 + draw.below(8192), kind));
    plan.pieces.back().emits_token = draw.below(2) == 0;
  }
  if (draw.below(4) == 0) plan.copies.points_written = Bytes{draw.below(100'000'000)};
  return plan;
}

struct Case {
  std::string model;
  std::string hardware;
  std::int64_t tensor_parallel;
};

const Case kCases[] = {{"deepseek-v4-pro", "hgx-b200", 8},   {"deepseek-v4-pro", "hgx-h200", 8},
                       {"deepseek-v4-flash", "hgx-h100", 4}, {"deepseek-v3.2", "hgx-b200", 8},
                       {"deepseek-v3", "hgx-h200", 8},       {"gqa-70b", "hgx-h100", 2}};

RooflineCost cost_of(const Case& c) {
  return {known_setting(c.model, c.tensor_parallel), known_hardware(c.hardware)};
}

TEST_CASE("time is finite, never below the roofline, and grows with tokens, context and batch") {
  const RandomStreams streams(11);
  for (const Case& c : kCases) {
    CAPTURE(c.model);
    CAPTURE(c.hardware);
    const RooflineCost cost = cost_of(c);
    Draw draw{streams.stream(c.model)};
    for (int i = 0; i < 10'000; ++i) {
      StepPlan plan = random_plan(draw);
      const StepTime before = cost.step_time(plan);
      bool good = before.total > Duration{} && before.total >= before.roofline_floor &&
                  before.roofline_floor > Duration{};
      good = good && before.share.roofline_s == to_seconds(before.total) &&
             before.share.measured_s == 0;
      const auto at =
          static_cast<std::size_t>(draw.below(static_cast<std::int64_t>(plan.pieces.size())));
      StepPlan later = plan, longer = plan, wider = plan;
      later.pieces[at].past += Tokens{1 + draw.below(5000)};
      wider.pieces.push_back(decode_piece(1 + draw.below(100'000)));
      // An entry is emitted at every 4th and 128th token: compare contexts at the same phase.
      later.pieces[at].past = round_down(later.pieces[at].past, Tokens{128}) +
                              plan.pieces[at].past % Tokens{128} + Tokens{128};
      if (plan.pieces[at].kind != PieceKind::decode) {
        longer.pieces[at].tokens += Tokens{1 + draw.below(500)};
        good = good && cost.step_time(longer).total >= before.total;
      }
      good = good && cost.step_time(later).total >= before.total;
      good = good && cost.step_time(wider).total > before.total;
      if (!good) {
        CAPTURE(i);
        FAIL_CHECK("step " << before.total.count() << " ns, floor " << before.roofline_floor.count()
                           << " ns");
        break;
      }
    }
  }
}

TEST_CASE("the breakdown sums to the step") {
  const RandomStreams streams(12);
  for (const Case& c : kCases) {
    CAPTURE(c.model);
    const RooflineCost cost = cost_of(c);
    Draw draw{streams.stream(c.model)};
    for (int i = 0; i < 50; ++i) {
      const StepPlan plan = random_plan(draw);
      const StepTime step = cost.step_time(plan);
      double seconds = 0, floor_seconds = 0;
      for (const OperatorTime& op : cost.breakdown(plan)) {
        CHECK(op.seconds >= op.floor_seconds);
        seconds += op.seconds;
        floor_seconds += op.floor_seconds;
      }
      CHECK(std::abs(seconds - to_seconds(step.total)) <= 1e-9);
      CostLedger ledger;  // the same, equal names together
      const StepPlan* const only = &plan;
      cost.explain(std::span(&only, 1), ledger);
      double explained = 0;
      for (const auto& [part, part_seconds] : ledger.seconds()) explained += part_seconds;
      CHECK(explained == doctest::Approx(seconds));
      CHECK(ledger.seconds().count("host") == 1);
      CHECK(std::abs(floor_seconds - to_seconds(step.roofline_floor)) <= 1e-9);
    }
  }
}

TEST_CASE("equal plans take equal time, and the order of pieces does not matter") {
  const RooflineCost cost = cost_of(kCases[0]);
  const StepPlan a = plan_of({decode_piece(1000), decode_piece(70000), chunk_piece(0, 4096)});
  const StepPlan b = plan_of({chunk_piece(0, 4096), decode_piece(70000), decode_piece(1000)});
  CHECK(cost.step_time(a).total == cost.step_time(b).total);
}

// A GPU with simple figures: 1 TB/s, 1 TFLOP/s in every format, half of either reached, 5 us a
// launch, 70 us a step. A GQA model of one layer with hidden 1024, 8 heads and 8 KV heads of 128,
// MLP 2048, vocabulary 1000, BF16 throughout. One decode at context 100:
//   embedding      2,048 + 2,048 B
//   2 rmsnorm      8 d = 8,192 B each
//   qkv            1024 x 3072 weights: 6,291,456 B + 6,144 B of output; 6.29 MFLOP
//   rope and store 4 x 1024 B + 2 x 2048 B + 4,096 B of entry
//   attention      100 x 4,096 B + 4,096 B; 409,600 FLOP
//   o              1024 x 1024 weights: 2,097,152 + 2,048 B
//   MLP            3 x 1024 x 2048 weights: 12,582,912 + 4,096 + 2,048 B
//   head           1024 x 1000 weights: 2,048,000 + 4,000 B
// The FLOPs at 0.5 TFLOP/s take as long as twice their number in bytes at 0.5 TB/s would: one FLOP
// is one byte here, and a BF16 weight is 2 B and 2 FLOP, so outputs decide and memory is always the
// longer.
TEST_CASE("a step worked by hand") {
  ModelSpec m;
  m.name = "tiny";
  m.hidden = 1024;
  m.heads = 8;
  m.kv_heads = 8;
  m.head_dim = 128;
  m.vocab = 1000;
  m.layers = {LayerKind::gqa};
  m.moe.dense_layers = 1;
  m.moe.dense_intermediate = 2048;
  m.weights = {.expert_bytes = 2, .linear_bytes = 2, .other_bytes = 2};
  HardwareSpec h;
  h.gpu.memory_bytes_per_s_peak = 1e12;
  h.gpu.flop_per_s_peak_bf16 = 1e12;
  h.efficiency.memory = 0.5;
  h.efficiency.compute = 0.5;
  h.efficiency.fixed_per_operator = Duration{5'000};
  h.efficiency.fixed_per_step = Duration{70'000};
  const RooflineCost cost({.model = m, .entry = {.entry_bytes = 4096}}, h);
  const double bytes = (2048 + 2048) + 2 * 8192 + (6291456 + 6144) + (4 * 1024 + 2 * 2048 + 4096) +
                       (100 * 4096 + 4096) + (2097152 + 2048) + (12582912 + 4096 + 2048) +
                       (2048000 + 4000);
  const StepTime step = cost.step_time(plan_of({decode_piece(100)}));
  CHECK(step.total.count() ==
        doctest::Approx(bytes / 0.5e12 * 1e9 + 9 * 5'000 + 70'000).epsilon(1e-4));
  CHECK(step.roofline_floor.count() == doctest::Approx(bytes / 1e12 * 1e9).epsilon(1e-4));
}

// V4-Pro in TP8 on B200. A rank reads, MB per layer: latent projections 14.7, its eighth of 285.2
// (Wq_b, Wo_a, Wo_b) = 35.7, compressors and indexer 50.2 (CSA) or 14.7 (HCA),
// hyper-connections 5.5, router 5.5, shared expert 66.1, and 6/8 of an expert of 35.1 = 26.3 for a
// single token: 203.9 in CSA, 168.5 in HCA layers; 30 x 203.9 + 31 x 168.5 + head 231.7 = 11.57 GB.
// At 7.7 TB/s: 1.50 ms. Cache and activations at context 8192 add 30 x (1152 x 584 + 2048 x 132) +
// 31 x 192 x 584 = 31.8 MB, 4 us. Floor: 1.51 ms.
//
// One chunk of 8192 tokens, ms at peak rates. FP8 products, TF per rank: shared expert 66.0, latent
// projections 14.7, heads' eighth of Wq_b, Wo_a, Wo_b 35.6, indexer queries 6.4 = 122.7 TF at 4.5
// PF/s: 27.3. BF16 products: compressors 12.7, core attention 64 heads (16 padded) x 2048 x
// (30 x 7.33 M + 31 x 1.30 M pairs) = 34.1, router 2.8 = 49.6 TF at 2.25 PF/s: 22.0. Index scores 16384 x 8.39 M x 30 = 4.1 TF in FP8:
// 0.9. Bound by memory at 7.7 TB/s: experts (102.8 GB of weights, 8.1 of rows) 14.4,
// hyper-connections 72.0 + 128.9 GB 26.1, norms 21.7 GB 2.8, rotation 17.2 GB 2.2,
// top-k and head and embedding 0.3. All-reduce 122 x 117.4 MB x 7/4 at 900 GB/s: 27.9. In sum
// 123.9.
TEST_CASE("V4-Pro in TP8 on B200: floors worked by hand") {
  const RooflineCost cost = cost_of(kCases[0]);
  const StepTime decode = cost.step_time(plan_of({decode_piece(8192)}));
  MESSAGE("decode, one sequence at 8192: " << to_ms(decode.total) << " ms, floor "
                                           << to_ms(decode.roofline_floor) << " ms");
  CHECK(to_ms(decode.roofline_floor) == doctest::Approx(1.51).epsilon(0.01));
  const StepTime prefill = cost.step_time(plan_of({chunk_piece(0, 8192)}));
  MESSAGE("prefill, one chunk of 8192: " << to_ms(prefill.total) << " ms, floor "
                                         << to_ms(prefill.roofline_floor) << " ms");
  CHECK(to_ms(prefill.roofline_floor) == doctest::Approx(123.9).epsilon(0.005));
}

RooflineCost cost_of_ranks(std::int64_t ranks, std::int64_t expert_parallel,
                           ExpertImbalance imbalance = {{}}) {
  StepSetting setting = known_setting("deepseek-v4-pro", 1);
  setting.data_parallel = ranks;
  setting.expert_parallel = expert_parallel;
  setting.imbalance = std::move(imbalance);
  return {setting, known_hardware("hgx-b200")};
}

double seconds_of(const std::vector<OperatorTime>& list, std::string_view name) {
  double sum = 0;
  for (const OperatorTime& op : list) sum += op.name == name ? op.seconds : 0;
  return sum;
}

TEST_CASE("the slowest attention rank decides, an idle one adds nothing, experts see all tokens") {
  const RooflineCost cost = cost_of_ranks(3, 3);
  const StepPlan slow = plan_of({chunk_piece(0, 4096)}), fast = plan_of({decode_piece(1000)});
  const StepPlan idle;
  const StepPlan* const steps[][3] = {
      {&slow, &idle, &idle}, {&slow, &fast, &idle}, {&fast, &idle, &slow}, {&slow, &slow, &slow}};
  std::vector<std::vector<OperatorTime>> parts;
  std::vector<StepTime> times;
  for (const auto& ranks : steps) {
    times.push_back(cost.step_time(std::span(ranks)));
    parts.push_back(cost.breakdown(std::span(ranks)));
    double seconds = 0;
    for (const OperatorTime& op : parts.back()) seconds += op.seconds;
    CHECK(seconds == doctest::Approx(to_seconds(times.back().total)).epsilon(1e-8));
    CHECK(times.back().roofline_floor < times.back().total);
  }
  for (std::size_t i = 1; i < parts.size(); ++i) {
    for (const std::string name : {"mhc_pre", "attention_csa", "mlp shared expert", "router"}) {
      CAPTURE(name);
      CHECK(seconds_of(parts[i], name) == seconds_of(parts[0], name));
    }
  }
  CHECK(times[1].total > times[0].total);  // one more token for the experts
  CHECK(times[1].total == times[2].total);
  CHECK(seconds_of(parts[3], "experts") > seconds_of(parts[0], "experts"));
}

TEST_CASE("the time of uneven experts is the mean over the histogram") {
  const StepPlan plan = plan_of({chunk_piece(0, 4096)});
  const StepPlan* const ranks[] = {&plan, &plan};
  const auto seconds = [&](ExpertImbalance imbalance) {
    return to_seconds(cost_of_ranks(2, 2, std::move(imbalance)).step_time(std::span(ranks)).total);
  };
  const double even = seconds({{1, 1}}), uneven = seconds({{1.6, 1}});
  CHECK(uneven > even);
  CHECK(seconds({{1, 0.75}, {1.6, 0.25}}) ==
        doctest::Approx(0.75 * even + 0.25 * uneven).epsilon(1e-8));
}

// Launches of one layer of a kind, from the latent projections to the output projection.
double module_ms(const RooflineCost& cost, const StepPlan& plan, std::string_view attention) {
  const bool csa = attention == "attention_csa";
  double seconds = 0;
  for (const OperatorTime& op : cost.breakdown(plan)) {
    const bool projection = op.name.substr(0, 6) == "linear" || op.name == "q_rope_kv_store";
    const bool indexing = op.name.substr(0, 7) == "indexer" || op.name == "topk" ||
                          op.name.substr(0, 14) == "compressor_csa";
    const bool mine = projection || op.name == attention || (csa && indexing) ||
                      (!csa && op.name == "compressor_hca");
    if (mine) seconds += op.seconds / kernels::real(op.count);
  }
  return seconds * 1e3;
}

// For information: attention modules of V4-Pro in TP8 as ai-dynamo/aiconfigurator measured them
// with vLLM 0.24.0 (systems/data/{b200,h200}_sxm/sparse_attention). Its CSA rows hold a top-k over
// equal scores, which takes 20 to 30 times as long as one over real scores.
TEST_CASE("attention modules beside published measurements") {
  struct Row {
    std::string hardware;
    std::string attention;
    std::int64_t batch, past, tokens;
    double measured_ms;
  };
  const Row rows[] = {{"hgx-b200", "attention_csa", 1, 1023, 1, 0.079},
                      {"hgx-b200", "attention_csa", 1, 65535, 1, 0.089},
                      {"hgx-b200", "attention_csa", 512, 1023, 1, 0.206},
                      {"hgx-b200", "attention_hca", 1, 1023, 1, 0.054},
                      {"hgx-b200", "attention_hca", 512, 1023, 1, 0.142},
                      {"hgx-b200", "attention_csa", 1, 0, 8192, 4.09},
                      {"hgx-b200", "attention_hca", 1, 0, 8192, 1.25},
                      {"hgx-h200", "attention_csa", 1, 1023, 1, 0.087},
                      {"hgx-h200", "attention_hca", 1, 1023, 1, 0.070},
                      {"hgx-h200", "attention_csa", 512, 1023, 1, 0.308},
                      {"hgx-h200", "attention_hca", 512, 1023, 1, 0.211},
                      {"hgx-h200", "attention_csa", 1, 0, 8192, 6.60},
                      {"hgx-h200", "attention_hca", 1, 0, 8192, 2.13}};
  for (const Row& row : rows) {
    const RooflineCost cost(known_setting("deepseek-v4-pro", 8), known_hardware(row.hardware));
    StepPlan plan;
    for (std::int64_t i = 0; i < row.batch; ++i) {
      plan.pieces.push_back(row.tokens == 1 ? decode_piece(row.past + 1)
                                            : chunk_piece(row.past, row.tokens));
    }
    const double ms = module_ms(cost, plan, row.attention);
    MESSAGE(row.hardware << " " << row.attention << " batch " << row.batch << " past " << row.past
                         << " tokens " << row.tokens << ": roofline " << ms << " ms, measured "
                         << row.measured_ms << " ms, ratio " << ms / row.measured_ms);
    CHECK(ms > 0);
  }
}

TEST_CASE("a step with sixteen decodes is cheap to time") {
  const RooflineCost cost = cost_of(kCases[0]);
  StepPlan plan;
  for (std::int64_t i = 0; i < 16; ++i) plan.pieces.push_back(decode_piece(1000 + 7919 * i));
  constexpr int kSteps = 20'000;
  std::int64_t sum = 0;
  const std::clock_t begin = std::clock();  // of the processor: other programs may be running
  for (int i = 0; i < kSteps; ++i) {
    plan.pieces[static_cast<std::size_t>(i) % 16].past += Tokens{1};
    sum += cost.step_time(plan).total.count();
  }
  const double took_ns = static_cast<double>(std::clock() - begin) / CLOCKS_PER_SEC * 1e9;
  MESSAGE("step_time with 16 decodes: " << took_ns / kSteps << " ns");
  CHECK(sum > 0);
}

}  // namespace
}  // namespace v4cap
