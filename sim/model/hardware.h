// A node as data, read from scenarios/hardware/*.yaml. Peaks are datasheet figures and are marked
// so wherever a result depends on them; efficiencies are what a roofline reaches of them.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "sim/core/time.h"
#include "sim/core/units.h"

namespace v4cap {

struct GpuSpec {
  std::string name;
  Bytes memory;
  double memory_bytes_per_s_peak = 0;
  double flop_per_s_peak_bf16 = 0, flop_per_s_peak_fp8 = 0;
  double flop_per_s_peak_fp4 = 0;  // 0 = no FP4 units: FP4 weights run at the FP8 rate
};

// What a roofline reaches. Fractions of the peak in (0, 1]; fixed cost of one operator (launch,
// tail).
struct RooflineEfficiency {
  double memory = 1, compute = 1, link = 1;
  Duration fixed_per_operator{};
  Duration fixed_per_step{};  // host work between steps that nothing hides
};

// What large kernels reach of the peak of their precision, as published: fractions in (0, 1], 0 where
// nothing is stated. Ratios of them between two GPUs say what peaks alone do not.
struct ReachedFractions {
  double matrix_product = 0;    // FP8 GEMM
  double index_scores = 0;      // of the FP8 peak, in prefill
  double sparse_attention = 0;  // of the BF16 peak, in prefill over selected entries
  double hca_attention = 0;     // of the BF16 peak, in prefill over all compressed entries
};
inline constexpr std::array kReachedMembers = {
    &ReachedFractions::matrix_product, &ReachedFractions::index_scores,
    &ReachedFractions::sparse_attention, &ReachedFractions::hca_attention};

struct HardwareSpec {
  std::string name;
  GpuSpec gpu;
  std::int64_t gpus_per_node = 0;
  double link_bytes_per_s_peak = 0;  // NVLink, one direction, per GPU
  Duration link_latency{};           // of one collective
  RooflineEfficiency efficiency;
  ReachedFractions reached;
  // GPUs whose measured profiles stand in where this one has none, nearest first: "B200".
  std::vector<std::string> transfer_from;
  Bytes reserve;  // of each GPU, for activations, graphs, communication; a scenario may override it
  std::string provenance;  // where the figures come from; none is a measurement of ours
};

}  // namespace v4cap
