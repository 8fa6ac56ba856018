#include "sim/config/data_files.h"

#include <algorithm>
#include <cstdlib>
#include <filesystem>

#include "sim/core/text_file.h"

namespace v4cap {

namespace fs = std::filesystem;

namespace {

std::string noun(DataKind kind) {
  switch (kind) {
    case DataKind::model:
      return "model";
    case DataKind::hardware:
      return "hardware";
    case DataKind::engine:
      return "engine";
    case DataKind::profile:
      return "profile";
  }
  return "";
}

std::string folder_name(DataKind kind) {
  return kind == DataKind::hardware ? "hardware" : noun(kind) + 's';
}

bool is_file(const fs::path& path) {
  std::error_code ignored;
  return fs::is_regular_file(path, ignored);
}

}  // namespace

std::vector<std::string> data_folders(DataKind kind, const std::string& scenario_dir) {
  std::vector<std::string> folders;
  folders.push_back((fs::path(scenario_dir) / folder_name(kind)).string());
  if (const char* extra = std::getenv("V4CAP_SCENARIOS"); extra != nullptr && *extra != '\0') {
    folders.push_back((fs::path(extra) / folder_name(kind)).string());
  }
  folders.push_back((fs::path(V4CAP_DATA_DIR) / folder_name(kind)).string());
  return folders;
}

std::vector<std::string> data_names(DataKind kind, const std::string& scenario_dir) {
  std::vector<std::string> names;
  for (const std::string& folder : data_folders(kind, scenario_dir)) {
    std::error_code ignored;
    for (const auto& entry : fs::directory_iterator(folder, ignored)) {
      if (entry.path().extension() == ".yaml") names.push_back(entry.path().stem().string());
    }
  }
  std::sort(names.begin(), names.end());
  names.erase(std::unique(names.begin(), names.end()), names.end());
  return names;
}

std::string find_data_file(DataKind kind, const std::string& name, const std::string& scenario_dir,
                           const Place& place) {
  if (name.find('/') != std::string::npos || name.ends_with(".yaml")) {
    const fs::path path = fs::path(scenario_dir) / name;
    if (is_file(path)) return path.string();
    throw InputError(
        place, noun(kind) + ": no file " + shown(path.string()) + nearest_file(path.string()));
  }
  for (const std::string& folder : data_folders(kind, scenario_dir)) {
    const fs::path path = fs::path(folder) / (name + ".yaml");
    if (is_file(path)) return path.string();
  }
  throw InputError(place, noun(kind) + ": unknown " + noun(kind) + ' ' + shown(name) +
                              suggestion(name, data_names(kind, scenario_dir)));
}

YamlNode expanded(DataKind kind, const YamlNode& node, const std::string& scenario_dir) {
  const YamlNode* base = node.kind == YamlNode::Kind::map ? node.find("base") : &node;
  if (base == nullptr) return node;
  if (base->kind != YamlNode::Kind::scalar || base->text.empty()) {
    throw InputError(base->place, noun(kind) + ": expected a name such as '" +
                                      (kind == DataKind::model ? "deepseek-v4-pro" : "hgx-b200") +
                                      "', a path or a map, got " + shown(*base));
  }
  const std::string path = find_data_file(kind, base->text, scenario_dir, base->place);
  YamlNode whole = parse_yaml(read_text_file(path), path);
  if (node.kind == YamlNode::Kind::map) {
    YamlNode over = node;
    std::erase_if(over.children, [](const YamlNode& child) { return child.key == "base"; });
    whole = overlaid(std::move(whole), over);
  }
  whole.key = node.key;
  whole.key_place = node.key_place;
  return whole;
}

std::string find_single_file(const std::string& name) {
  std::string tried;
  for (const std::string& folder : data_folders(DataKind::model, "")) {
    const std::string path = (fs::path(folder).parent_path() / name).lexically_normal().string();
    if (is_file(path)) return path;
    tried += (tried.empty() ? "" : ", ") + path;
  }
  throw InputError(Place{name, 0, 0}, "expected this file at one of: " + tried);
}

}  // namespace v4cap
