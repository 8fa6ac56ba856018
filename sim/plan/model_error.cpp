#include "sim/plan/model_error.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <vector>

#include "sim/config/profile_file.h"
#include "sim/core/json.h"

namespace v4cap {

namespace {

namespace fs = std::filesystem;

// Errors that a load rests on; memory and hit rates are exact in every replay.
bool counts(std::string_view figure) {
  for (const char* start : {"ttft_", "tpot_", "e2el_", "throughput_"}) {
    if (figure.starts_with(start)) return true;
  }
  return false;
}

// The largest error of this profile in a file of replays; nothing where it is not among them.
std::optional<double> replayed_error(const fs::path& file, const std::string& profile) {
  std::ifstream in(file, std::ios::binary);
  const std::string text{std::istreambuf_iterator<char>(in), {}};
  JsonLine line;
  std::optional<double> worst;
  const JsonValue root = line.parse(text, Place{file.string(), 1});
  for (const JsonValue run : root.at("runs").array()) {
    for (const JsonValue against : run.at("against").array()) {
      if (against.at("profile").string() != profile) continue;
      for (const JsonValue error : against.at("errors").members()) {
        if (!counts(error.key())) continue;
        worst = std::max(worst.value_or(0), std::abs(error.number(-1e6, 1e6)));
      }
    }
  }
  return worst;
}

// exec/measured lies beside the folder of scenarios that the profile is from.
std::optional<double> replayed_error(const Profile& profile, std::string& source) {
  const fs::path folder =
      fs::path(profile.file).parent_path().parent_path().parent_path() / "exec" / "measured";
  std::vector<fs::path> files;
  std::error_code ignored;
  for (const auto& entry : fs::directory_iterator(folder, ignored)) {
    if (entry.path().extension() == ".json") files.push_back(entry.path());
  }
  std::ranges::sort(files);
  std::optional<double> worst;
  for (const fs::path& file : files) {
    const std::optional<double> error = replayed_error(file, profile.name);
    if (!error) continue;
    if (!worst || *error > *worst) worst = error;
    source = "the largest error of any replay in exec/measured/" + file.filename().string();
  }
  return worst;
}

std::optional<double> held_out_error(const Profile& profile) {
  double weighted = 0, samples = 0;
  for (const ProfileFamily& family : profile.families) {
    const auto n = static_cast<double>(family.held_out.samples);
    weighted += n * family.held_out.p90_pct;
    samples += n;
  }
  return samples > 0 ? std::optional(weighted / samples) : std::nullopt;
}

}  // namespace

ModelError model_error(const Scenario& scenario) {
  if (scenario.profile.empty()) {
    return {std::nullopt, "the error of the roofline is not known", "roofline",
            "datasheet peaks and assumed efficiencies of " + scenario.hardware.name};
  }
  const std::string folder = fs::path(scenario.file).parent_path().string();
  const Profile profile = load_profile(scenario.profile, folder, Place{scenario.file});
  ModelError out;
  out.profile = profile.name;
  out.origin = fmt::format("{}, {} {}, {}; {}", profile.device, profile.engine,
                           profile.engine_version, profile.date, profile.source);
  if (profile.gpu != scenario.hardware.gpu.name) {
    out.source = "times of a " + profile.gpu + " transferred to a " + scenario.hardware.gpu.name +
                 ", whose error nobody has measured";
    return out;
  }
  out.percent = replayed_error(profile, out.source);
  if (out.percent) return out;
  out.percent = held_out_error(profile);
  out.source = out.percent ? "nine in ten left-out samples of the profile; no run of it was "
                             "performed"
                           : "the profile has no left-out samples";
  return out;
}

}  // namespace v4cap
