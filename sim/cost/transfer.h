// Times of a GPU that nobody measured, from those of one or two others under the same engine.
//
// For each series of a family (the CSA module in decode of V4-Pro in TP 8) a model
//
//   time = fixed + c1 bytes / memory bandwidth + c2 matrix FLOP / peak + c3 index-score FLOP / peak
//          + c4 attention FLOP / peak + c5 link bytes / link rate,     all c >= 0,
//
// is fitted to the samples of all donors by least squares of relative errors; bytes and FLOP are
// those of the operators that the family stands for, each FLOP at the peak of its precision. Then
// every sample of the first donor is multiplied by model(target) / model(donor) at its shape: what
// the model cannot say (tiles, waves, launch gaps) stays as it was measured there.
//
// Generations of GPUs reach different fractions of their peaks. Where the hardware descriptions of
// target and donors all state what a kind of kernel reaches (ReachedFractions), peaks are
// multiplied by that; where one does not, by nothing.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "sim/cost/profile.h"
#include "sim/model/cache_geometry.h"
#include "sim/model/hardware.h"
#include "sim/model/model.h"

namespace v4cap {

struct TransferDonor {
  const Profile* profile = nullptr;  // of one engine, the same for all donors
  HardwareSpec hardware;             // of the GPU that the profile was measured on
};

// A model whose series are transferred.
struct TransferModel {
  ModelSpec spec;
  EntryFormat entry;  // of the whole model
};

// Marks families whose times were rescaled from another GPU's.
inline constexpr std::string_view kTransferredMark = "transferred";

// A profile of the target's GPU with the families of the first donor, each marked `transferred`;
// its source says from what. Left out are series of models that are not given (attention, experts,
// hyper-connections) and families of grain `step`, whose operators are not known. At least one
// donor. The same arguments give the same bits.
Profile transfer_profile(std::span<const TransferDonor> donors, const HardwareSpec& target,
                         std::span<const TransferModel> models);

// How far times of one profile are from another's, at the shapes of the other.
struct TransferError {
  std::string family;
  std::int64_t samples = 0;            // compared
  std::int64_t outside = 0;            // not compared: beyond the shapes that were predicted
  double median_pct = 0, p90_pct = 0;  // of |predicted / measured - 1|
  double signed_median_pct = 0;        // of predicted / measured - 1
};

// By family, in the order of `measured`; of series that both have.
std::vector<TransferError> transfer_errors(const Profile& predicted, const Profile& measured);

}  // namespace v4cap
