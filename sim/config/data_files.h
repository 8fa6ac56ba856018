// Models, hardware, engines and profiles are files of data with a name. A name is looked for in the
// scenario's own folder, then where V4CAP_SCENARIOS points, then in the scenarios that came with
// the program; a path is taken as it is.
#pragma once

#include <string>
#include <vector>

#include "sim/config/yaml_tree.h"

namespace v4cap {

enum class DataKind : std::uint8_t { model, hardware, engine, profile };

// Folders in the order they are searched, for a scenario in `scenario_dir` ("" = the current
// directory).
std::vector<std::string> data_folders(DataKind kind, const std::string& scenario_dir);

// Names that can be given, sorted, each once.
std::vector<std::string> data_names(DataKind kind, const std::string& scenario_dir);

// Path of the file for a name, or for a path (contains '/' or ends in .yaml, relative to
// scenario_dir). Throws InputError at `place` with the nearest name.
std::string find_data_file(DataKind kind, const std::string& name, const std::string& scenario_dir,
                           const Place& place);

// What stands for a model or hardware in a scenario: a name or path, a map with `base: name` that
// is laid over that file, or a whole map. Returns the whole map.
YamlNode expanded(DataKind kind, const YamlNode& node, const std::string& scenario_dir);

// A single file that lies beside the folders, such as "checkpoints.yaml". Throws InputError that
// names every place where it was looked for.
std::string find_single_file(const std::string& name);

}  // namespace v4cap
