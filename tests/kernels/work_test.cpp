// The formulas of kernels/*/work.h against figures worked by hand for V4-Pro (d 7168, 128 heads of
// 512, q_lora 1536, 16 output groups of 1024, experts 384 x 3072).
#include <doctest/doctest.h>

#include <cmath>
#include <initializer_list>

#include "kernels/all_gather/work.h"
#include "kernels/all_reduce/work.h"
#include "kernels/attention_csa/work.h"
#include "kernels/attention_dsa/work.h"
#include "kernels/attention_gqa/work.h"
#include "kernels/attention_hca/work.h"
#include "kernels/attention_mla/work.h"
#include "kernels/attention_window/work.h"
#include "kernels/compressor_csa/work.h"
#include "kernels/compressor_hca/work.h"
#include "kernels/embedding/work.h"
#include "kernels/expert_combine/work.h"
#include "kernels/expert_dispatch/work.h"
#include "kernels/experts/work.h"
#include "kernels/head/work.h"
#include "kernels/indexer_query/work.h"
#include "kernels/indexer_scores/work.h"
#include "kernels/linear/work.h"
#include "kernels/mhc_post/work.h"
#include "kernels/mhc_pre/work.h"
#include "kernels/mlp/work.h"
#include "kernels/q_rope_kv_store/work.h"
#include "kernels/reduce_scatter/work.h"
#include "kernels/rmsnorm_quant/work.h"
#include "kernels/router/work.h"
#include "kernels/topk/work.h"

namespace v4cap::kernels {
namespace {

constexpr double kFp8 = 1.0 + 1.0 / 16384;
constexpr double kFp4 = 17.0 / 32;

double mega(double x) {
  return x * 1e-6;
}

// 1,000 tokens of 8 GPUs, 6 experts each, 7/8 of them elsewhere: 5,250 rows in all, 656.25 a GPU.
TEST_CASE("tokens to spread experts and back: the busiest GPU's rows, FP8 there and BF16 back") {
  expert_dispatch::Shape s{
      .tokens = 1000, .most_tokens = 125, .hidden = 7168, .active = 6, .gpus = 8};
  CHECK(expert_dispatch::link_bytes(s) == 656.25 * 7168 * 33 / 32);
  CHECK(expert_combine::link_bytes(s) == 656.25 * 7168 * 2);
  s.imbalance = 1.5;  // the hottest GPU receives half as much again
  CHECK(expert_combine::link_bytes(s) == 1.5 * 656.25 * 7168 * 2);
  s.most_tokens = 500;  // half of all tokens are on one GPU, which sends four times the mean
  CHECK(expert_combine::link_bytes(s) == 4 * 656.25 * 7168 * 2);
  s.gpus = 1;
  CHECK(expert_dispatch::link_bytes(s) == 0);
}

TEST_CASE("gathering all tokens and scattering their sums are the halves of an all-reduce") {
  const double whole = all_reduce::link_bytes({.tokens = 100, .hidden = 7168, .ranks = 8});
  CHECK(all_gather::link_bytes({.tokens = 100, .hidden = 7168, .gpus = 8}) == whole / 2);
  CHECK(reduce_scatter::link_bytes({.tokens = 100, .hidden = 7168, .gpus = 8}) == whole / 2);
}

TEST_CASE("the GPU with the hottest experts: even ones are a fair part, hot ones more of it") {
  const double even = experts::touched_on_hottest(384, 6, 100, 8, 1);
  CHECK(8 * even == doctest::Approx(experts::touched_experts(384, 6, 100)).epsilon(1e-12));
  CHECK(experts::touched_on_hottest(384, 6, 100, 8, 2) > even);
  CHECK(experts::touched_on_hottest(384, 6, 100'000, 8, 2) == doctest::Approx(48));
  // One token, three of its six experts on this GPU.
  CHECK(experts::touched_on_hottest(384, 6, 1, 8, 4) == doctest::Approx(3));
}

TEST_CASE("linear: FLOPs by precision, weights once, outputs per row") {
  const Work one = linear::work({.rows = 1, .in = 7168, .out = 2048, .bytes_per_weight = kFp8});
  CHECK(one.flops_fp8 == 2.0 * 7168 * 2048);
  CHECK(one.flops_bf16 == 0);
  CHECK(mega(one.weight_bytes) == doctest::Approx(11.0 + 3.67).epsilon(0.001));
  CHECK(one.activation_bytes == 2 * 2048);
  const Work grouped = linear::work({.rows = 3,
                                     .groups = 16,
                                     .in = 4096,
                                     .out = 1024,
                                     .bytes_per_weight = 2,
                                     .precision = Precision::bf16});
  CHECK(grouped.flops_bf16 == 3 * 2.0 * 16 * 4096 * 1024);
  CHECK(grouped.weight_bytes == 2.0 * 16 * 4096 * 1024);
  CHECK(grouped.activation_bytes == 3 * 16 * 1024 * 2);
}

TEST_CASE(
    "hyper-connections: 10 d bytes before and 18 d after a sublayer, 2.75 MB of FP32 weights") {
  const Work pre = mhc_pre::work({.tokens = 1, .hidden = 7168, .streams = 4, .mixes = 24});
  CHECK(pre.activation_bytes == 10 * 7168);
  CHECK(pre.flops_bf16 == 2 * 24 * 4 * 7168 + 2 * 4 * 7168);
  CHECK(mega(pre.weight_bytes) == doctest::Approx(5.5 / 2).epsilon(0.002));
  const Work post = mhc_post::work({.tokens = 1, .hidden = 7168, .streams = 4});
  CHECK(post.activation_bytes == 18 * 7168);
  CHECK(post.flops_bf16 == 2 * 20 * 7168);
}

TEST_CASE("norms, query rotation and embedding move activations only") {
  CHECK(rmsnorm_quant::work({.tokens = 2, .hidden = 7168}).bytes() == 2 * 7168 * (3 + 4.0 / 128));
  const Work residual =
      rmsnorm_quant::work({.tokens = 1, .hidden = 8192, .quantised = false, .adds_residual = true});
  CHECK(residual.bytes() == 8192 * (2 + 2 + 4));
  const Work rope = q_rope_kv_store::work(
      {.tokens = 2, .heads = 128, .head_dim = 512, .kv_dim = 512, .entry_bytes = 584});
  CHECK(rope.activation_bytes == 2 * (2 * 1024 * 128 + 1024));
  CHECK(rope.cache_write_bytes == 2 * 584);
  const Work rows = embedding::work({.tokens = 3, .hidden = 7168, .streams = 4});
  CHECK(rows.bytes() == 3 * 7168 * 2 * 5);
}

TEST_CASE("compressors: projection, state and emitted entries") {
  const compressor_csa::Shape csa{
      .tokens = 4, .emitted = 1, .hidden = 7168, .head_dim = 512, .entry_bytes = 584};
  const compressor_csa::Shape keys{
      .tokens = 4, .emitted = 1, .hidden = 7168, .head_dim = 128, .entry_bytes = 132};
  CHECK(mega(compressor_csa::work(csa).weight_bytes) == doctest::Approx(29.4).epsilon(0.002));
  CHECK(compressor_csa::work(csa).cache_write_bytes == 584);
  // State of 10,240 B a token, main and indexer together, and 40 KiB read back at the fourth.
  CHECK(compressor_csa::work(csa).activation_bytes + compressor_csa::work(keys).activation_bytes ==
        4 * 10240 + 40 * 1024);
  const compressor_hca::Shape hca{
      .tokens = 128, .emitted = 1, .hidden = 7168, .head_dim = 512, .entry_bytes = 584};
  CHECK(compressor_hca::work(hca).activation_bytes == 128 * 4096 + 512 * 1024);
  CHECK(mega(compressor_hca::work(hca).weight_bytes) == doctest::Approx(14.7).epsilon(0.002));
  CHECK(compressor_hca::work(hca).cache_write_bytes == 584);
}

TEST_CASE(
    "indexer: 4096 n FLOPs of scores and 33 n or 17 n bytes of keys for n tokens of context") {
  const std::int64_t n = 1 << 20;
  const Work fp8 = indexer_scores::work(
      {.pairs = n / 4, .keys = n / 4, .heads = 64, .head_dim = 128, .key_bytes = 132});
  CHECK(fp8.flops_fp8 == 4096.0 * n);
  CHECK(fp8.cache_read_bytes == 33.0 * n);
  CHECK(fp8.activation_bytes == 1.0 * n);
  const Work fp4 = indexer_scores::work({.pairs = n / 4,
                                         .keys = n / 4,
                                         .heads = 64,
                                         .head_dim = 128,
                                         .key_bytes = 68,
                                         .precision = Precision::fp4});
  CHECK(fp4.flops_fp4 == 4096.0 * n);
  CHECK(fp4.flops_fp8 == 0);
  CHECK(fp4.cache_read_bytes == 17.0 * n);
  CHECK(topk::work({.pairs = n / 4, .selected = 1024}).bytes() == n + 4 * 1024);
  const Work query = indexer_query::work({.tokens = 1,
                                          .hidden = 7168,
                                          .q_lora = 1536,
                                          .heads = 64,
                                          .head_dim = 128,
                                          .key_bytes = 132,
                                          .bytes_per_weight = kFp8});
  CHECK(query.flops() == 2.0 * 1536 * 8192 + 128.0 * 7168);
  CHECK(query.activation_bytes == 64 * 132);
}

TEST_CASE("attention: 4 H 512 FLOPs a key, entries once, queries in and outputs out") {
  const Work csa = attention_csa::work({.queries = 1,
                                        .heads = 128,
                                        .head_dim = 512,
                                        .window_pairs = 128,
                                        .selected_pairs = 1024,
                                        .window_entries = 128,
                                        .selected_entries = 1024,
                                        .entry_bytes = 584});
  CHECK(csa.flops_bf16 == 4.0 * 128 * 512 * 1152);
  CHECK(csa.flops_bf16 * 1e-9 == doctest::Approx(0.302).epsilon(0.002));
  CHECK(csa.cache_read_bytes == 584 * 1152);
  CHECK(csa.activation_bytes == 2 * 1024 * 128);
  const Work hca = attention_hca::work({.queries = 1,
                                        .heads = 128,
                                        .head_dim = 512,
                                        .window_pairs = 128,
                                        .compressed_pairs = 8192,
                                        .window_entries = 128,
                                        .compressed_entries = 8192,
                                        .entry_bytes = 584});
  CHECK(hca.flops() * 1e-9 == doctest::Approx(2.18).epsilon(0.002));
  CHECK(hca.cache_read_bytes == 584 * 8320);
  const Work window = attention_window::work({.queries = 2,
                                              .heads = 64,
                                              .head_dim = 512,
                                              .pairs = 256,
                                              .entries = 129,
                                              .entry_bytes = 584});
  CHECK(window.flops() == 4.0 * 64 * 512 * 256);
  CHECK(window.cache_read_bytes == 129 * 584);
}

TEST_CASE("attention over latents and over grouped heads") {
  const Work mla = attention_mla::work({.queries = 1,
                                        .heads = 128,
                                        .key_dim = 576,
                                        .value_dim = 512,
                                        .pairs = 1000,
                                        .entries = 1000,
                                        .entry_bytes = 656});
  CHECK(mla.flops() == 2.0 * 128 * 1088 * 1000);
  CHECK(mla.activation_bytes == 2 * 128 * 1088);
  const Work dsa = attention_dsa::work({.queries = 1,
                                        .heads = 128,
                                        .key_dim = 576,
                                        .value_dim = 512,
                                        .selected_pairs = 2048,
                                        .selected_entries = 2048,
                                        .entry_bytes = 656});
  CHECK(dsa.flops() == 2.0 * 128 * 1088 * 2048);
  CHECK(dsa.cache_read_bytes == 2048 * 656);
  const Work gqa = attention_gqa::work({.queries = 1,
                                        .heads = 64,
                                        .head_dim = 128,
                                        .pairs = 100,
                                        .entries = 100,
                                        .entry_bytes = 4096});
  CHECK(gqa.flops() == 4.0 * 64 * 128 * 100);
  CHECK(gqa.cache_read_bytes == 409600);
}

TEST_CASE("experts: 0.925 GFLOP a token with the shared one, and only touched experts are read") {
  experts::Shape routed{.tokens = 1,
                        .hidden = 7168,
                        .intermediate = 3072,
                        .active = 6,
                        .touched = 384,
                        .bytes_per_weight = kFp4};
  const Work shared =
      mlp::work({.tokens = 1, .hidden = 7168, .intermediate = 3072, .bytes_per_weight = kFp8});
  CHECK((experts::work(routed).flops() + shared.flops()) * 1e-9 ==
        doctest::Approx(0.925).epsilon(0.001));
  CHECK(mega(experts::work(routed).weight_bytes) == doctest::Approx(13476).epsilon(0.001));
  CHECK(mega(shared.weight_bytes) == doctest::Approx(66.1).epsilon(0.001));
  routed.ranks = 8;
  CHECK(mega(experts::work(routed).weight_bytes) == doctest::Approx(1684.5).epsilon(0.001));
  CHECK(experts::work(routed).flops() * 8 == doctest::Approx(6.0 * 6 * 7168 * 3072));
  CHECK(experts::work(routed).activation_bytes * 8 == 6 * (7168 * (1 + 1.0 / 32) + 2 * 7168));
}

TEST_CASE("touched experts: exact at the ends, equal to the closed form between") {
  CHECK(experts::touched_experts(384, 6, 0) == 0);
  CHECK(experts::touched_experts(384, 6, 1) == doctest::Approx(6));
  CHECK(experts::touched_experts(384, 6, 1 << 20) == doctest::Approx(384));
  for (const std::int64_t tokens : {2, 3, 16, 64, 511, 512}) {
    CAPTURE(tokens);
    const double expected = 384 * (1 - std::pow(1 - 6.0 / 384, static_cast<double>(tokens)));
    CHECK(experts::touched_experts(384, 6, tokens) == doctest::Approx(expected).epsilon(1e-12));
  }
  CHECK(experts::touched_experts(8, 8, 1) == 8);
}

TEST_CASE("router, head and all-reduce") {
  const Work gate = router::work({.tokens = 2, .hidden = 7168, .experts = 384, .active = 6});
  CHECK(mega(gate.weight_bytes) == doctest::Approx(5.5).epsilon(0.002));
  CHECK(gate.flops_bf16 == 2 * 2.0 * 7168 * 384);
  CHECK(gate.activation_bytes == 2 * 6 * 8);
  const Work logits = head::work({.rows = 2, .hidden = 7168, .vocab = 16160});
  CHECK(logits.weight_bytes == 2.0 * 7168 * 16160);
  CHECK(logits.activation_bytes == 2 * 4 * 16160);
  CHECK(all_reduce::link_bytes({.tokens = 4, .hidden = 7168, .ranks = 8}) ==
        4 * 2 * 7168 * 2 * 7.0 / 8);
  CHECK(all_reduce::link_bytes({.tokens = 4, .hidden = 7168, .ranks = 1}) == 0);
}

}  // namespace
}  // namespace v4cap::kernels
