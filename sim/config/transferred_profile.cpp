#include "sim/config/transferred_profile.h"

#include "sim/config/hardware_file.h"
#include "sim/config/profile_file.h"

namespace v4cap {

Profile load_transferred(const std::vector<std::string>& donors, const std::string& scenario_dir,
                         const HardwareSpec& target, std::span<const TransferModel> models,
                         const Place& place) {
  std::vector<Profile> profiles;
  for (const std::string& name : donors) {
    profiles.push_back(load_profile(name, scenario_dir, place));
    if (profiles.back().whole_steps() != nullptr) {
      throw InputError(place, "expected a profile of modules, " + profiles.back().name +
                                  " is of whole steps, whose times are not transferred");
    }
    if (profiles.back().engine != profiles.front().engine) {
      throw InputError(place, "expected profiles of one engine, " + profiles.front().name +
                                  " is of " + profiles.front().engine + " and " +
                                  profiles.back().name + " of " + profiles.back().engine);
    }
  }
  std::vector<TransferDonor> from;
  for (const Profile& profile : profiles) {
    from.push_back({&profile, load_hardware_of_gpu(profile.gpu, scenario_dir, place)});
  }
  return transfer_profile(from, target, models);
}

}  // namespace v4cap
