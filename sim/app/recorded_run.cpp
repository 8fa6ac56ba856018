#include "sim/app/recorded_run.h"

#include <filesystem>
#include <limits>
#include <utility>
#include <vector>

#include "sim/config/yaml_tree.h"
#include "sim/core/json.h"

namespace v4cap {

std::string other_than_recorded(const std::string& directory, const RunIdentity& identity,
                                std::optional<std::int64_t> requests) {
  const std::vector<std::pair<const char*, std::string>> names = {
      {"model", identity.model},
      {"hardware", identity.hardware},
      {"policy", identity.policy},
      {"layout", identity.layout},
      {"scheduler", identity.scheduler}};
  std::vector<std::pair<const char*, std::string>> numbers;
  if (requests) {
    numbers = {{"seed", std::to_string(identity.seed)}, {"requests", std::to_string(*requests)}};
  }
  std::string others;
  const auto compare = [&](const char* key, const std::string& recorded, const std::string& here) {
    if (recorded == here) return;
    others += std::string(others.empty() ? "; the recorded run has " : ", ") + key + ' ' +
              recorded + " and not " + here;
  };
  const std::string path = (std::filesystem::path(directory) / "summary.json").string();
  try {
    JsonLine line;
    const std::string text = read_text_file(path);
    const JsonValue summary = line.parse(text, Place{path, 1, 0});
    for (const auto& [key, here] : names) {
      compare(key, std::string(summary.at(key).string()), here);
    }
    for (const auto& [key, here] : numbers) {
      const auto recorded = summary.at(key).integer(0, std::numeric_limits<std::int64_t>::max());
      compare(key, std::to_string(recorded), here);
    }
  } catch (const InputError&) {  // it was read for a hint alone
    return {};
  }
  return others;
}

}  // namespace v4cap
