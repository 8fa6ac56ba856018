// A price table: what an hour of a GPU costs and what tokens are sold for. Data with a date and a
// source for every figure (scenarios/prices), never a constant of the program.
//
//   name: on-demand-2026
//   date: 2026-11-22
//   currency: USD
//   gpu_hour:
//     B200: {price: 5.98, source: "..."}
//   tokens: {input: 2.10, cached: 0.20, output: 4.40, source: "..."}    # may be left out
#pragma once

#include <map>
#include <optional>
#include <string>

#include "sim/core/error.h"

namespace v4cap {

struct GpuPrice {
  double per_hour = 0;
  std::string source;
};

struct TokenPrices {  // of a million
  double input = 0, cached = 0, output = 0;
  std::string source;
};

struct PriceTable {
  std::string name, file, date, currency;
  std::map<std::string, GpuPrice> gpu_hour;  // by the GPU's name in hardware files
  std::optional<TokenPrices> tokens;
};

// By name, from folders `prices` beside the plan, of V4CAP_SCENARIOS and of the program, or by path
// (contains '/' or ends in .yaml, relative to `dir`). Throws InputError at `place` with the nearest
// name, or with everything that is wrong in the file.
PriceTable load_prices(const std::string& name, const std::string& dir, const Place& place);

// The price of one GPU for an hour. Throws InputError at `place` for a GPU that the table lacks.
const GpuPrice& price_of(const PriceTable& table, const std::string& gpu, const Place& place);

}  // namespace v4cap
