// An engine's launch command, and its start-up log where there is one, as a scenario: which program
// it is, what its flags do, what the engine takes where nothing is said, and what of the log can be
// compared with the scenario.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "sim/config/scenario_file.h"
#include "sim/import/engine_dialect.h"

namespace v4cap {

// A text with the name that messages call it by.
struct SourceText {
  std::string text;
  std::string label;  // path, "--command", "<stdin>"
  std::string dir;    // folder that files named in it are beside
};

struct ImportRequest {
  SourceText command;
  std::optional<SourceText> log;
  std::string hardware;  // name or path; "" = assumed
  std::string model;     // of scenarios/models; "" = told from the command
  std::string version;   // release or date of the engine; "" = told from the log, else the newest
  ScenarioOptions options;  // overrides of the user, which win
};

// A variable of the command that the engine reads.
struct VariableReport {
  VariableUse use;
  FlagEffect effect = FlagEffect::none;
  std::string note;
  bool known = true;
};

struct ImportedLaunch {
  std::string engine;      // name in the dialect registry
  std::string version;     // as far as it is known, else ""
  std::string checkpoint;  // as the command names it
  Place place;             // of the command
  FlagUses flags;
  std::vector<VariableReport> variables;
  std::vector<LogFact> log;
  ScenarioDraft draft;
  std::string yaml;
  Scenario scenario;  // what `yaml` says, defaults filled in
};

// Throws InputError: no launch command, a model that is not known, values that no engine takes, a
// scenario that does not hold together; places are those of the command.
ImportedLaunch import_launch(const ImportRequest& request);

}  // namespace v4cap
