#include "sim/config/trace_files.h"

#include <filesystem>
#include <vector>

#include "sim/config/yaml_tree.h"
#include "sim/core/text_file.h"
#include "traces/public_traces.h"

namespace v4cap {

namespace fs = std::filesystem;

namespace {

bool is_file(const fs::path& path) {
  std::error_code ignored;
  return fs::is_regular_file(path, ignored);
}

}  // namespace

FoundTrace find_trace(const std::string& name, const std::string& scenario_dir,
                      const std::string& trace_dir, const Place& place, const std::string& what) {
  const fs::path beside = fs::path(scenario_dir) / name;  // `name` itself when it is absolute
  if (is_file(beside)) return {beside.string(), fs::absolute(beside).lexically_normal().string()};
  std::string near = nearest_file(beside.string());
  std::string searched = scenario_dir.empty() ? "." : scenario_dir;
  for (const std::string& folder : {trace_dir, std::string(V4CAP_SAMPLE_DIR)}) {
    if (folder.empty()) continue;
    const fs::path path = fs::path(folder) / name;
    if (is_file(path)) return {path.string(), name};
    searched += ", " + folder;
    if (near.empty()) near = nearest_file(path.string());
  }
  const bool absolute = fs::path(name).is_absolute();
  throw InputError(place,
                   what + ": expected a trace, found no file " + shown(name) +
                       (absolute ? "" : " in " + searched) + near + where_to_get(name) +
                       (absolute ? "" : "; name its folder with --traces DIR or V4CAP_TRACES"));
}

}  // namespace v4cap
