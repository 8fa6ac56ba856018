// The command line of a program as plain data: what --help says, for whatever else is written from
// it: shell completion, man pages. Taken from the parser itself, so that an option is stated once.
#pragma once

#include <string>
#include <vector>

namespace CLI {
class App;
}

namespace v4cap {

class Command;

struct OptionText {
  std::vector<std::string> names;  // "--out", "-o"; of a positional its one name, "SCENARIO"
  bool positional = false;
  std::string value;  // what follows it: "KEY=VALUE", "TEXT"; "" for a flag
  std::string help;
  bool required = false;
  std::vector<std::string>
      values;  // names that the value may have; empty: anything, such as a file
};

// A program, a command of it or a part of one ("trace info").
struct CommandText {
  std::string name;  // as it is called, without what it is part of
  std::string summary;
  std::string footer;
  std::vector<OptionText> options;  // as --help orders them, hidden ones left out
  std::vector<CommandText> parts;
};

// `command`: whose option values these are; nullptr for the program.
CommandText command_text(const CLI::App& app, const Command* command);

}  // namespace v4cap
