#include "exec/layer/weights.h"

#include <cmath>

#include "exec/fill.h"
#include "kernels/formats/pages.h"

namespace v4cap::exec {
namespace {

// Seeds of the parts of a layer follow each other.
class Seeds {
 public:
  explicit Seeds(std::uint64_t seed) : next_(seed) {}
  std::uint64_t take() { return next_++; }

 private:
  std::uint64_t next_;
};

constexpr float kCodeSize = 100;  // standard deviation of e4m3 codes: most of the range is used

// The power of two that brings codes of size `code_size` nearest to 1 / sqrt(in), so that a product
// of inputs near 1 is near 1.
int scale_exponent(int in, float code_size) {
  return static_cast<int>(std::lround(-std::log2(code_size * std::sqrt(static_cast<float>(in)))));
}

Fp8Matrix fp8_matrix(int groups, int out, int in, Seeds& seeds) {
  const std::int64_t rows = std::int64_t{groups} * out;
  Fp8Matrix m{groups, out, in, Buffer<std::uint8_t>(rows * in),
              Buffer<float>(rows / 128 * (in / 128))};
  fill_e4m3(m.codes, seeds.take(), kCodeSize);
  const int exponent = scale_exponent(in, kCodeSize);
  fill_powers_of_two(m.scales, seeds.take(), exponent - 1, exponent + 1);
  return m;
}

Fp4Matrix fp4_matrix(int experts, int out, int in, Seeds& seeds) {
  const std::int64_t rows = std::int64_t{experts} * out;
  Fp4Matrix m{experts, out, in, Buffer<std::uint8_t>(rows * in / 2),
              Buffer<std::uint8_t>(rows * in / 32)};
  fill_bytes(m.codes, seeds.take());
  const int exponent = scale_exponent(in, 3.0f);
  fill_bytes(m.scales, seeds.take(), 127 + exponent - 1, 127 + exponent + 1);
  return m;
}

Buffer<kernels::Bf16> bf16_matrix(std::int64_t out, int in, Seeds& seeds) {
  Buffer<kernels::Bf16> m(out * in);
  fill_normal(m, seeds.take(), 1 / std::sqrt(static_cast<float>(in)));
  return m;
}

Buffer<float> normal(std::int64_t count, float scale, float mean, Seeds& seeds) {
  Buffer<float> b(count);
  fill_normal(b, seeds.take(), scale, mean);
  return b;
}

MhcWeights mhc(const LayerShape& shape, int mixes, Seeds& seeds) {
  const int wide = 4 * shape.hidden;
  return {normal(std::int64_t{mixes} * wide, 1 / std::sqrt(static_cast<float>(wide)), 0, seeds),
          normal(mixes == 4 ? 1 : 3, 0.1f, 1, seeds), normal(mixes, 0.5f, 0, seeds)};
}

Buffer<std::int32_t> expert_table(const LayerShape& shape, Seeds& seeds) {
  // Distinct experts for every token: consecutive ones from a random start.
  Buffer<std::int32_t> starts(shape.vocab);
  fill_integers(starts, seeds.take(), 0, shape.experts - 1);
  std::vector<std::int32_t> table;
  for (const std::int32_t start : starts.host()) {
    for (int k = 0; k < shape.active; ++k) table.push_back((start + 5 * k) % shape.experts);
  }
  return Buffer<std::int32_t>(std::move(table));
}

}  // namespace

LayerWeights random_layer(const LayerShape& shape, LayerKind kind, bool hash_routed,
                          std::uint64_t seed) {
  using kernels::kHeadDim;
  using kernels::kIndexDim;
  using kernels::kIndexHeads;
  Seeds seeds(seed);
  const int d = shape.hidden;
  LayerWeights w;
  w.kind = kind;
  w.hash_routed = hash_routed;
  w.attention_mhc = mhc(shape, 24, seeds);
  w.ffn_mhc = mhc(shape, 24, seeds);
  w.attention_norm = normal(d, 0.1f, 1, seeds);
  w.ffn_norm = normal(d, 0.1f, 1, seeds);
  w.q_norm = normal(shape.q_lora, 0.1f, 1, seeds);
  w.kv_norm = normal(kHeadDim, 0.1f, 1, seeds);
  w.wqa_wkv = fp8_matrix(1, shape.q_lora + kHeadDim, d, seeds);
  w.wqb = fp8_matrix(1, shape.heads * kHeadDim, shape.q_lora, seeds);
  w.woa = fp8_matrix(shape.output_groups, shape.output_lora, shape.group_in(), seeds);
  w.wob = fp8_matrix(1, d, shape.output_groups * shape.output_lora, seeds);
  w.sink = normal(shape.padded_heads, 1, 0, seeds);
  if (kind == LayerKind::csa) {
    w.compress = bf16_matrix(kCsaColumns, d, seeds);
    w.ape = normal(4 * 2 * kHeadDim, 0.5f, 0, seeds);
    w.compressor_norm = normal(kHeadDim, 0.1f, 1, seeds);
    w.key_ape = normal(4 * 2 * kIndexDim, 0.5f, 0, seeds);
    w.key_compressor_norm = normal(kIndexDim, 0.1f, 1, seeds);
    w.indexer_wqb = fp8_matrix(1, kIndexHeads * kIndexDim, shape.q_lora, seeds);
  } else if (kind == LayerKind::hca) {
    w.compress = bf16_matrix(2 * kHeadDim, d, seeds);
    w.ape = normal(128 * kHeadDim, 0.5f, 0, seeds);
    w.compressor_norm = normal(kHeadDim, 0.1f, 1, seeds);
  }
  w.gate = bf16_matrix(shape.experts, d, seeds);
  w.gate_bias = normal(shape.experts, 0.1f, 0, seeds);
  if (hash_routed) w.expert_table = expert_table(shape, seeds);
  w.w13 = fp4_matrix(shape.local_experts, 2 * shape.intermediate, d, seeds);
  w.w2 = fp4_matrix(shape.local_experts, d, shape.intermediate, seeds);
  w.shared_w13 = fp8_matrix(1, 2 * shape.intermediate, d, seeds);
  w.shared_w2 = fp8_matrix(1, d, shape.intermediate, seeds);
  return w;
}

ModelEnds random_ends(const LayerShape& shape, std::uint64_t seed) {
  Seeds seeds(seed);
  ModelEnds e;
  e.embedding = Buffer<kernels::Bf16>(std::int64_t{shape.vocab} * shape.hidden);
  fill_normal(e.embedding, seeds.take(), 1);
  e.head = bf16_matrix(shape.vocab, shape.hidden, seeds);
  e.head_mhc = mhc(shape, 4, seeds);
  e.mtp_head_mhc = mhc(shape, 4, seeds);
  e.final_norm = normal(shape.hidden, 0.1f, 1, seeds);
  e.mtp_final_norm = normal(shape.hidden, 0.1f, 1, seeds);
  e.mtp_embed_norm = normal(shape.hidden, 0.1f, 1, seeds);
  e.mtp_hidden_norm = normal(shape.hidden, 0.1f, 1, seeds);
  e.mtp_embed = fp8_matrix(1, shape.hidden, shape.hidden, seeds);
  e.mtp_hidden = fp8_matrix(1, shape.hidden, shape.hidden, seeds);
  return e;
}

}  // namespace v4cap::exec
