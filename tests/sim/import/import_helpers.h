// What tests of imported commands share.
#pragma once

#include <algorithm>
#include <string>
#include <vector>

#include "sim/config/data_files.h"
#include "sim/import/import.h"

namespace v4cap {

inline const std::string kCommands = V4CAP_SOURCE_DIR "/tests/sim/import/commands/";

inline SourceText command_file(const std::string& name) {
  return {read_text_file(kCommands + name), kCommands + name, kCommands};
}

inline SourceText text(const std::string& command) {
  return {command, "run.sh", ""};
}

inline ImportedLaunch import_text(const std::string& command, const std::string& hardware = "") {
  ImportRequest request;
  request.command = text(command);
  request.hardware = hardware;
  return import_launch(request);
}

inline std::string value(const ImportedLaunch& launch, const std::string& path) {
  const DraftLine* line = launch.draft.find(path);
  return line == nullptr ? "absent" : line->value;
}

inline bool mentions(const std::vector<Omission>& omissions, const std::string& flag) {
  return std::ranges::any_of(omissions,
                             [&](const Omission& o) { return o.flag.starts_with(flag); });
}

inline std::string error_of(const std::string& command, const std::string& hardware = "") {
  try {
    import_text(command, hardware);
  } catch (const InputError& e) {
    return to_string(e.diagnostics().front());
  }
  return "nothing";
}

inline ScenarioOptions no_traces() {
  ScenarioOptions options;
  options.find_traces = false;
  return options;
}

}  // namespace v4cap
