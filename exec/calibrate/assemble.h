// Parts become a profile.
#pragma once

#include <string>
#include <vector>

#include "exec/calibrate/part.h"
#include "sim/cost/profile_fit.h"

namespace v4cap::exec::calibrate {

struct Assembled {
  Profile profile;
  std::vector<FittedFamily> families;     // by name
  std::vector<std::string> incomplete;    // families that are measured in part only
  std::vector<std::string> without_time;  // families all of whose points were refused
};

// The family "host" is no family of the profile but its host. It has the key `part` and the axis
// `batch`: series "eager_layer", "eager_step" and "graph_step", of which each gives its median time.
//
// Complete parts of DIR/parts, in whatever order they were measured: the same parts give the same
// profile. Throws InputError when there is none or one is broken, and RunError "wrong_profile" or
// "bad_part" when two differ in identity; with `any_gpu` GPUs of the same name count as one.
Assembled assemble(const std::string& folder, bool any_gpu);

// "h100-v4exec-deepseek-v4-pro-tp8-ep8-quick".
std::string profile_name(const Provenance& provenance);

// "H100" of "NVIDIA H100 80GB HBM3": the word that begins with a letter and holds digits; the whole
// name when there is none.
std::string gpu_name(const std::string& device);

}  // namespace v4cap::exec::calibrate
