// Random weights of layers in the checkpoint's formats, on both sides. Their sizes are chosen so
// that activations stay near 1, as trained weights keep them.
#pragma once

#include <cstdint>

#include "exec/device.h"
#include "exec/layer/layer_shape.h"
#include "kernels/formats/matrices.h"
#include "kernels/formats/pages.h"
#include "sim/model/model.h"

namespace v4cap::exec {

// Columns of the joint BF16 product of a CSA layer (LayerWeights::compress).
inline constexpr int kCsaKeyColumn = 4 * kernels::kHeadDim;
inline constexpr int kCsaHeadWeightColumn = kCsaKeyColumn + 4 * kernels::kIndexDim;
inline constexpr int kCsaColumns = kCsaHeadWeightColumn + kernels::kIndexHeads;

// FP8 weights [groups, out, in] with one scale per 128 x 128.
struct Fp8Matrix {
  int groups = 1, out = 0, in = 0;
  Buffer<std::uint8_t> codes;
  Buffer<float> scales;
  kernels::Fp8Weights at(Side side) { return {codes.at(side), scales.at(side)}; }
};

// FP4 expert weights [experts, out, in] with one scale per 32 along `in`.
struct Fp4Matrix {
  int experts = 0, out = 0, in = 0;
  Buffer<std::uint8_t> codes, scales;
  kernels::Fp4Weights at(Side side) { return {codes.at(side), scales.at(side)}; }
};

struct MhcWeights {
  Buffer<float> fn, scale, base;
};

// Everything of one decoder layer. Members of other kinds of layer are empty.
struct LayerWeights {
  LayerKind kind = LayerKind::window;
  bool hash_routed = false;
  MhcWeights attention_mhc, ffn_mhc;
  Buffer<float> attention_norm, ffn_norm, q_norm, kv_norm;
  Fp8Matrix wqa_wkv, wqb, woa, wob;
  Buffer<float> sink;
  // One BF16 product of everything that the compressors and the indexer take from x:
  //   CSA  u, g of the entries (2 x 1024), u, g of the keys (2 x 256), head weights (64)
  //   HCA  u, g of the entries (2 x 512)
  Buffer<kernels::Bf16> compress;
  Buffer<float> ape, compressor_norm;          // of the entries
  Buffer<float> key_ape, key_compressor_norm;  // of the keys, CSA
  Fp8Matrix indexer_wqb;                       // CSA
  Buffer<kernels::Bf16> gate;
  Buffer<float> gate_bias;
  Buffer<std::int32_t> expert_table;  // hash layers: [vocab, active]
  Fp4Matrix w13, w2;
  Fp8Matrix shared_w13, shared_w2;
};

LayerWeights random_layer(const LayerShape& shape, LayerKind kind, bool hash_routed,
                          std::uint64_t seed);

// What a model has outside its layers; the MTP layer's projections and head mixing beside them.
struct ModelEnds {
  Buffer<kernels::Bf16> embedding, head;  // [vocab, hidden]
  MhcWeights head_mhc, mtp_head_mhc;      // 4 mixes
  Buffer<float> final_norm, mtp_final_norm;
  Buffer<float> mtp_embed_norm, mtp_hidden_norm;
  Fp8Matrix mtp_embed, mtp_hidden;  // We, Wh
};

ModelEnds random_ends(const LayerShape& shape, std::uint64_t seed);

}  // namespace v4cap::exec
