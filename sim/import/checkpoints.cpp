#include "sim/import/checkpoints.h"

#include <algorithm>
#include <cctype>

#include "sim/config/data_files.h"
#include "sim/config/section.h"

namespace v4cap {

namespace {

constexpr const char* kFile = "checkpoints.yaml";

std::string lower(std::string text) {
  for (char& c : text) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  return text;
}

// Parts of a path, last first. A cache folder "models--org--name" counts as "name".
std::vector<std::string> parts(const std::string& text) {
  std::vector<std::string> out;
  std::string rest = text;
  while (!rest.empty()) {
    const std::size_t slash = rest.rfind('/');
    std::string part = slash == std::string::npos ? rest : rest.substr(slash + 1);
    rest.resize(slash == std::string::npos ? 0 : slash);
    if (part.starts_with("models--")) part.erase(0, part.rfind("--") + 2);
    if (!part.empty()) out.push_back(lower(part));
  }
  return out;
}

Checkpoint read_checkpoint(const YamlNode& node, const std::string& file) {
  Document document(node, file);
  Section section = document.root();
  Checkpoint out;
  out.name = section.required<std::string>("name");
  out.model = section.required<std::string>("model");
  if (section.has("expert_bytes")) {
    out.expert_bytes = section.required<double>("expert_bytes", above_up_to(0.0, 4.0));
  }
  if (section.has("mtp_layers")) {
    out.mtp_layers = section.required<std::int64_t>("mtp_layers", between<std::int64_t>(0, 64));
  }
  section.reject_unknown();
  document.checkpoint();
  return out;
}

}  // namespace

std::vector<Checkpoint> load_checkpoints() {
  const std::string file = find_single_file(kFile);
  const YamlNode root = parse_yaml(read_text_file(file), file);
  const YamlNode* list = root.find("checkpoints");
  if (list == nullptr || list->kind != YamlNode::Kind::list) {
    throw InputError(root.place, "expected a list under checkpoints, got " + shown(root));
  }
  std::vector<Checkpoint> out;
  for (const YamlNode& node : list->children) out.push_back(read_checkpoint(node, file));
  return out;
}

const Checkpoint* find_checkpoint(const std::vector<Checkpoint>& known, const std::string& text) {
  for (const std::string& part : parts(text)) {
    const auto it =
        std::ranges::find_if(known, [&](const Checkpoint& c) { return lower(c.name) == part; });
    if (it != known.end()) return &*it;
  }
  return nullptr;
}

std::string checkpoint_suggestion(const std::vector<Checkpoint>& known, const std::string& text) {
  std::vector<std::string> names;
  for (const Checkpoint& c : known) names.push_back(c.name);
  const std::size_t slash = text.find_last_not_of('/');
  const std::string trimmed = text.substr(0, slash == std::string::npos ? 0 : slash + 1);
  return suggestion(trimmed.substr(trimmed.rfind('/') + 1), names);
}

}  // namespace v4cap
