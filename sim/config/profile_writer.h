// Writing what sim/config/profile_file.h reads: the same profile gives the same bytes, and reading
// them gives that profile, with times to four significant digits.
#pragma once

#include <string>

#include "sim/cost/profile.h"

namespace v4cap {

// The two files of a profile. A profile without samples (grain step) has an empty csv.
struct ProfileText {
  std::string yaml;  // NAME.yaml
  std::string csv;   // NAME.csv
};

// No text may be empty but a family's note, and a host must have graph_sizes.
ProfileText profile_text(const Profile& profile);

// Writes DIR/NAME.yaml and, where there are samples, DIR/NAME.csv. Throws RunError when a file
// cannot be written.
void write_profile(const Profile& profile, const std::string& dir);

}  // namespace v4cap
