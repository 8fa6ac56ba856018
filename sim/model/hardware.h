// A node as data, read from scenarios/hardware/*.yaml. Peaks are datasheet figures and are marked
// so wherever a result depends on them; efficiencies are what a roofline reaches of them.
#pragma once

#include <cstdint>
#include <string>

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

struct HardwareSpec {
  std::string name;
  GpuSpec gpu;
  std::int64_t gpus_per_node = 0;
  double link_bytes_per_s_peak = 0;  // NVLink, one direction, per GPU
  Duration link_latency{};           // of one collective
  RooflineEfficiency efficiency;
  Bytes reserve;  // of each GPU, for activations, graphs, communication; a scenario may override it
  std::string provenance;  // where the figures come from; none is a measurement of ours
};

}  // namespace v4cap
