// The units that amounts and rates are written in. Shared by what reads them and what writes them.
#pragma once

#include <array>
#include <cstdint>
#include <string_view>

#include "sim/core/units.h"

namespace v4cap {

struct Unit {
  std::string_view name;
  std::int64_t factor;
};

inline constexpr std::int64_t kThousand = 1000;
inline constexpr std::int64_t kMillion = kThousand * kThousand;
inline constexpr std::int64_t kBillion = kThousand * kMillion;

inline constexpr std::array<Unit, 9> kByteUnits{{{"B", 1},
                                                 {"KB", kThousand},
                                                 {"KiB", kKiB},
                                                 {"MB", kMillion},
                                                 {"MiB", kKiB* kKiB},
                                                 {"GB", kBillion},
                                                 {"GiB", kGiB},
                                                 {"TB", kThousand* kBillion},
                                                 {"TiB", kKiB* kGiB}}};
inline constexpr std::array<Unit, 6> kTimeUnits{{{"ns", 1},
                                                 {"us", kThousand},
                                                 {"ms", kMillion},
                                                 {"s", kBillion},
                                                 {"min", 60 * kBillion},
                                                 {"h", 3600 * kBillion}}};
inline constexpr std::array<Unit, 5> kByteRateUnits{{{"B/s", 1},
                                                     {"KB/s", kThousand},
                                                     {"MB/s", kMillion},
                                                     {"GB/s", kBillion},
                                                     {"TB/s", kThousand* kBillion}}};
inline constexpr std::array<Unit, 5> kFlopRateUnits{{{"FLOP/s", 1},
                                                     {"MFLOP/s", kMillion},
                                                     {"GFLOP/s", kBillion},
                                                     {"TFLOP/s", kThousand* kBillion},
                                                     {"PFLOP/s", kMillion* kBillion}}};

}  // namespace v4cap
