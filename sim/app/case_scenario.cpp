#include "sim/app/case_scenario.h"

#include <algorithm>
#include <map>

#include "sim/config/data_files.h"
#include "sim/config/engine_file.h"
#include "sim/config/hardware_file.h"
#include "sim/config/value.h"
#include "sim/core/error.h"

namespace v4cap {

std::int64_t draft_tokens(const std::string& engine, const std::string& speculative) {
  if (speculative.empty() || speculative == "none") return 0;
  const std::size_t dash = speculative.find('-');
  const std::string method = speculative.substr(0, dash);
  if (dash == std::string::npos) {
    const auto known = load_engine(engine, "")->draft_tokens;
    const auto it = known.find(method);
    if (it != known.end()) return it->second;
    throw RunError("speculative method " + method + " is not known");
  }
  const std::string last = speculative.substr(speculative.rfind('-') + 1);
  std::string hint;
  const auto number = parse_value<std::int64_t>(last, hint);
  if (!number || *number < 1 || *number > 64) {
    throw RunError("speculative method " + speculative + " is not known");
  }
  return std::max<std::int64_t>(1, method == "eagle" ? *number - 1 : *number);
}

std::string hardware_named(const std::string& gpu) {
  static const auto known = [] {
    std::map<std::string, std::string> files;
    for (const std::string& name : data_names(DataKind::hardware, "")) {
      files.emplace(load_hardware(name).gpu.name, name);
    }
    return files;
  }();
  for (const std::string& name : {gpu, gpu.substr(0, gpu.find('-'))}) {
    const auto it = known.find(name);
    if (it != known.end()) return it->second;
  }
  return "";
}

void check_known(const std::string& what, const std::string& name,
                 const std::vector<std::string>& known) {
  if (std::ranges::find(known, name) != known.end()) return;
  throw RunError(what + ' ' + name + " is not known" + suggestion(name, known));
}

}  // namespace v4cap
