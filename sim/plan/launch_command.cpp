#include "sim/plan/launch_command.h"

#include <algorithm>
#include <map>

#include "sim/config/yaml_tree.h"
#include "sim/import/checkpoints.h"
#include "sim/import/import.h"
#include "sim/sweep/submit.h"

namespace v4cap {

namespace {

// What a command decides; the rest of a scenario is the traffic and where times come from.
bool is_of_engine(const std::string& section) {
  for (const char* one : {"model", "deployment", "engine", "kv_cache"}) {
    if (section == one) return true;
  }
  return false;
}

using Leaves = std::map<std::string, std::string>;

void add_leaves(const YamlNode& node, const std::string& path, Leaves& out) {
  if (node.kind == YamlNode::Kind::scalar) out[path] = node.text;
  for (std::size_t i = 0; i < node.children.size(); ++i) {
    const YamlNode& child = node.children[i];
    add_leaves(child, path + '.' + (child.key.empty() ? std::to_string(i) : child.key), out);
  }
}

Leaves leaves_of(const Scenario& scenario) {
  Leaves out;
  const YamlNode root = parse_yaml(scenario.resolved_yaml, "the resolved scenario");
  for (const YamlNode& section : root.children) {
    if (is_of_engine(section.key)) add_leaves(section, section.key, out);
  }
  return out;
}

std::vector<KeyDifference> differences(const Scenario& ours, const Scenario& imported) {
  const Leaves a = leaves_of(ours), b = leaves_of(imported);
  std::vector<KeyDifference> out;
  const auto value = [](const Leaves& leaves, const std::string& path) {
    const auto it = leaves.find(path);
    return it == leaves.end() ? std::string("nothing") : it->second;
  };
  for (const auto& [path, text] : a) {
    if (value(b, path) != text) out.push_back({path, text, value(b, path)});
  }
  for (const auto& [path, text] : b) {
    if (!a.contains(path)) out.push_back({path, "nothing", text});
  }
  return out;
}

// The published checkpoint whose weights are the model's own.
std::string checkpoint_of(const ModelSpec& model) {
  for (const Checkpoint& c : load_checkpoints()) {
    if (c.model == model.name && !c.expert_bytes && !c.mtp_layers) return "deepseek-ai/" + c.name;
  }
  return "";
}

// Flags that belong together on a line each, as people write them.
std::string on_lines(const std::vector<std::string>& words) {
  std::string out;
  for (const std::string& word : words) {
    if (!out.empty()) out += word.starts_with("--") ? " \\\n  " : " ";
    out += shell_word(word);
  }
  return out;
}

}  // namespace

LaunchCommand launch_command(const Scenario& scenario) {
  LaunchCommand out;
  const auto* const writer = LaunchWriters::find(scenario.kv_cache.layout);
  const std::string checkpoint = checkpoint_of(scenario.model);
  if (writer == nullptr || checkpoint.empty()) return out;
  out.engine = scenario.kv_cache.layout;
  out.text = on_lines((*writer)(scenario, checkpoint));
  ImportRequest request;
  request.command = {out.text, "the launch command", ""};
  request.hardware = scenario.hardware.name;
  request.version = scenario.kv_cache.layout_version;
  request.options.find_traces = false;
  out.differences = differences(scenario, import_launch(request).scenario);
  return out;
}

}  // namespace v4cap
