#include "sim/sweep/point_key.h"

#include <filesystem>
#include <fstream>
#include <vector>

#include "sim/config/data_files.h"
#include "sim/core/hash.h"
#include "sim/output/run_summary.h"
#include "sim/output/version.h"

namespace v4cap {

namespace fs = std::filesystem;

namespace {

// Two hashes of 64 bits that begin differently.
class Hash128 {
 public:
  Hash128() { second_.add(std::uint64_t{0x9e3779b97f4a7c15}); }
  void add(std::string_view text) {
    first_.add(text);
    second_.add(text);
  }
  std::string text() const { return hash_text(first_.value()) + hash_text(second_.value()); }

 private:
  ContentHash first_, second_;
};

// Files of data beside the scenario that a run reads; the resolved text names them only.
std::vector<std::string> files_of(const Scenario& s) {
  std::vector<std::string> files;
  const auto add = [&](const std::string& path) {
    if (!path.empty()) files.push_back(path);
  };
  add(s.workload.trace);
  if (s.workload.synthetic) {
    const SyntheticSpec& spec = *s.workload.synthetic;
    for (const LengthSpec* length : {&spec.first_prompt, &spec.next_prompt, &spec.output}) {
      add(length->table);
    }
    add(spec.rate_table);
  }
  std::vector<std::string> profiles = s.profile_donors;
  if (!s.profile.empty()) profiles.push_back(s.profile);
  const std::string folder = fs::path(s.file).parent_path().string();
  for (const std::string& name : profiles) {
    const std::string yaml = find_data_file(DataKind::profile, name, folder, Place{s.file});
    add(yaml);
    const fs::path csv = fs::path(yaml).replace_extension(".csv");
    if (fs::exists(csv)) add(csv.string());
  }
  return files;
}

}  // namespace

std::string content_key(std::string_view text) {
  Hash128 hash;
  hash.add(text);
  return hash.text();
}

std::string PointKeys::file_key(const std::string& path) {
  const std::lock_guard lock(mutex_);
  if (const auto it = files_.find(path); it != files_.end()) return it->second;
  std::ifstream file(path, std::ios::binary);
  if (!file) throw InputError(Place{path}, "cannot be read");
  Hash128 hash;
  std::string piece(std::size_t{1} << 16, '\0');
  while (file) {
    file.read(piece.data(), static_cast<std::streamsize>(piece.size()));
    hash.add(std::string_view(piece).substr(0, static_cast<std::size_t>(file.gcount())));
  }
  if (file.bad()) throw InputError(Place{path}, "cannot be read");
  return files_[path] = hash.text();
}

std::string PointKeys::key_of(const Scenario& scenario) {
  Hash128 hash;
  hash.add(simulator_version());
  hash.add(simulator_sources());
  hash.add(kDefinitionsVersion);
  hash.add(scenario.name);  // a part of the summary
  hash.add(scenario.resolved_yaml);
  for (const std::string& path : files_of(scenario)) hash.add(file_key(path));
  return hash.text();
}

}  // namespace v4cap
