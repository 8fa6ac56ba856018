#include "exec/calibrate/assemble.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cctype>
#include <filesystem>
#include <map>
#include <set>
#include <sstream>

#include "exec/driver/gpu_error.h"
#include "exec/step/captured_sizes.h"
#include "sim/core/quantiles.h"

namespace v4cap::exec::calibrate {
namespace {

namespace fs = std::filesystem;

struct Parts {
  std::vector<Part> complete;  // by family
  std::vector<std::string> incomplete;
};

Parts read_parts(const std::string& folder, bool any_gpu) {
  const fs::path parts = fs::path(folder) / "parts";
  std::error_code error;
  std::vector<fs::path> files;
  for (const auto& entry : fs::directory_iterator(parts, error)) files.push_back(entry.path());
  if (error) throw InputError(Place{parts.string()}, "expected a folder with parts, found none");
  std::ranges::sort(files);
  Parts out;
  for (const fs::path& file : files) {
    if (file.extension() == ".partial") out.incomplete.push_back(file.stem().string());
    if (file.extension() != ".jsonl") continue;
    Part part = read_part(file.string());
    if (part.head.family.name != file.stem().string() || !part.complete()) {
      throw InputError(
          Place{file.string()},
          fmt::format("expected all {} points of the family {}, found {} of '{}'", part.head.points,
                      file.stem().string(), part.records.size(), part.head.family.name));
    }
    if (!out.complete.empty()) {
      const Provenance& first = out.complete.front().head.provenance;
      const auto unfit = unfit_part(file.string(), first, part.head.provenance, any_gpu);
      if (unfit) throw RunError(*unfit);
    }
    out.complete.push_back(std::move(part));
  }
  if (out.complete.empty()) {
    throw InputError(Place{parts.string()}, "expected a complete part, found none");
  }
  return out;
}

// By keys, ascending.
std::vector<RawSeries> series_of(const std::vector<Record>& records) {
  std::map<std::vector<std::string>, std::vector<Sample>> by_keys;
  for (const Record& record : records) {
    if (!record.refused.empty()) continue;
    Sample sample;
    std::ranges::copy(record.point.at, sample.at.begin());
    sample.us = record.time.median_us;
    by_keys[record.point.keys].push_back(sample);
  }
  std::vector<RawSeries> out;
  for (auto& [keys, samples] : by_keys) {
    std::ranges::sort(samples, {}, &Sample::at);
    out.push_back({keys, std::move(samples)});
  }
  return out;
}

ProfileFamily described(const Part& part, const Provenance& common) {
  ProfileFamily family = part.head.family;
  family.engine = "v4exec";
  family.engine_version = common.version;
  std::map<std::string, std::int64_t> marked;
  for (const Record& record : part.records) {
    if (!record.refused.empty()) ++family.refused_rows[record.refused];
    if (!record.mark.empty()) ++marked[record.mark];
  }
  for (const auto& [mark, rows] : marked) {
    family.marks.push_back(mark);
    family.note += fmt::format("{}{} of {} points are {}", family.note.empty() ? "" : "; ", rows,
                               part.records.size(), mark);
  }
  return family;
}

// Median SM clock over all points that were measured.
std::string clocks_text(const std::vector<Part>& parts) {
  std::vector<double> mhz;
  for (const Part& part : parts) {
    for (const Record& record : part.records) {
      if (record.refused.empty() && record.time.sm_mhz > 0) mhz.push_back(record.time.sm_mhz);
    }
  }
  if (mhz.empty()) return "not recorded";
  std::ranges::sort(mhz);
  return fmt::format("not locked; SM clock {:.0f} MHz at the median point, {:.0f} at the lowest",
                     mhz[mhz.size() / 2], mhz.front());
}

double median(std::vector<double> values) {
  std::ranges::sort(values);
  return values.empty() ? 0 : quantile_of_sorted(values, 0.5);
}

HostCost host_of(const Part& part) {
  std::map<std::string, std::vector<double>> us;
  for (const Record& record : part.records) {
    if (record.refused.empty()) us[record.point.keys.at(0)].push_back(record.time.median_us);
  }
  const auto time = [&](const char* name) {
    return duration_from_seconds(1e-6 * median(us[name]));
  };
  HostCost host;
  host.eager_layer = time("eager_layer");
  host.eager_step = time("eager_step");
  host.graph_step = time("graph_step");
  host.graph_sizes = captured_sizes();
  host.graph_max_batch = host.graph_sizes.back().last;
  host.eager_sizes = eager_sizes();
  return host;
}

}  // namespace

Assembled assemble(const std::string& folder, bool any_gpu) {
  const Parts parts = read_parts(folder, any_gpu);
  const Provenance& common = parts.complete.front().head.provenance;
  Assembled out;
  out.incomplete = parts.incomplete;
  std::set<std::string> dates, gpus;
  for (const Part& part : parts.complete) {
    dates.insert(part.head.provenance.date);
    gpus.insert(part.head.provenance.uuid);
    if (part.head.family.name == "host") {
      out.profile.host = host_of(part);
      continue;
    }
    ProfileFamily family = described(part, common);
    const std::vector<RawSeries> raw = series_of(part.records);
    if (raw.empty()) {
      out.without_time.push_back(family.name);
      continue;
    }
    out.families.push_back(fit_family(std::move(family), raw, part.head.tolerance_pct));
  }
  if (out.families.empty()) {
    throw RunError(folder + ": every point of every family was refused",
                   error_kind::kNothingMeasured);
  }
  Profile& p = out.profile;
  p.name = profile_name(common);
  p.gpu = common.gpu;
  p.engine = "v4exec";
  p.engine_version = common.version;
  p.device = common.device;
  p.driver = common.driver;
  p.clocks = clocks_text(parts.complete);
  p.date = *dates.rbegin();
  p.source = fmt::format(
      "v4exec calibrate --{}, build {}, CUDA {}, {}{}{}", common.size, common.build,
      common.cuda_runtime,
      common.versions == "preferred" ? "preferred versions of kernels"
                                     : "only versions of kernels that passed check",
      out.incomplete.empty() ? "" : fmt::format(", without {}", fmt::join(out.incomplete, ", ")),
      gpus.size() == 1 ? "" : fmt::format(", on {} GPUs", gpus.size()));
  p.licence = "Apache-2.0";
  for (const FittedFamily& fitted : out.families) p.families.push_back(fitted.family);
  return out;
}

std::string profile_name(const Provenance& p) {
  std::string name = fmt::format("{}-v4exec-{}-tp{}-ep{}{}", p.gpu, p.model, p.tp, p.ep,
                                 p.size == "quick" ? "-quick" : "");
  for (char& c : name) {
    c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
    if (c == ' ' || c == '/') c = '_';
  }
  return name;
}

std::string gpu_name(const std::string& device) {
  std::istringstream words(device);
  for (std::string word; words >> word;) {
    const bool letter = std::isalpha(static_cast<unsigned char>(word[0])) != 0;
    const bool digit = std::ranges::any_of(
        word, [](char c) { return std::isdigit(static_cast<unsigned char>(c)) != 0; });
    if (letter && digit) return word;
  }
  return device;
}

}  // namespace v4cap::exec::calibrate
